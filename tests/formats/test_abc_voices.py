"""A voice of an ABC tune plays its repeats, and its overlays sound together."""

from fractions import Fraction

import pytest

from lnfgen.formats.abc_voices import OVERLAY, Item, Voice, VoiceSound, lay_out
from lnfgen.formats.events import Events


def a_voice() -> Voice:
    return Voice("C", Fraction(1), (4, 4), {})


@pytest.mark.parametrize(
    ("music", "played"),
    [
        ("A B :|", "AB AB"),
        ("A ::|", "A A A"),
        ("A || B :|", "A B B"),
        ("A |: B :| C", "A B B C"),
        ("A |1 B :|2 C", "A B A C"),
        ("A |1,3 B :|2 C :| D", "A B A C A B D"),
    ],
)
def test_repeats_are_played_with_their_endings(music: str, played: str) -> None:
    voice = a_voice()
    for word in music.split():
        line = word.rstrip("0123456789,")
        if word.isalpha():
            voice.add(Fraction(4), {60: word})
        else:
            passes = [int(number) for number in word[len(line) :].split(",") if number]
            voice.end_bar(line, passes)
    sounds = [item for item in voice.items if isinstance(item, VoiceSound)]
    assert [sound.pitches[60] for sound in sounds] == list(played.replace(" ", ""))


def test_notes_of_a_tuplet_are_shorter_and_broken_ones_unequal() -> None:
    voice = a_voice()
    voice.tuplet_ratio = Fraction(2, 3)
    voice.tuplet_left = 1
    voice.broken = Fraction(1, 2)
    for _ in range(2):
        voice.add(Fraction(1), {60: "C"})
    first, second = voice.items
    assert isinstance(first, VoiceSound)
    assert isinstance(second, VoiceSound)
    assert (first.written, first.length) == (Fraction(2, 3), Fraction(1, 3))
    assert (second.written, second.length) == (1, 1)


def test_overlays_sound_from_the_last_bar_line_on() -> None:
    voice = a_voice()
    voice.add(Fraction(2), {60: "C"})
    voice.items.append(OVERLAY)
    voice.add(Fraction(4), {67: "G"})
    voice.end_bar("|", [])
    voice.add(Fraction(1), {72: "c"})
    events = Events()
    items: list[Item] = [90.0, *voice.items]
    lay_out(items, (4, 4), events)
    ((_, notes),) = events.tracks
    assert sorted(notes) == [(0, 2, 60), (0, 4, 67), (4, 5, 72)]
    assert (events.end, events.lines, events.tempos) == (5, [4], [(0, 90.0)])
