"""Calibration: after training, a model is moved until its samples have the figures of true music.

Training only sees true music. In samples small faults add up: a voice that follows notes which the
model itself has drawn moves in parallel too often, and a phrase that has left its repeat by mistake
does not come back. So pieces are drawn in rounds. A logistic regression on the figures of
`lnfgen.music.comparison` learns to tell passages of samples from passages of train, and its score
is the reward of a policy gradient (R. Williams, Machine Learning 8, 1992): passages that look like
train become likelier, others less likely.

The score estimates `log p_train(figures) / p_model(figures)`. Where it is level, the means of all
figures agree. Of all models for which they do, `p(x) exp(w figures(x))` is the nearest to the
trained model p: M. Khalifa, H. Elsahar and M. Dymetman, "A Distributional Approach to Controlled
Text Generation", ICLR 2021, arXiv 2012.11635. An anchor keeps the model near p: from the reward of
each step goes a share of log q(x) / p(x) for the present model q, as in N. Stiennon et al.,
"Learning to summarize from human feedback", NeurIPS 2020, arXiv 2009.01325, equation 1. Without it
the noise of the gradient adds up in all that no figure sees.

Pieces are drawn at nearly the usual temperature of the run's samples, which then have the figures.
The sharpness of all choices, which training leaves as it is, is moved too: most of what
samples have too much of are errors that a lower temperature would avoid.

At the end the lengths of a band's notes are matched directly (`lnfgen.training.note_lengths`).

The gradient is that of log p(x | z) for the z that x was drawn from, so the prior stays.
"""

import copy
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from lnfgen.config import CALIBRATION_PIECES
from lnfgen.conventions import TimeSignature, stream_seed
from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.inference.block_drawing import outline_in
from lnfgen.inference.sampling import (
    DrawnSequence,
    drawn_row,
    drawn_sequences,
    time_signatures_of,
)
from lnfgen.models.mixture import Gate
from lnfgen.models.observation import Frames
from lnfgen.models.sequence_model import SequenceModel
from lnfgen.music.comparison import windows_of
from lnfgen.music.form import LONG_BARS
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.repertoire import Repertoire
from lnfgen.music.rhythm import repeat_rate
from lnfgen.music.tonality import Key
from lnfgen.music.tracks import DRUMS
from lnfgen.music.two_sample import TwoSampleTest
from lnfgen.nn.parameter_groups import RATES, SHARPNESS, parameter_groups
from lnfgen.training.note_lengths import NoteLengths, held_notes
from lnfgen.training.rewards import GREATEST, Aim, credits_of, rewards_of
from lnfgen.training.schedules import AveragedModel

REMEMBERED = 3
"""The rounds whose passages the classifier is fitted to, with the present one."""

LEARNING_RATE = 3e-4
"""After half of the rounds it falls linearly to 0."""

LEARNING_RATE_OF_BANDS = 2e-4
"""Songs of a band are fewer in an update, so their rate is lower."""

SHARPNESS_RATE = 0.004
"""The learning rate of the sharpness, a few numbers on which all choices hang."""

WARMER = 0.075
"""What a round adds to the temperature of samples: it is to see the errors that it removes."""

ANCHOR = 0.1
"""The share of log q(x) / p(x) of a step that goes from its reward."""

AVERAGE_DECAY = 0.98
"""Of the average of the weights, which becomes the model: a gradient of few pieces is noise for the
most part, and noise moves what no figure measures."""

AVERAGE_DECAY_OF_BANDS = 0.0
"""A band keeps its last weights."""

STEADIER = 0.25
"""The sharpness of drums is raised by so much at a time at the end; see `_steady_drums`."""

MOST_RAISES = 4

ROUNDS_PER_MATCH = 2
"""How many rounds there are for each draw that note lengths are matched by."""

PIECES_OF_UPDATE = 8
"""The songs of an update; a round has several."""

