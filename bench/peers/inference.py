"""Images/s of ONNX Runtime, OpenVINO, PyTorch and, for one image, ncnn on a torchvision network at 224; one JSON line."""
import argparse
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import ncnn
import numpy as np
import onnxruntime
import openvino
import torch
import torchvision
from networks import TORCHVISION

parser = argparse.ArgumentParser()
parser.add_argument("net", choices=TORCHVISION)
parser.add_argument("--batch", type=int, default=1)
parser.add_argument("--iters", type=int, default=7)
parser.add_argument("--threads", type=int, default=os.cpu_count())
args = parser.parse_args()
torch.set_num_threads(args.threads)
net = getattr(torchvision.models, TORCHVISION[args.net])().eval()
x = np.random.default_rng(0).standard_normal((args.batch, 3, 224, 224), dtype=np.float32)


def rate(run):
    run(), run()
    seconds = []
    for _ in range(args.iters):
        began = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - began)
    return args.batch / statistics.median(seconds)


with tempfile.TemporaryDirectory() as folder:
    path = str(pathlib.Path(folder) / "net.onnx")
    torch.onnx.export(net, (torch.from_numpy(x),), path, dynamo=False, opset_version=17, input_names=["x"])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = args.threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    hints = {"INFERENCE_NUM_THREADS": args.threads, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    request = openvino.Core().compile_model(path, "CPU", hints).create_infer_request()
    if args.batch == 1:
        # ncnn takes no batches; its converter reads TorchScript and writes beside it.
        torch.jit.trace(net, torch.from_numpy(x)).save(f"{folder}/net.pt")
        converter = pathlib.Path(sys.executable).with_name("pnnx")
        subprocess.run([converter, "net.pt", "inputshape=[1,3,224,224]", "fp16=0"], cwd=folder, check=True, capture_output=True)
        small = ncnn.Net()
        small.opt.num_threads = args.threads
        for reduced in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
            setattr(small.opt, reduced, False)
        small.load_param(f"{folder}/net.ncnn.param")
        small.load_model(f"{folder}/net.ncnn.bin")


def with_ncnn():
    pass_ = small.create_extractor()
    pass_.input("in0", ncnn.Mat(x[0]))
    np.array(pass_.extract("out0")[1])


last = net.to(memory_format=torch.channels_last)
pixels = torch.from_numpy(x).contiguous(memory_format=torch.channels_last)
with torch.inference_mode():
    rates = {"ONNX Runtime": rate(lambda: session.run(None, {"x": x})), "OpenVINO": rate(lambda: request.infer({0: x})),
             "PyTorch": rate(lambda: last(pixels))}
    if args.batch == 1:
        rates["ncnn"] = rate(with_ncnn)
print(json.dumps({"images_per_second": rates, "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
