"""Interleaves `residual bench` with PyTorch (training), ONNX Runtime, OpenVINO and PyTorch (inference) or torchvision's
DataLoader (input); prints a table."""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent


def last_json(command, env=None):
    out = subprocess.run([str(c) for c in command], check=True, stdout=subprocess.PIPE, env=env).stdout
    return json.loads(out.decode().strip().splitlines()[-1])


def ours(args, net, batch):
    size = 32 if args.work == "train" else 224
    command = [args.residual, "bench", args.work, net, "--batch", batch, "--size", size, "--threads", args.threads,
               "--iters", args.iters, "--json"]
    return last_json(command)


def theirs(args, net, batch):
    script = HERE / ("train_step.py" if args.work == "train" else "inference.py")
    # Exporters deprecate one another; nobody reads it between rounds.
    env = dict(os.environ, PYTHONWARNINGS="ignore")
    if args.avx2:
        env |= {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
    command = [sys.executable, script, net, "--batch", batch, "--threads", args.threads, "--iters", args.iters]
    layouts = ["--layouts", *args.layouts] if args.layouts and args.work == "train" else []
    peers = last_json(command + layouts, env)
    if args.burn_flex:
        flex = last_json([args.burn_flex, batch, 3])
        peers["images_per_second"]["Burn Flex"] = flex["images_per_second"]
        peers["burn_flex_mb"] = flex["peak_rss_mb"]
    return peers


def input_pipeline(args):
    """Random-resized-crop to 224, flip, normalisation, on JPEGs of a folder, each several times."""
    files = sorted(f.resolve() for f in pathlib.Path(args.images).rglob("*") if f.suffix.lower() in (".jpg", ".jpeg"))
    batch = (args.batch or [32])[0]
    # Enough for a few epochs' worth of batches without a pause between epochs.
    times = -(-8 * batch // len(files))
    recipe = ["imagenet-resnet50-strong", "--set", "augment.size=224", "--set", "augment.policy=none", "--set",
              "augment.erasing=0"]
    with tempfile.TemporaryDirectory() as folder:
        for split, copies in (("train", times), ("val", 1)):
            for i, file in enumerate(files):
                place = pathlib.Path(folder, split, "even" if i % 2 == 0 else "odd")
                place.mkdir(parents=True, exist_ok=True)
                for copy in range(copies):
                    (place / f"{i}-{copy}.jpg").symlink_to(file)
        ours = [args.residual, "bench", "input", *recipe, "--data", folder, "--batch", batch, "--threads", args.threads,
                "--iters", args.iters, "--json"]
        theirs = [sys.executable, HERE / "input.py", f"{folder}/train", "--batch", batch, "--threads", args.threads,
                  "--iters", args.iters]
        rounds = [(last_json(ours), last_json(theirs)) for _ in range(args.rounds)]
    print(f"{len(files)} JPEGs, each {times} times, batch {batch}, {args.threads} threads or processes\n")
    print("| images/s per core | residual | torchvision's DataLoader | ratio (median; lowest-highest) | peak MB ours / theirs |")
    print("| --- | --- | --- | --- | --- |")
    mine = [o["images_per_second"] / args.threads for o, _ in rounds]
    peers = [t["images_per_second"]["torchvision DataLoader"] / args.threads for _, t in rounds]
    ratios = sorted(m / p for m, p in zip(mine, peers))
    memory = f"{rounds[0][0]['peak_rss_mb']:.0f} / {rounds[0][1]['peak_rss_mb']:.0f}"
    print(f"| random-resized-crop 224, flip, normalise | {statistics.median(mine):.1f} | {statistics.median(peers):.1f} | "
          f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f}) | {memory} |")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("work", choices=["train", "infer", "input"])
    parser.add_argument("nets", nargs="*", help="what train and infer time")
    parser.add_argument("--images", metavar="FOLDER", help="JPEGs that input decodes")
    parser.add_argument("--residual", required=True)
    parser.add_argument("--batch", type=int, nargs="+", help="default: 128 (train), 1 and 16 (infer)")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--iters", type=int, default=5)
    parser.add_argument("--layouts", nargs="+", help="of PyTorch, in training: nchw, nhwc, nhwc+compile [default: the first two]")
    parser.add_argument("--burn-flex", metavar="PATH", help="the example burn_flex: ResNet-20 of Burn's own modules, 3 steps a round")
    parser.add_argument("--avx2", action="store_true", help="keep PyTorch to AVX2 (set RESIDUAL_ISA=avx2 for ours)")
    args = parser.parse_args()
    if args.work == "input":
        if not args.images:
            parser.error("input needs --images FOLDER")
        return input_pipeline(args)
    if not args.nets:
        parser.error(f"{args.work} needs the names of networks")
    batches = args.batch or ([128] if args.work == "train" else [1, 16])
    print("| net | batch | residual | peers | ratio (median; lowest-highest) | peak MB ours / theirs |")
    print("| --- | --- | --- | --- | --- | --- |")
    for net in args.nets:
        for batch in batches:
            rounds = [(ours(args, net, batch), theirs(args, net, batch)) for _ in range(args.rounds)]
            mine = [o["images_per_second"] for o, _ in rounds]
            names = rounds[0][1]["images_per_second"].keys()
            best = [max(t["images_per_second"].values()) for _, t in rounds]
            peers = ", ".join(
                f"{name} {statistics.median(t['images_per_second'][name] for _, t in rounds):.1f}" for name in names)
            ratios = sorted(m / b for m, b in zip(mine, best))
            memory = f"{rounds[0][0]['peak_rss_mb']:.0f} / {rounds[0][1]['peak_rss_mb']:.0f}"
            if args.burn_flex:
                memory += f" / {rounds[0][1]['burn_flex_mb']:.0f} (Burn Flex)"
            print(f"| {net} | {batch} | {statistics.median(mine):.1f} | {peers} | "
                  f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f}) | {memory} |", flush=True)


main()
