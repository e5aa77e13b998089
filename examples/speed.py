"""The figures of README's section on speed: `python examples/speed.py PICTURE.svg > speed.json`, some ten minutes.

It is `lnfgen bench` with fewer cases: text updates with one sample of z in place of ten, and float32 alone.
"""

import json
import sys
from pathlib import Path

from lnfgen.bench.measure import measure
from lnfgen.bench.plan import SAMPLING, STRUCK, TRAINING, Plan
from lnfgen.compute import prepare_machine
from lnfgen.plots.speed import sampling_curves, time_against_length

SAMPLED = [("music", 60, 1), ("text", 16, 1), ("text", 60, 1), ("text", 288, 1), ("text", 288, 16), ("text", 1024, 1)]

prepare_machine("cpu", work_size=500)
plan = Plan(
    sampling=[case for case in SAMPLING if (case["kind"], case["length"], case["batch"]) in SAMPLED],
    training=[{**case, "samples": 1} for case in TRAINING if case["precision"] == "float32" and case["kind"] != STRUCK],
    budget=540.0,
)
figures = measure(plan, lambda done, total, what: print(f"{done}/{total} {what}", file=sys.stderr))
print(json.dumps(figures, indent=2))
if len(sys.argv) > 1:
    picture = Path(sys.argv[1])
    picture.write_bytes(time_against_length(sampling_curves(figures["sampling"]), "sampling", picture.suffix))
