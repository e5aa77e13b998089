"""A song: a roll beside its file and what a model drew, which follow it as far as they fit."""

from dataclasses import replace

import numpy as np
import pytest
from toy_music import WALTZ, song_of_band

from lnfgen.errors import LnfgenError
from lnfgen.music.conversion import ConversionReport
from lnfgen.music.parts import Part
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Origin, Song, as_song

ORIGIN = Origin(midi=b"MThd", title="A waltz", report=ConversionReport(notes=6, rounded=2))


def drawn_at(roll: PianoRoll, part: int, pitch: int) -> np.ndarray:
    """Cells of a model that drew one key of a part all the time."""
    cells = np.zeros((roll.num_steps, roll.num_parts, 128), np.bool_)
    cells[:, part, pitch] = True
    return cells


def test_a_roll_alone_is_a_song_of_no_file() -> None:
    song = as_song(WALTZ)
    assert song.roll is WALTZ
    assert song.origin == Origin()
    assert song.drawn is None
    assert as_song(song) is song
    assert song == Song(WALTZ)
    assert song != Song(WALTZ, ORIGIN)
    assert song != Song(WALTZ, drawn=drawn_at(WALTZ, 0, 60))


def test_a_model_drew_notes_of_a_part() -> None:
    roll = song_of_band(1)
    (_, _, pitch) = note = roll.notes(1)[0]
    song = Song(roll, ORIGIN, drawn_at(roll, 1, pitch))
    assert song.was_drawn(note, 1)
    assert not song.was_drawn(note, 2)
    assert Song(roll).was_drawn(note, 2), "without the distinction, all were"
    assert song.is_own_file
    assert not replace(song, drawn=None).is_own_file
    assert not replace(song, origin=Origin()).is_own_file


def test_drawn_cells_have_all_steps_parts_and_keys_of_midi() -> None:
    for wrong in (
        np.zeros((34, 128), np.bool_),
        np.zeros((34, 1, 128)),
        np.zeros((34, 1, 88), "?"),
    ):
        with pytest.raises(LnfgenError, match=r"expected bool \[34, 1, 128\]"):
            Song(WALTZ, drawn=wrong)


def test_another_grid_keeps_the_file_and_counts_what_is_rounded() -> None:
    song = Song(WALTZ, ORIGIN, drawn_at(WALTZ, 0, 60))
    assert song.on_grid(4) is song
    coarse = song.on_grid(1)
    assert coarse.roll == WALTZ.on_grid(1)
    assert coarse.origin.midi == b"MThd"
    assert coarse.origin.title == "A waltz"
    # the start of the second note, and the ends of the first and the last one
    assert coarse.origin.report["rounded"] == 2 + 3
    assert coarse.origin.report["notes"] == 6
    assert coarse.drawn is None
    assert song.origin.report["rounded"] == 2


def test_another_range_keeps_the_file_and_what_was_drawn() -> None:
    song = Song(WALTZ, ORIGIN, drawn_at(WALTZ, 0, 60))
    narrow = song.in_range(61, 20)
    assert narrow.roll == WALTZ.in_range(61, 20)
    assert narrow.origin.report["out_of_range"] == 1
    assert narrow.origin.midi == b"MThd"
    assert narrow.drawn is song.drawn


def test_in_other_parts_it_is_other_music() -> None:
    roll = song_of_band(1)
    song = Song(roll, ORIGIN, drawn_at(roll, 1, 40))
    assert song.in_parts(roll.parts) is song
    pair = song.in_parts([Part("bass"), Part("melody")])
    assert pair.origin.midi is None
    assert pair.origin.title == "A waltz"
    assert pair.drawn is None
    lost = len(roll.notes(0)) + len(roll.notes(2))
    assert pair.origin.report["out_of_range"] == lost
    merged = song.in_parts([])
    assert merged.roll == roll.merged
    assert np.array_equal(merged.drawn, song.drawn[:, 1:2])  # type: ignore[index,arg-type]


def test_what_was_drawn_is_transposed_but_for_drums() -> None:
    roll = PianoRoll.from_notes([(0, 4, 60), (4, 4, 64)])
    song = Song(roll, ORIGIN, drawn_at(roll, 0, 60))
    moved = song.transposed(3)
    assert [moved.was_drawn(note) for note in moved.roll.notes()] == [True, False]
    assert moved.origin.midi is None
    band = song_of_band(1)
    drums = Song(band, drawn=drawn_at(band, 0, 36)).transposed(3)
    assert np.array_equal(drums.drawn, drawn_at(band, 0, 36))  # type: ignore[arg-type]
