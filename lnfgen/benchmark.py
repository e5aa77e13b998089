"""How fast models sample and train, beside the LSTM baseline and the machine's own products, measured in one run.

Weights are random, at a preset's sizes, in float32 on the CPU; nothing is read from disk. Whatever is compared is timed
in turn, so that a machine that others use slows all of it alike: a ratio is the median of the rounds' own ratios. Fresh
flows are near the identity, where sweeps settle soonest: trained ones may take more of them.
"""

import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from lnfgen import __version__
from lnfgen.config import NAMED_MODELS, TrainingConfig, build_config
from lnfgen.data.encoding import Encoding
from lnfgen.data.storage import Dataset, Split
from lnfgen.models import Frames, LengthModel, Observation, SequenceModel, Symbols, build_model
from lnfgen.nn.backbones import BACKBONES
from lnfgen.timing import (
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
from lnfgen.training.trainer import Trainer

TRIAL = 8
"""What has not been measured yet is first tried at this fraction of its length, to foretell its time."""


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
    rounds: int = 5
    budget: float = 900.0  # seconds; what would overrun it is left out


def quick_plan(preset: str = "paper") -> Plan:
    """Every model, on music alone, within a minute of two CPU cores."""
    return Plan(preset, {"music": (16, 60)}, (1,), {"music": UPDATES["music"]}, rounds=3, budget=45.0)


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


def run(plan: Plan, progress: Callable[[int, int, str], None] = lambda done, total, what: None) -> dict[str, Any]:
    """Measure, and give one JSON object; `progress` hears how many cases are done, of how many, and what comes next.

    `sampling` and `training` have an object for each case that was measured, `left_out` for each that was not, with the
    reason. Seconds are a call's. `speed_to_lstm` is how many times as fast as the baseline it is, and
    `share_of_product` is its rate of needed operations over that of a large float32 product.
    """
    return _Run(plan, progress).run()


class _Run:
    def __init__(self, plan: Plan, progress: Callable[[int, int, str], None]) -> None:
        self.plan = plan
        self.progress = progress
        self.end = time.perf_counter() + plan.budget
        sampled = sum(map(len, plan.lengths.values())) * len(plan.batches)
        self.done, self.total = 0, (sampled + len(plan.updates)) * len(SUBJECTS)
        self.known: dict[tuple[Any, ...], tuple[int, float]] = {}  # the longest that was measured, and its seconds
        self.rows: dict[str, list[dict[str, Any]]] = {"sampling": [], "training": [], "left_out": []}

    def run(self) -> dict[str, Any]:
        began = time.perf_counter()
        facts = {"lnfgen": __version__, **machine_facts(), "preset": self.plan.preset}
        facts["products"] = product_rates(self.plan.rounds)
        phases = len(self.plan.lengths) + len(self.plan.updates)
        for kind in dict.fromkeys([*self.plan.lengths, *self.plan.updates]):
            self.progress(self.done, self.total, f"building {len(SUBJECTS)} models of {kind}")
            models = {subject: _model(subject, self.plan.preset, kind) for subject in SUBJECTS}
            if kind in self.plan.lengths:
                self._sampling(kind, models, self._deadline(phases))
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
        case = {"kind": kind, "length": length, "batch": batch, "samples": samples}
        for subject in models:
            self.progress(self.done, self.total, f"training {kind}, {subject.model} on {subject.backbone}")
            pair = {each: models[each] for each in (BASELINE, subject)}
            needed = {s: operations(model, batch, length, samples)["update"] for s, model in pair.items()}
            updaters = {s: partial(_updater, model, kind, batch, samples) for s, model in pair.items()}
            self._measure("training", case, updaters, needed, deadline, shown=subject)
            self.done += 1

    def _measure(
        self,
        task: str,
        case: dict[str, Any],
        makers: Mapping[Subject, Callable[[int], Call | None]],
        needed: dict[Subject, float],
        deadline: float,
        shown: Subject | None = None,
    ) -> None:
        """Time what `makers` make of the case's length, in turn with a product; keep a row each, or that of `shown`."""
        length = case["length"]
        calls = {subject: call for subject, maker in makers.items() if (call := maker(length)) is not None}
        for subject in [each for each in makers if each not in calls]:
            self._leave_out(task, case, subject, "models draw one sequence at a time")
        if time.perf_counter() > deadline:
            for subject in calls if shown is None else [shown]:
                self._leave_out(task, case, subject, "no time left")
            return
        if not calls:
            return
        foretold = {
            subject: self._foretold((task, case["kind"], case["batch"], subject), makers[subject], length)
            for subject in calls
        }
        turns = take_turns(
            {**calls, PRODUCT: product(SQUARE, torch.float32)}, {**foretold, PRODUCT: 0.0}, self.plan.rounds, deadline
        )
        for subject in makers:
            if subject in turns.seconds:
                self.known[task, case["kind"], case["batch"], subject] = (
                    length,
                    statistics.median(turns.seconds[subject]),
                )
                if shown in (None, subject):
                    self.rows[task].append({**subject._asdict(), **case, **_figures(turns, subject, needed[subject])})
            elif subject in turns.left_out and shown in (None, subject):
                seconds = turns.left_out[subject]
                self._leave_out(task, case, subject, "no time left", seconds)

    def _foretold(self, key: tuple[Any, ...], maker: Callable[[int], Call | None], length: int) -> float:
        """Seconds of a call, in proportion to the longest that was measured, or to a short trial."""
        if key not in self.known:
            trial = math.ceil(length / TRIAL)
            call = maker(trial)
            assert call is not None
            call()
            self.known[key] = trial, call()
        measured, seconds = self.known[key]
        return seconds * length / measured

    def _leave_out(
        self, task: str, case: dict[str, Any], subject: Subject, reason: str, seconds: float | None = None
    ) -> None:
        """`seconds` are what a call is thought to take."""
        row = {"task": task, **subject._asdict(), **case, "reason": reason, "seconds": seconds}
        self.rows["left_out"].append(row)


def _figures(turns: Turns[Subject], subject: Subject, needed: float) -> dict[str, Any]:
    seconds, baseline, square = (turns.seconds[each] for each in (subject, BASELINE, PRODUCT))
    rate = needed / statistics.median(seconds)
    shares = [needed / own / (flops(SQUARE) / whole) for own, whole in zip(seconds, square, strict=True)]
    return {
        "rounds": len(seconds),
        "seconds": statistics.median(seconds),
        "seconds_min": min(seconds),
        "seconds_max": max(seconds),
        "speed_to_lstm": statistics.median(other / own for own, other in zip(seconds, baseline, strict=True)),
        "gflop": needed / 1e9,
        "gflop_per_second": rate / 1e9,
        "share_of_product": statistics.median(shares),
    }


def _model(subject: Subject, preset: str, kind: str) -> SequenceModel:
    config = build_config(subject.model, preset).override({"model": {"backbone": subject.backbone}})
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # orthogonal weights are many small factorisations, which several threads slow down
    try:
        torch.manual_seed(0)
        return build_model(config.model, OBSERVATIONS[kind], LengthModel())
    finally:
        torch.set_num_threads(threads)


def _sampler(model: SequenceModel, batch: int, length: int) -> Call | None:
    """Draws a batch of sequences; None if the model cannot draw several at once."""
    if batch > 1:
        return None
    generator = torch.Generator().manual_seed(0)

    def call() -> float:
        model.eval()
        with torch.inference_mode():
            return timed(lambda: model.sample(length, generator, 1.0))

    return call


def _updater(model: SequenceModel, kind: str, batch: int, samples: int, length: int) -> Call:
    """Makes one whole update as `lnfgen train` does, on random data: forward, backward, clipping, AdamW, averaging."""
    watch = _Watch()
    config = TrainingConfig(max_steps=10**6, batch_size=batch, kl_start=0.0, kl_full=0.0)
    trainer = Trainer(
        _with_samples(model, samples),
        _random_dataset(kind, batch, length),
        config,
        torch.device("cpu"),
        watch,
        save_best=lambda state: None,
        save_last=lambda trainer: None,
    )

    def call() -> float:
        watch.began = None
        trainer.run(watch.asked_to_stop)
        return watch.seconds

    return call


def _with_samples(model: SequenceModel, samples: int) -> SequenceModel:
    """The trainer's updates take one sample of z; this has the model draw `samples` wherever it is asked for noise."""

    def noise(num_samples: int, batch: int, num_steps: int, generator: torch.Generator) -> Tensor | None:
        return type(model).noise(model, samples, batch, num_steps, generator)

    model.noise = noise  # type: ignore[method-assign]
    return model


class _Watch:
    """Times the one update that it lets a trainer make at a time; all that it is told of is dropped."""

    began: float | None = None
    seconds = math.nan

    def asked_to_stop(self) -> bool:
        if self.began is not None:
            return True
        self.began = time.perf_counter()
        return False

    def step(self, metrics: dict[str, float]) -> None:
        assert self.began is not None
        self.seconds = time.perf_counter() - self.began

    def validated(self, metrics: dict[str, Any]) -> None: ...

    def note(self, message: str) -> None: ...


def _random_dataset(kind: str, count: int, length: int) -> Dataset:
    """`count` sequences of `length` steps, in memory: the only split is train."""
    rng = np.random.default_rng(0)
    offsets = np.arange(count + 1) * length
    observation = OBSERVATIONS[kind]
    if isinstance(observation, Symbols):
        values = rng.integers(observation.num_symbols, size=offsets[-1]).astype(np.int32)
        encoding = Encoding(kind="text")
    else:
        values = (rng.random((offsets[-1], observation.num_pitches)) < 0.05).astype(np.uint8)
        encoding = Encoding(kind="music", has_onsets=observation.has_onsets)
    return Dataset(Path(), "random", encoding, {}, "", {"train": Split("train", values, offsets)})
