"""Scores: ELBO and importance-sampled NLL, by the published conventions.

Every figure is a cost: minus the sum over sequences of a log-likelihood (log p(T) included),
divided by the sum of T + 1, in nats per time step for music and bits per character for text. Sums
are in float64. The noise of a sequence depends only on the seed and its place in the split.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from lnfgen.conventions import (
    NLL_SAMPLES,
    ONSET_SHIFT,
    SOUNDING,
    UNITS,
    Progress,
    no_progress,
    stream_seed,
)
from lnfgen.data.batches import Batch, batches_by_length, lengths_of
from lnfgen.data.encoding import Encoding
from lnfgen.errors import LnfgenError
from lnfgen.models.sequence_model import SequenceModel, Terms
from lnfgen.nn.masking import autocast
from lnfgen.wording import counted

# padded time steps in a pass, samples counted: some 200 MB of activations at small
MAX_PASS_STEPS = 20_000
# in a pass: 256 MB, twice; a text with thousands of symbols would else fill memory
MAX_PASS_LOGITS = 1 << 26
# samples of a sequence that a pass takes at once, so that short ones still share one
MAX_FOLDED_SAMPLES = 16


@dataclass(frozen=True)
class Score:
    """The figures of some sequences. `elbo` is `reconstruction + kl + length`, with `length` the
    cost of p(T).

    `sounding_nll` is the NLL of which keys sound, without the cost of the onsets; None if the data
    has no onsets. With `lstm`, `nade` and `past` it is given earlier onsets too: do not compare it
    with a model that never sees onsets.
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
    return 1 / math.log(2) if unit == UNITS["text"] else 1.0


