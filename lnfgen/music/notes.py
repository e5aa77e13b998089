"""Notes as triples, and as cells of a grid of time steps and keys."""

from collections.abc import Sequence

import numpy as np

Note = tuple[int, int, int]  # (start_step, length_steps, MIDI pitch)


def cells_of_notes(
    notes: Sequence[Note], num_steps: int, lowest_pitch: int, num_pitches: int
) -> tuple[np.ndarray, np.ndarray]:
    """Where the keys sound and where they are struck: bool [T, P] each.

    T is `num_steps`, or more if a note ends later. A note lasts at least one step. A note whose
    pitch has no column is left out.
    """
    length_needed = max((start + max(length, 1) for start, length, _ in notes), default=1)
    total = max(num_steps, length_needed, 1)
    sounding = np.zeros((total, num_pitches), dtype=np.bool_)
    onsets = np.zeros_like(sounding)
    # The step where the notes of each column so far end. So no step is filled twice, however many
    # notes of a file overlap.
    filled = [0] * num_pitches
    for start, length, pitch in sorted(notes):
        column = pitch - lowest_pitch
        if not 0 <= column < num_pitches:
            continue
        end = start + max(length, 1)
        sounding[max(start, filled[column]) : end, column] = True
        onsets[start, column] = True
        filled[column] = max(end, filled[column])
    return sounding, onsets


def starts_of(sounding: np.ndarray, onsets: np.ndarray | None) -> np.ndarray:
    """Where a note starts, bool [T, ...]: at an onset, or where a silent key begins to sound."""
    starts = sounding.copy()
    starts[1:] &= ~sounding[:-1]
    if onsets is not None:
        starts |= onsets
    return starts


def notes_of_cells(sounding: np.ndarray, starts: np.ndarray, lowest_pitch: int) -> list[Note]:
    """The notes of cells bool [T, P] that start where `starts` is true, by start and then pitch."""
    is_last = sounding.copy()  # the last step of each note
    is_last[:-1] &= ~sounding[1:] | starts[1:]
    # Column by column, the n-th start belongs to the n-th end.
    columns, first = np.nonzero(starts.T)
    _, last = np.nonzero(is_last.T)
    lengths = last - first + 1
    pitches = columns + lowest_pitch
    order = np.lexsort((pitches, first))
    return list(
        zip(
            first[order].tolist(),
            lengths[order].tolist(),
            pitches[order].tolist(),
            strict=True,
        )
    )


def nearest_step(step: int, old: int, new: int) -> int:
    """The step of a grid with `new` steps per quarter that is nearest to one of a grid with `old`.

    Of two that are equally near, it is the later one.
    """
    return (2 * step * new + old) // (2 * old)


def notes_on_grid(notes: Sequence[Note], old: int, new: int) -> list[Note]:
    """The notes with their starts and ends on the nearest steps of another grid.

    `old` and `new` are steps per quarter. A note may have no length there.
    """
    moved = []
    for start, length, pitch in notes:
        new_start = nearest_step(start, old, new)
        new_end = nearest_step(start + length, old, new)
        moved.append((new_start, new_end - new_start, pitch))
    return moved
