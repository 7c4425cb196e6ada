"""Images/s of torchvision's DataLoader on a folder of classes, by the processes that decode; one JSON line."""
import argparse
import json
import os
import resource
import statistics
import time

import torch
import torchvision
from torchvision import transforms

parser = argparse.ArgumentParser()
parser.add_argument("folder", help="its train folder")
parser.add_argument("--batch", type=int, default=32)
parser.add_argument("--iters", type=int, default=10)
parser.add_argument("--threads", type=int, default=os.cpu_count())
args = parser.parse_args()
torch.set_num_threads(1)
transform = transforms.Compose([
    transforms.RandomResizedCrop(224), transforms.RandomHorizontalFlip(), transforms.ToTensor(),
    transforms.Normalize(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
])
data = torchvision.datasets.ImageFolder(args.folder, transform)
loader = torch.utils.data.DataLoader(data, args.batch, shuffle=True, num_workers=args.threads, drop_last=True,
                                     persistent_workers=True)


def batches():
    while True:
        yield from loader


source, seconds = batches(), []
# Each worker has two batches under way before the clock starts.
for number in range(args.iters + 2 * args.threads + 1):
    began = time.perf_counter()
    next(source)
    if number > 2 * args.threads:
        seconds.append(time.perf_counter() - began)
# Workers deliver in bursts, so the mean over all batches rather than the median of one.
children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(json.dumps({"images_per_second": {"torchvision DataLoader": args.batch / statistics.fmean(seconds)},
                  "peak_rss_mb": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss + children * args.threads) / 1024}))
