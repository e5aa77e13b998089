"""Draw pieces that have what is wished for.

Plain pieces come first: they are drawn as without wishes, and the first one whose wishes hold is
kept. That is rejection sampling, so it comes from p(x | the wishes hold) exactly, for the length,
the time signature and the home that the piece has. Beside known notes, plain pieces are draws by
particles, and as exact as these. With a chart all pieces are drawn among its keys
(`chart_keys`), so p is the model with that limit.

Only if none of them has all that is wanted, a piece is steered: it is drawn by particles that are
weighed by `exp(-weight * distance)` of what is drawn so far (the twisted targets of Whiteley & Lee,
2014). The weight on the way is small in the first try, where it drops few good beginnings, and
doubles from try to try, as the particles do; whole pieces always count by `WEIGHT`. With more
particles the result tends to p(x | the wishes hold); with few of them a wish that hardly any piece
has is met by pieces which are more alike and less likely than those. If no try has all, the nearest
one is taken.

Gentle wishes steer nothing and come last: of pieces that are as near to all others, the nearest to
these is taken, and after `GENTLE_PIECES` a piece that has all others is enough.

A text that must contain words is steered with each word at several places, which are chosen
uniformly. One of the resulting texts is chosen by its importance weight, the estimated probability
of the words at these places over that of choosing the places. So with more places the draw tends to
p(x | x has the words) too. Where several words may overlap in a text, its weight is approximate.

A piece does not depend on the number of pieces, but for round-off. No clock ends the work, because
the same seed could then give other pieces on a busier machine.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, Generic, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lnfgen.conventions import Progress, no_progress, stream_seed
from lnfgen.errors import LnfgenError
from lnfgen.inference.block_drawing import (
    MAX_ROW_STEPS,
    MAX_ROWS,
    Finished,
    PieceToDraw,
    block_size,
    draw_block,
    draw_values,
)
from lnfgen.inference.chart_keys import allowed_keys
from lnfgen.inference.known_music import KnownMusic
from lnfgen.inference.known_part import KnownPart
from lnfgen.inference.known_text import KnownText
from lnfgen.inference.wishes import Wishes
from lnfgen.models.sequence_model import SequenceModel
from lnfgen.music.parts import are_pitched
from lnfgen.music.tonality import pitch_name

# How many plain pieces there are at most after each round. The first costs what a free piece does,
# and the few of a round cost little more.
PLAIN_PIECES = (1, 4, 16, 64)
GENTLE_PIECES = 4  # after so many pieces gentle wishes are given up
_PLAIN = 1 << 40  # the random streams of plain pieces; those of tries have lower numbers

WEIGHT = 30.0  # nats that a unit of distance costs a whole piece
FIRST_WEIGHT = 1.0  # and a piece on the way, in the first try

# After so many characters the distance from wishes is measured again; of music, after each quarter.
TEXT_STRIDE = 8
PLACES = 16  # at which words that a text must contain are tried

MAX_TRIES = 1000  # for a piece


class _Candidate(NamedTuple, Generic[Finished]):
    piece: Finished
    is_steered: bool


def _ignore(is_steered: bool) -> None:
    """Nobody asks how a piece was drawn."""


# The arguments are those of `fill_pieces` and `sample_pieces`, which call it.
def draw_wanted(  # noqa: PLR0913
    model: SequenceModel,
    pieces: Iterable[PieceToDraw[Finished]],
    wishes: Wishes,
    particles: int,
    temperature: float,
    count: int,
    tries: int,
    progress: Progress,
    steered: Callable[[bool], None] = _ignore,
) -> Iterator[Finished]:
    """Draw pieces whose wishes hold, and yield each as soon as it is drawn.

    Where there is no wish to steer by, they are the plain ones that the pieces come with.

    Args:
        particles: of the first try; plain pieces with known notes have as many.
        count: how many pieces there are.
        tries: the most for a piece, after the plain ones.
        progress: called with the number of tries that are over, of those of all pieces, after each
            step that is drawn. All of a piece are over once its wishes hold.
        steered: called for each piece before it is yielded: False if it is a plain one.

    Raises:
        LnfgenError: if the number of tries is out of range, or what is known rules a wish out.
    """
    if not 1 <= tries <= MAX_TRIES:
        raise LnfgenError(f"{tries} tries; expected 1 to {MAX_TRIES:,}")
    report = progress if wishes.steers else no_progress
    for place, piece in enumerate(pieces):
        own_wishes = wishes if piece.close is None else wishes.and_gentle(piece.close)
        if not own_wishes.steers:
            assert piece.free is not None
            yield piece.free
            continue
        # What cannot be is refused before anything is drawn.
        _limited(piece, own_wishes)
        if wishes.chart:
            assert isinstance(piece.part, KnownMusic)
            piece = piece._replace(allowed=allowed_keys(wishes.chart, piece.part))

        def over(number: int, place: int = place) -> None:
            report("tries", place * tries + number, count * tries)

        candidates = _candidates(model, piece, own_wishes, particles, temperature, tries, over)
        nearest = _nearest(candidates, own_wishes)
        over(tries)
        steered(nearest.is_steered)
        yield nearest.piece


def _nearest(candidates: Iterable[_Candidate[Finished]], wishes: Wishes) -> _Candidate[Finished]:
    """The first candidate for which the wishes hold, or else the nearest one of all.

    Gentle wishes decide among candidates that are equally near to the others. After `GENTLE_PIECES`
    a candidate for which the others hold is enough.
    """
    nearest: _Candidate[Finished] | None = None
    least = (math.inf, math.inf)
    for number, candidate in enumerate(candidates, start=1):
        found = candidate.piece
        distance = (wishes.distance(found), wishes.gentle_distance(found))
        if nearest is None or distance < least:
            nearest = candidate
            least = distance
        of_others, of_gentle = least
        if of_others == 0 and (of_gentle == 0 or number >= GENTLE_PIECES):
            break
    assert nearest is not None
    return nearest


# The arguments are those of `draw_wanted`.
def _candidates(  # noqa: PLR0913
    model: SequenceModel,
    piece: PieceToDraw[Finished],
    wishes: Wishes,
    particles: int,
    temperature: float,
    tries: int,
    over: Callable[[int], None],
) -> Iterator[_Candidate[Finished]]:
    """Plain pieces, and then one steered piece for each try."""
    for plain in _plain_pieces(model, piece, particles, temperature, lambda done: over(0)):
        yield _Candidate(plain, is_steered=False)
    for attempt in range(tries):

        def after_step(done: int, attempt: int = attempt) -> None:
            over(attempt)

        fresh = piece._replace(seed=stream_seed(piece.seed, attempt))
        width = max(particles, min(particles << attempt, MAX_ROWS))
        weight = min(WEIGHT, FIRST_WEIGHT * 2.0**attempt)
        steered = _steered_piece(model, fresh, wishes, width, weight, temperature, after_step)
        yield _Candidate(steered, is_steered=True)


def _plain_pieces(
    model: SequenceModel,
    piece: PieceToDraw[Finished],
    particles: int,
    temperature: float,
    progress: Callable[[int], None],
) -> Iterator[Finished]:
    """Pieces as they are without wishes, in growing blocks."""
    num_steps, _ = piece.shape
    if piece.part.hidden.all():
        particles = 1
    particles = max(1, min(particles, MAX_ROW_STEPS // num_steps))
    start = 0
    if piece.free is not None:
        yield piece.free
        start = 1
    for end in PLAIN_PIECES:
        last = min(end, block_size(num_steps, particles))
        block = []
        for number in range(start, last):
            # The first one is as it is without wishes.
            seed = stream_seed(piece.seed, _PLAIN + number) if number else piece.seed
            block.append(piece._replace(seed=seed))
        if block:
            yield from draw_block(model, block, particles, temperature, progress)
        start = max(start, last)


# The arguments are those of a try.
def _steered_piece(  # noqa: PLR0913
    model: SequenceModel,
    piece: PieceToDraw[Finished],
    wishes: Wishes,
    particles: int,
    weight: float,
    temperature: float,
    progress: Callable[[int], None],
) -> Finished:
    """Draw a piece once, by particles that are weighed by the wishes."""
    num_steps, _ = piece.shape
    width = max(1, min(particles, MAX_ROW_STEPS // num_steps))
    limited = [_limited(piece, wishes)]
    if wishes.contained:
        limited += [
            _limited(piece._replace(seed=stream_seed(piece.seed, place)), wishes)
            for place in range(1, PLACES)
        ]
        # All places together have some more particles than one.
        width = max(1, min(width // 4, MAX_ROWS // PLACES, MAX_ROW_STEPS // num_steps // PLACES))
    to_draw = [one.piece for one in limited]
    potential = partial(_potential, wishes, limited[0].piece, weight)
    drawn = draw_values(model, to_draw, width, temperature, progress, potential)
    finished = [piece.finish(x) for x in drawn.x.numpy()]
    if len(finished) == 1:
        return finished[0]
    log_weights = drawn.log_evidence.clone()
    for number, text in enumerate(finished):
        log_weights[number] += limited[number].log_ways
        log_weights[number] -= _log_ways_in(piece.part, wishes, text)
    generator = torch.Generator().manual_seed(piece.seed)
    chosen = torch.multinomial(torch.softmax(log_weights, 0), 1, generator=generator)
    return finished[int(chosen)]


def _potential(
    wishes: Wishes,
    piece: PieceToDraw[Any],
    weight: float,
    t: int,
    so_far: Callable[[], Tensor],
) -> Tensor | None:
    """The `Potential` of a piece, by the distance of what is drawn from the wishes.

    That of its chords is added, if it is a harmony.
    """
    num_steps, _ = piece.shape
    is_whole = t == num_steps
    share = t / num_steps
    is_measured = is_whole or _is_measured_after(piece.part, t)
    wishes_count = wishes.count_at(share)
    if not is_measured or not (wishes_count or piece.named is not None):
        return None
    drawn = so_far()
    log_weight = torch.zeros(len(drawn), dtype=torch.float64)
    if wishes_count:
        distances = []
        for x in drawn.cpu().numpy():
            found = piece.finish(x) if is_whole else piece.part.decoded_so_far(x)
            distances.append(wishes.distance(found, share))
        now = WEIGHT if is_whole else weight
        log_weight -= now * torch.tensor(distances, dtype=torch.float64)
    if piece.named is not None:
        log_weight += piece.named.log_weight(drawn)
    return log_weight


def _is_measured_after(part: KnownPart, t: int) -> bool:
    """If the distance is measured after t steps, which are not all."""
    if isinstance(part, KnownMusic):
        return t % part.encoding.steps_per_quarter == 0 and t > part.ahead
    return t % TEXT_STRIDE == 0


class _Limited(NamedTuple):
    """A piece to draw with all that its wishes fix."""

    piece: PieceToDraw[Any]
    log_ways: float = 0.0  # of the number of places at which its words could have been put


def _limited(piece: PieceToDraw[Any], wishes: Wishes) -> _Limited:
    """The piece with all that the wishes fix; places of words are chosen by its seed."""
    part = piece.part
    if isinstance(part, KnownMusic):
        return _Limited(piece._replace(part=_on_wanted_keys(part, wishes)))
    with_words, log_ways = _with_contained_words(part, wishes, np.random.default_rng(piece.seed))
    return _Limited(piece._replace(part=with_words), log_ways)


def _on_wanted_keys(part: KnownMusic, wishes: Wishes) -> KnownMusic:
    """Music whose hidden keys of pitched parts are silent beyond the wishes for top and bass.

    Raises:
        LnfgenError: if one of the keys beyond them is known to sound.
    """
    encoding = part.encoding
    pitches = part.pitches
    outside = (pitches < wishes.keys.start) | (pitches >= wishes.keys.stop)
    outside &= are_pitched(encoding.roles)[:, None]
    is_kept = (part.values > 0) & ~part.hidden & outside
    if is_kept.any():
        _, parts, keys = np.nonzero(is_kept)
        highest = pitch_name(int(pitches[parts, keys].max()))
        raise LnfgenError(
            f"what is kept has {highest}, which the wishes for top and bass leave out"
        )
    values = np.where(part.hidden & outside, 0, part.values).astype(part.values.dtype)
    return replace(part, values=values, hidden=part.hidden & ~outside)


def _with_contained_words(
    part: KnownText, wishes: Wishes, rng: np.random.Generator
) -> tuple[KnownText, float]:
    """A text that has all wanted words, each at a random place that was hidden.

    With it comes the log of the number of such places, summed over the words.

    Raises:
        LnfgenError: if there is no room for a word.
    """
    values = part.values.copy()
    hidden = part.hidden.copy()
    log_ways = 0.0
    for word in wishes.contained:
        starts = _starts(hidden, len(word))
        if not len(starts):
            raise LnfgenError(
                f"the wish contains={word}; found no {len(word)} free characters in a row"
            )
        log_ways += math.log(len(starts))
        start = rng.choice(starts)
        place = slice(start, start + len(word))
        values[place] = part.encoding.encode(word)
        hidden[place] = False
    return replace(part, values=values, hidden=hidden), log_ways


def _starts(hidden: np.ndarray, length: int) -> np.ndarray:
    """The places, int [N], from which on so many characters are hidden, bool [T]."""
    if length > len(hidden):
        return np.zeros(0, np.int64)
    windows = np.lib.stride_tricks.sliding_window_view(hidden, length)
    return np.flatnonzero(windows.all(axis=1))


def _log_ways_in(part: KnownPart, wishes: Wishes, text: Any) -> float:
    """The log of the number of hidden places at which a text has its words, summed over these."""
    log_ways = 0.0
    for word in wishes.contained:
        starts = _starts(part.hidden, len(word)).tolist()
        ways = sum(text.startswith(word, start) for start in starts)
        log_ways += math.log(ways)
    return log_ways
