"""The speedrun's recipe in PyTorch: the same network, numbers and images; one JSON line with its error and its time.

    python bench/peers/speedrun.py recipes/cifar10-speedrun.toml CIFAR_FOLDER --seed 0

What it times is what `residual train` times: every step with the making of its batches, no testing. Images are varied a batch at a time
by tensor operations, as airbench does, which costs PyTorch next to nothing.
"""
import argparse
import json
import os
import pathlib
import time
import tomllib

import numpy
import torch
import torch.nn.functional as F
from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("recipe")
parser.add_argument("folder", help="with data_batch_1.bin")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--threads", type=int, default=os.cpu_count())
parser.add_argument("--steps", type=int, help="stop early, to time it")
parser.add_argument("--layout", choices=["nchw", "nhwc"], default="nhwc")
args = parser.parse_args()
torch.set_num_threads(args.threads)
torch.manual_seed(args.seed)
torch.set_flush_denormal(True)
recipe = tomllib.loads(pathlib.Path(args.recipe).read_text())
data, train, optim, schedule = recipe["data"], recipe["train"], recipe["optimizer"], recipe["schedule"]
memory = torch.channels_last if args.layout == "nhwc" else torch.contiguous_format


def images(names):
    """Normalised images `[n, 3, 32, 32]` and labels."""
    [folder] = {file.parent for file in pathlib.Path(args.folder).rglob("data_batch_1.bin")}
    rows = numpy.concatenate([numpy.fromfile(folder / name, numpy.uint8).reshape(-1, 3073) for name in names])
    x = torch.from_numpy(rows[:, 1:].reshape(-1, 3, 32, 32)).float() / 255
    mean, std = (torch.tensor(data[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    return ((x - mean) / std).contiguous(memory_format=memory), torch.from_numpy(rows[:, 0].astype("int64"))


def whitening(x, k):
    """Filters along the directions in which 3x3 patches vary most, and their negatives: `[k, 3, 3, 3]`."""
    patches = F.unfold(x[:2000].contiguous(), 3, stride=2).transpose(1, 2).reshape(-1, 27).double()
    values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
    half = (vectors / (values + 5e-4).sqrt()).T.flip(0)[: k // 2]
    return torch.cat([half, -half]).reshape(k, 3, 3, 3).float()


def network(x):
    """models/speedrun.rs, line by line."""
    layers, c = [nn.Conv2d(3, 32, 3, padding=1), nn.ReLU()], 32
    layers[0].weight.data = whitening(x, c)
    layers[0].bias.data.zero_()
    layers[0].requires_grad_(False)
    for k, pool in [(64, True), (64, False), (128, True), (128, False), (256, True), (256, False)]:
        conv = nn.Conv2d(c, k, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
        layers += [conv, nn.BatchNorm2d(k), nn.ReLU()] + [nn.MaxPool2d(2)] * pool
        c = k
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, 10)).to(memory_format=memory)


def varied(x, flipped, pad=recipe["augment"]["pad_crop"]):
    """Each image shifted by up to `pad` pixels, zeros around it; mirrored where `flipped`."""
    n = len(x)
    x = torch.where(flipped.view(n, 1, 1, 1), x.flip(3), x)
    x = F.pad(x, [pad] * 4)
    out = torch.empty_like(x[:, :, : x.shape[2] - 2 * pad, : x.shape[3] - 2 * pad])
    shift = torch.randint(2 * pad + 1, (n, 2))
    for dy in range(2 * pad + 1):
        for dx in range(2 * pad + 1):
            at = ((shift[:, 0] == dy) & (shift[:, 1] == dx)).nonzero().flatten()
            out[at] = x[at, :, dy : dy + 32, dx : dx + 32]
    return out.contiguous(memory_format=memory)


def rate(step, steps):
    """One cycle, both parts linear, as train/schedule.rs and PyTorch's OneCycleLR have it."""
    top, end = schedule["peak"] * steps - 1, steps - 1
    if step <= top:
        return optim["lr"] * (schedule["initial"] + (1 - schedule["initial"]) * step / top)
    return optim["lr"] * (1 + (schedule["final"] - 1) * (step - top) / (end - top))


x, y = images([f"data_batch_{i}.bin" for i in range(1, 6)])
net = network(x)
bias = [p for name, p in net.named_parameters() if name.endswith("bias") and p.requires_grad]
scale = [p for name, p in net.named_parameters() if not name.endswith("bias") and p.dim() == 1]
weight = [p for p in net.parameters() if p.dim() > 1 and p.requires_grad]
groups = [{"params": bias, "weight_decay": 0}, {"params": scale, "weight_decay": 0}, {"params": weight}]
sgd = torch.optim.SGD(groups, optim["lr"], momentum=optim["momentum"], nesterov=optim["nesterov"],
                      weight_decay=optim["weight_decay"])
batch, per_epoch = train["batch"], len(x) // train["batch"]
steps = train["epochs"] * per_epoch
side, began = torch.rand(len(x)) < 0.5, time.perf_counter()
for step in range(args.steps or steps):
    if step % per_epoch == 0:
        order, epoch = torch.randperm(len(x)), step // per_epoch
    at = order[step % per_epoch * batch :][:batch]
    for group, factor in zip(sgd.param_groups, [optim["bias_lr"], 1, 1]):
        group["lr"] = rate(step, steps) * factor
    sgd.zero_grad(set_to_none=True)
    flipped = side[at] ^ (epoch % 2 == 1)
    F.cross_entropy(net(varied(x[at], flipped)), y[at], label_smoothing=recipe["loss"]["label_smoothing"]).backward()
    sgd.step()
seconds = time.perf_counter() - began
tested = net.eval()
x, y = images(["test_batch.bin"])
with torch.inference_mode():
    logits = [tested(part).softmax(1) + tested(part.flip(3)).softmax(1) for part in x.split(500)]
error = 100 * (torch.cat(logits).argmax(1) != y).float().mean().item()
print(json.dumps({"test_top1_error": error, "seconds": seconds, "images_per_second": (args.steps or steps) * batch / seconds}))
