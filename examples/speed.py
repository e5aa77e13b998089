"""The figures of `speed.md`, and README's of speed: `python examples/speed.py PICTURE.svg > speed.json`.

It takes some ten minutes.

It is `lnfgen bench` with fewer cases: text updates with one sample of z in place of ten, and float32 alone. It measures
the backbones `lstm` and `scan`, or one by its name: `python examples/speed.py --backbone conv-scan > conv.json`. With
`--model`, it measures some models alone, and the baseline.
"""

import argparse
import json
import sys
from pathlib import Path

from lnfgen.bench.measure import measure
from lnfgen.bench.plan import BASELINE, SAMPLING, STRUCK, TRAINING, Plan, variants_on
from lnfgen.config import NAMED_MODELS
from lnfgen.device import prepare_machine
from lnfgen.nn.backbones import BACKBONES
from lnfgen.plots.speed import sampling_curves, time_against_length

SAMPLED = [("music", 60, 1), ("text", 16, 1), ("text", 60, 1), ("text", 288, 1), ("text", 288, 16), ("text", 1024, 1)]

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("picture", type=Path, nargs="?", help="time against length: .png, .svg or .pdf")
parser.add_argument("--backbone", choices=BACKBONES, help="lstm and scan by default")
parser.add_argument("--model", nargs="+", choices=NAMED_MODELS, default=list(NAMED_MODELS), help="all by default")
options = parser.parse_args()

prepare_machine("cpu", 500, "bernoulli")
variants = variants_on([options.backbone] if options.backbone else ["lstm", "scan"])
plan = Plan(
    sampling=[case for case in SAMPLING if (case["kind"], case["length"], case["batch"]) in SAMPLED],
    training=[{**case, "samples": 1} for case in TRAINING if case["precision"] == "float32" and case["kind"] != STRUCK],
    budget=540.0,
    variants=[one for one in variants if one == BASELINE or one.model in options.model],
)
figures = measure(plan, lambda done, total, what: print(f"{done}/{total} {what}", file=sys.stderr))
print(json.dumps(figures, indent=2))
if options.picture:
    curves = sampling_curves(figures["sampling"])
    options.picture.write_bytes(time_against_length(curves, "sampling", options.picture.suffix))
