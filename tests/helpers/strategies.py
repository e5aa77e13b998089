"""Pieces of music that Hypothesis draws, and makes smaller where a test fails."""

from hypothesis import strategies as st

from lnfgen.music.parts import ROLES, Part
from lnfgen.music.pianoroll import PianoRoll

METRES = st.tuples(st.integers(1, 15), st.sampled_from((1, 2, 4, 8, 16)))
GRIDS = st.sampled_from((1, 2, 3, 4, 5, 7, 12, 24))


@st.composite
def rolls(draw: st.DrawFn, grids: st.SearchStrategy[int] = GRIDS) -> PianoRoll:
    """A piece of up to 20 notes, or of silence alone, that may have an upbeat."""
    grid = draw(grids)
    place = st.integers(0, 16 * grid)
    length = st.integers(1, 6 * grid)
    pitch = st.integers(21, 108) | st.sampled_from((60, 61, 64))
    notes = draw(st.lists(st.tuples(place, length, pitch), max_size=20))
    roll = PianoRoll.from_notes(
        notes,
        num_steps=draw(place) + 1,
        steps_per_quarter=grid,
        tempo_bpm=draw(st.integers(4, 300)),
        time_signature=draw(METRES),
    )
    return roll.with_upbeat(draw(st.integers(0, 4 * grid)))


@st.composite
def bands(draw: st.DrawFn, grids: st.SearchStrategy[int] = GRIDS) -> PianoRoll:
    """A piece of one to four parts, some of which may be silent."""
    chosen = draw(st.sets(st.sampled_from(ROLES), min_size=1))
    grid = st.just(draw(grids))
    numbers = st.integers(0, 127)
    parts: list[Part] = []
    for role in ROLES:
        if role in chosen:
            program = draw(numbers)
            velocities = draw(st.lists(numbers, max_size=3))
            parts.append(Part(role, program, tuple(velocities)))
    return PianoRoll.of_parts([draw(rolls(grid)) for _ in parts], parts)