@torch.inference_mode()
def score(
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
    """
    if num_samples < 1 or not 0 <= seed < 2**63:
        found = f"{counted(num_samples, 'sample')} with seed {seed}"
        raise LnfgenError(f"{found}; expected at least 1, and a seed from 0 to 2^63 - 1")
    model.eval()
    num_samples = 1 if model.exact else num_samples
    logs = _log_probs(model, sequences, num_samples, seed, progress, precision)
    lengths = lengths_of(sequences)
    steps = int(lengths.sum())
    means = logs.sum(1) * per_unit(unit) / (steps + len(sequences))
    reconstruction, kl, length, log_p, log_p_sounding = means.tolist()
    return Score(
        elbo=kl - reconstruction - length,
        reconstruction=0.0 - reconstruction,  # so that a cost of 0 is not -0.0
        kl=kl,
        length=-length,
        nll=-log_p - length,
        sounding_nll=None if math.isnan(log_p_sounding) else -log_p_sounding - length,
        samples=num_samples,
        sequences=len(sequences),
        steps=steps,
        each=(-(logs[2] + logs[3]) * per_unit(unit) / (lengths + 1)).tolist(),
    )


def _log_probs(
    model: SequenceModel,
    sequences: Sequence[np.ndarray],
    num_samples: int,
    seed: int,
    progress: Progress,
    precision: str,
) -> np.ndarray:
    """Compute the reconstruction, the KL, log p(T), log p(x | T) and log p(which keys sound | T) in
    nats, `[5, N]`.

    The last one is NaN if the model does not tell sounding from struck keys. Where the K samples do
    not fit in memory at once, some of them are computed at a time, so no sequence is ever cut.
    """
    logs, done = np.full((5, len(sequences)), np.nan), 0
    pass_steps = min(MAX_PASS_STEPS, MAX_PASS_LOGITS // model.observation.num_logits)
    for batch in batches_by_length(sequences, pass_steps // min(num_samples, MAX_FOLDED_SAMPLES)):
        generators = [
            torch.Generator().manual_seed(stream_seed(seed, index)) for index in batch.indices
        ]
        on_device = batch.to(model.device)
        chunk = max(1, pass_steps // (len(batch.indices) * batch.x.shape[1]))
        with autocast(model.device, precision):
            encoded = model.encode(on_device.x, on_device.lengths, on_device.metres)
        parts: list[Terms] = []
        for start in range(0, num_samples, chunk):
            noise = _noise(model, batch, min(chunk, num_samples - start), generators)
            with autocast(model.device, precision):
                parts.append(model.terms(on_device.x, on_device.lengths, encoded, noise))
        terms = _joined(parts)
        logs[:3, batch.indices] = (
            terms.reconstruction.mean(0),
            terms.kl.mean(0),
            model.length.log_prob(batch.lengths),
        )
        logs[3, batch.indices] = _log_mean_exp(terms.reconstruction - terms.kl)
        if terms.sounding is not None:
            logs[4, batch.indices] = _log_mean_exp(terms.sounding - terms.kl)
        done += len(batch.indices)
        progress("scoring", done, len(sequences))
    return logs


def _log_mean_exp(log_weight: Tensor) -> Tensor:
    return torch.logsumexp(log_weight, 0) - math.log(len(log_weight))


def _joined(parts: list[Terms]) -> Terms:
    """Join the samples of all parts, in float64 on the CPU."""
    names = [name for name in Terms._fields if getattr(parts[0], name) is not None]
    # One copy for all, because the host waits for each.
    joined = (
        torch.stack([torch.cat([getattr(part, name) for part in parts]) for name in names])
        .cpu()
        .double()
    )
    return Terms(**{"sounding": None, **dict(zip(names, joined, strict=True))})


def _noise(
    model: SequenceModel, batch: Batch, num_samples: int, generators: list[torch.Generator]
) -> Tensor | None:
    """Draw noise `[K, B, T, D]` for the model's device, sequence by sequence, sample by sample, 0
    in the padding."""
    num_steps = batch.x.shape[1]
    columns = []
    for length, generator in zip(batch.lengths.tolist(), generators, strict=True):
        draws = [model.draw_noise(1, 1, length, generator) for _ in range(num_samples)]
        if draws[0] is None:
            return None
        column = torch.cat(draws)  # type: ignore[arg-type]
        columns.append(torch.nn.functional.pad(column, (0, 0, 0, num_steps - length)))
    return torch.cat(columns, 1).to(model.device)


def marginal(encoding: Encoding, train: Iterable[np.ndarray]) -> Callable[[np.ndarray], float]:
    """Fit the simplest model, which any other must beat, and return its log p(x | T) in nats as a
    function of x.

    Its symbols are independent, each as often as in the training split. For music: independent
    keys, each silent or sounding, and struck or held if it sounds. Half a count is added to every
    count (Krichevsky & Trofimov, 1981), so what train never shows is unlikely, but not impossible.
    """
    if encoding.kind == "text":
        counts = np.full(encoding.num_symbols, 0.5)
        for x in train:
            # a count of every symbol for each line would take minutes for 30,000 symbols
            np.add.at(counts, x, 1)
        of_symbol = np.log(counts / counts.sum())
        return lambda x: float(of_symbol[x].sum())
    frames, sounding, onset = 0, np.zeros(encoding.num_pitches), np.zeros(encoding.num_pitches)
    for x in train:
        frames += len(x)
        sounding += (x & SOUNDING).sum(0)
        onset += (x >> ONSET_SHIFT).sum(0)
    sounds, struck = (sounding + 0.5) / (frames + 1), (onset + 0.5) / (sounding + 1)
    held = sounds * (1 - struck) if encoding.has_onsets else sounds
    of_value = np.log([1 - sounds, held, held, sounds * struck])  # no key has the value 2
    return lambda x: float(np.take_along_axis(of_value, x, 0).sum())


def marginal_nll(
    model: SequenceModel,
    encoding: Encoding,
    train: Iterable[np.ndarray],
    sequences: Sequence[np.ndarray],
) -> float:
    """Compute the NLL of a `marginal` fitted on `train`, with the model's p(T), as a floor."""
    lengths = torch.tensor(lengths_of(sequences))
    log_p = sum(map(marginal(encoding, train), sequences)) + float(
        model.length.log_prob(lengths).sum()
    )
    return -log_p * per_unit(encoding.unit) / (int(lengths.sum()) + len(sequences))
