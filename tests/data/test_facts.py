"""Facts of pieces, files and datasets, and words on what pieces lose."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from midi_hexdumps import END, midi
from toy_dataset import write_dataset

from lnfgen.data.facts import (
    chord_facts,
    dataset_facts,
    file_facts,
    piece_facts,
    report_in_words,
)
from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.data.text_encoding import TextEncoding
from lnfgen.formats.midi import read_midi
from lnfgen.formats.text import UNKNOWN
from lnfgen.music.chart import ChordChange
from lnfgen.music.chord import parse_chord
from lnfgen.music.conversion import ConversionReport
from lnfgen.music.key_signature import KeySignature
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Origin, Song


def test_the_facts_of_a_piece_of_music() -> None:
    facts = piece_facts(PianoRoll.from_notes([(0, 4, 60), (4, 4, 64), (4, 4, 67)], num_steps=16))
    assert (facts["steps"], facts["bars"], facts["notes"]) == (16, 1, 3)
    assert (facts["lowest_note"], facts["highest_note"]) == ("C4", "G4")
    assert facts["notes_per_sounding_step"] == 1.5
    assert "parts" not in facts
    assert "tracks" not in facts
    song = Song(PianoRoll.from_notes([(0, 4, 60)]), Origin(title="A tune"))
    assert (piece_facts(song)["title"], facts["title"]) == ("A tune", None)
    silent = piece_facts(PianoRoll(np.zeros((4, 1, 88), np.bool_), None))
    assert (silent["lowest_note"], silent["notes_per_sounding_step"]) == (None, 0.0)


def test_chords_are_spelled_under_the_signature() -> None:
    chords = (ChordChange(Fraction(0), parse_chord("F#")),)
    roll = PianoRoll.from_notes([(0, 4, 66), (0, 4, 70), (0, 4, 73)])
    for sharps, name in ((6, "F#"), (-6, "Gb")):
        song = Song(roll, Origin(key=KeySignature(sharps), chords=chords))
        assert chord_facts(song) == [{"start": 0.0, "chord": name}]


def test_drums_alone_have_no_keys_a_step() -> None:
    content = midi(f"00 99 24 40  04 89 24 00 {END}")
    (song,) = read_midi(content, roles=["drums"])
    facts = piece_facts(song)
    assert (facts["notes"], facts["notes_per_sounding_step"]) == (1, 0.0)


@pytest.mark.parametrize(
    ("text", "lines", "longest"), [("one\nthree", 2, 5), ("one\n", 1, 3), ("", 0, 0)]
)
def test_the_facts_of_a_text(text: str, lines: int, longest: int) -> None:
    facts = piece_facts(text)
    assert (facts["kind"], facts["characters"]) == ("text", len(text))
    assert (facts["lines"], facts["longest_line"]) == (lines, longest)


def test_the_facts_of_a_file_add_up() -> None:
    one = piece_facts("one\ntwo\n")
    assert file_facts([one]) == one
    assert file_facts([one, piece_facts("three")]) == {
        "kind": "text",
        "pieces": 2,
        "characters": 13,
        "lines": 3,
    }


def test_the_facts_of_a_dataset(tmp_path: Path) -> None:
    music = MusicEncoding(num_pitches=5)
    dataset = write_dataset(
        tmp_path / "m",
        name="m",
        encoding=music,
        splits={"train": [np.ones((3, 1, 5), np.uint8)]},
        time_signatures={"train": [(3, 4)]},
    )
    facts = dataset_facts(dataset)
    assert (facts["holds"], facts["num_pitches"], facts["train_steps"]) == ("music", 5, 3)
    assert (facts["time_signature"], facts["time_signatures"]) == ("4/4", "3/4: 1")
    text = TextEncoding((UNKNOWN, "a"))
    dataset = write_dataset(
        tmp_path / "t", name="t", encoding=text, splits={"train": [text.encode("aa")]}
    )
    facts = dataset_facts(dataset)
    assert (facts["holds"], facts["vocabulary"]) == ("text", 2)
    assert "time_signature" not in facts


def test_each_loss_has_a_line() -> None:
    lost = ConversionReport(notes=10, rounded=10, rounded_2=9, rounded_3=1, rounded_6=0, merged=2)
    lost += ConversionReport(
        overlapping=1, out_of_range=3, unread_chords=1, tempo_changes=2, pedal_changes=4
    )
    assert report_in_words(lost, 4) == [
        "rounded 10 of 20 starts and ends of notes to 4 steps per quarter;"
        " --steps-per-quarter 12 would round 1",
        "merged 2 of 10 notes with another of the same key and start",
        "struck a key that sounds already, at 1 of 10 notes",
        "left out 3 notes outside a piano's 88 keys (A0 to C8)",
        "left out 1 text in the place of chord symbols, which name no chord",
        "a piano-roll has one tempo and time signature; left out changes: 2 of tempo",
        "a piano-roll has no velocities, pitch bends or pedal; left out changes: 4 of pedal",
    ]
    assert report_in_words(ConversionReport(notes=3), 4) == []
