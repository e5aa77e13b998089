"""A piano-roll as text can be read and written by a person, and a wrong line is named."""

import pytest

from lnfgen.errors import UnreadableFileError
from lnfgen.formats.read_write import read_bytes
from lnfgen.formats.rolltext import roll_from_text, roll_to_text
from lnfgen.music.parts import Part
from lnfgen.music.pianoroll import PianoRoll


def test_a_piano_roll_as_text_is_readable() -> None:
    roll = PianoRoll.from_notes(
        [(0, 2, 60), (0, 1, 64), (2, 1, 60)], num_steps=4, time_signature=(2, 16)
    )
    lines = roll_to_text(roll).splitlines()
    assert lines[:7] == [
        "# lnfgen piano-roll 1",
        "steps_per_quarter: 4",
        "tempo_bpm: 120.0",
        "time_signature: 2/16",
        "lowest_pitch: A0",
        "num_pitches: 88",
        "onsets: yes",
    ]
    assert lines[7:] == ["# bar 1", "C4! E4!", "C4", "# bar 2", "C4!", "."]
    text = "# lnfgen piano-roll 1\n\ntempo_bpm: 90\n# verse\nC#4! Eb4!\n  db4 \n.\n"
    roll = roll_from_text(text)
    assert (roll.notes(), roll.tempo_bpm, roll.num_steps) == ([(0, 2, 61), (0, 1, 63)], 90.0, 3), (
        "written by hand"
    )


def test_a_band_as_text_is_readable() -> None:
    rolls = [
        PianoRoll.from_notes(notes, num_steps=4)
        for notes in ([(0, 1, 36), (2, 1, 42)], [(1, 3, 40)])
    ]
    band = PianoRoll.of_parts(rolls, [Part("drums"), Part("bass", 33, (80, 72))])
    band = band.with_upbeat(2).in_range(36, 12)
    lines = roll_to_text(band).splitlines()
    assert lines[1] == "steps_per_quarter: 4"
    assert lines[4] == "upbeat: 2"
    assert lines[8:] == [
        "part: drums 0",
        "part: bass 33 80 72",
        "# bar 0",
        "C2! | .",
        ". | E2!",
        "# bar 1",
        "F#2! | E2",
        ". | E2",
    ]
    assert roll_from_text("\n".join(lines)) == band


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("C4! H4!\n", "line 2: 'H4' is no pitch"),
        ("C4!\n\n# bar\nC4 , E4\n", "line 5: ','"),
        ("tempo: 90\nC4\n", "line 2: unknown key 'tempo'"),
        ("tempo_bpm: fast\nC4\n", "line 2: tempo_bpm is 'fast'"),
        ("time_signature: 4/3\nC4\n", "power of two"),
        ("steps_per_quarter: 0\nC4\n", "0 steps per quarter"),
        ("onsets: no\nC4\nC4!\n", "line 4: C4! is struck"),
        ("C4!\nC9!\n", "line 3: C9 is outside"),
        ("part: flute 73\nC4\n", "line 2: part is 'flute 73'; expected a role such as bass"),
        ("part: bass 128\nC4\n", "line 2: part is 'bass 128'"),
        ("part: bass\nC4\n", "line 2: part is 'bass'"),
        ("part: bass 33\nC4 | E4\n", "line 3: found 1 of '|'; expected 0"),
        ("part: drums 0\npart: bass 33\nC2 | C4\nC2\n", "line 5: found 0 of '|'; expected 1"),
        ("num_pitches: 0\n.\n", "at least one step, part and pitch"),
        ("", "holds no steps"),
    ],
)
def test_a_line_that_does_not_fit_is_named(body: str, said: str) -> None:
    with pytest.raises(UnreadableFileError, match=r"roll\.txt") as caught:
        roll_from_text("# lnfgen piano-roll 1\n" + body, "roll.txt")
    assert said in str(caught.value)
    # and no prose
    with pytest.raises(UnreadableFileError, match="expected '# lnfgen piano-roll 1'"):
        read_bytes(b"# lnfgen piano-roll 2\n" + body.encode())
