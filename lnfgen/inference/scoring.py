"""Scores: ELBO and importance-sampled NLL, by the published conventions.

Every figure is a cost: minus the sum over sequences of a log-likelihood (log p(T) included),
divided by the sum of T + 1, in nats per time step for music and bits per character for text. Sums
are in float64. The noise of a sequence depends only on the seed and its place in the split.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from lnfgen.conventions import (
    NLL_SAMPLES,
    UNITS,
    Progress,
    no_progress,
    stream_seed,
)
from lnfgen.data.batches import Batch, batches_by_length, lengths_of
from lnfgen.data.encoding import Encoding
from lnfgen.errors import LnfgenError
from lnfgen.flows.codebook import Codebook
from lnfgen.models.sequence_model import SequenceModel, Terms
from lnfgen.nn.masking import autocast
from lnfgen.nn.positions import Outline
from lnfgen.wording import counted

MAX_PASS_NUMBERS = 1 << 23
"""The numbers of the widest layer in a pass, samples counted: some 200 MB in all."""

PASS_STRETCHES = 4
"""A pass may have so many times more numbers in an output that computes it in stretches of time."""

# Samples of a sequence that a pass takes at once, so that short ones still share one.
MAX_FOLDED_SAMPLES = 16


@dataclass(frozen=True)
class Score:
    """The figures of some sequences.

    `elbo` is `reconstruction + kl + length`, with `length` the cost of p(T).
    `sounding_nll` is the NLL of which keys sound, without the cost of the onsets; None if the data
    has no onsets. With `lstm`, `nade` and `autoregressive` it is given earlier onsets too: do not
    compare it with a model that never sees onsets.
    """

    elbo: float
    reconstruction: float
    kl: float
    length: float
    nll: float
    sounding_nll: float | None
    samples: int
    sequences: int
    steps: int
    # the floor that `marginal_nll` computes, if a train split was given
    marginal_nll: float | None = None
    # the NLL of each sequence, over its own T + 1
    each: list[float] = field(default_factory=list, repr=False)


def per_unit(unit: str) -> float:
    """Return one nat in a unit: 1 nat, or 1 / ln 2 bits."""
    if unit == UNITS["text"]:
        return 1 / math.log(2)
    return 1.0


# Each argument is a choice of its own, as for the command.
@torch.inference_mode()
def score(  # noqa: PLR0913
    model: SequenceModel,
    sequences: Sequence[np.ndarray],
    unit: str,
    *,
    num_samples: int = NLL_SAMPLES,
    seed: int = 0,
    precision: str = "float32",
    progress: Progress = no_progress,
) -> Score:
    """Compute NLL(K) `= -log (1/K) sum_k p(x, z_k) / q(z_k | x)`, ELBO and parts, with K =
    `num_samples`.

    ELBO and parts are means over the same K. An exact model needs one sample. Densities are in
    float32 at least, whatever the precision of the networks is. The model goes into eval mode.

    Args:
        sequences: uint8 or int32 arrays `[T, ...]`, as a dataset has them.
        unit: that of all figures, one of `UNITS`.

    Raises:
        LnfgenError: if the number of samples or the seed is out of range.
    """
    if num_samples < 1 or not 0 <= seed < 2**63:
        found = f"{counted(num_samples, 'sample')} with seed {seed}"
        raise LnfgenError(f"{found}; expected at least 1, and a seed from 0 to 2^63 - 1")
    model.eval()
    if model.exact:
        num_samples = 1
    logs = _log_probs(model, sequences, num_samples, seed, progress, precision)
    lengths = lengths_of(sequences)
    steps = int(lengths.sum())
    means = logs.sum(1) * per_unit(unit) / (steps + len(sequences))
    reconstruction, kl, length, log_p, log_p_sounding = means.tolist()
    sounding_nll = None
    if not math.isnan(log_p_sounding):
        sounding_nll = -log_p_sounding - length
    nll_of_each = -(logs[2] + logs[3]) * per_unit(unit) / (lengths + 1)
    return Score(
        elbo=kl - reconstruction - length,
        reconstruction=0.0 - reconstruction,  # so that a cost of 0 is not -0.0
        kl=kl,
        length=-length,
        nll=-log_p - length,
        sounding_nll=sounding_nll,
        samples=num_samples,
        sequences=len(sequences),
        steps=steps,
        each=nll_of_each.tolist(),
    )


# The arguments are those of `score`.
def _log_probs(  # noqa: PLR0913
    model: SequenceModel,
    sequences: Sequence[np.ndarray],
    num_samples: int,
    seed: int,
    progress: Progress,
    precision: str,
) -> np.ndarray:
    """Compute five logarithms for each of N sequences, in nats, float64 `[5, N]`.

    They are the reconstruction, the KL, log p(outline), log p(x | outline) and log p(which keys
    sound | outline); the outline is T, and the home if the model reads it. The last one is NaN if
    the model does not tell sounding from struck keys. Where the K samples do not fit in memory at
    once, some of them are computed at a time, so no sequence is ever cut.
    """
    logs = np.full((5, len(sequences)), np.nan)
    num_done = 0
    pass_steps = MAX_PASS_NUMBERS // _numbers_per_step(model)
    batch_steps = pass_steps // min(num_samples, MAX_FOLDED_SAMPLES)
    for batch in batches_by_length(sequences, batch_steps):
        indices = batch.indices
        terms = _terms(model, batch, num_samples, pass_steps, seed, precision)
        logs[0, indices] = terms.reconstruction.mean(0)
        logs[1, indices] = terms.kl.mean(0)
        logs[2, indices] = model.outline_log_prob(batch.lengths, batch.homes)
        logs[3, indices] = _log_mean_exp(terms.reconstruction - terms.kl)
        if terms.sounding is not None:
            logs[4, indices] = _log_mean_exp(terms.sounding - terms.kl)
        num_done += len(indices)
        progress("scoring", num_done, len(sequences))
    return logs


def _numbers_per_step(model: SequenceModel) -> int:
    """The most numbers that a layer makes of a step.

    A layer has a row of weights for each of its outputs. A codebook compares each feature with each
    of its codes.
    """
    most = max(model.observation.num_logits, model.output_head.numbers_per_step // PASS_STRETCHES)
    for module in model.modules():
        if isinstance(module, Codebook):
            most = max(most, module.means.numel())
        for weights in module.parameters(recurse=False):
            if weights.dim() == 2:
                most = max(most, len(weights))
    return most


# The model and the batch, and how they are scored.
def _terms(  # noqa: PLR0913
    model: SequenceModel,
    batch: Batch,
    num_samples: int,
    pass_steps: int,
    seed: int,
    precision: str,
) -> Terms:
    """The terms of K samples of each sequence of a batch, `[K, B]`, in float64 on the CPU."""
    generators = []
    for index in batch.indices:
        generators.append(torch.Generator().manual_seed(stream_seed(seed, index)))
    on_device = batch.to(model.device)
    with autocast(model.device, precision):
        outline = Outline(on_device.bar_shapes, on_device.homes)
        encoded = model.encode(on_device.x, on_device.lengths, outline)
    samples_at_once = max(1, pass_steps // (len(batch.indices) * batch.x.shape[1]))
    parts: list[Terms] = []
    for start in range(0, num_samples, samples_at_once):
        noise = _noise(model, batch, min(samples_at_once, num_samples - start), generators)
        with autocast(model.device, precision):
            parts.append(model.terms(on_device.x, on_device.lengths, encoded, noise))
    return _joined(parts)


def _log_mean_exp(log_weight: Tensor) -> Tensor:
    return torch.logsumexp(log_weight, 0) - math.log(len(log_weight))


def _joined(parts: list[Terms]) -> Terms:
    """Join the samples of all parts, in float64 on the CPU."""
    names = [name for name in Terms._fields if getattr(parts[0], name) is not None]
    of_all_samples = []
    for name in names:
        of_all_samples.append(torch.cat([getattr(part, name) for part in parts]))
    # One copy for all, because the host waits for each.
    joined = torch.stack(of_all_samples).cpu().double()
    return Terms(**{"sounding": None, **dict(zip(names, joined, strict=True))})


def _noise(
    model: SequenceModel, batch: Batch, num_samples: int, generators: list[torch.Generator]
) -> Tensor | None:
    """Draw noise `[K, B, T, D]` on the model's device, 0 in the padding; None without a latent.

    It is drawn sequence by sequence, and of each sample by sample.
    """
    num_steps = batch.x.shape[1]
    columns = []
    for length, generator in zip(batch.lengths.tolist(), generators, strict=True):
        draws = [model.draw_noise(1, 1, length, generator) for _ in range(num_samples)]
        if draws[0] is None:
            return None
        column = torch.cat(draws)  # type: ignore[arg-type]
        columns.append(torch.nn.functional.pad(column, (0, 0, 0, num_steps - length)))
    return torch.cat(columns, 1).to(model.device)


def marginal_nll(
    model: SequenceModel,
    encoding: Encoding,
    train: Iterable[np.ndarray],
    sequences: Sequence[np.ndarray],
) -> float:
    """Compute the NLL of the simplest model, fitted on `train`, with the model's p(T), as a floor.

    It is `Encoding.fit_marginal`.
    """
    lengths = torch.tensor(lengths_of(sequences))
    log_prob = encoding.fit_marginal(train)
    log_p = sum(log_prob(x) for x in sequences) + float(model.length.log_prob(lengths).sum())
    num_units = int(lengths.sum()) + len(sequences)
    return -log_p * per_unit(encoding.unit) / num_units
