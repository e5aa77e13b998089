"""Music as integers, and back: struck and held keys, grids, ranges, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from strategies import rolls

from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.errors import LnfgenError
from lnfgen.music.conversion import ConversionReport, report_of_notes
from lnfgen.music.parts import LOWEST, Part
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Origin, Song

ROLL = PianoRoll.from_notes(
    [(0, 2, 60), (2, 2, 60), (1, 5, 67)], num_steps=8, tempo_bpm=90.0, time_signature=(3, 4)
)


def test_music_round_trip_tells_struck_from_held() -> None:
    encoding = MusicEncoding(tempo_bpm=90.0, time_signature=(3, 4))
    values = encoding.encode(ROLL)
    assert values.dtype == np.uint8
    assert values[:, 0, 60 - 21].tolist() == [3, 1, 3, 1, 0, 0, 0, 0]
    assert encoding.decode(values) == ROLL


def test_a_key_that_is_held_after_silence_is_struck() -> None:
    values = np.array([[[1, 0]], [[1, 1]], [[0, 3]]], dtype=np.uint8)
    decoded = MusicEncoding(lowest_pitch=60, num_pitches=2).decode(values)
    assert decoded == PianoRoll.from_notes(
        [(0, 2, 60), (1, 1, 61), (2, 1, 61)], lowest_pitch=60, num_pitches=2
    )


def test_music_without_onsets_keeps_sounding_alone() -> None:
    encoding = MusicEncoding(has_onsets=False)
    values = encoding.encode(ROLL)
    assert set(np.unique(values)) == {0, 1}
    decoded = encoding.decode(values)
    assert decoded.onsets is None
    assert np.array_equal(decoded.sounding, ROLL.sounding)


def test_unknown_onsets_are_struck_where_sounding_starts() -> None:
    held = PianoRoll(ROLL.sounding, None)
    assert MusicEncoding().encode(held)[:, 0, 60 - 21].tolist() == [3, 1, 1, 1, 0, 0, 0, 0]


@pytest.mark.parametrize(
    "piece",
    [
        "text",
        PianoRoll(ROLL.sounding, None, steps_per_quarter=2),
        PianoRoll(ROLL.sounding[:, :, :80].copy(), None),
        PianoRoll(ROLL.sounding, None, parts=(Part("melody"),)),
    ],
)
def test_what_does_not_fit_is_refused(piece: PianoRoll | str) -> None:
    with pytest.raises(LnfgenError, match="expected"):
        MusicEncoding().encode(piece)


@pytest.mark.parametrize(
    "values",
    [
        np.zeros((2, 1, 87), np.uint8),
        np.zeros((2, 2, 88), np.uint8),
        np.zeros((2, 88), np.uint8),
        np.full((2, 1, 88), 4, np.uint8),
        np.full((2, 1, 88), 2, np.uint8),
    ],
)
def test_values_of_no_music_are_refused(values: np.ndarray) -> None:
    with pytest.raises(LnfgenError, match="are no music; expected 0, 1 and 3 in"):
        MusicEncoding().decode(values)


@given(rolls())
def test_any_music_is_the_same_again(roll: PianoRoll) -> None:
    encoding = MusicEncoding(
        steps_per_quarter=roll.steps_per_quarter,
        tempo_bpm=roll.tempo_bpm,
        time_signature=roll.time_signature,
    )
    assert encoding.decode(encoding.encode(roll)) == replace(roll, upbeat=0)


def test_adapted_pieces_are_encoded_and_their_losses_added_up() -> None:
    coarse = MusicEncoding(steps_per_quarter=2)
    notes = [(0, 4, 20), (0, 4, 60)]
    song = Song(PianoRoll.from_notes(notes), Origin(report=report_of_notes(notes)))
    pieces = [
        PianoRoll.from_notes([(0, 3, 60), (4, 4, 62)]),
        song,
        coarse.decode(np.zeros((2, 1, 88), np.uint8)),
    ]
    sequences, changes = coarse.adapt(pieces)
    assert [sequence.shape for sequence in sequences] == [(4, 1, 88), (2, 1, 88), (2, 1, 88)]
    assert changes == ConversionReport(rounded=1, out_of_range=1)
    assert not coarse.adapt([])[1]
    with pytest.raises(LnfgenError, match="found text; expected music"):
        coarse.adapt(["a"])


BAND = MusicEncoding(num_pitches=49, parts=(Part("drums"), Part("bass"), Part("melody", 73)))


def band(*notes: list[tuple[int, int, int]]) -> PianoRoll:
    """A roll of the parts of `BAND`, with notes for each."""
    rolls = [PianoRoll.from_notes(own, num_steps=8) for own in notes]
    return PianoRoll.of_parts(rolls, BAND.parts)


def test_each_part_of_a_band_has_its_own_keys() -> None:
    roll = band([(0, 1, 36)], [(0, 4, 28)], [(2, 2, 72)])
    values = BAND.encode(roll)
    assert values.shape == (8, 3, 49)
    struck = [(0, 0, 36 - LOWEST["drums"]), (0, 1, 28 - LOWEST["bass"])]
    struck.append((2, 2, 72 - LOWEST["melody"]))
    assert [tuple(place) for place in np.argwhere(values == 3).tolist()] == struck
    decoded = BAND.decode(values)
    assert decoded == roll
    assert decoded.parts == BAND.parts
    assert BAND.pitch_range == range(LOWEST["bass"], LOWEST["melody"] + 49)


def test_notes_beyond_the_keys_of_their_part_are_counted() -> None:
    roll = band([], [(0, 1, 100), (4, 1, 30)], [(0, 1, 30)])
    assert BAND.num_beyond(roll) == 2
    sequences, changes = BAND.adapt([roll])
    assert changes == ConversionReport()  # they are moved by octaves
    assert np.count_nonzero(sequences[0]) == 3
    with_drum = band([(0, 1, 100)], [(0, 1, 30)], [])
    sequences, changes = BAND.adapt([with_drum])
    assert changes == ConversionReport(out_of_range=1)
    assert np.count_nonzero(sequences[0]) == 1


def test_keys_of_cells_from_another_pitch_on() -> None:
    cells = np.zeros((2, 3, 10), np.uint8)
    cells[:, :, 4] = 1  # C3, 48
    keys = BAND.keys_of(cells, 44)
    for part, role in enumerate(BAND.roles):
        assert np.flatnonzero(keys[0, part]).tolist() == [48 - LOWEST[role]]
