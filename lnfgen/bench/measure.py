"""How fast models sample and train, beside the LSTM baseline and the machine's own products, measured in one run.

Weights are random, at a preset's sizes, on the CPU; nothing is read from disk. Whatever is compared is timed
in turn, so that a machine that others use slows all of it alike: a ratio is the median of the rounds' own ratios. Fresh
flows are near the identity, where sweeps settle soonest; trained models may be measured beside them.
"""

import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import nn

from lnfgen import __version__
from lnfgen.bench.timing import (
    MIN_ROUNDS,
    SQUARE,
    Call,
    Turns,
    flops,
    machine_facts,
    product,
    product_rates,
    take_turns,
    timed,
)
from lnfgen.bench.update import update_call
from lnfgen.config import NAMED_MODELS, build_config
from lnfgen.models import Frames, LengthModel, Observation, SequenceModel, Symbols, build_model
from lnfgen.nn.backbones import BACKBONES

TRIALS = (8, 4)
"""What has not been measured yet is first tried at these parts of its length, to foretell its time."""


class Subject(NamedTuple):
    """A model on a backbone."""

    model: str
    backbone: str


BASELINE = Subject("lstm", "lstm")
PRODUCT = Subject("", "")  # takes its turn with the models: the machine's own rate at that time

SUBJECTS = [BASELINE] + [
    Subject(name, backbone) for name in NAMED_MODELS if name != BASELINE.model for backbone in BACKBONES
]
"""Every named model on every backbone that it can have."""


class Update(NamedTuple):
    """What one update of training is computed on."""

    batch: int  # sequences
    length: int  # steps of each
    samples: int  # of z for each


OBSERVATIONS: dict[str, Observation] = {"music": Frames(88, has_onsets=False), "text": Symbols(50)}
UPDATES = {"music": Update(5, 60, 1), "text": Update(15, 120, 10)}


@dataclass(frozen=True)
class Plan:
    """What to measure, in the order of its kinds."""

    preset: str = "paper"
    lengths: dict[str, tuple[int, ...]] = field(default_factory=lambda: {"music": (60,), "text": (16, 60, 288, 1024)})
    batches: tuple[int, ...] = (1, 16)  # sequences drawn at once
    updates: dict[str, Update] = field(default_factory=lambda: UPDATES)
    precisions: tuple[str, ...] = ("float32", "bfloat16")  # of the networks, in training
    rounds: int = 5
    budget: float = 900.0  # seconds; what would overrun it is left out


def quick_plan(preset: str = "paper") -> Plan:
    """Every model, on music alone, within a minute of two CPU cores."""
    updates = {"music": UPDATES["music"]}
    return Plan(preset, {"music": (16, 60)}, (1,), updates, ("float32",), rounds=3, budget=45.0)


def operations(model: SequenceModel, batch: int, length: int, samples: int = 1) -> dict[str, float]:
    """Floating-point operations of the products that a model needs to `score`, `update` by or `sample` (B, T, K).

    Every matrix of weights but an embedding's table meets each step of each sequence once: `2 B T numel`, the prior's
    and the emission's for each of K samples. An update is three scores: backward, a product for the gradient of the
    weights and one for that of the inputs. A sample needs no posterior. What a solver does again and again counts once,
    and masked weights count in full.
    """
    of_x, of_z = 0.0, 0.0
    posterior = 0.0
    for name, part in model.named_children():
        needed = 2.0 * batch * length * _matrix_elements(part)
        if name == "posterior":
            posterior = needed
        elif name in ("prior", "emission"):
            of_z += needed
        else:
            of_x += needed
    score = of_x + posterior + samples * of_z
    return {"score": score, "update": 3 * score, "sample": of_x + of_z}


def _matrix_elements(part: nn.Module) -> int:
    weights = (p for m in part.modules() if not isinstance(m, nn.Embedding) for p in m.parameters(recurse=False))
    return sum(p.numel() for p in weights if p.dim() == 2)


