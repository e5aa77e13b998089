"""The figures of a piece and of a band by their names."""

import math
from dataclasses import replace

import pytest
from toy_music import band, random_piece, song_of_band, struck_chords

from lnfgen.music.figures import music_figures, usual_voices
from lnfgen.music.parts import ROLES
from lnfgen.music.pianoroll import PianoRoll


def of_four(name: str, roll: PianoRoll) -> float:
    """The figure with this name, for music in four voices."""
    return music_figures(4)[name].value(roll)


def test_the_usual_voices() -> None:
    chord = (48, 55, 64, 72)
    assert usual_voices([struck_chords(chord, chord, (*chord, 76), (60,), ())]) == 4
    # silence is no number of voices; the smaller of two
    assert usual_voices([struck_chords((), (), (60,), (60, 64))]) == 1


def test_figures_that_are_shares_say_so() -> None:
    figures = music_figures(4, ROLES)
    not_named_rate = {name for name, figure in figures.items() if figure.is_share} - {
        name for name in figures if name.endswith("_rate")
    }
    assert not_named_rate == {
        "groove_consistency",
        "scale_consistency",
        *(f"{role}_groove_consistency" for role in ROLES),
    }
    assert not figures["parallel_rate"].is_share, "a chord change may have several parallels"
    for seed in range(3):
        piece = song_of_band(seed, wrong=0.5)
        for name, figure in figures.items():
            value = figure.value(piece)
            if figure.is_share and not math.isnan(value):
                assert 0 <= value <= 1, name


def test_transposition_changes_the_register_alone_and_columns_without_keys_change_nothing() -> None:
    roll = random_piece(1)
    for close in (10, 40):
        roll.sounding[close : close + 4] = roll.sounding[close]
        roll.onsets[close + 1 : close + 4] = False  # type: ignore[index]
    narrow = roll.in_range(41, 40)
    moves = (0, -12, -5, 1, 7)
    others = [narrow, *(roll.transposed(semitones) for semitones in moves[1:])]
    for name, figure in music_figures(2).items():
        of_register = name in ("top_pitch", "bass_pitch")
        expected = [figure.value(roll) + move * of_register for move in moves]
        assert [figure.value(other) for other in others] == pytest.approx(expected), figure.label
        assert not math.isnan(figure.value(replace(roll, onsets=None))), "onsets need not be known"


def test_the_label_of_a_single_key_is_in_the_singular() -> None:
    labels = [music_figures(number)["exact_polyphony_rate"].label for number in (1, 4)]
    assert labels == ["steps with exactly 1 key", "steps with exactly 4 keys"]


@pytest.mark.parametrize("num_steps", [1, 40])
def test_silence_has_defined_figures(num_steps: int) -> None:
    silent = struck_chords(*[()] * num_steps)
    values = {name: figure.value(silent) for name, figure in music_figures(4).items()}
    defined = {name: value for name, value in values.items() if not math.isnan(value)}
    assert defined == {"exact_polyphony_rate": 0}
    assert usual_voices([silent]) == 1


# Bands.


def four_bars() -> PianoRoll:
    """Four bars of 4/4 in sixteenths, of a band.

    The third has the drums of the first, and in the last one nothing sounds.
    """
    first = [(0, 1, 36), (8, 1, 35), (10, 1, 36), (4, 1, 38), (12, 1, 40), (0, 1, 42)]
    second = [(16, 1, 36), (22, 1, 38)]
    third = [(start + 32, length, pitch) for start, length, pitch in first]
    chords = [(0, 16, pitch) for pitch in (48, 52, 55)]  # C
    chords += [(16, 16, pitch) for pitch in (53, 57)]  # the third of F
    chords += [(32, 16, pitch) for pitch in (45, 52, 60, 67)]  # Am7, open
    return band(
        64,
        drums=[*first, *second, *third],
        bass=[(0, 4, 36), (4, 4, 40), (8, 8, 38), (16, 8, 36), (32, 8, 33), (48, 4, 41)],
        chords=chords,
        melody=[
            (0, 2, 72),
            (2, 2, 74),
            (4, 4, 76),
            (16, 2, 72),
            (18, 2, 74),
            (20, 4, 76),
            (48, 4, 65),
        ],
    )


def test_figures_of_the_parts_of_a_band() -> None:
    piece = four_bars()
    values = {name: figure.value(piece) for name, figure in music_figures(4, ROLES).items()}
    expected = {
        "drums_notes_per_bar": 14 / 4,
        "drums_polyphony": 14 / 12,
        "drums_different_keys": 5,
        "drums_silent_bar_rate": 1 / 4,
        # so many of the 48 places of neighbouring bars differ
        "drums_groove_consistency": 1 - 15 / 48,
        "drums_repeat_rate": 1 / 3,
        "drums_kick_downbeat_rate": 3 / 7,
        "drums_kick_beat_rate": 5 / 7,
        "drums_backbeat_rate": 4 / 8,
        "bass_notes_per_bar": 6 / 4,
        "bass_polyphony": 1,
        "bass_different_keys": 5,
        "bass_silent_bar_rate": 0,
        "bass_groove_consistency": 1 - 2 / 48,
        "bass_median_pitch": 37,
        "bass_longest_note": 2,
        "chords_notes_per_bar": 9 / 4,
        "chords_polyphony": 3,
        "chords_different_keys": 8,
        "chords_silent_bar_rate": 1 / 4,
        "chords_groove_consistency": 1 - 1 / 48,
        "chords_median_pitch": 53,
        "chords_longest_note": 4,
        "melody_notes_per_bar": 7 / 4,
        "melody_polyphony": 1,
        "melody_different_keys": 4,
        "melody_silent_bar_rate": 1 / 4,
        "melody_groove_consistency": 1 - 4 / 48,
        "melody_median_pitch": 74,
        "melody_longest_note": 1,
        "bass_chord_rate": 3 / 5,  # C and E on C; neither D there nor C on the third of F; A on Am7
        "bass_root_rate": 2 / 5,
    }
    whole = set(music_figures(4))
    of_parts = {name: value for name, value in values.items() if name not in whole}
    assert of_parts == pytest.approx(expected)
    of_drums = {name for name in expected if "drums" in name}
    assert set(music_figures(4, ["drums"])) - whole == of_drums


def test_a_band_has_the_figures_of_its_pitched_parts_and_repeats_of_its_melody() -> None:
    piece = song_of_band(1)
    for name, figure in music_figures(3).items():
        plain = piece.part(3) if name.startswith("melody") else piece.merged
        assert figure.value(piece) == pytest.approx(figure.value(plain), nan_ok=True), name
    assert usual_voices([piece]) == usual_voices([piece.merged]) > 1
    drums_alone = band(64, drums=[(0, 1, 36), (16, 1, 36)])
    assert of_four("downbeat_rate", drums_alone) == 1
    assert of_four("repeat_rate", drums_alone) == 0.5


def test_a_band_in_another_key_has_other_pitches_alone() -> None:
    piece = song_of_band(2, wrong=0.3)
    moved = piece.transposed(5)
    for name, figure in music_figures(4, ROLES).items():
        expected = figure.value(piece) + 5 * name.endswith("pitch")
        assert figure.value(moved) == pytest.approx(expected, nan_ok=True), name
