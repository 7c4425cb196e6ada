"""Draws docs/speed.svg from the tables of machine A in BENCHMARKS.md: `python3 bench/chart.py`."""

import re
from pathlib import Path

root = Path(__file__).resolve().parent.parent
text = (root / "BENCHMARKS.md").read_text()
groups = [("Training at 32x32", "training, batch {}"), ("Inference at 224x224", "inference, batch {}")]

rows = []
for title, label in groups:
    table = text.split(f"## {title}\n")[1].split("### Machine A (AVX2)\n")[1].split("\n\n| ")[1].split("\n\n")[0]
    for line in table.splitlines()[2:]:
        network, batch, ours, peers, ratio = [cell.strip() for cell in line.strip("| ").split("|")][:5]
        rates = re.findall(r"(?:(?:PyTorch )?(ncnn|ORT|OV|PyTorch|NCHW|NHWC)) ([\d.]+)", peers)
        peer, rate = max(rates, key=lambda pair: float(pair[1]))
        names = {"NCHW": "PyTorch", "NHWC": "PyTorch", "ORT": "ONNX Runtime", "OV": "OpenVINO"}
        rows.append((network, label.format(batch), ours, names.get(peer, peer), rate, float(ratio.split()[0])))

left, scale, height = 250, 150, 44
width = left + int(scale * max(row[-1] for row in rows)) + 120
style = """text { font: 13px system-ui, sans-serif; fill: #1f2328 } .faint { fill: #59636e } .peer { fill: #afb8c1 }
.ours { fill: #2f6fde } @media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .faint { fill: #9198a1 }
.peer { fill: #57606a } .ours { fill: #539bf5 } }"""
svg = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height * len(rows) + 40}" width="{width}">']
svg.append(f"<title>Residual beside the fastest peer, images per second</title><style>{style}</style>")
for i, (network, work, ours, peer, rate, ratio) in enumerate(rows):
    y = height * i + 8
    svg.append(f'<text x="{left - 12}" y="{y + 13}" text-anchor="end">{network}</text>')
    svg.append(f'<text x="{left - 12}" y="{y + 29}" text-anchor="end" class="faint">{work}</text>')
    for dy, kind, length, said in [(0, "ours", ratio, f"{ratio:.2f} x, {ours}/s"), (16, "peer", 1, f"{peer}, {rate}/s")]:
        svg.append(f'<rect x="{left}" y="{y + dy}" width="{scale * length:.0f}" height="14" rx="2" class="{kind}"/>')
        svg.append(f'<text x="{left + scale * length + 8:.0f}" y="{y + dy + 12}">{said}</text>')
foot = "Images per second beside the fastest peer, fp32, two cores of an AMD EPYC (Zen 3). Lengths are ratios."
svg.append(f'<text x="8" y="{height * len(rows) + 28}" class="faint">{foot}</text></svg>')
(root / "docs" / "speed.svg").write_text("\n".join(svg) + "\n")