DRAWN_STEPS = 50_000
"""The most padded time steps that are drawn at once. Only a round of long pieces has more."""

PASS_STEPS = 1_000
"""The most padded frames whose gradient is computed at once, but for those of one piece."""

SHORT = 8
"""The bars of every second piece, so that a short piece is a whole one too."""

WITHOUT_PARTS = 2
"""Without parts, a round and an update have so many times more pieces, which cost less."""


class Round(NamedTuple):
    """A round, and how well the discriminator tells its passages from those of train beforehand."""

    number: int  # from 1 on
    rounds: int
    auc: float  # that of a `TwoSampleTest`


def calibrate(  # noqa: PLR0913  (what is asked of the session, which the trainer asks too)
    model: SequenceModel,
    encoding: MusicEncoding,
    train: Repertoire,
    rounds: int,
    seed: int,
    report: Callable[[Round], None],
    interrupted: Callable[[], bool] = lambda: False,
    temperature: float = 1.0,
) -> bool:
    """Move the output of a model towards the figures of `train`, pieces of the train split.

    `temperature` is that of its samples. Pieces without parts are drawn with `WARMER` added to it.

    If `interrupted()` ends it before a round, the result is False, and the model is then of no use.
    """
    if not encoding.parts:
        temperature += WARMER
    discriminator = _Discriminator(Aim.of(train, seed), encoding)
    for sharpness in parameter_groups(model)[SHARPNESS]:
        sharpness.requires_grad_(True)
    anchor = copy.deepcopy(model).requires_grad_(False).eval()
    optimizer = _optimizer(model, is_band=bool(encoding.parts))
    decay = AVERAGE_DECAY_OF_BANDS if encoding.parts else AVERAGE_DECAY
    average = AveragedModel(model, decay)
    # Pieces are drawn without dropout, and the gradient is that of the model that drew them.
    model.eval()
    for number in range(rounds):
        if interrupted():
            return False
        drawn = _draw(model, encoding, stream_seed(seed, number), temperature)
        judged = discriminator.judge(drawn)
        report(Round(number + 1, rounds, judged.auc))
        _set_rates(optimizer, _falling(number, rounds))
        size = PIECES_OF_UPDATE * _times(encoding)
        for start in range(0, len(drawn), size):
            block = slice(start, start + size)
            credits = judged.credits[block]
            _update(model, anchor, encoding, optimizer, drawn[block], credits, temperature)
            average.update(model)
    model.load_state_dict(average.module.state_dict())
    _steady_drums(model, encoding, train.pieces, stream_seed(seed, rounds), temperature)
    return _match_note_lengths(
        model, encoding, train.pieces, rounds, seed, interrupted, temperature
    )


class _Judged(NamedTuple):
    """What the discriminator says of the pieces of a round."""

    auc: float  # how well passages of these pieces and of train are told apart
    credits: list[Tensor]  # of each step of each piece, `[T, R]`


class _Discriminator:
    """The classifier of passages of samples and of train, which is fitted anew in each round."""

    def __init__(self, aim: Aim, encoding: MusicEncoding) -> None:
        self._aim = aim
        self._encoding = encoding
        self._remembered: list[np.ndarray] = []  # the figures of the last rounds

    def judge(self, drawn: Sequence[DrawnSequence]) -> _Judged:
        """Fit the classifier to the last rounds, with these pieces, and reward the steps of these.

        The AUC is that of a test on these pieces alone.
        """
        true = self._aim.passages
        pieces = _decoded(self._encoding, drawn)
        found = self._aim.passages_of(pieces, _homes(self._encoding, drawn))
        test = TwoSampleTest(found.figures, true.figures, found.songs, true.songs)
        self._remembered = [*self._remembered[1 - REMEMBERED :], found.figures]
        samples = np.concatenate(self._remembered)
        rewards = rewards_of(found.figures, samples, true.figures, self._aim.of_parts)
        lengths = [len(one.x) for one in drawn]
        credits = credits_of(lengths, found.passages, rewards, self._aim.measures)
        return _Judged(test.auc, credits)


