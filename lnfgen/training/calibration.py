"""Calibration: after training, a model is moved until the figures of its samples are those of true music.

Training only sees true music. In samples small faults add up: a voice that follows notes which the model itself has
drawn moves in parallel too often, and a phrase that has left its repeat by mistake does not come back. So pieces are
drawn in rounds. A logistic regression on the figures of `lnfgen.music.comparison` learns to tell passages of samples
from passages of train, and its score is the reward of a policy gradient (R. Williams, Machine Learning 8, 1992):
passages that look like train become likelier, others less likely.

The score estimates `log p_train(figures) / p_model(figures)`. Where it is level, the means of all figures agree. Of
all models for which they do, `p(x) exp(w figures(x))` is the nearest to the trained model p, and a small step of this
gradient leads towards it: M. Khalifa, H. Elsahar and M. Dymetman, "A Distributional Approach to Controlled Text
Generation", ICLR 2021, arXiv 2012.11635.

The gradient is that of `E_q(z | x) log p(x | z)`, as in the M step of EM, so the prior and the posterior stay.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from lnfgen.config import CALIBRATION_PIECES
from lnfgen.conventions import stream_seed
from lnfgen.data.batches import Batch, batches_by_length
from lnfgen.data.encoding import Encoding
from lnfgen.inference.sampling import sample_pieces
from lnfgen.models.sequence_model import SequenceModel
from lnfgen.music.comparison import regression, standardised, two_sample_auc, window_steps, windows_of
from lnfgen.music.figures import ends_on_triad, music_figures, usual_voices
from lnfgen.music.pianoroll import PianoRoll

REMEMBERED = 3
"""The rounds whose passages the classifier is fitted to, with the present one."""

LEARNING_RATE = 3e-4
"""Of matrices, until half of the rounds are over. Then it falls linearly to 0."""

OF_BIASES = 4.0
"""Biases and rules move so many times as fast: they are few, so a round teaches them more than its noise costs."""

UPDATE_STEPS = 2_400
"""The most padded time steps of an update; a round has several."""

FARTHEST = 4.0
"""A figure further from the mean of train, in standard deviations, counts as so far."""

GREATEST = 3.0
"""The bound of the reward of a passage, in nats."""

FORESIGHT = 0.5
"""The share of the reward of a passage that as many steps before it get."""

MOST_PASSAGES = 2_000
"""The most passages of train that are measured, but for those of one piece."""


class Round(NamedTuple):
    """A round, and how well its passages are told from those of train before its updates."""

    number: int  # from 1 on
    rounds: int
    auc: float  # as `two_sample_auc` has it


class _Passage(NamedTuple):
    piece: int  # the place of its piece
    start: int  # its first step in the piece
    figures: np.ndarray


def calibrate(
    model: SequenceModel,
    encoding: Encoding,
    train: Sequence[PianoRoll],
    rounds: int,
    seed: int,
    report: Callable[[Round], None],
    interrupted: Callable[[], bool] = lambda: False,
) -> bool:
    """Move the output of a model for so many rounds towards the figures of `train`, the pieces of the train split.

    If `interrupted()` ends it before a round, the result is False, and the model is then of no use.
    """
    num_steps, voices = window_steps(train), usual_voices(train)
    true: list[_Passage] = []
    for place in np.random.default_rng(seed).permutation(len(train)).tolist():
        if len(true) < MOST_PASSAGES:
            true += _passages(place, train[place], num_steps, voices)
    reference, owners = _table(true)
    optimizer = torch.optim.Adam([{"params": [p], "rate": rate} for p, rate in _rates(model)], betas=(0.9, 0.99))
    remembered: list[np.ndarray] = []
    model.eval()  # pieces are drawn without dropout, and the gradient is that of the model that drew them
    for number in range(rounds):
        if interrupted():
            return False
        own_seed = stream_seed(seed, number)
        drawn = list(sample_pieces(model, encoding, count=CALIBRATION_PIECES, seed=own_seed))
        rolls = [piece for piece in drawn if isinstance(piece, PianoRoll)]
        found = [one for place, roll in enumerate(rolls) for one in _passages(place, roll, num_steps, voices)]
        figures, places = _table(found)
        remembered = [*remembered[1 - REMEMBERED :], figures]
        report(Round(number + 1, rounds, two_sample_auc(figures, reference, places, owners)))
        sequences, _ = encoding.adapt(drawn)
        credits = [np.zeros(len(sequence), np.float32) for sequence in sequences]
        for passage, reward in zip(found, _rewards(figures, np.concatenate(remembered), reference), strict=True):
            credit = credits[passage.piece]
            start = passage.start + len(credit) - rolls[passage.piece].num_steps  # after the silence before an upbeat
            credit[start : start + num_steps] += reward
            credit[max(0, start - num_steps) : start] += FORESIGHT * reward
        for group in optimizer.param_groups:
            group["lr"] = group["rate"] * min(1.0, 2 * (1 - number / rounds))
        generator = torch.Generator(model.device).manual_seed(own_seed)
        batches = list(batches_by_length(sequences, UPDATE_STEPS))
        for place in np.random.default_rng(own_seed).permutation(len(batches)).tolist():
            _update(model, optimizer, batches[place], credits, generator)
    return True


def _rates(model: SequenceModel) -> Iterator[tuple[nn.Parameter, float]]:
    """The parameters of a model, and the learning rate that each begins with."""
    for name, parameter in model.named_parameters():
        yield parameter, LEARNING_RATE * (OF_BIASES if name.endswith(("bias", "rules")) else 1.0)


def _passages(place: int, piece: PianoRoll, num_steps: int, voices: int) -> Iterator[_Passage]:
    """The windows of a piece and its last steps, with their figures. The last ones have a figure of the end as well."""
    chosen, last = music_figures(voices).values(), piece.num_steps - num_steps
    for start, window in windows_of(piece, num_steps):
        yield _Passage(place, start, np.array([*(figure.value(window) for figure in chosen), math.nan]))
    if last >= 0:
        end = piece.stretch(last, piece.num_steps)
        yield _Passage(place, last, np.array([*(figure.value(end) for figure in chosen), ends_on_triad(end)]))


def _table(passages: Sequence[_Passage]) -> tuple[np.ndarray, np.ndarray]:
    """The figures of passages, and the piece of each."""
    columns = len(music_figures(1)) + 1
    rows = np.array([passage.figures for passage in passages]).reshape(-1, columns)
    return rows, np.array([passage.piece for passage in passages], int)


def _rewards(figures: np.ndarray, samples: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The reward of each row of `figures`: how much more it looks like the reference than like samples, in nats.

    The classifier is fitted to the rows of `samples` and of `reference`. The mean of the rewards is 0, but for bounds.
    """

    def scaled(x: np.ndarray) -> np.ndarray:
        return standardised(x, reference).clip(-FARTHEST, FARTHEST)

    is_true = np.repeat([0.0, 1.0], [len(samples), len(reference)])
    score = scaled(figures) @ regression(scaled(np.concatenate([samples, reference])), is_true)
    return (score - score.mean()).clip(-GREATEST, GREATEST) if len(score) else score


def _update(
    model: SequenceModel,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    credits: Sequence[np.ndarray],
    generator: torch.Generator,
) -> None:
    """A step of the gradient of the log-probability of each step, times its credit."""
    batch = batch.to(model.device)
    weights = nn.utils.rnn.pad_sequence([torch.from_numpy(credits[i]) for i in batch.indices], batch_first=True)
    noise = model.draw_noise(1, len(batch.x), batch.x.shape[1], generator)
    with torch.no_grad():
        encoded = model.encode(batch.x, batch.lengths, batch.metres)
    log_prob = model.observation.log_prob(model.logits(batch.x, batch.lengths, encoded, noise), batch.x)[0]
    optimizer.zero_grad(set_to_none=True)
    (-(weights.to(log_prob) * log_prob).sum() / batch.lengths.sum()).backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
