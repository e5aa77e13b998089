"""Measures a plan within its budget of time: every model, beside the LSTM baseline and the machine's own products.

Models have random weights at a preset's sizes and run on the CPU. What is compared is timed in turn, so that other
programs on the machine slow all of it alike, and a ratio is the median of each round's own ratio. Fresh flows are near
the identity, where sweeps settle soonest, so trained models may be measured beside them.
"""

import math
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch

from lnfgen import __version__
from lnfgen.bench.machine import SQUARE, machine_facts, product, product_operations, product_rates
from lnfgen.bench.models import fresh_model
from lnfgen.bench.operations import operations
from lnfgen.bench.plan import BASELINE, OBSERVATIONS, VARIANTS, Plan, Update, Variant, batch_lengths
from lnfgen.bench.rows import Row
from lnfgen.bench.timing import MIN_ROUNDS, Call, Turns, take_turns, timed
from lnfgen.bench.update import update_call
from lnfgen.models import SequenceModel

TRIALS = (8, 4)
"""A call that has not been measured yet is first tried at these fractions of its length, to foretell its time."""

PRODUCT = Variant("", "")
"""Stands for the large matrix product among the models: it is timed in turn with them, for the machine's rate then."""

Progress = Callable[[int, int, str], None]
"""Is told how many cases are done, of how many, and what is measured next."""


def measure(
    plan: Plan,
    progress: Progress = lambda done, total, what: None,
    trained: Mapping[Variant, SequenceModel] | None = None,
) -> dict[str, Any]:
    """Measure a plan, and give one JSON object.

    `sampling` and `training` hold a row for each case that was measured. `left_out` holds a row for each case that had
    no time left; its seconds are what a call is expected to take, if that is known. In a row, `seconds` are those of a
    call: the median, the least and the most of the rounds. `speed_to_lstm` is how many times as fast as the baseline a
    model is, and `share_of_product` is the rate of the operations that it needs, as a share of a large float32
    product's rate. A row of training says whether the batch's `lengths` are equal or ragged.

    Args:
        trained: models to sample from beside the fresh ones for the same kind of data.
    """
    return _Measurement(plan, progress, trained or {}).run()