def _falling(number: int, rounds: int) -> float:
    """The share of a rate in a round: 1 in the first half, then linearly to 0."""
    return min(1.0, 2 * (1 - number / rounds))


def _optimizer(model: SequenceModel, *, is_band: bool) -> torch.optim.Adam:
    """Adam for all parameters, by their groups; `rate` of a group is its rate at first."""
    usual = LEARNING_RATE_OF_BANDS if is_band else LEARNING_RATE
    groups = []
    for name, parameters in parameter_groups(model).items():
        rate = SHARPNESS_RATE if name == SHARPNESS else usual * RATES[name]
        if parameters:
            groups.append({"params": parameters, "rate": rate})
    return torch.optim.Adam(groups, betas=(0.9, 0.99))


def _set_rates(optimizer: torch.optim.Optimizer, share: float) -> None:
    """Give each group this share of its rate."""
    for group in optimizer.param_groups:
        group["lr"] = group["rate"] * share


def pieces_of_round(encoding: MusicEncoding) -> int:
    """How many pieces are drawn in a round."""
    return CALIBRATION_PIECES * _times(encoding)


def _times(encoding: MusicEncoding) -> int:
    """How many times as many pieces as of a band a round and an update have."""
    return 1 if encoding.parts else WITHOUT_PARTS


def _draw(
    model: SequenceModel, encoding: MusicEncoding, seed: int, temperature: float
) -> list[DrawnSequence]:
    """The pieces of a round, the shortest first, so that those of an update have similar lengths.

    A band's have `SHORT` or `LONG_BARS` bars, others `SHORT` or as many as the model draws.
    """
    usual: dict[TimeSignature | None, int | None] = {}
    short: dict[TimeSignature | None, int | None] = {}
    for time_signature in time_signatures_of(model, encoding):
        usual[time_signature] = None
        if encoding.parts:
            usual[time_signature] = encoding.steps_of_bars(LONG_BARS, time_signature)
        short[time_signature] = encoding.steps_of_bars(SHORT, time_signature)
    rows = []
    for index in range(pieces_of_round(encoding)):
        is_short = index % 2 == 1
        rows.append(drawn_row(model, short if is_short else usual, stream_seed(seed, index)))
    rows.sort(key=lambda row: row.length)
    return list(drawn_sequences(model, encoding, rows, temperature, DRAWN_STEPS))


def _decoded(encoding: MusicEncoding, drawn: Sequence[DrawnSequence]) -> list[PianoRoll]:
    return [encoding.decode(one.x.numpy(), one.row.time_signature) for one in drawn]


def _homes(encoding: MusicEncoding, drawn: Sequence[DrawnSequence]) -> list[Key | None]:
    """The homes that pieces were drawn in; None where the model does not read them."""
    homes: list[Key | None] = []
    for one in drawn:
        home = None
        if one.row.home is not None:
            home = encoding.numbered_home(one.row.home)
        homes.append(home)
    return homes


