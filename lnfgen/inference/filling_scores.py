"""How good filling is: how likely a model finds the hidden part of true pieces given the rest, and what it draws there.

For a piece and a kind of gap, in nats, given the length:

- `NLL(hidden | seen) = NLL(all) - NLL(seen)`. NLL(all) is importance-sampled by the posterior, as in `evaluation`, and
  so a little too high. NLL(seen) has a range: it is estimated twice by particles (`SequenceModel.log_known`). Where
  these find the hidden part by themselves, it is too high on average; the true piece is a guess that helps them. Where
  the true hidden part is kept as one of the particles, it is too low on average, if that part is a draw from the
  model's p(hidden | seen); there the guess is a filling, which knows no more than what is seen. For pieces that the
  model has drawn, it is such a draw, except that their latent is not known and has to be found. For other pieces, such
  as Bach's, the true part only stands in for such a draw: if the model finds it less likely than what it would draw
  itself, NLL(seen) may be lower than the range says. The range is wide where p(seen) is hard to estimate, and gets
  narrower with more particles.
- `NLL(hidden)`, for the lower voices: of the hidden part alone, with the seen part summed out, by the same kind of
  estimates. How much NLL(hidden | seen) is below it says how much the melody tells of these voices. Their cells are
  those below the melody, so what is summed out depends on the piece itself, and the true melody stands in for a draw
  even where the model has drawn the piece.
- The prior's NLL: of filling without inference. z is drawn from the prior; steps and keys are drawn in the model's own
  order, and what is seen is set there; but nothing is weighed by how well it fits what is seen. So it is
  `-log E_z prod p(hidden choice | z, choices before)`, over the hidden choices alone, importance-sampled with the same
  z as NLL(all). Of NLL(all) it is the part of the hidden choices by the chain rule, in whatever order the model has.
- The marginal's NLL: of independent keys or characters, as frequent as in the train split.

What is drawn is compared with what was hidden: by the F-measure of the hidden cells that sound (by frames, as Bay,
Ehmann & Downie, 2009, "Evaluation of multiple-F0 estimation and tracking systems"), or the share of right characters.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lnfgen.conventions import PARTICLES, SOUNDING, Progress, no_progress
from lnfgen.data.encoding import Encoding
from lnfgen.errors import LnfgenError
from lnfgen.formats.read_write import Piece
from lnfgen.inference.filling import MAX_ROW_STEPS, MAX_ROWS, known_bits
from lnfgen.inference.gaps import GAPS, LOWER_VOICES, with_gap
from lnfgen.inference.marginal import Marginal
from lnfgen.inference.sampling import metres_of
from lnfgen.inference.scoring import MAX_PASS_STEPS, log_mean_exp, per_unit
from lnfgen.models import SequenceModel
from lnfgen.models.observation import Known
from lnfgen.music.comparison import MusicComparison, compare_pieces
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.streams import stream_seed

PARTICLES_OF_ESTIMATE = 4
"""An estimate of p(seen) takes so many times the particles of a filling."""


class Range(NamedTuple):
    """What a figure may be, from a lower and an upper estimate."""

    low: float
    high: float


@dataclass(frozen=True)
class FillingScore:
    """The figures of one kind of gap. NLLs are means over all hidden steps, in nats (music), or characters, in bits.

    Attributes:
        pieces: how many have such a gap.
        hidden_steps: steps or characters of which anything is hidden.
        nll: of the hidden part given the seen one.
        alone_nll: of the hidden part alone; None for other gaps than the lower voices.
        gain: by what share `nll` is below `alone_nll`. The low end is the cautious one, from the high one of `nll`.
        prior_nll, marginal_nll: by the prior without inference, and by the marginal.
        total_nats: the sum behind `nll`, in nats.
        agreement: of what is drawn with what was hidden, from 0 to 1, in `measure`.
        measure: `f_measure` of sounding cells, or `accuracy` of characters.
        ess: the mean effective sample size of the particles that drew it, as a share of their number.
        moved: the share of the moves of the latent that were made; None if none were tried.
        music: the figures of the filled pieces beside those of the true ones; None for text.
    """

    pieces: int
    hidden_steps: int
    nll: Range
    alone_nll: Range | None
    gain: Range | None
    prior_nll: float
    marginal_nll: float
    total_nats: Range
    agreement: float
    measure: str
    ess: float
    moved: float | None
    music: MusicComparison | None

    def to_json(self) -> dict[str, Any]:
        """The figures; a range is a list of its two ends."""
        return {**vars(self), "music": self.music and self.music.to_json()}


@dataclass(frozen=True)
class _Hidden:
    """A piece with a gap: its sequence x as a tensor, and what is known of it, by its choices."""

    index: int
    piece: Piece
    x: Tensor
    known: Known


@torch.inference_mode()
def score_filling(
    model: SequenceModel,
    encoding: Encoding,
    pieces: Sequence[Piece],
    train: Sequence[Piece],
    *,
    num_samples: int = 50,
    particles: int = PARTICLES,
    seed: int = 0,
    progress: Progress = no_progress,
) -> dict[str, FillingScore]:
    """Hide parts of pieces, score what is hidden given the rest, and fill each gap once, for each kind of gap.

        >>> scores = score_filling(model.model, model.encoding, pieces, train)
        >>> print(scores["lower_voices"].nll, scores["lower_voices"].gain.low)

    Args:
        train: the pieces that the marginal is fitted on, and in which copies are searched for.
        num_samples: samples K of the latent for NLL(all) and the prior's NLL.
        particles: for each filling, at least 2; each estimate takes `PARTICLES_OF_ESTIMATE` times as many.
        seed: decides the random gaps and all that is drawn.
        progress: told what is being done, how many pieces are done, and of how many.

    Returns:
        The figures of each kind of gap (`lnfgen.inference.gaps`) that any piece has, by its name.

    Raises:
        LnfgenError: if there are no pieces, or a number is out of range.
    """
    if num_samples < 1 or particles < 2 or not 0 <= seed < 2**63:
        raise LnfgenError(
            f"{num_samples} samples, {particles} particles and seed {seed}; expected at least 1 and 2, and a seed "
            "from 0 to 2^63 - 1"
        )
    if not pieces:
        raise LnfgenError("found no pieces to fill; expected at least one")
    model.eval()
    num_samples = 1 if model.exact else num_samples
    sequences = encoding.adapt(pieces)[0]
    pieces = _decoded(encoding, sequences, pieces)  # on the model's keys
    marginal = Marginal(encoding, encoding.adapt(train)[0])
    scores: dict[str, FillingScore] = {}
    for number, gap in enumerate(GAPS[encoding.kind]):
        hidden = []
        for index, (piece, values) in enumerate(zip(pieces, sequences, strict=True)):
            given = with_gap(piece, values, gap, np.random.default_rng((seed, number, index)))
            known = None if given is None else known_bits(model, given)
            if known is not None and not known.mask.all():
                hidden.append(_Hidden(index, piece, torch.from_numpy(values), known))
        if hidden:
            scorer = _Scorer(model, encoding, gap, num_samples, particles, stream_seed(seed, number), progress)
            score, drawn = scorer.score(hidden, marginal)
            music = None
            if encoding.kind == "music":
                music = compare_pieces(*map(_rolls, (drawn, [one.piece for one in hidden], train)))
            scores[gap] = replace(score, music=music)
    return scores


def _decoded(encoding: Encoding, sequences: Sequence[np.ndarray], of: Sequence[Piece]) -> list[Piece]:
    """The pieces that sequences are, with the time signatures of other pieces."""
    signatures = [getattr(piece, "time_signature", None) for piece in of]
    return [encoding.decode(*each) for each in zip(sequences, signatures, strict=True)]


def _rolls(pieces: Sequence[Piece]) -> list[PianoRoll]:
    return [piece for piece in pieces if isinstance(piece, PianoRoll)]


@dataclass
class _Scorer:
    """`score_filling` of one kind of gap."""

    model: SequenceModel
    encoding: Encoding
    gap: str
    num_samples: int
    particles: int
    seed: int
    progress: Progress
    done: int = 0
    total: int = 0

    def score(self, hidden: list[_Hidden], marginal: Marginal) -> tuple[FillingScore, list[Piece]]:
        """The figures but those of the music, and the filled pieces."""
        has_alone = self.gap == LOWER_VOICES
        self.total = len(hidden) * (3 + 2 * has_alone)  # a round each: all of a piece, and fillings and estimates
        steps = sum(int((~one.known.mask).view(len(one.x), -1).any(1).sum()) for one in hidden)
        unit = per_unit(self.encoding.unit) / steps
        log_all, log_prior = self._scored(hidden)
        seen = [one.known for one in hidden]
        drawn, ess, moved = self._filled(hidden, seen, "filling")
        log_seen = self._estimated(hidden, seen, drawn, "the seen part")
        nats = Range(*(float(end - log_all.sum()) for end in log_seen))
        nll, alone_nll, gain = Range(*(unit * end for end in nats)), None, None
        if has_alone:
            swapped = [self.model.observation.known(one.x, ~one.known.mask) for one in hidden]
            others, _, _ = self._filled(hidden, swapped, "filling what is seen")
            log_hidden = self._estimated(hidden, swapped, others, "the hidden part alone")
            alone_nll = Range(-unit * log_hidden.high, -unit * log_hidden.low)
            gain = Range(1 - nll.high / alone_nll.low, 1 - nll.low / alone_nll.high)
        score = FillingScore(
            pieces=len(hidden),
            hidden_steps=steps,
            nll=nll,
            alone_nll=alone_nll,
            gain=gain,
            prior_nll=-unit * log_prior.sum(),
            marginal_nll=-unit * sum(marginal.log_prob(one.x.numpy(), ~one.known.mask.numpy()) for one in hidden),
            total_nats=nats,
            agreement=_agreement(hidden, drawn),
            measure="f_measure" if self.encoding.kind == "music" else "accuracy",
            ess=ess,
            moved=moved,
            music=None,
        )
        return score, _decoded(self.encoding, drawn, [one.piece for one in hidden])

    def _scored(self, hidden: list[_Hidden]) -> tuple[np.ndarray, np.ndarray]:
        """log p(x | T) of each piece, and the part of its hidden choices by the chain rule."""
        model, device = self.model, self.model.device
        result = np.zeros((2, len(hidden)))
        for block in _blocks(hidden, MAX_PASS_STEPS):
            x = torch.stack([hidden[i].x for i in block]).to(device)
            counted = ~torch.stack([hidden[i].known.mask for i in block]).to(device)
            num_steps = x.shape[1]
            lengths = torch.full((len(block),), num_steps, device=device)
            encoded = model.encode(x, lengths, self._metres(hidden, block))
            generators = self._generators(hidden, block, "all")
            log_weights: list[list[Tensor]] = [[], []]
            chunk = max(1, MAX_PASS_STEPS // (len(block) * num_steps))
            for start in range(0, self.num_samples, chunk):
                count = min(chunk, self.num_samples - start)
                draws = [model.draw_noise(count, 1, num_steps, generator) for generator in generators]
                noise = None if draws[0] is None else torch.cat(draws, 1).to(device)  # type: ignore[arg-type]
                kl = model.kl(lengths, encoded, noise)
                for kind, choices in enumerate((None, counted)):
                    log_prob, _ = model.reconstruction(x, lengths, encoded, noise, choices)
                    log_weights[kind].append((log_prob - kl).cpu().double())
            for kind, parts in enumerate(log_weights):
                result[kind, block] = log_mean_exp(torch.cat(parts)).numpy()
            self._tell(len(block))
        return result[0], result[1]

    def _estimated(self, hidden: list[_Hidden], known: list[Known], filled: list[np.ndarray], what: str) -> Range:
        """log p(known), summed over the pieces, from those that find the rest and those that keep the true piece."""
        low, high, particles = 0.0, 0.0, PARTICLES_OF_ESTIMATE * self.particles
        for block in _blocks(hidden, MAX_ROW_STEPS // particles, max(1, MAX_ROWS // particles)):
            each = Known(*(torch.stack(parts) for parts in zip(*(known[i] for i in block), strict=True)))
            true = torch.stack([hidden[i].x for i in block])
            drawn = torch.from_numpy(np.stack([filled[i] for i in block])).to(true.dtype)
            for_low, for_high = (self._generators(hidden, block, f"{what}, {end}") for end in ("low", "high"))
            metres = self._metres(hidden, block)
            low += float(self.model.log_known(true, each, particles, for_low, metres=metres).sum())
            high += float(self.model.log_known(drawn, each, particles, for_high, true, metres).sum())
            self._tell(len(block))
        return Range(*sorted((low, high)))  # where both are nearly exact, chance decides which is the lower one

    def _filled(
        self, hidden: list[_Hidden], known: list[Known], what: str
    ) -> tuple[list[np.ndarray], float, float | None]:
        """The sequences drawn, and the means of the effective sample size and of the share of moves."""
        drawn: list[np.ndarray] = [np.zeros(0)] * len(hidden)
        ess: list[float] = []
        moved: list[float] = []
        for block in _blocks(hidden, MAX_ROW_STEPS // self.particles, max(1, MAX_ROWS // self.particles)):
            each = Known(*(torch.stack(parts) for parts in zip(*(known[i] for i in block), strict=True)))
            generators, metres = self._generators(hidden, block, what), self._metres(hidden, block)
            found = self.model.fill_batch(each, self.particles, generators, 1.0, metres=metres)
            for i, x in zip(block, found.x.numpy(), strict=True):
                drawn[i] = x
            ess += found.ess.tolist()
            moved += [] if found.moved is None else [found.moved] * len(block)
            self._tell(len(block))
        return drawn, fmean(ess), fmean(moved) if moved else None

    def _metres(self, hidden: list[_Hidden], block: list[int]) -> Tensor | None:
        return metres_of(self.model, self.encoding, [hidden[i].piece for i in block])

    def _tell(self, count: int) -> None:
        self.done += count
        self.progress(self.gap.replace("_", " "), self.done, self.total)

    def _generators(self, hidden: list[_Hidden], block: list[int], what: str) -> list[torch.Generator]:
        """One for each piece, which depends on the piece and on what is drawn alone."""
        seed = stream_seed(self.seed, zlib.crc32(what.encode()))
        return [torch.Generator().manual_seed(stream_seed(seed, hidden[i].index)) for i in block]


def _blocks(hidden: list[_Hidden], max_steps: int, max_rows: int | None = None) -> Iterator[list[int]]:
    """Indices of pieces of one length, so many that their steps are at most `max_steps`, but at least one."""
    by_length: dict[int, list[int]] = {}
    for i, one in enumerate(hidden):
        by_length.setdefault(len(one.x), []).append(i)
    for num_steps, same in sorted(by_length.items()):
        size = min(max(1, max_steps // num_steps), max_rows or len(same))
        yield from (same[start : start + size] for start in range(0, len(same), size))


def _agreement(hidden: list[_Hidden], drawn: list[np.ndarray]) -> float:
    """The F-measure of the hidden cells that sound, or the share of the hidden characters that are right."""
    right = found = expected = 0
    for one, x in zip(hidden, drawn, strict=True):
        true, free = one.x.numpy(), ~one.known.mask.numpy()
        if true.ndim == 1:
            right += int((x == true)[free].sum())
            found, expected = found + int(free.sum()), expected + int(free.sum())
            continue
        sounds, sounded = ((values & SOUNDING != 0) & free[:, : true.shape[1]] for values in (x, true))
        right += int((sounds & sounded).sum())
        found, expected = found + int(sounds.sum()), expected + int(sounded.sum())
    return 2 * right / (found + expected) if found + expected else 1.0
