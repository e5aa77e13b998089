"""What is timed: models that draw a batch or make one update of training, and the operations that these need."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from lnfgen.bench.machine import CPU, timed_on
from lnfgen.bench.plan import OBSERVATIONS, Variant, batch_lengths
from lnfgen.bench.rows import Row
from lnfgen.bench.timing import Call
from lnfgen.config import NAMED_MODELS, Config, TrainingConfig
from lnfgen.data.dataset import Dataset, Split
from lnfgen.data.encoding import Encoding
from lnfgen.flows.codebook import Codebook
from lnfgen.models import Frames, LengthModel, SequenceModel, Symbols, build_model
from lnfgen.runs.checkpoint import load_model
from lnfgen.runs.folder import RunFolder
from lnfgen.runs.naming import distinct_names
from lnfgen.training.recipes import Corpus, run_config
from lnfgen.training.trainer import Trainer

DENSITY = 0.05
"""The share of the keys that sound in random music."""


def fresh_config(variant: Variant, preset: str, kind: str) -> Config:
    """The settings of a run that `lnfgen train` would begin at a preset on a kind of data."""
    observation = OBSERVATIONS[kind]
    has_onsets = isinstance(observation, Frames) and observation.has_onsets
    corpus = Corpus("text" if isinstance(observation, Symbols) else "music", has_onsets)
    return run_config(variant.model, preset, corpus=corpus, backbone=variant.backbone)


def fresh_model(variant: Variant, preset: str, kind: str) -> SequenceModel:
    """A model with random weights, as `lnfgen train` would begin it at a preset on a kind of data."""
    observation = OBSERVATIONS[kind]
    config = fresh_config(variant, preset, kind)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # orthogonal weights are many small factorisations, which several threads slow down
    try:
        torch.manual_seed(0)
        return build_model(config.model, observation, LengthModel())
    finally:
        torch.set_num_threads(threads)


def trained_models(runs: Sequence[RunFolder], device: torch.device = CPU) -> dict[Variant, SequenceModel]:
    """The models of runs, each under the name of its run's folder, or its path if another model has that name.

    Raises:
        RunError: if a run has no model, or a damaged one.
    """
    names = distinct_names([run.path for run in runs])
    found: dict[Variant, SequenceModel] = {}
    for run, name in zip(runs, names, strict=True):
        shown = str(run.path.resolve()) if name in NAMED_MODELS else name
        found[Variant(shown, run.config.model.backbone)] = load_model(run, device)
    return found


def operations(model: SequenceModel, steps: int, samples: int = 1) -> dict[str, float]:
    """Operations of the matrix products that `sampling` sequences, or `training` on them, needs.

    A matrix of weights meets each step once, which is `2 * steps * numel` operations, and those of the prior and the
    emission once for each sample of z. An update counts as three scores: the backward pass has one product for the
    gradient of the weights and one for the gradient of the inputs. Sampling does not need the posterior.
    What a solver repeats counts once, and masked weights count in full.

    Args:
        steps: real steps of all sequences together.
        samples: of z for each sequence.
    """
    parts = {name: 2.0 * steps * matrix_elements(part) for name, part in model.named_children()}
    of_z = parts.get("prior", 0.0) + parts.get("emission", 0.0)
    rest = sum(parts.values()) - of_z
    return {"sampling": rest - parts.get("posterior", 0.0) + of_z, "training": 3 * (rest + samples * of_z)}


def matrix_elements(part: nn.Module) -> int:
    """How many weights its matrices have; tables of embeddings and codes are no matrices."""
    tables = nn.Embedding | Codebook
    weights = (p for m in part.modules() if not isinstance(m, tables) for p in m.parameters(recurse=False))
    return sum(p.numel() for p in weights if p.dim() == 2)


def call_of(model: SequenceModel, case: Row, length: int) -> Call:
    """What a case asks of a model, as a call to time, but with this length (of the longest sequence)."""
    if "lengths" not in case:
        return sample_call(model, case["batch"], length)
    lengths = batch_lengths(case["lengths"], case["batch"], length)
    return update_call(model, lengths, case["samples"], case["precision"])


def sample_call(model: SequenceModel, batch: int, length: int) -> Call:
    """A call that draws a batch of sequences of that length."""
    generators = [torch.Generator().manual_seed(index) for index in range(batch)]

    @torch.inference_mode()
    def call() -> float:
        model.eval()
        return timed_on(model.device, lambda: model.sample_batch([length] * batch, generators, 1.0))

    return call


def update_call(model: SequenceModel, lengths: Sequence[int], samples: int, precision: str) -> Call:
    """A call that makes one whole update as `lnfgen train` does: forward, backward, clipping, AdamW, averaging.

    Args:
        lengths: the steps of each sequence. All sequences are one batch, padded to the longest.
        samples: of z for each sequence.
        precision: of the networks.
    """
    device = model.device
    config = TrainingConfig(
        max_steps=10**6,
        batch_size=len(lengths),
        precision=precision,
        kl_warmup_start=0.0,
        kl_warmup_end=0.0,
    )
    trainer = Trainer(
        model,
        random_dataset(model, lengths),
        config,
        device,
        _Silent(),
        save_kept=lambda state: None,
        save_last=lambda trainer: None,
    )
    asked_to_stop = itertools.cycle([False, True])  # the trainer asks before each update
    return lambda: timed_on(device, lambda: trainer.run(asked_to_stop.__next__))


class _Silent:
    """A reporter of a trainer that ignores all reports."""

    def step(self, metrics: dict[str, float]) -> None: ...

    def validated(self, metrics: dict[str, Any]) -> None: ...

    def note(self, message: str) -> None: ...


def random_dataset(model: SequenceModel, lengths: Sequence[int]) -> Dataset:
    """Random sequences of these lengths for a model, in memory. The only split is train."""
    rng = np.random.default_rng(0)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    observation = model.observation
    if isinstance(observation, Symbols):
        values = rng.integers(observation.num_symbols, size=offsets[-1]).astype(np.int32)
        encoding = Encoding(kind="text")
    else:
        values = (rng.random((offsets[-1], observation.num_pitches)) < DENSITY).astype(np.uint8)
        encoding = Encoding(
            kind="music", has_onsets=observation.has_onsets, lowest_pitch=36, num_pitches=observation.num_pitches
        )
    return Dataset(Path(), "random", encoding, {}, "", {"train": Split("train", values, offsets)})
