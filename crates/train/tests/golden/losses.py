"""Ten losses of a tiny ResNet and a tiny VGG, computed by PyTorch: the constants in ../golden.rs.

    python losses.py        (torch 2.15 on a CPU, float32)

Weights, images and labels are closed formulas of their index, so that both sides make the same ones without a
shared generator. Training: SGD, learning rate 0.02 (ResNet) and 0.002 (VGG), Nesterov momentum 0.9, weight decay 5e-4 on every parameter."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.set_num_threads(1)


def formula(n, salt):
    """n values in [-1, 1): the fractional parts of multiples of an integer hash, exact in float64."""
    i = torch.arange(n, dtype=torch.int64)
    x = (i * 2654435761 + salt * 40503 + 12345) % 4294967296
    x = (x ^ (x >> 15)) * 2246822519 % 4294967296
    x = (x ^ (x >> 13)) % 4294967296
    return (x.double() / 2147483648.0 - 1.0).float()


def fill(net):
    """Weights in order: uniform with He's fan-out variance, linear layers by half that of their
    fan-in; scales 1, shifts and biases 0."""
    for salt, (name, p) in enumerate(net.named_parameters()):
        with torch.no_grad():
            if p.dim() == 1:
                p.fill_(1.0 if is_scale(net, name) else 0.0)
            else:
                fan = p.shape[0] * p[0][0].numel() if p.dim() == 4 else 2 * p.shape[1]
                p.copy_((formula(p.numel(), salt) * (6.0 / fan) ** 0.5).reshape(p.shape))


def is_scale(net, name):
    module = net.get_submodule(name.rsplit(".", 1)[0])
    return isinstance(module, nn.BatchNorm2d) and name.endswith("weight")


def batch(step, n=8, size=32, classes=10):
    x = formula(n * size * size * 3, 1000 + step).reshape(n, size, size, 3).permute(0, 3, 1, 2).contiguous()
    y = (torch.arange(n) * 7 + step * 3) % classes
    return x, y


class Block(nn.Module):
    def __init__(self, i, o, s):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(i, o, 3, s, 1, bias=False), nn.BatchNorm2d(o)
        self.conv2, self.bn2 = nn.Conv2d(o, o, 3, 1, 1, bias=False), nn.BatchNorm2d(o)
        self.s, self.extra = s, o - i

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.s != 1 or self.extra:
            x = F.pad(x[:, :, :: self.s, :: self.s], (0, 0, 0, 0, self.extra // 2, self.extra - self.extra // 2))
        return F.relu(y + x)


class ResNet8(nn.Module):
    """resnet-cifar-8: one block a stage, option A."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        self.layer1, self.layer2, self.layer3 = (nn.Sequential(Block(i, o, s)) for i, o, s in [(16, 16, 1), (16, 32, 2), (32, 64, 2)])
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        return self.fc(self.layer3(self.layer2(self.layer1(x))).mean((2, 3)))


class VggA(nn.Module):
    """vgg-a with the 512 -> 10 head."""

    def __init__(self):
        super().__init__()
        features, i = [], 3
        for o in [64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"]:
            if o == "M":
                features.append(nn.MaxPool2d(2))
            else:
                features += [nn.Conv2d(i, o, 3, 1, 1), nn.ReLU()]
                i = o
        self.features, self.classifier = nn.Sequential(*features), nn.Sequential(nn.Linear(512, 10))

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


for name, net, lr in [("resnet-cifar-8", ResNet8(), 0.02), ("vgg-a", VggA(), 0.002)]:
    fill(net)
    sgd = torch.optim.SGD(net.parameters(), lr, momentum=0.9, nesterov=True, weight_decay=5e-4)
    losses = []
    for step in range(10):
        x, y = batch(step)
        loss = F.cross_entropy(net.train()(x), y)
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        losses.append(loss.item())
    net.eval()
    with torch.no_grad():
        logits = net(batch(0)[0])[0].tolist()
    print(name, "losses", [round(v, 6) for v in losses])
    print(name, "logits of the first image afterwards", [round(v, 5) for v in logits])
