"""Measures a plan within its budget of time: every model, beside the LSTM baseline and the machine's own products.

Models have random weights at a preset's sizes. What is compared is timed in turn, so that other
programs on the machine slow all of it alike, and a ratio is the median of each round's own ratio. Fresh flows are near
the identity, where sweeps settle soonest, so trained models may be measured beside them.
"""

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from lnfgen import __version__
from lnfgen.bench.calls import call_of, fresh_config, fresh_model, operations
from lnfgen.bench.machine import CPU, SQUARE, Memory, machine_facts, product_call, product_rates
from lnfgen.bench.plan import BASELINE, EQUAL, OBSERVATIONS, Plan, Variant, batch_lengths, kind_of
from lnfgen.bench.rows import Row
from lnfgen.bench.timing import take_turns
from lnfgen.device import choose_threads
from lnfgen.models import SequenceModel
from lnfgen.wording import counted

TRIAL = 8
"""A call that has not been measured yet is first tried at this fraction of its length, to foretell its time."""

PRODUCT = Variant("", "")
"""Stands for the large matrix product among the models: it is timed in turn with them, for the machine's rate then."""

MeasureProgress = Callable[[int, int, str], None]
"""Is told how many cases are done, of how many, and what is measured next."""


def measure(
    plan: Plan,
    progress: MeasureProgress = lambda done, total, what: None,
    trained: Mapping[Variant, SequenceModel] | None = None,
    device: torch.device = CPU,
) -> dict[str, Any]:
    """Measure a plan, and give one JSON object.

    `sampling` and `training` hold a row for each case that was measured. `left_out` holds a row for each case that had
    no time left; its seconds are what a call is expected to take, if that is known. In a row, `seconds` are those of a
    call: the median, the least and the most of the rounds. `speed_to_lstm` is how many times as fast as the baseline a
    model is, and `share_of_product` is the rate of the operations that it needs, as a share of a large float32
    product's rate. `threads` are those that `train` would take for such data at the preset. A row of training says
    whether the batch's `lengths` are equal or ragged.

    Args:
        trained: models to sample from beside the fresh ones for the same kind of data, on the device.
        device: what the models compute on. On a GPU, rows also have `megabytes`, the most memory that tensors took
            while all the models of a case were there.
    """
    began = time.perf_counter()
    facts = {"lnfgen": __version__, **machine_facts(device), "preset": plan.preset}
    facts["products"] = product_rates(plan.rounds, device)
    measurement = _Measurement(plan.rounds, began + plan.budget, device)
    trained = trained or {}
    groups: list[tuple[str, Row, list[Variant]]] = []
    for kind in OBSERVATIONS:
        mine = [variant for variant, model in trained.items() if kind_of(model.observation) == kind]
        groups += [("sampling", case, [*plan.variants, *mine]) for case in plan.sampling if case["kind"] == kind]
        # In training each model is alone with the baseline: with its optimizer a model takes three times its own
        # memory, and all of them might not fit together.
        groups += [("training", case, [one]) for case in plan.training if case["kind"] == kind for one in plan.variants]
    done, total = 0, sum(len(variants) for *_, variants in groups)
    models, built = dict(trained), ""
    for place, (task, case, variants) in enumerate(groups):
        if case["kind"] != built:
            built = case["kind"]
            progress(done, total, f"building {counted(len(plan.variants), 'model')} of {built}")
            baseline = fresh_config(BASELINE, plan.preset, built).model
            choose_threads(baseline.hidden_size, baseline.emission)
            models |= {variant: fresh_model(variant, plan.preset, built).to(device) for variant in plan.variants}
        progress(done, total, f"{task} {built}, T {case['length']}, B {case['batch']}")
        compared = {variant: models[variant] for variant in (BASELINE, *variants)}
        measurement.add(task, case, compared, variants, share=1 / (len(groups) - place))
        done += len(variants)
    progress(total, total, "")
    return {**facts, "seconds": round(time.perf_counter() - began, 1), **measurement.rows}


class _Measurement:
    """The rows of a measurement, and how long calls took so far."""

    def __init__(self, rounds: int, deadline: float, device: torch.device) -> None:
        self.rounds, self.deadline, self.device = rounds, deadline, device
        self.known: dict[tuple[Any, ...], tuple[int, float]] = {}  # the last length that was measured, and its seconds
        self.rows: dict[str, list[Row]] = {"sampling": [], "training": [], "left_out": []}

    def add(
        self, task: str, case: Row, models: Mapping[Variant, SequenceModel], shown: Sequence[Variant], share: float
    ) -> None:
        """Time the models, the baseline among them, in turn with a large product; keep a row for each shown model.

        `share` is the part of the time that is left which may go to more rounds than the least.
        """
        steps = sum(batch_lengths(case.get("lengths", EQUAL), case["batch"], case["length"]))
        seconds: dict[Variant, list[float]] = {}
        left_out: dict[Variant, float] = {}
        memory = Memory(self.device)
        if time.perf_counter() < self.deadline:
            foretold = {variant: self._foretell(variant, model, case) for variant, model in models.items()}
            calls = {variant: call_of(model, case, case["length"]) for variant, model in models.items()}
            seconds, left_out = take_turns(
                {**calls, PRODUCT: product_call(SQUARE, device=self.device)},
                {**foretold, PRODUCT: 0.0},
                self.rounds,
                self.deadline,
                share=share,
                fixed=(BASELINE, PRODUCT),
            )
        for variant in models.keys() & seconds.keys():
            self.known[_key(variant, case)] = case["length"], statistics.median(seconds[variant])
        for variant in shown:
            row = {**variant._asdict(), **case, "threads": torch.get_num_threads()}
            if variant in seconds:
                needed = operations(models[variant], steps, case.get("samples", 1))[task]
                most = {} if memory.megabytes is None else {"megabytes": memory.megabytes}
                self.rows[task].append({**row, **_figures(seconds, variant, steps, needed), **most})
            else:
                self.rows["left_out"].append({"task": task, **row, "seconds": left_out.get(variant)})

    def _foretell(self, variant: Variant, model: SequenceModel, case: Row) -> float:
        """The seconds that a call is expected to take, in proportion to the last length that was measured.

        The first time, this is a short trial.
        """
        key = _key(variant, case)
        if key not in self.known:
            trial = math.ceil(case["length"] / TRIAL)
            call = call_of(model, case, trial)
            call()
            self.known[key] = trial, call()
        length, seconds = self.known[key]
        return seconds * case["length"] / length


def _key(variant: Variant, case: Row) -> tuple[Any, ...]:
    """Calls with the same key differ in length alone."""
    return (variant, *(value for name, value in case.items() if name != "length"))


def _figures(seconds: Mapping[Variant, Sequence[float]], variant: Variant, steps: int, operations: float) -> Row:
    own, median = seconds[variant], statistics.median(seconds[variant])
    to_lstm, to_product = (
        statistics.median(other / mine for mine, other in zip(own, seconds[fixed], strict=True))
        for fixed in (BASELINE, PRODUCT)
    )
    return {
        "rounds": len(own),
        "seconds": median,
        "seconds_min": min(own),
        "seconds_max": max(own),
        "steps": steps,
        "steps_per_second": steps / median,
        "speed_to_lstm": to_lstm,
        "gflop": operations / 1e9,
        "gflop_per_second": operations / median / 1e9,
        "share_of_product": to_product * operations / (2 * math.prod(SQUARE)),
    }
