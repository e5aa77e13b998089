"""Draw the hidden part of several pieces together.

A known note must begin and end where it did. So a hidden key may be silent or struck just after it,
but not held, and it sounds just before a step where it is known to be held. Without onsets, it is
silent around a known note.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import torch

from lnfgen.conventions import ONSET, SOUNDING, TimeSignature
from lnfgen.data.encoding import Encoding
from lnfgen.device.drawing import for_drawing
from lnfgen.inference.known_music import KnownMusic
from lnfgen.inference.known_part import KnownPart
from lnfgen.inference.named_chords import NamedChords
from lnfgen.inference.particles import Potential, Weighed, draw_weighed
from lnfgen.inference.wishes import Wish
from lnfgen.models.observation import AllowedKeys, Known
from lnfgen.models.sequence_model import SequenceModel
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Song
from lnfgen.nn.positions import NUM_HOMES, Outline

Finished = TypeVar("Finished", bound=Song | PianoRoll | str)

MAX_ROWS = 512  # particles of all pieces that are drawn together
MAX_ROW_STEPS = 100_000  # their time steps in all, for which a model with a latent has memory


class PieceToDraw(NamedTuple, Generic[Finished]):
    """A piece to draw: what is known, its random stream, and what makes a piece of the values."""

    part: KnownPart
    seed: int
    finish: Callable[[np.ndarray], Finished]
    home: int | None = None  # by its number in the encoding
    free: Finished | None = None  # as it was drawn without wishes, if it was
    allowed: AllowedKeys | None = None  # the keys among which hidden ones are drawn, [T, R, P]
    named: NamedChords | None = None  # weighs its chords, if it is a harmony
    close: Wish | None = None  # a gentle wish for its end, beside the wishes for all pieces

    @property
    def shape(self) -> tuple[int, TimeSignature | None]:
        """Its steps and its time signature. Pieces that are drawn together have the same."""
        return self.part.num_steps, self.part.time_signature


def block_size(num_steps: int, particles: int) -> int:
    """How many pieces of so many steps are drawn together."""
    rows = min(MAX_ROWS, MAX_ROW_STEPS // num_steps)
    return max(1, rows // particles)


# The arguments are those of `draw_hidden`, for pieces in place of what is known of them.
def draw_block(  # noqa: PLR0913
    model: SequenceModel,
    pieces: Sequence[PieceToDraw[Finished]],
    particles: int,
    temperature: float,
    progress: Callable[[int], None] = lambda done: None,
    potential: Potential | None = None,
) -> Iterator[Finished]:
    """Draw pieces of one shape together, and yield them in order."""
    drawn = draw_values(model, pieces, particles, temperature, progress, potential)
    for piece, x in zip(pieces, drawn.x.numpy(), strict=True):
        yield piece.finish(x)


# The arguments are those of `draw_block`.
def draw_values(  # noqa: PLR0913
    model: SequenceModel,
    pieces: Sequence[PieceToDraw[Finished]],
    particles: int,
    temperature: float,
    progress: Callable[[int], None] = lambda done: None,
    potential: Potential | None = None,
) -> Weighed:
    """Draw the values of pieces of one shape together; all have allowed keys, or none has.

    Without a potential, that of their chords counts, which all have in common.
    """
    if potential is None:
        potential = pieces[0].named
    known = [known_bits(model, piece.part) for piece in pieces]
    together = Known(
        torch.stack([one.values for one in known]), torch.stack([one.mask for one in known])
    )
    allowed = [piece.allowed for piece in pieces if piece.allowed is not None]
    if allowed:
        stacked = [torch.stack(of_pieces) for of_pieces in zip(*allowed, strict=True)]
        together = together._replace(allowed=AllowedKeys(*stacked))
    generators = [torch.Generator().manual_seed(piece.seed) for piece in pieces]
    _, time_signature = pieces[0].shape
    outline = outline_in(
        model,
        pieces[0].part.encoding,
        [time_signature] * len(pieces),
        [piece.home for piece in pieces],
    )
    with for_drawing(model, len(pieces) * particles, model.device):
        return draw_weighed(
            model, together, particles, generators, temperature, outline, progress, potential
        )


def outline_in(
    model: SequenceModel,
    encoding: Encoding,
    time_signatures: Sequence[TimeSignature | None],
    homes: Sequence[int | None],
) -> Outline:
    """What is known of N pieces of music before their notes, as far as the model reads it."""
    bar_shapes = None
    if model.time_signatures is not None:
        known = [one for one in time_signatures if one is not None]
        bar_shapes = torch.from_numpy(encoding.bar_shapes(known)).to(model.device)
    of_pieces = None
    if model.homes is not None:
        numbers = [NUM_HOMES if home is None else home for home in homes]
        of_pieces = torch.tensor(numbers, device=model.device)
    return Outline(bar_shapes, of_pieces)


def known_bits(model: SequenceModel, part: KnownPart) -> Known:
    """The known values for the model: `[T]` for a text, and bits `[T, num_logits]` for music."""
    values = part.values
    known = ~part.hidden
    if isinstance(part, KnownMusic):
        if part.encoding.has_onsets:
            values, known = _with_bits_around_notes(values, part.hidden)
        else:
            known |= _silent_around_notes(values, part.hidden)
        # The bits of a step are those of its parts, one after the other.
        known = known.reshape(len(known), -1)
    return model.observation.known(torch.from_numpy(values), torch.from_numpy(known))


def _with_bits_around_notes(
    values: np.ndarray, hidden: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Values with onsets, and which of their bits are known.

    Args:
        values: uint8 [T, R, P].
        hidden: the hidden keys, bool [T, R, P].

    Returns:
        The values, uint8 [T, R, P], and bool [T, R, 2 P]: if it is known that a key sounds, and if
        it is known that it is struck where it sounds.
    """
    sounding = (values & SOUNDING) != 0
    held = values == SOUNDING
    # Where a known note has just ended, the key is struck if it sounds.
    not_held = _a_step_later(sounding & ~hidden) & ~held & hidden
    # A key that is known to be held sounds before that too.
    must_sound = _a_step_earlier(held & ~hidden) & hidden
    values = np.where(not_held, SOUNDING | ONSET, values).astype(np.uint8)
    return values, np.concatenate([~hidden | must_sound, ~hidden | not_held], axis=2)


def _silent_around_notes(values: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """The hidden keys that are silent because a known note begins or ends there.

    All are bool or uint8 [T, R, P].
    """
    sounding = (values & SOUNDING) != 0
    known_notes = sounding & ~hidden
    beside_a_note = _a_step_later(known_notes) | _a_step_earlier(known_notes)
    return hidden & ~sounding & beside_a_note


def _a_step_later(cells: np.ndarray) -> np.ndarray:
    """The cells bool [T, R, P], each moved to the next step."""
    moved = np.zeros_like(cells)
    moved[1:] = cells[:-1]
    return moved


def _a_step_earlier(cells: np.ndarray) -> np.ndarray:
    """The cells bool [T, R, P], each moved to the step before."""
    moved = np.zeros_like(cells)
    moved[:-1] = cells[1:]
    return moved
