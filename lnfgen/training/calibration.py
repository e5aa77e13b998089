"""Calibration of samples: rules of parallel motion, and how readily phrases are copied.

Rules are moved until as many pieces of samples have parallels as of the train split.

Training fits the rules of `VoiceHead` after true music. In samples each voice follows notes that the model itself has
drawn, and there the same rules let more voices move in parallel. So after training, pieces are drawn in rounds, and the
weight of each rule is moved by how much oftener it should have held than it did. With counts of samples in place of the
model's expectation, that is the gradient of the likelihood, as in contrastive divergence (Hinton, Neural Computation
14, 2002). All other weights stay.

A rule counts once in a piece, because a repeated phrase repeats its parallels.

Phrases come again less often in samples than in true music, because a sample that has left a phrase by mistake is like
nothing before. So the weight of the copies is moved too, until melodies come again half-way (as a ratio) as often as in
the train split. With more, samples hold on to short loops.
"""

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from lnfgen.config import CALIBRATION_ROUNDS
from lnfgen.conventions import SOUNDING, stream_seed
from lnfgen.data.encoding import Encoding
from lnfgen.formats.read_write import Piece
from lnfgen.inference.sampling import sample_pieces
from lnfgen.models.sequence_model import SequenceModel
from lnfgen.models.voice_leading import OCTAVE, PARALLEL, RULES_RATE
from lnfgen.models.voices import VoiceHead
from lnfgen.music.figures import FIFTH, melody_repeat_rate
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.nn.copying import NUM_HEADS

FEW = 3.0
"""A rule is moved by (wanted count - found count) / (wanted count + this), so that one which held once or twice by
chance does not move far."""


class Applied(NamedTuple):
    """In how many pieces each rule held, and how many chord changes the pieces have."""

    changes: int
    counts: list[Tensor]

    @property
    def parallels(self) -> float:
        """Parallel fifths and octaves a chord change; one that is repeated in a piece counts once."""
        perfect = [interval + down for interval in (0, FIFTH) for down in (0, OCTAVE)]
        return sum(float(table[..., perfect, PARALLEL:].sum()) for table in self.counts) / max(1, self.changes)


class Round(NamedTuple):
    """A round, with the parallel fifths and octaves a chord change that it has found."""

    number: int  # from 1 on
    pieces: int
    in_samples: float
    in_train: float
    repeats_in_samples: float  # the mean of `melody_repeat_rate`; nan without notes
    repeats_in_train: float


def calibrate(
    model: SequenceModel,
    encoding: Encoding,
    train: Iterable[Tensor],
    pieces: int,
    seed: int,
    report: Callable[[Round], None],
    interrupted: Callable[[], bool] = lambda: False,
) -> bool:
    """Move the rules of a model with the output `past` until its samples keep them as sequences `[T, P]` of train do.

    In each round it draws so many `pieces`. If `interrupted()` ends it before a round, the result is False, and the
    model is then of no use.
    """
    head = next(module for module in model.modules() if isinstance(module, VoiceHead))
    train = list(train)
    wanted = _applied(head, ((x & SOUNDING) > 0 for x in train))
    wanted_repeats = _repeats(encoding.decode(x.numpy()) for x in train)
    aim = math.nan
    for number in range(CALIBRATION_ROUNDS):
        if interrupted():
            return False
        drawn = list(sample_pieces(model, encoding, count=pieces, seed=stream_seed(seed, number)))
        found = _applied(head, (torch.from_numpy(piece.sounding) for piece in drawn if isinstance(piece, PianoRoll)))
        repeats, step = _repeats(drawn), (number + 1) ** -0.7  # ever smaller steps, so that chance averages out
        report(Round(number + 1, pieces, found.parallels, wanted.parallels, repeats, wanted_repeats))
        if found.changes and wanted.changes:
            _move(head, found, wanted, step)
        if number == 0:
            aim = math.sqrt(repeats * wanted_repeats)
        if head.copying is not None and aim > 0:
            gap = math.log(aim / max(repeats, aim / 10))
            with torch.no_grad():
                head.gate.from_attended.bias[:NUM_HEADS] += step * max(-1.0, min(1.0, gap))
    return True


def _repeats(pieces: Iterable[Piece]) -> float:
    """The share of four melody notes that came before, the mean over the pieces that have so many."""
    rates = [melody_repeat_rate(piece) for piece in pieces if isinstance(piece, PianoRoll)]
    known = [rate for rate in rates if not math.isnan(rate)]
    return sum(known) / len(known) if known else math.nan


def _move(head: VoiceHead, found: Applied, wanted: Applied, step: float) -> None:
    for rules, held, should in zip(head.rules, found.counts, wanted.counts, strict=True):
        expected = should * (found.changes / wanted.changes)
        gap = ((expected - held) / (expected + FEW)).clamp(-1, 1)
        with torch.no_grad():
            rules[..., PARALLEL:] += (step / RULES_RATE) * gap[..., PARALLEL:].to(rules)


def _applied(head: VoiceHead, sequences: Iterable[Tensor]) -> Applied:
    changes, counts = 0, [torch.zeros(rules.shape, dtype=torch.long) for rules in head.rules]
    for sounding in sequences:
        more, held = head.applied_rules(sounding)
        changes += more
        counts = [have + add.clamp(max=1) for have, add in zip(counts, held, strict=True)]
    return Applied(changes, counts)