class _Measurement:
    """The state of one measurement: the time that is left, and what is known so far."""

    def __init__(self, plan: Plan, progress: Progress, trained: Mapping[Variant, SequenceModel]) -> None:
        self.plan = plan
        self.trained = {
            kind: {v: model for v, model in trained.items() if isinstance(model.observation, type(observation))}
            for kind, observation in OBSERVATIONS.items()
        }
        self.progress = progress
        self.end = time.perf_counter() + plan.budget
        sampled = sum(
            len(lengths) * len(plan.sample_batches) * (len(VARIANTS) + len(self.trained[kind]))
            for kind, lengths in plan.sample_lengths.items()
        )
        updated = len(plan.updates) * len(plan.precisions) * len(plan.update_lengths) * len(VARIANTS)
        self.done, self.total = 0, sampled + updated
        self.ceiling = math.inf  # operations a second that the machine makes at best
        self.waiting = 0  # measurements that are still to share the phase's time
        self.known: dict[tuple[Any, ...], list[tuple[int, float]]] = {}  # lengths that were measured, and their seconds
        self.rows: dict[str, list[Row]] = {"sampling": [], "training": [], "left_out": []}

    def run(self) -> dict[str, Any]:
        began = time.perf_counter()
        facts = {"lnfgen": __version__, **machine_facts(), "preset": self.plan.preset}
        facts["products"] = product_rates(self.plan.rounds)
        self.ceiling = 1e9 * max(rate for rates in facts["products"].values() for rate in rates.values())
        phases = len(self.plan.sample_lengths) + len(self.plan.updates)
        for kind in dict.fromkeys([*self.plan.sample_lengths, *self.plan.updates]):
            self.progress(self.done, self.total, f"building {len(VARIANTS)} models of {kind}")
            models = {variant: fresh_model(variant, self.plan.preset, kind) for variant in VARIANTS}
            if kind in self.plan.sample_lengths:
                self._sampling(kind, {**models, **self.trained[kind]}, self._deadline(phases))
                phases -= 1
            if kind in self.plan.updates:
                self._training(kind, models, self._deadline(phases))
                phases -= 1
        self.progress(self.total, self.total, "")
        return {**facts, "seconds": round(time.perf_counter() - began, 1), **self.rows}

    def _deadline(self, phases: int) -> float:
        """The end of an equal share of the time that is left. What a phase does not use is shared by the later ones."""
        now = time.perf_counter()
        return now + max(0.0, self.end - now) / phases

    def _sampling(self, kind: str, models: dict[Variant, SequenceModel], deadline: float) -> None:
        self.waiting = len(self.plan.sample_lengths[kind]) * len(self.plan.sample_batches)
        for length in self.plan.sample_lengths[kind]:
            for batch in self.plan.sample_batches:
                self.progress(self.done, self.total, f"sampling {kind}, T {length}, B {batch}")
                case = {"kind": kind, "length": length, "batch": batch}
                samplers = {variant: partial(sample_call, model, batch) for variant, model in models.items()}
                needed = {v: operations(model, batch * length)["sample"] for v, model in models.items()}
                self._measure("sampling", case, samplers, needed, batch * length, deadline)
                self.done += len(models)

    def _training(self, kind: str, models: dict[Variant, SequenceModel], deadline: float) -> None:
        """Time each model beside the baseline alone: with its optimizer a model takes three times its own memory, and
        all of them might not fit together."""
        batch, length, samples = update = self.plan.updates[kind]
        self.waiting = len(self.plan.precisions) * len(self.plan.update_lengths) * len(models)
        for precision in self.plan.precisions:
            for lengths in self.plan.update_lengths:
                case = {"kind": kind, "length": length, "batch": batch, "lengths": lengths}
                case |= {"samples": samples, "precision": precision}
                steps = sum(batch_lengths(lengths, batch, length))
                for variant in models:
                    self.progress(self.done, self.total, f"training {', '.join(variant)}, lengths {lengths}")
                    pair = {each: models[each] for each in (BASELINE, variant)}
                    updaters = {v: partial(_update_call, model, update, case) for v, model in pair.items()}
                    needed = {v: operations(model, steps, samples)["update"] for v, model in pair.items()}
                    self._measure("training", case, updaters, needed, steps, deadline, shown=variant)
                    self.done += 1

    def _measure(
        self,
        task: str,
        case: Row,
        makers: Mapping[Variant, Callable[[int], Call]],
        needed: dict[Variant, float],
        steps: int,
        deadline: float,
        shown: Variant | None = None,
    ) -> None:
        """Time calls of the case's length in turn with a large product, and keep a row for each, or for `shown` alone.

        Args:
            makers: give a call for a length, for each model.
            needed: the operations of a call.
            steps: real steps of all sequences of a call.
        """
        length = case["length"]
        key = (task, *(value for name, value in case.items() if name != "length"))
        calls = {variant: maker(length) for variant, maker in makers.items()}
        turns: Turns[Variant] = Turns({}, {})
        if time.perf_counter() < deadline:
            foretold = {
                variant: self._foretold((*key, variant), makers[variant], length, needed[variant], deadline)
                for variant in calls
            }
            compared = {BASELINE: calls[BASELINE], PRODUCT: product(SQUARE, torch.float32)}
            foretold[PRODUCT], share = 0.0, 1 / self.waiting
            turns = take_turns({**compared, **calls}, foretold, self.plan.rounds, deadline, share=share, fixed=2)
        self.waiting -= 1
        for variant in makers:
            if variant in turns.seconds:
                self.known[(*key, variant)].append((length, statistics.median(turns.seconds[variant])))
            if shown not in (None, variant):
                continue
            row = {**variant._asdict(), **case}
            if variant in turns.seconds:
                self.rows[task].append({**row, **_figures(turns, variant, steps, needed[variant])})
            else:
                self.rows["left_out"].append({"task": task, **row, "seconds": turns.left_out.get(variant)})

    def _foretold(
        self, key: tuple[Any, ...], maker: Callable[[int], Call], length: int, needed: float, deadline: float
    ) -> float:
        """The seconds that a call is expected to take, on a line through the two longest calls that were measured.

        At first these are two short trials. They are not made if the machine at its best, or the last trial's time,
        shows already that the call would overrun the deadline.
        """
        known = self.known.setdefault(key, [])
        for fraction in TRIALS[len(known) :]:
            least = max([needed / self.ceiling, *(seconds for _, seconds in known)])
            if least * (MIN_ROUNDS + 1) > deadline - time.perf_counter():
                return least
            call = maker(math.ceil(length / fraction))
            if not known:
                call()
            known.append((math.ceil(length / fraction), call()))
        (before, shorter), (last, seconds) = known[-2:]
        growth = (seconds - shorter) / max(1, last - before)
        # Two noisy times may give any line. So expect at least the last time, and at most in proportion to the length.
        return min(max(seconds + growth * (length - last), seconds), seconds * length / last)


def _figures(turns: Turns[Variant], variant: Variant, steps: int, needed: float) -> Row:
    seconds, baseline, square = (turns.seconds[each] for each in (variant, BASELINE, PRODUCT))
    median = statistics.median(seconds)
    shares = [needed / own / (product_operations(SQUARE) / whole) for own, whole in zip(seconds, square, strict=True)]
    return {
        "rounds": len(seconds),
        "seconds": median,
        "seconds_min": min(seconds),
        "seconds_max": max(seconds),
        "steps": steps,
        "steps_per_second": steps / median,
        "speed_to_lstm": statistics.median(other / own for own, other in zip(seconds, baseline, strict=True)),
        "gflop": needed / 1e9,
        "gflop_per_second": needed / median / 1e9,
        "share_of_product": statistics.median(shares),
    }


def _update_call(model: SequenceModel, update: Update, case: Row, length: int) -> Call:
    """An update of the case's kind, with a batch whose longest sequence has about `length` steps."""
    lengths = batch_lengths(case["lengths"], update.batch, length)
    return update_call(model, lengths, update.samples, case["precision"])


def sample_call(model: SequenceModel, batch: int, length: int) -> Call:
    """A call that draws a batch of sequences of that length."""
    generators = [torch.Generator().manual_seed(index) for index in range(batch)]

    def draw() -> object:
        return model.sample_batch([length] * batch, generators, 1.0)

    def call() -> float:
        model.eval()
        with torch.inference_mode():
            return timed(draw)

    return call
