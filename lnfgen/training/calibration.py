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

The gradient is that of log p(x | z) for the z that x was drawn from, so the prior stays.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from lnfgen.config import CALIBRATION_PIECES
from lnfgen.conventions import TimeSignature, stream_seed
from lnfgen.data.encoding import Encoding
from lnfgen.inference.sampling import drawn_row, time_signatures_of
from lnfgen.inference.steering import metres_in
from lnfgen.models.sequence_model import SequenceModel
from lnfgen.music.comparison import regression, standardised, two_sample_auc, window_steps, windows_of
from lnfgen.music.figures import ends_on_triad, music_figures, usual_voices
from lnfgen.music.pianoroll import PianoRoll, bar_length

REMEMBERED = 3
"""The rounds whose passages the classifier is fitted to, with the present one."""

LEARNING_RATE = 3e-4
"""After half of the rounds it falls linearly to 0."""

ROWS = 16
"""The pieces of an update; a round has several."""

PASS_STEPS = 1_000
"""The most padded time steps whose gradient is computed at once, but for those of one piece."""

FARTHEST = 4.0
"""A figure further from the mean of train, in standard deviations, counts as so far."""

GREATEST = 3.0
"""The bound of the reward of a passage, in nats."""

FORESIGHT = 0.5
"""The share of the reward of a passage that as many steps before it get."""

SHORT = 8
"""The bars of every second piece, so that a short piece is a whole one too."""

MOST_PASSAGES = 2_000
"""The most passages of train that are measured, but for those of one piece."""


class Round(NamedTuple):
    """A round, and how well its passages are told from those of train before its updates."""

    number: int  # from 1 on
    rounds: int
    auc: float  # as `two_sample_auc` has it


class _Block(NamedTuple):
    """Pieces that are drawn together."""

    rolls: list[PianoRoll]
    x: Tensor  # [B, T, P]
    lengths: Tensor  # [B]
    noise: Tensor | None  # which z was drawn from
    metres: Tensor | None


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
    optimizer = torch.optim.Adam(model.parameters(), betas=(0.9, 0.99))
    remembered: list[np.ndarray] = []
    model.eval()  # pieces are drawn without dropout, and the gradient is that of the model that drew them
    for number in range(rounds):
        if interrupted():
            return False
        blocks = list(_blocks(model, encoding, stream_seed(seed, number)))
        rolls = [roll for block in blocks for roll in block.rolls]
        found = [one for place, roll in enumerate(rolls) for one in _passages(place, roll, num_steps, voices)]
        figures, places = _table(found)
        remembered = [*remembered[1 - REMEMBERED :], figures]
        report(Round(number + 1, rounds, two_sample_auc(figures, reference, places, owners)))
        credits = [torch.zeros(length) for block in blocks for length in block.lengths.tolist()]
        for passage, reward in zip(found, _rewards(figures, np.concatenate(remembered), reference), strict=True):
            credit = credits[passage.piece]
            start = passage.start + len(credit) - rolls[passage.piece].num_steps  # after the silence before an upbeat
            credit[start : start + num_steps] += reward
            credit[max(0, start - num_steps) : start] += FORESIGHT * reward
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * min(1.0, 2 * (1 - number / rounds))
        for place, block in enumerate(blocks):
            _update(model, optimizer, block, credits[place * ROWS : (place + 1) * ROWS])
    return True


def _blocks(model: SequenceModel, encoding: Encoding, seed: int) -> Iterator[_Block]:
    """The pieces of a round, those of similar lengths together."""
    as_drawn: dict[TimeSignature, int | None] = dict.fromkeys(time_signatures_of(model, encoding))
    short: dict[TimeSignature, int | None]
    short = {one: math.ceil(SHORT * bar_length(one, encoding.steps_per_quarter)) for one in as_drawn}
    seeds = [stream_seed(seed, index) for index in range(CALIBRATION_PIECES)]
    rows = [drawn_row(model, (as_drawn, short)[index % 2], own) for index, own in enumerate(seeds)]
    rows.sort(key=lambda row: row.length)
    for some in (rows[start : start + ROWS] for start in range(0, len(rows), ROWS)):
        signatures, lengths = [row.time_signature for row in some], [row.length for row in some]
        metres = metres_in(model, encoding, signatures)
        noise, uniform = model.random_numbers(lengths, [row.generator for row in some])
        with torch.inference_mode():
            drawn = model.generate(lengths, noise, uniform, 1.0, metres)
        pieces = [encoding.decode(x.numpy(), signature) for x, signature in zip(drawn, signatures, strict=True)]
        rolls = [piece for piece in pieces if isinstance(piece, PianoRoll)]
        x = pad_sequence(drawn, batch_first=True).to(model.device)
        yield _Block(rolls, x, torch.tensor(lengths, device=model.device), noise, metres)


def _passages(place: int, piece: PianoRoll, num_steps: int, voices: int) -> Iterator[_Passage]:
    """The windows of a piece and its last steps, with their figures. The last ones have a figure of the end as well."""
    last = piece.num_steps - num_steps
    for start, window in windows_of(piece, num_steps):
        yield _Passage(place, start, np.array([*_figures(window, voices), math.nan]))
    if last >= 0:
        end = piece.stretch(last, piece.num_steps)
        yield _Passage(place, last, np.array([*_figures(end, voices), ends_on_triad(end)]))


def _figures(window: PianoRoll, voices: int) -> list[float]:
    return [figure.value(window) for figure in music_figures(voices).values()]


def _table(passages: Sequence[_Passage]) -> tuple[np.ndarray, np.ndarray]:
    """The figures of passages, and the piece of each."""
    columns = len(music_figures(1)) + 1
    rows = np.array([passage.figures for passage in passages]).reshape(-1, columns)
    return rows, np.array([passage.piece for passage in passages], int)


def _rewards(figures: np.ndarray, samples: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The reward of each row of `figures`: how much more it looks like the reference than like samples, in nats.

    The classifier is fitted to the rows of `samples` and of `reference`. The mean of the rewards is 0, but for bounds.
    A row has the least reward if a figure is too far, and beyond all of the reference, as where a chord never ends.
    """

    def scaled(x: np.ndarray) -> np.ndarray:
        return standardised(x, reference).clip(-FARTHEST, FARTHEST)

    is_true = np.repeat([0.0, 1.0], [len(samples), len(reference)])
    score = scaled(figures) @ regression(scaled(np.concatenate([samples, reference])), is_true)
    if not len(score):
        return score
    beyond = (figures < np.fmin.reduce(reference)) | (figures > np.fmax.reduce(reference))
    strange = (beyond & (abs(standardised(figures, reference)) > FARTHEST)).any(1)
    return np.where(strange, -GREATEST, (score - score.mean()).clip(-GREATEST, GREATEST))


def _update(model: SequenceModel, optimizer: torch.optim.Optimizer, block: _Block, credits: Sequence[Tensor]) -> None:
    """Update the model by the gradient of the log-probability of each step, times its credit."""
    weights = pad_sequence(list(credits), batch_first=True).to(model.device)
    optimizer.zero_grad(set_to_none=True)
    for rows in torch.arange(len(block.x), device=model.device).split(max(1, PASS_STEPS // block.x.shape[1])):
        noise, metres = (None if part is None else part[rows] for part in (block.noise, block.metres))
        x, lengths = block.x[rows], block.lengths[rows]
        log_prob = model.observation.log_prob(model.drawn_logits(x, lengths, noise, metres), x)
        (-(weights[rows] * log_prob).sum() / block.lengths.sum()).backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
