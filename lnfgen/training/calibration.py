"""Calibration: after training, a model is moved until the figures of its samples are those of true
music.

Training only sees true music. In samples small faults add up: a voice that follows notes which the
model itself has drawn moves in parallel too often, and a phrase that has left its repeat by mistake
does not come back. So pieces are drawn in rounds. A logistic regression on the figures of
`lnfgen.music.comparison` learns to tell passages of samples from passages of train, and its score
is the reward of a policy gradient (R. Williams, Machine Learning 8, 1992): passages that look like
train become likelier, others less likely.

The score estimates `log p_train(figures) / p_model(figures)`. Where it is level, the means of all
figures agree. Of all models for which they do, `p(x) exp(w figures(x))` is the nearest to the
trained model p, and a small step of this
gradient leads towards it: M. Khalifa, H. Elsahar and M. Dymetman, "A Distributional Approach to
Controlled Text Generation", ICLR 2021, arXiv 2012.11635.

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
from lnfgen.inference.sampling import Drawn, drawn_row, drawn_sequences, time_signatures_of
from lnfgen.inference.steering import metres_in
from lnfgen.models.sequence_model import SequenceModel
from lnfgen.music.comparison import (
    regression,
    standardised,
    two_sample_auc,
    window_steps,
    windows_of,
)
from lnfgen.music.figures import Figure, ends_on_triad, music_figures, pitched_parts, usual_voices
from lnfgen.music.parts import are_pitched
from lnfgen.music.pianoroll import PianoRoll, bar_length
from lnfgen.music.tracks import DRUMS

REMEMBERED = 3
"""The rounds whose passages the classifier is fitted to, with the present one."""

LEARNING_RATE, OF_BANDS = 3e-4, 2e-4
"""After half of the rounds it falls linearly to 0. Songs of a band are fewer in an update, so
theirs is lower."""

SHARPNESS_RATE = 0.02
"""The learning rate of `Gate.sharpness`, a few numbers on which all that is copied hangs."""

STEADIER = 0.5
"""What is added to the sharpness of drums at the end. Passages are too short to show a pattern that
comes back late."""

ROWS = 8
"""The songs of an update; a round has several."""

DRAWN_STEPS = 50_000
"""The most padded time steps that are drawn at once. Only a round of long pieces has more."""

PASS_STEPS = 1_000
"""The most padded time steps whose gradient is computed at once, but for those of one piece."""

FARTHEST = 4.0
"""A figure further from the mean of train, in standard deviations, counts as so far."""

GREATEST = 3.0
"""The bound of the reward of a passage, in nats."""

FORESIGHT = 0.5
"""The share of the reward of a passage that as many steps before it get."""

SHORT = 8
"""The bars of every second piece, so that a short piece is a whole one too; of bands, all."""

WITHOUT_PARTS = 2
"""Without parts, a round and an update have so many times more pieces, because a song has several
rows for a step."""

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
    """Move the output of a model for so many rounds towards the figures of `train`, the pieces of
    the train split.

    If `interrupted()` ends it before a round, the result is False, and the model is then of no use.
    """
    rate, times = (OF_BANDS, 1) if encoding.parts else (LEARNING_RATE, WITHOUT_PARTS)
    num_steps, roles = window_steps(train), train[0].roles
    # of the songs of a band there are few, and so half of what is a passage elsewhere is one
    if roles:
        num_steps -= num_steps // (2 * len(roles)) * len(roles)
    chosen = [*music_figures(usual_voices(train), roles).values()]
    of_parts = _of_parts(chosen, roles)
    true: list[_Passage] = []
    for place in np.random.default_rng(seed).permutation(len(train)).tolist():
        if len(true) < MOST_PASSAGES:
            true += _passages(place, train[place], num_steps, chosen)
    reference, owners = _table(true, len(chosen) + 1)
    rates = {
        one: SHARPNESS_RATE if name.endswith("sharpness") else rate
        for name, one in model.named_parameters()
    }
    optimizer = torch.optim.Adam(
        [{"params": [one], "rate": own} for one, own in rates.items()], betas=(0.9, 0.99)
    )
    remembered: list[np.ndarray] = []
    # pieces are drawn without dropout, and the gradient is that of the model that drew them
    model.eval()
    for number in range(rounds):
        if interrupted():
            return False
        drawn = _drawn(model, encoding, stream_seed(seed, number))
        pieces = [encoding.decode(one.x.numpy(), one.row.time_signature) for one in drawn]
        rolls = [piece for piece in pieces if isinstance(piece, PianoRoll)]
        found = [
            one
            for place, roll in enumerate(rolls)
            for one in _passages(place, roll, num_steps, chosen)
        ]
        figures, places = _table(found, len(chosen) + 1)
        remembered = [*remembered[1 - REMEMBERED :], figures]
        report(Round(number + 1, rounds, two_sample_auc(figures, reference, places, owners)))
        credits = [torch.zeros(len(one.x)) for one in drawn]
        rewards = _rewards(figures, np.concatenate(remembered), reference, of_parts)
        for passage, reward in zip(found, torch.from_numpy(rewards).float(), strict=True):
            credit = credits[passage.piece]
            # after the silence before an upbeat
            start = passage.start + len(credit) - rolls[passage.piece].num_steps
            each, before = reward.repeat(num_steps // len(reward)), min(start, num_steps)
            credit[start : start + num_steps] += each
            credit[start - before : start] += FORESIGHT * each[num_steps - before :]
        for group in optimizer.param_groups:
            group["lr"] = group["rate"] * min(1.0, 2 * (1 - number / rounds))
        for start in range(0, len(drawn), size := ROWS * times):
            _update(
                model,
                encoding,
                optimizer,
                drawn[start : start + size],
                credits[start : start + size],
            )
    for name, one in model.named_parameters():
        if name.endswith("sharpness"):
            one.data += STEADIER * torch.tensor(
                [role == DRUMS for role in roles], device=one.device
            )
    return True


def _drawn(model: SequenceModel, encoding: Encoding, seed: int) -> list[Drawn]:
    """The pieces of a round, the shortest first, so that those of an update have similar
    lengths."""
    known, times = time_signatures_of(model, encoding), 1 if encoding.parts else WITHOUT_PARTS
    short: dict[TimeSignature, int | None]
    short = {one: math.ceil(SHORT * bar_length(one, encoding.steps_per_quarter)) for one in known}
    turns = (short,) if encoding.parts else (dict.fromkeys(known), short)
    seeds = [stream_seed(seed, index) for index in range(CALIBRATION_PIECES * times)]
    rows = [drawn_row(model, turns[index % len(turns)], own) for index, own in enumerate(seeds)]
    rows.sort(key=lambda row: row.length)
    return list(drawn_sequences(model, encoding, rows, 1.0, DRAWN_STEPS))


def _passages(
    place: int, piece: PianoRoll, num_steps: int, chosen: Sequence[Figure]
) -> Iterator[_Passage]:
    """The windows of a piece and its last steps, with their figures. The last ones have a figure of
    the end as well."""
    cuts = [(start, window, math.nan) for start, window in windows_of(piece, num_steps)]
    if (last := piece.num_steps - num_steps) >= 0:
        end = piece.stretch(last, piece.num_steps)
        cuts.append((last, end, ends_on_triad(pitched_parts(end))))
    for start, window, ends in cuts:
        yield _Passage(place, start, np.array([*(figure.value(window) for figure in chosen), ends]))


def _table(passages: Sequence[_Passage], columns: int) -> tuple[np.ndarray, np.ndarray]:
    """The figures of passages, and the piece of each."""
    rows = np.array([passage.figures for passage in passages]).reshape(-1, columns)
    return rows, np.array([passage.piece for passage in passages], int)


def _of_parts(chosen: Sequence[Figure], roles: Sequence[str]) -> np.ndarray:
    """Which parts each figure and that of the end are of, as 0 and 1: `[figures + 1, R]`."""
    pitched = are_pitched(roles)
    whole = pitched if any(pitched) else [True]  # drums alone
    own = [
        [role == figure.role for role in roles] if figure.role in roles else whole
        for figure in chosen
    ]
    return np.array([*own, whole], float)


def _rewards(
    figures: np.ndarray, samples: np.ndarray, reference: np.ndarray, of_parts: np.ndarray
) -> np.ndarray:
    """Rewards `[rows of figures, R]`: how much more each part looks like the reference than like
    samples, in nats.

    The classifier is fitted to the rows of `samples` and of `reference`. A part has what the
    figures `of_parts` that are its own add to the score. A row has the least reward if a figure is
    too far, and beyond all of the reference, as where a chord never ends. The mean of the rewards
    is 0; otherwise all that is drawn would become likelier, or less.
    """
    distances = standardised(figures, reference)
    is_true = np.repeat([0.0, 1.0], [len(samples), len(reference)])
    both = standardised(np.concatenate([samples, reference]), reference)
    weights = regression(both.clip(-FARTHEST, FARTHEST), is_true)
    score = distances.clip(-FARTHEST, FARTHEST) @ (weights[:, None] * of_parts)
    if not len(score):
        return score
    beyond = (figures < np.fmin.reduce(reference)) | (figures > np.fmax.reduce(reference))
    strange = (beyond & (abs(distances) > FARTHEST)).any(1, keepdims=True)
    rewards = np.where(strange, -GREATEST, (score - score.mean(0)).clip(-GREATEST, GREATEST))
    return rewards - rewards.mean(0)


def _update(
    model: SequenceModel,
    encoding: Encoding,
    optimizer: torch.optim.Optimizer,
    drawn: Sequence[Drawn],
    credits: Sequence[Tensor],
) -> None:
    """Update the model by the gradient of the log-probability of each step of these pieces, times
    its credit."""

    def padded(each: Sequence[Tensor]) -> Tensor:
        return pad_sequence([*each], batch_first=True).to(model.device)

    x, weights = padded([one.x for one in drawn]), padded(credits)
    lengths = torch.tensor([len(one.x) for one in drawn], device=model.device)
    noise = (
        padded([one.noise for one in drawn if one.noise is not None]) if model.noise_size else None
    )
    metres = metres_in(model, encoding, [one.row.time_signature for one in drawn])
    optimizer.zero_grad(set_to_none=True)
    for rows in torch.arange(len(x), device=model.device).split(max(1, PASS_STEPS // x.shape[1])):
        own = [None if part is None else part[rows] for part in (noise, metres)]
        log_prob = model.observation.log_prob(
            model.drawn_logits(x[rows], lengths[rows], *own), x[rows]
        )
        (-(weights[rows] * log_prob).sum() / lengths.sum()).backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
