"""PyTorch's images/s for one training step, in both memory layouts; one JSON line."""
import argparse
import json
import os
import resource
import statistics
import time

import torch
import torch.nn.functional as F
from networks import NETWORKS

parser = argparse.ArgumentParser()
parser.add_argument("net", choices=NETWORKS)
parser.add_argument("--batch", type=int, default=128)
parser.add_argument("--iters", type=int, default=5)
parser.add_argument("--threads", type=int, default=os.cpu_count())
parser.add_argument("--layouts", nargs="+", default=["nchw", "nhwc"], help="one alone has its own peak memory; nhwc+compile too")
args = parser.parse_args()
torch.set_num_threads(args.threads)
torch.manual_seed(0)
rates = {}
for layout in args.layouts:
    memory = torch.channels_last if "nhwc" in layout else torch.contiguous_format
    net = NETWORKS[args.net]().train().to(memory_format=memory)
    x = torch.randn(args.batch, 3, 32, 32).contiguous(memory_format=memory)
    y = torch.randint(0, 10, (args.batch,))
    sgd = torch.optim.SGD(net.parameters(), 0.01, momentum=0.9, weight_decay=5e-4)
    forward = torch.compile(net) if "compile" in layout else net
    seconds = []
    for _ in range(args.iters + 1):
        began = time.perf_counter()
        sgd.zero_grad(set_to_none=True)
        F.cross_entropy(forward(x), y).backward()
        sgd.step()
        seconds.append(time.perf_counter() - began)
    rates[f"PyTorch {layout}"] = args.batch / statistics.median(seconds[1:])
print(json.dumps({"images_per_second": rates, "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
