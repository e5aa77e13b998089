"""Files of clients become songs that the model hears, or one line."""

import random

import numpy as np
import pytest
from fuzz_readers import READERS, mutant
from toy_bands import band_encoding, band_file

from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.errors import LnfgenError
from lnfgen.formats.midi import midi_bytes
from lnfgen.formats.song import midi_of
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.serving.opened_files import base_name, open_file, opened

ENCODING = MusicEncoding(fills_upbeats=True)
TUNE = PianoRoll.from_notes([(4 * place, 4, 60 + place) for place in range(16)])
TUNES = b"""X:1
T:One
L:1/4
K:G
GABc|dcBA|
X:2
T:Two
L:1/4
K:D
DEFG|
"""


def test_a_file_is_on_the_grid_and_the_keys_of_the_model() -> None:
    found = open_file(
        MusicEncoding(steps_per_quarter=2, fills_upbeats=True), midi_bytes(TUNE), "a.mid"
    )
    assert found.song.roll.steps_per_quarter == 2
    assert found.song.roll.num_pitches == 128
    assert found.song.num_drawn == 0
    assert found.song.origin.midi == midi_bytes(TUNE)
    assert midi_of(found.song) == midi_bytes(TUNE)
    assert found.remarks == []


def test_a_band_has_its_parts() -> None:
    song = open_file(band_encoding(), band_file(), "band.mid").song
    assert song.roll.roles == band_encoding().roles
    assert song.roll.sounding.any(axis=(0, 2)).all()


def test_the_first_of_several_pieces_is_opened_and_said() -> None:
    found = open_file(ENCODING, TUNES, "tunes.abc")
    assert found.song.origin.title == "One"
    assert found.remarks[0] == "tunes.abc holds 2 pieces; this is the first one"


def test_what_the_model_does_not_hear_is_said() -> None:
    found = opened(ENCODING, band_file(), "band.mid")
    assert "the model hears 3 of 4 tracks; the others stay" in found.remarks


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        (b"", "song.mid", "is empty"),
        (b"MThd", "song.mid", "song.mid"),
        (b"hello", "song.txt", "has the suffix '.txt'; expected one of .mid"),
        (b"hello", "song", "has the suffix 'none'"),
        (midi_bytes(PianoRoll.of_one(np.zeros((4, 88), np.bool_))), "silent.mid", "note"),
    ],
)
def test_what_is_no_music_is_refused_in_one_line(content: bytes, name: str, words: str) -> None:
    with pytest.raises(LnfgenError) as error:
        open_file(ENCODING, content, name)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("reader", ["mid", "musicxml", "abc"])
def test_hostile_files_are_opened_or_refused_in_one_line(reader: str) -> None:
    """In a child process, whose end is a line too."""
    valid = READERS[reader].valid()
    rng = random.Random(1)
    for _ in range(25):
        content = mutant(READERS[reader], valid, rng)
        try:
            found = open_file(ENCODING, content, f"file.{reader}")
        except LnfgenError as error:
            message = str(error)
        else:
            assert found.song.roll.sounding.any()
            continue
        assert message.count("\n") == 0


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("my song.mid", "my song"),
        ("/etc/passwd.mid", "passwd"),
        ("C:\\music\\tune.abc", "tune"),
        ("a\nb\x1b[31m.mid", "a b [31m"),
        (".mid", ".mid"),
        ("", "a file"),
        ("\udc80.mid", "?"),
        ("x" * 300 + ".mid", "x" * 100),
    ],
)
def test_a_take_is_named_after_its_file(name: str, base: str) -> None:
    assert base_name(name) == base
