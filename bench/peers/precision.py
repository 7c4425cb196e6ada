"""Errors of Residual's logits and gradients against float64, from the file that its example `precision` writes.

    cargo run --release -p residual --example precision -- precision.safetensors [resnet-18|resnet-20|vgg-e-bn]
    python precision.py precision.safetensors [NETWORK]

The error of a tensor is the norm of the difference over the norm of the float64 tensor. PyTorch's own float32 stands beside."""
import sys

import torch
import torch.nn.functional as F
from networks import NETWORKS
from safetensors.torch import load_file

file, name = sys.argv[1], (sys.argv[2:] or ["resnet-18"])[0]
data = load_file(file)
net = NETWORKS[name]()
# Both sides list a block's own layers before the way around it, so parameters match in order.
torch_names = [n for n, _ in net.named_parameters()]
order = [n.removeprefix("weights.") for n in data if n.startswith("weights.")]


def place(name):
    """conv1, bn1, conv2, bn2, …, downsample; stages in order; the head last."""
    parts = name.split(".")
    stage = {"conv1": 0, "bn1": 0, "features": 1, "classifier": 98, "fc": 99}.get(parts[0])
    stage = stage if stage is not None else int(parts[0].removeprefix("layer"))
    rest = parts[1:]
    around = "downsample" in parts
    number = {"conv1": 0, "bn1": 1, "conv2": 2, "bn2": 3, "conv3": 4, "bn3": 5}
    if parts[0].startswith("layer"):
        inner = 10 + int(parts[3]) if around else number[parts[2]]
        key = (stage, int(parts[1]), inner)
    elif parts[0] in ("features", "classifier"):
        key = (stage, int(parts[1]), 0)
    else:
        key = (stage, 0, number.get(parts[0], 0))
    return key + ({"weight": 0, "bias": 1}[rest[-1]],)


ours = sorted((n for n in order if not n.endswith(("running_mean", "running_var"))), key=place)
assert len(ours) == len(torch_names), (len(ours), len(torch_names))


def run(dtype):
    net.to(dtype).train()
    with torch.no_grad():
        for mine, (theirs, p) in zip(ours, net.named_parameters()):
            value = data[f"weights.{mine}"]
            assert value.shape == p.shape, (mine, theirs)
            p.copy_(value.to(dtype))
    net.zero_grad(set_to_none=True)
    logits = net(data["x"].permute(0, 3, 1, 2).to(dtype))
    targets = data["targets"].to(dtype)
    (-(targets * F.log_softmax(logits, 1)).sum(1)).mean().backward()
    gradients = {n: p.grad.detach().flatten().double() for n, (_, p) in zip(ours, net.named_parameters())}
    return logits.detach().double(), gradients


exact_logits, exact = run(torch.float64)
single_logits, single = run(torch.float32)


def error(found, true):
    return ((found.double() - true).norm() / true.norm()).item()


def row(title, logits, gradient):
    weights = {n: g for n, g in exact.items() if g.norm() > 1e-9}
    errors = sorted(error(gradient(n), g) for n, g in weights.items())
    every = torch.cat([gradient(n).double() - g for n, g in exact.items()]).norm() / torch.cat(list(exact.values())).norm()
    print(f"| {title} | {error(logits, exact_logits):.1e} | {every.item():.1e} | {errors[len(errors) // 2]:.1e} | {errors[-1]:.1e} |")


print("| " + name + " | logits | all gradients | gradient of a parameter, median | worst |")
print("| --- | --- | --- | --- | --- |")
row("Winograd", data["winograd.logits"], lambda n: data[f"winograd.{n}"])
row("precise = true", data["precise.logits"], lambda n: data[f"precise.{n}"])
row("PyTorch float32", single_logits, lambda n: single[n])
