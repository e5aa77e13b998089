"""Figures of time on small pieces whose values can be counted by hand."""

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
from toy_music import band, struck_chords

from lnfgen.music import rhythm
from lnfgen.music.figures import music_figures
from lnfgen.music.lines import melody_bar_rate
from lnfgen.music.pianoroll import PianoRoll

C_MAJOR = (48, 55, 64, 72)
F_MAJOR = (53, 57, 65, 72)
G_SEVEN = (55, 59, 62, 65)


def test_the_longest_silence_lies_between_sounding_steps() -> None:
    # steps are eighths
    spread = struck_chords((), (), (), (60,), (), (62,), (), (), (62,), (), (), (), ())
    assert rhythm.longest_silence(spread) == 1
    assert rhythm.longest_silence(struck_chords((60,), (62,))) == 0
    assert rhythm.longest_silence(struck_chords((), (60,), ())) == 0
    assert math.isnan(rhythm.longest_silence(struck_chords((), ())))


def test_lengths_and_places_of_notes() -> None:
    # Eighths in 2/4: a bar has four steps. Lengths in steps are 1, 3, 2, 1, 1.
    notes = [(0, 1, 60), (1, 3, 62), (4, 2, 64), (6, 1, 65), (7, 1, 67)]
    roll = PianoRoll.from_notes(notes, steps_per_quarter=2, time_signature=(2, 4))
    assert rhythm.note_length(roll) == pytest.approx(8 / 5 / 2)
    assert rhythm.longest_note(roll) == pytest.approx(3 / 2)
    assert rhythm.notes_per_bar(roll) == pytest.approx(5 / 2)
    assert rhythm.off_quarter_rate(roll) == pytest.approx(2 / 5)
    assert rhythm.downbeat_rate(roll) == pytest.approx(2 / 5)
    # The onsets of the bars are 1100 and 1011: three of four places differ.
    assert rhythm.groove_consistency(roll) == pytest.approx(1 / 4)
    # a bar alone has no neighbour
    assert math.isnan(rhythm.groove_consistency(replace(roll, time_signature=(4, 4))))


def test_bars_are_those_after_an_upbeat() -> None:
    # an upbeat of an eighth, then the notes of the test above
    notes = [(0, 1, 59), (1, 1, 60), (2, 3, 62), (5, 2, 64), (7, 1, 65), (8, 1, 67)]
    plain = PianoRoll.from_notes(notes, steps_per_quarter=2, time_signature=(2, 4))
    roll = plain.with_upbeat(1)
    assert rhythm.downbeat_rate(roll) == pytest.approx(2 / 6)
    assert rhythm.off_quarter_rate(roll) == pytest.approx(3 / 6)
    assert rhythm.groove_consistency(roll) == pytest.approx(1 / 4)


def test_bars_that_came_before() -> None:
    a = (C_MAJOR, F_MAJOR)  # bars of 2/8
    b = (C_MAJOR, G_SEVEN)
    silence = ((), ())

    def of(*bars: Sequence[Sequence[int]], upbeat: int = 0) -> float:
        chords = [chord for bar in bars for chord in bar]
        roll = struck_chords(*chords, time_signature=(2, 8))
        return rhythm.repeat_rate(replace(roll, upbeat=upbeat))

    assert of(a, b) == 0
    assert of(a, b, a, a) == pytest.approx(2 / 4)
    assert of(a, silence, silence, a) == pytest.approx(1 / 2)
    assert of([F_MAJOR], a, b, a, upbeat=1) == pytest.approx(1 / 3)
    assert of(a, a, [C_MAJOR]) == pytest.approx(1 / 2)
    assert math.isnan(of(silence))
    notes = [(0, 1, 60), (1, 1, 60), (2, 2, 60)]
    held = PianoRoll.from_notes(notes, steps_per_quarter=2, time_signature=(2, 8))
    assert rhythm.repeat_rate(held) == 0  # the second bar is not struck again


def test_bars_that_are_no_whole_number_of_steps_are_not_compared() -> None:
    """A bar of 5/8 has two and a half quarters: equal bars have other places on that grid."""
    five = [(pitch,) for pitch in (60, 62, 64, 65, 67)] * 2
    roll = struck_chords(*five, time_signature=(5, 8), grid=1)
    for figure in (melody_bar_rate, rhythm.repeat_rate, rhythm.groove_consistency):
        assert math.isnan(figure(roll))


# For each signature: the steps of two bars, an upbeat, the beats in these bars, and the back beats.
BEATS = [
    ((4, 4), 32, 0, [0, 4, 8, 12, 16, 20, 24, 28], [4, 12, 20, 28]),
    ((3, 4), 24, 4, [4, 8, 12, 16, 20, 24], [8, 20]),
    ((6, 8), 24, 3, [3, 9, 15, 21], [9, 21]),
]


def drum_figure(name: str, pitch: int, steps: Sequence[int], num_steps: int = 128) -> float:
    """The figure of drums on one key, in 4/4."""
    piece = band(num_steps, drums=[(step, 1, pitch) for step in steps])
    return music_figures(4, piece.roles)[f"drums_{name}"].value(piece)


@pytest.mark.parametrize(("signature", "length", "upbeat", "beats", "back"), BEATS)
def test_beats_are_those_of_the_bar(
    signature: tuple[int, int], length: int, upbeat: int, beats: list[int], back: list[int]
) -> None:
    def of(name: str, pitch: int, steps: list[int]) -> float:
        drums = [(step, 1, pitch) for step in steps]
        piece = band(length + upbeat, upbeat, time_signature=signature, drums=drums)
        return music_figures(4, piece.roles)[f"drums_{name}"].value(piece)

    assert of("kick_beat_rate", 36, beats) == 1
    assert of("kick_beat_rate", 35, [1, 7, 14, 17]) == 0
    assert of("kick_downbeat_rate", 36, beats) == 2 / len(beats)
    assert math.isnan(of("kick_beat_rate", 38, beats))
    assert of("backbeat_rate", 40, back) == 1
    assert of("backbeat_rate", 38, beats) == 1, "snares elsewhere take nothing from it"
    assert of("backbeat_rate", 38, [back[0], 0]) == 1 / len(back)
    assert of("backbeat_rate", 36, beats) == 0


def test_a_snare_makes_no_back_beats_and_a_kick_no_share() -> None:
    """In eight bars there are sixteen back beats, and none without drums."""
    assert drum_figure("backbeat_rate", 38, [4]) == 1 / 16
    assert math.isnan(drum_figure("backbeat_rate", 38, []))
    for name in ("kick_beat_rate", "kick_downbeat_rate"):
        assert math.isnan(drum_figure(name, 36, [0, 16, 32]))
        assert drum_figure(name, 36, [0, 16, 32, 48]) == 1


def test_bars_of_silence_agree_in_no_groove() -> None:
    assert math.isnan(drum_figure("groove_consistency", 36, []))
    assert math.isnan(drum_figure("groove_consistency", 36, [0, 16, 32]))
    assert drum_figure("groove_consistency", 36, [0, 16, 32, 48]) == 1 - 1 / (7 * 16)
