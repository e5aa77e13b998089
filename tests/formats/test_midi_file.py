"""A MIDI file that is read and written again has the same bytes, but for what changed."""

import random
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from midi_hexdumps import END, midi
from odd_midi import odd_file, raw_file
from strategies import rolls

from lnfgen.errors import LnfgenError, UnreadableFileError
from lnfgen.formats.midi import midi_bytes, read_midi
from lnfgen.formats.midi_file import (
    Event,
    MidiFile,
    events_in,
    file_bytes,
    new_file,
    number_bytes,
    read_file,
)
from lnfgen.music.pianoroll import PianoRoll

NOTES = "00 90 3C 40  04 80 3C 00"


@given(rolls(), st.sampled_from((None, 3)), st.integers(0, 2**32))
def test_what_is_read_is_written_with_the_same_bytes(
    roll: PianoRoll, voices: int | None, seed: int
) -> None:
    plain = midi_bytes(roll, voices=voices)
    for content in (plain, odd_file(plain, random.Random(seed))):
        file = read_file(content)
        assert file_bytes(file) == content
        # The reader of the tests finds the same events.
        raw = raw_file(content)
        for own, other in zip(file.tracks, raw.tracks, strict=True):
            assert [(event.tick, event.status, event.head + event.data) for event in own] == other


def test_real_files_are_written_with_the_same_bytes(shared_data: Callable[[str], Path]) -> None:
    for folder in ("nottingham-midi", "freedoom-midi", "pop909-midi"):
        for path in sorted(shared_data(folder).glob("*.mid"))[::40]:
            content = path.read_bytes()
            assert file_bytes(read_file(content)) == content, path


def written(track: str, *gone: int) -> str:
    """A track without the events at some places, in hexadecimal."""
    events = events_in(bytes.fromhex(track))
    kept = [event for place, event in enumerate(events) if place not in gone]
    content = file_bytes(new_file(1, 4, [kept]))
    return content[22:].hex(" ").upper()


def test_running_status_is_written_where_it_was_and_is_still_right() -> None:
    track = "00 90 3C 40 04 3C 00 00 FF 01 01 61 00 3E 40 02 F8 02 3E 00 00 C0 05 00 06"
    assert written(track) == track
    # Without the first event, and without that before the last one, the next has its status.
    assert written(track, 0).startswith("04 90 3C 00 00 FF 01 01 61 00 3E 40 02 F8 02 3E 00")
    assert written(track, 6).endswith("02 3E 00 00 C0 06")
    # A status that was written where it need not be is written still.
    assert written("00 90 3C 40 04 90 3C 00 00 90 3E 40", 1) == "00 90 3C 40 04 90 3E 40"


def test_times_are_written_as_they_were_unless_they_changed() -> None:
    track = "80 00 90 3C 40 80 04 3C 00 81 80 00 3E 40"
    assert written(track) == track
    assert written(track, 1) == "80 00 90 3C 40 81 80 04 3E 40"


@given(st.integers(0, 2**32))
def test_numbers_of_variable_length(number: int) -> None:
    content = number_bytes(number) + bytes.fromhex("F8")
    (event,) = events_in(content)
    assert event == Event(number, 0xF8, b"", gap=content[:-1])


def test_the_parts_of_a_file() -> None:
    plain = midi(f"{NOTES} {END}", END)
    alien = b"XFIH" + struct.pack(">L", 3) + b"abc"
    head = plain[:4] + struct.pack(">L", 8) + plain[8:14] + b"xy"
    second = plain.rindex(b"MTrk")
    file = read_file(head + alien + plain[14:second] + alien + plain[second:] + b"tail")
    assert (file.kind, file.division, file.more_header) == (1, 4, b"xy")
    assert file.others == [alien, alien, b"tail"]
    note = file.tracks[0]
    assert note[0] == Event(0, 0x90, b"\x3c\x40", gap=b"\0")
    assert note[2] == Event(4, 0xFF, b"", head=b"\x2f\0", gap=b"\0")
    file.add([Event(0, 0xFF, b"", head=b"\x2f\0")])
    assert file.others == [alien, alien, b"", b"tail"]
    assert file_bytes(file).endswith(midi(END)[14:] + b"tail")


@pytest.mark.parametrize(
    ("track", "said"),
    [
        ("00 3C 40", "running status"),
        (f"{NOTES} 00 F0 01 F7 00 3C 40", "running status"),
        (f"{NOTES} 00 F6 00 3C 40", "running status"),
        ("00 90 3C 80", "data byte"),
        ("00 F1 80", "data byte"),
        ("00 F4", "undefined status byte 0xf4"),
        ("00 FD", "undefined status byte 0xfd"),
        ("00 90 3C", "too early"),
        ("00", "too early"),
        ("80", "too early"),
        ("00 FF", "too early"),
        ("00 FF 01", "too early"),
        ("00 FF 01 05 61", "too early"),
        ("00 F7 02 00", "too early"),
        ("80 80 80 80 80 80 80 80 80 00 F8", "over 8 bytes"),
    ],
)
def test_a_damaged_track_is_refused_in_one_line(track: str, said: str) -> None:
    content = midi(END, track)
    with pytest.raises(UnreadableFileError, match=r"song\.mid is a damaged MIDI file") as caught:
        read_file(content, "song.mid")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_tempo_or_time_signature_that_is_too_short_is_refused_in_one_line() -> None:
    for setting in ("FF 51 02 07 A1", "FF 58 03 04 02 18"):
        with pytest.raises(UnreadableFileError, match=r"song\.mid is a damaged MIDI file: a t"):
            read_midi(midi(f"00 {setting} {NOTES} {END}"), "song.mid")


def test_a_file_may_have_more_tracks_than_half_of_what_a_header_can_count() -> None:
    """Read as a number with a sign, their count would be below 0."""
    content = midi(f"{NOTES} {END}") + midi(END)[14:] * 0x7FFF
    content = content[:10] + b"\x80\0" + content[12:]
    assert file_bytes(read_file(content)) == content
    (song,) = read_midi(content)
    assert song.roll.notes() == [(0, 4, 60)]
    with pytest.raises(UnreadableFileError, match="promises 32,768 tracks, 32767 are there"):
        read_file(content[:-12])
    with pytest.raises(LnfgenError, match="65,536 tracks; a MIDI file holds at most 65,535"):
        file_bytes(new_file(1, 4, [[]] * 0x10000))


def test_new_files_have_nothing_else() -> None:
    assert new_file(0, 96, [[]]) == MidiFile(0, 96, [[]], [b"", b""])
