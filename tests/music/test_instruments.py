"""Instruments of General MIDI by their numbers, names and parts of names."""

import pytest

from lnfgen.errors import LnfgenError
from lnfgen.music.instruments import INSTRUMENTS, Programs, programs_of


def test_the_table_has_each_instrument_where_general_midi_has_it() -> None:
    assert len(set(INSTRUMENTS)) == 128
    # the first of each family of eight, as the standard lists them from 1 on, and the last of all
    assert INSTRUMENTS[::8] == (
        "Acoustic Grand Piano",
        "Celesta",
        "Drawbar Organ",
        "Acoustic Guitar (nylon)",
        "Acoustic Bass",
        "Violin",
        "String Ensemble 1",
        "Trumpet",
        "Soprano Sax",
        "Piccolo",
        "Lead 1 (square)",
        "Pad 1 (new age)",
        "FX 1 (rain)",
        "Sitar",
        "Tinkle Bell",
        "Guitar Fret Noise",
    )
    assert INSTRUMENTS[127] == "Gunshot"
    for number, name in enumerate(INSTRUMENTS):
        assert programs_of(name) == [number]


@pytest.mark.parametrize(
    ("asked", "programs"),
    [
        (0, [0]),
        ("73", [73]),
        ([73, "oboe"], [73, 68]),
        ("flute, 48,String Ensemble 1", [73, 48, 48]),
        ("FLUTE", [73]),  # and not the Pan Flute
        ("violin", [40]),
        ("acoustic bass", [32]),
        ("church organ", [19]),
        ("honky tonk", [3]),
        ("nylon", [24]),
        ("Acoustic Guitar nylon", [24]),
        ("synthstrings 2", [51]),
        ("harpsi", [6]),
    ],
)
def test_an_instrument_has_a_number_a_name_or_a_part_of_one(
    asked: Programs, programs: list[int]
) -> None:
    assert programs_of(asked) == programs


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("128", "expected 0 to 127 or a name of General MIDI"),
        ("-1", "expected 0 to 127 or a name of General MIDI"),
        ("kazoo", "expected 0 to 127 or a name of General MIDI"),
        ("", "expected 0 to 127 or a name of General MIDI"),
        ("9" * 6000, "expected 0 to 127 or a name of General MIDI"),
        ("flute,", "expected 0 to 127 or a name"),
        ("♯", "expected 0 to 127 or a name"),
        (128, "expected 0 to 127 or a name"),
        (
            "Sax",
            "'Sax'; expected one of 64 Soprano Sax, 65 Alto Sax, 66 Tenor Sax, 67 Baritone Sax",
        ),
        ("electric piano", "expected one of 4 Electric Piano 1, 5 Electric Piano 2"),
        (
            "strings",
            "44 Tremolo Strings, 45 Pizzicato Strings, 50 Synth Strings 1, 51 Synth Strings 2",
        ),
        ("a", "expected 0 to 127 or a name"),  # nearly all have it
    ],
)
def test_none_and_several_are_said_in_a_line(asked: Programs, said: str) -> None:
    with pytest.raises(LnfgenError) as caught:
        programs_of(asked)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 300
