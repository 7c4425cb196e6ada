"""The networks under Residual's names, layer by layer the same."""
import torch
import torch.nn as nn
import torch.nn.functional as F


def conv(c, k, kernel, stride=1):
    return nn.Conv2d(c, k, kernel, stride, kernel // 2, bias=False)


def unit(c, k, kernel, stride=1, relu=True):
    return [conv(c, k, kernel, stride), nn.BatchNorm2d(k)] + ([nn.ReLU(inplace=True)] if relu else [])


class Residual(nn.Module):
    def __init__(self, main, around):
        super().__init__()
        self.main, self.around = nn.Sequential(*main), around

    def forward(self, x):
        return F.relu(self.main(x) + self.around(x))


class Subsample(nn.Module):
    """Option A: every stride-th pixel, zero channels around."""

    def __init__(self, stride, more):
        super().__init__()
        self.stride, self.more = stride, more

    def forward(self, x):
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.more // 2, self.more - self.more // 2))


def around(c, k, stride, option):
    if c == k and stride == 1:
        return nn.Identity()
    return Subsample(stride, k - c) if option == "A" else nn.Sequential(*unit(c, k, 1, stride, relu=False))


def resnet(depths, widths, bottleneck=False, option="B", classes=10):
    layers, c = unit(3, widths[0], 3), widths[0]
    for stage, (depth, width) in enumerate(zip(depths, widths)):
        for block in range(depth):
            stride = 2 if stage and not block else 1
            if bottleneck:
                k = 4 * width
                main = unit(c, width, 1) + unit(width, width, 3, stride) + unit(width, k, 1, relu=False)
            else:
                k = width
                main = unit(c, k, 3, stride) + unit(k, k, 3, relu=False)
            layers.append(Residual(main, around(c, k, stride, option)))
            c = k
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, classes))


def vgg(groups, classes=10):
    layers, c = [], 3
    for group in groups:
        for k in group:
            layers += [nn.Conv2d(c, k, 3, padding=1), nn.BatchNorm2d(k), nn.ReLU(inplace=True)]
            c = k
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(512, classes))


DEEP = [64, 128, 256, 512]
NETWORKS = {
    "resnet-20": lambda: resnet([3] * 3, [16, 32, 64], option="A"),
    "resnet-56": lambda: resnet([9] * 3, [16, 32, 64], option="A"),
    "resnet-18": lambda: resnet([2, 2, 2, 2], DEEP),
    "resnet-34": lambda: resnet([3, 4, 6, 3], DEEP),
    "resnet-50": lambda: resnet([3, 4, 6, 3], DEEP, bottleneck=True),
    "vgg-d-bn": lambda: vgg([[64] * 2, [128] * 2, [256] * 3, [512] * 3, [512] * 3]),
    "vgg-e-bn": lambda: vgg([[64] * 2, [128] * 2, [256] * 4, [512] * 4, [512] * 4]),
}
TORCHVISION = {"resnet-18": "resnet18", "resnet-34": "resnet34", "resnet-50": "resnet50", "vgg-d": "vgg16", "vgg-e": "vgg19"}