def _update(  # noqa: PLR0913  (two models, and pieces with their credits)
    model: SequenceModel,
    anchor: SequenceModel,
    encoding: MusicEncoding,
    optimizer: torch.optim.Optimizer,
    drawn: Sequence[DrawnSequence],
    credits: Sequence[Tensor],
    temperature: float,
) -> None:
    """Update the model by the gradient of the log-probability of each step, times its credit.

    What the step is likelier than by the anchor takes a share from the credit.
    """
    frames = model.observation
    assert isinstance(frames, Frames)

    def padded(each: Sequence[Tensor]) -> Tensor:
        return pad_sequence([*each], batch_first=True).to(model.device)

    x = padded([one.x for one in drawn])
    weights = padded(credits)
    lengths = torch.tensor([len(one.x) for one in drawn], device=model.device)
    noise = None
    if model.noise_size:
        noise = padded([one.noise for one in drawn if one.noise is not None])
    signatures = [one.row.time_signature for one in drawn]
    outline = outline_in(model, encoding, signatures, [one.row.home for one in drawn])
    num_frames = lengths.sum() * frames.parts
    is_drawn = torch.arange(x.shape[1], device=model.device) < lengths[:, None]
    optimizer.zero_grad(set_to_none=True)
    size = max(1, PASS_STEPS // (x.shape[1] * frames.parts))
    for rows in torch.arange(len(x), device=model.device).split(size):
        own_noise = None if noise is None else noise[rows]
        given = (x[rows], lengths[rows], own_noise, temperature, outline.of_rows(rows))
        log_prob = frames.part_log_probs(model.drawn_logits(*given), x[rows])
        with torch.no_grad():
            of_anchor = frames.part_log_probs(anchor.drawn_logits(*given), x[rows])
            log_ratio = (log_prob - of_anchor).clamp(-GREATEST, GREATEST)
        credit = weights[rows] - ANCHOR * log_ratio
        credit = torch.where(is_drawn[rows, :, None], credit, 0.0)
        (-(credit * log_prob).sum() / num_frames).backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()


def _steady_drums(
    model: SequenceModel,
    encoding: MusicEncoding,
    train: Sequence[PianoRoll],
    seed: int,
    temperature: float,
) -> None:
    """Raise the sharpness of drums until as many of their bars come again as in train.

    Passages are too short to show a pattern that comes back late, so no round sees that the model
    leaves it.
    """
    sharpness = [gate.sharpness for gate in model.modules() if isinstance(gate, Gate)]
    if DRUMS not in encoding.roles or not sharpness:
        return
    part = encoding.roles.index(DRUMS)
    wanted = _repeats(encoding, train, part)
    for number in range(MOST_RAISES):
        drawn = _draw(model, encoding, stream_seed(seed, number), temperature)
        found = _repeats(encoding, _decoded(encoding, drawn), part)
        # Where either has no drums, its share is nan, and nothing is raised.
        is_unsteady = found < wanted
        if not is_unsteady:
            return
        for of_parts in sharpness:
            assert of_parts is not None
            of_parts.data[part] += STEADIER


def _match_note_lengths(  # noqa: PLR0913  (what `calibrate` is asked)
    model: SequenceModel,
    encoding: MusicEncoding,
    train: Sequence[PianoRoll],
    rounds: int,
    seed: int,
    interrupted: Callable[[], bool],
    temperature: float,
) -> bool:
    """Move the scores of held notes until long notes of each part are as long as in train.

    It comes last, because gradients of other figures would move them away again. False if
    `interrupted()` ended it.
    """
    tables = held_notes(model)
    if not tables:
        return True
    wanted = NoteLengths.of(encoding.encode(piece) for piece in train)
    matches = rounds // ROUNDS_PER_MATCH
    for number in range(matches):
        if interrupted():
            return False
        own_seed = stream_seed(seed, rounds + MOST_RAISES + number)
        drawn = _draw(model, encoding, own_seed, temperature)
        found = NoteLengths.of(one.x.numpy() for one in drawn)
        moved = _falling(number, matches) * found.towards(wanted)
        for table in tables:
            table.added += moved.to(table.added)
    return True


def _repeats(encoding: MusicEncoding, pieces: Sequence[PianoRoll], part: int) -> float:
    """The mean share of the bars of a part that repeat an earlier one of their `SHORT` bars.

    Bars without notes in this part do not count; it is nan if there are no others.
    """
    rates = []
    for piece in pieces:
        num_steps = encoding.steps_of_bars(SHORT, piece.time_signature)
        for _, stretch in windows_of(piece, num_steps):
            rate = repeat_rate(stretch.part(part))
            if not math.isnan(rate):
                rates.append(rate)
    return float(np.mean(rates)) if rates else math.nan