def run(
    plan: Plan,
    progress: Callable[[int, int, str], None] = lambda done, total, what: None,
    trained: Mapping[Subject, SequenceModel] | None = None,
) -> dict[str, Any]:
    """Measure, and give one JSON object; `progress` hears how many cases are done, of how many, and what comes next.

    `trained` models are sampled from beside those of their kind with random weights.

    `sampling` and `training` have an object for each case that was measured, `left_out` for each that had no time left,
    with the seconds to expect of a call where it was tried. Seconds are a call's: the rounds' median, least and most.
    `speed_to_lstm` is how many times as fast as the baseline it is, and `share_of_product` its rate of needed
    operations over that of a large float32 product.
    """
    return _Run(plan, progress, trained or {}).run()


class _Run:
    def __init__(
        self, plan: Plan, progress: Callable[[int, int, str], None], trained: Mapping[Subject, SequenceModel]
    ) -> None:
        self.plan = plan
        self.trained = {
            kind: {s: model for s, model in trained.items() if isinstance(model.observation, type(observation))}
            for kind, observation in OBSERVATIONS.items()
        }
        self.progress = progress
        self.end = time.perf_counter() + plan.budget
        sampled = sum(
            len(lengths) * len(plan.batches) * (len(SUBJECTS) + len(self.trained[kind]))
            for kind, lengths in plan.lengths.items()
        )
        updated = len(plan.updates) * len(plan.precisions) * len(SUBJECTS)
        self.done, self.total = 0, sampled + updated
        self.ceiling = math.inf  # operations a second that the machine makes at best
        self.waiting = 0  # measurements that are still to share the phase's time
        self.known: dict[tuple[Any, ...], list[tuple[int, float]]] = {}  # lengths that were measured, and their seconds
        self.rows: dict[str, list[dict[str, Any]]] = {"sampling": [], "training": [], "left_out": []}

    def run(self) -> dict[str, Any]:
        began = time.perf_counter()
        facts = {"lnfgen": __version__, **machine_facts(), "preset": self.plan.preset}
        facts["products"] = product_rates(self.plan.rounds)
        self.ceiling = 1e9 * max(rate for rates in facts["products"].values() for rate in rates.values())
        phases = len(self.plan.lengths) + len(self.plan.updates)
        for kind in dict.fromkeys([*self.plan.lengths, *self.plan.updates]):
            self.progress(self.done, self.total, f"building {len(SUBJECTS)} models of {kind}")
            models = {subject: _model(subject, self.plan.preset, kind) for subject in SUBJECTS}
            if kind in self.plan.lengths:
                self._sampling(kind, {**models, **self.trained[kind]}, self._deadline(phases))
                phases -= 1
            if kind in self.plan.updates:
                self._training(kind, models, self._deadline(phases))
                phases -= 1
        self.progress(self.total, self.total, "")
        return {**facts, "seconds": round(time.perf_counter() - began, 1), **self.rows}

    def _deadline(self, phases: int) -> float:
        """An equal share of what time is left; what one phase does not use is the later ones'."""
        now = time.perf_counter()
        return now + max(0.0, self.end - now) / phases

    def _sampling(self, kind: str, models: dict[Subject, SequenceModel], deadline: float) -> None:
        self.waiting = len(self.plan.lengths[kind]) * len(self.plan.batches)
        for length in self.plan.lengths[kind]:
            for batch in self.plan.batches:
                self.progress(self.done, self.total, f"sampling {kind}, T {length}, B {batch}")
                case = {"kind": kind, "length": length, "batch": batch}
                needed = {s: operations(model, batch, length)["sample"] for s, model in models.items()}
                samplers = {subject: partial(_sampler, model, batch) for subject, model in models.items()}
                self._measure("sampling", case, samplers, needed, deadline)
                self.done += len(models)

    def _training(self, kind: str, models: dict[Subject, SequenceModel], deadline: float) -> None:
        """Each model beside the baseline alone: optimizers hold thrice a model, and not all fit in memory together."""
        batch, length, samples = self.plan.updates[kind]
        self.waiting = len(self.plan.precisions) * len(models)
        for precision in self.plan.precisions:
            case = {"kind": kind, "length": length, "batch": batch, "samples": samples, "precision": precision}
            for subject in models:
                self.progress(self.done, self.total, f"training {subject.model}, {subject.backbone}")
                pair = {each: models[each] for each in (BASELINE, subject)}
                needed = {s: operations(model, batch, length, samples)["update"] for s, model in pair.items()}
                updaters = {s: partial(update_call, model, batch, samples, precision) for s, model in pair.items()}
                self._measure("training", case, updaters, needed, deadline, shown=subject)
                self.done += 1

    def _measure(
        self,
        task: str,
        case: dict[str, Any],
        makers: Mapping[Subject, Callable[[int], Call]],
        needed: dict[Subject, float],
        deadline: float,
        shown: Subject | None = None,
    ) -> None:
        """Time what `makers` make of the case's length, in turn with a product; keep a row each, or that of `shown`."""
        length = case["length"]
        key = (task, case["kind"], case["batch"], case.get("precision"))
        calls = {subject: maker(length) for subject, maker in makers.items()}
        turns: Turns[Subject] = Turns({}, {})
        if time.perf_counter() < deadline:
            foretold = {
                subject: self._foretold((*key, subject), makers[subject], length, needed[subject], deadline)
                for subject in calls
            }
            compared = {BASELINE: calls[BASELINE], PRODUCT: product(SQUARE, torch.float32)}
            foretold[PRODUCT], share = 0.0, 1 / self.waiting
            turns = take_turns({**compared, **calls}, foretold, self.plan.rounds, deadline, share=share, fixed=2)
        self.waiting -= 1
        for subject in makers:
            if subject in turns.seconds:
                self.known[(*key, subject)].append((length, statistics.median(turns.seconds[subject])))
            if shown not in (None, subject):
                continue
            row = {**subject._asdict(), **case}
            if subject in turns.seconds:
                self.rows[task].append({**row, **_figures(turns, subject, case, needed[subject])})
            else:
                self.rows["left_out"].append({"task": task, **row, "seconds": turns.left_out.get(subject)})

    def _foretold(
        self, key: tuple[Any, ...], maker: Callable[[int], Call], length: int, needed: float, deadline: float
    ) -> float:
        """Seconds of a call, in line with the two longest that were measured, which at first are two short trials.

        Trials are spared where the machine at its best, or the last trial's time, already overruns the deadline.
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
        # Between as long as the last one and in proportion to it: two noisy times may say anything.
        return min(max(seconds + growth * (length - last), seconds), seconds * length / last)


def _figures(turns: Turns[Subject], subject: Subject, case: dict[str, Any], needed: float) -> dict[str, Any]:
    seconds, baseline, square = (turns.seconds[each] for each in (subject, BASELINE, PRODUCT))
    median = statistics.median(seconds)
    shares = [needed / own / (flops(SQUARE) / whole) for own, whole in zip(seconds, square, strict=True)]
    return {
        "rounds": len(seconds),
        "seconds": median,
        "seconds_min": min(seconds),
        "seconds_max": max(seconds),
        "steps_per_second": case["batch"] * case["length"] / median,
        "speed_to_lstm": statistics.median(other / own for own, other in zip(seconds, baseline, strict=True)),
        "gflop": needed / 1e9,
        "gflop_per_second": needed / median / 1e9,
        "share_of_product": statistics.median(shares),
    }


def _model(subject: Subject, preset: str, kind: str) -> SequenceModel:
    config = build_config(subject.model, preset, subject.backbone)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # orthogonal weights are many small factorisations, which several threads slow down
    try:
        torch.manual_seed(0)
        return build_model(config.model, OBSERVATIONS[kind], LengthModel())
    finally:
        torch.set_num_threads(threads)


def _sampler(model: SequenceModel, batch: int, length: int) -> Call:
    """Draws a batch of sequences."""
    generators = [torch.Generator().manual_seed(index) for index in range(batch)]

    def draw() -> object:
        return model.sample_batch([length] * batch, generators, 1.0)

    def call() -> float:
        model.eval()
        with torch.inference_mode():
            return timed(draw)

    return call
