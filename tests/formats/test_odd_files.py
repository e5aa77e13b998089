"""Of any legal MIDI file, what is not taken out or moved keeps its tick and its bytes."""

import random
import struct
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from midi_hexdumps import END, midi
from odd_midi import (
    END_OF_TRACK,
    KEY_SIGNATURE,
    TEMPO,
    RawEvent,
    RawFile,
    is_meta,
    is_note,
    odd_file,
    raw_file,
)
from reading import one_song

import lnfgen
from lnfgen.formats.midi import midi_bytes, read_midi
from lnfgen.formats.song import at_tempo, kept_tracks, midi_of, transposed_song
from lnfgen.music.notes import Note
from lnfgen.music.parts import Part
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Song

NOTES = "00 90 3C 40  10 80 3C 00  00 90 40 40  10 80 40 00  00 90 43 40  10 80 43 00"
ODD = {
    "real-time": f"00 F8  {NOTES} 00 FA 00 FB 01 FC 00 FE {END}",
    "real-time, with running status behind it": f"{NOTES} 00 90 30 40 04 F8 04 30 00 {END}",
    "an escape": f"00 F7 03 01 02 03  {NOTES} {END}",
    "an escape with bytes over 7F": f"{NOTES} 00 F7 04 90 3C FF F8 {END}",
    "system-exclusive in pieces": f"00 F0 03 43 12 00 04 F7 02 43 12 04 F7 02 43 F7 {NOTES} {END}",
    "system-exclusive without an end": f"{NOTES} 00 F0 02 43 12 {END}",
    "system common": f"{NOTES} 00 F1 03 00 F2 01 02 00 F3 04 00 F6 {END}",
    "a tempo of five bytes": f"00 FF 51 05 07 A1 20 01 02 {NOTES} {END}",
    "a time signature of six bytes": f"00 FF 58 06 04 02 18 08 01 02 {NOTES} {END}",
    "a key that MIDI does not define": f"00 FF 59 02 09 05 00 FF 59 03 02 01 02 {NOTES} {END}",
    "a key in no mode, and none at all": f"00 FF 59 02 FB 02 00 FF 59 00 {NOTES} {END}",
    "meta events of other lengths": f"00 FF 21 00 00 FF 54 01 02 00 FF 20 02 01 02 {NOTES} {END}",
    "lengths that are longer than they need be": f"80 00 FF 01 80 80 02 61 62 {NOTES} {END}",
    "times that are longer than they need be": f"80 80 00 90 30 40 80 04 80 30 00 {NOTES} {END}",
    "an event behind the end": f"{NOTES} {END} 00 FF 01 01 61",
    "no end": NOTES,
}


def require_kept(before: bytes, song: Song) -> None:
    """Write the song in each way, and compare each event with its file, `before`."""
    old = raw_file(before)
    require_drawn_in(old, song)
    for semitones in (0, 5):
        moved = transposed_song(song, semitones).origin.midi
        assert moved is not None
        assert len(moved) == len(before)
        same_but_for(old, raw_file(moved), partial(in_other_key, semitones=semitones))
    at_new_tempo = at_tempo(song, 90.0).origin.midi
    assert at_new_tempo is not None
    new = raw_file(at_new_tempo)
    assert is_meta(new.tracks[0][0], TEMPO)
    same_container(old, new)
    for index, (own, written) in enumerate(zip(old.tracks, new.tracks, strict=True)):
        others = [event for event in own if not is_meta(event, TEMPO)]
        assert written[int(index == 0) :] == others
    silent = replace(song.origin, tracks=tuple(replace(t, kept=False) for t in song.origin.tracks))
    new = raw_file(kept_tracks(replace(song, origin=silent)))
    same_container(old, new)
    for own, written in zip(old.tracks, new.tracks, strict=True):
        gone = [event for event in own if event not in written]
        assert all(is_note(event) for event in gone)
        assert [event for event in own if not is_note(event)] == [
            event for event in written if not is_note(event)
        ]


def same_container(old: RawFile, new: RawFile) -> None:
    """The same header and chunks, but for the content of tracks."""
    assert (old.kind, old.division, old.more_header) == (new.kind, new.division, new.more_header)
    assert old.others == new.others
    assert old.tail == new.tail


def same_but_for(old: RawFile, new: RawFile, changed: Callable[[RawEvent], RawEvent]) -> None:
    same_container(old, new)
    for own, written in zip(old.tracks, new.tracks, strict=True):
        assert [changed(event) for event in own] == written


def in_other_key(event: RawEvent, semitones: int) -> RawEvent:
    tick, status, data = event
    if status >> 4 in (8, 9, 10) and status & 15 != 9:
        return tick, status, bytes([data[0] + semitones, *data[1:]])
    if is_meta(event, KEY_SIGNATURE) and data[1] > 1 and semitones:
        sharps = (data[2] + 128) % 256 - 128
        if -7 <= sharps <= 7 and data[3] < 2:
            moved = (sharps + 7 * semitones + 6) % 12 - 6
            return tick, status, bytes([*data[:2], moved % 256, *data[3:]])
    return event


def require_drawn_in(old: RawFile, song: Song) -> None:
    """Have a model draw all steps of the second quarter of a piece, and look at its file."""
    steps = song.roll.num_steps
    drawn = np.zeros((steps, song.roll.num_parts, 128), np.bool_)
    drawn[steps // 4 : steps // 2] = True
    require_file_of(old, replace(song, drawn=drawn))


def require_file_of(old: RawFile, song: Song) -> None:
    """The file that was drawn in has all of its own events but for notes in drawn places."""
    assert song.drawn is not None
    new = raw_file(midi_of(song, drawn_name="fill"))
    added = len(new.tracks) - len(old.tracks)
    assert new.kind == (1 if added else old.kind)
    assert (new.division, new.more_header, new.tail) == (old.division, old.more_header, old.tail)
    assert new.others == [*old.others, *[(b"MTrk", b"")] * added]
    (division,) = struct.unpack(">H", old.division)
    ticks = division / song.roll.steps_per_quarter
    for own, written in zip(old.tracks, new.tracks, strict=False):
        at = 0
        sounding: set[tuple[int, int]] = set()  # the keys whose strike is taken out
        for event in own:
            if at < len(written) and event == written[at]:
                at += 1
                continue
            tick, status, data = event
            assert is_note(event), event
            key = status & 15, data[0]
            if status >> 4 == 9 and data[1]:
                step = int(tick / ticks + 0.5)
                assert song.drawn[step, :, data[0]].any()
                sounding.add(key)
            else:
                assert key in sounding
        assert at == len(written), "nothing is new or moved in a track of the file"
    for written in new.tracks[len(old.tracks) :]:
        assert is_meta(written[-1], END_OF_TRACK)
        for tick, status, data in written:
            if status >> 4 == 9:
                assert song.drawn[round(tick / ticks), :, data[0]].any()


@pytest.mark.parametrize("odd", ODD)
def test_odd_events_stay_as_they_are(odd: str) -> None:
    content = midi(ODD[odd], f"00 91 30 40  30 81 30 00 {END}", division=16)
    require_kept(content, one_song(read_midi(content)))


def test_a_file_of_format_0_may_have_two_tracks() -> None:
    content = midi(f"{NOTES} {END}", f"00 91 30 40  30 81 30 00 {END}", kind=0, division=16)
    require_kept(content, one_song(read_midi(content)))


def test_other_chunks_and_a_longer_header_stay_in_their_places() -> None:
    plain = midi(f"{NOTES} {END}", f"00 91 30 40  30 81 30 00 {END}", division=16)
    header = plain[:4] + struct.pack(">L", 9) + plain[8:14] + b"abc"
    second = plain.rindex(b"MTrk")
    alien = b"XFIH\0\0\0\3abc"
    content = header + alien + plain[14:second] + alien * 2 + plain[second:] + alien + b"tail"
    require_kept(content, one_song(read_midi(content)))


# Many files.


def tracks_of_notes(rng: np.random.Generator) -> PianoRoll:
    """A band of 16 bars, as large as a song of a few minutes in a format of one track for each."""
    rolls: list[PianoRoll] = []
    for lowest in (35, 36, 55, 67):
        notes: list[Note] = []
        for step in range(0, 256, 4):
            start = step + int(rng.integers(0, 3))
            notes.append((start, int(rng.integers(1, 6)), lowest + int(rng.integers(0, 12))))
        rolls.append(PianoRoll.from_notes(notes, num_steps=264))
    roles = ("drums", "bass", "chords", "melody")
    return PianoRoll.of_parts(rolls, [Part(role, program) for program, role in enumerate(roles)])


def make_and_keep(count: int, first: int = 0) -> None:
    plain = midi_bytes(tracks_of_notes(np.random.default_rng(first)))
    expected = one_song(read_midi(plain)).roll
    for number in range(first, first + count):
        rng = random.Random(number)
        content = odd_file(plain, rng)
        parts = rng.choice(((), ("drums", "bass", "chords", "melody")))
        song = one_song(read_midi(content, f"file {number}", roles=parts))
        assert song.origin.midi == content
        if not parts:
            assert song.roll.notes() == expected.notes(), number
        require_kept(content, song)


def test_odd_files_are_kept() -> None:
    make_and_keep(20)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 2000, 250))
def test_many_odd_files_are_kept(first: int) -> None:
    make_and_keep(250, first)


def fill_odd_files(count: int, first: int = 0) -> None:
    """Fill bars of files by the model in the box."""
    model = lnfgen.load("chorales")
    rng = np.random.default_rng(first)
    for number in range(first, first + count):
        notes = [(step, 4, 60 + int(rng.integers(0, 12))) for step in range(0, 64, 4)]
        content = odd_file(midi_bytes(PianoRoll.from_notes(notes)), random.Random(number))
        own = one_song(read_midi(content))
        (song,) = model.fill(own, "bars:2", particles=1, seed=number)
        assert isinstance(song, Song)
        require_file_of(raw_file(content), song)


def test_an_odd_file_is_filled() -> None:
    fill_odd_files(1)


@pytest.mark.slow
def test_odd_files_are_filled() -> None:
    fill_odd_files(20, 100)


@pytest.mark.slow
def test_real_files_with_odd_events_are_kept(shared_data: Callable[[str], Path]) -> None:
    for folder, apart in (("freedoom-midi", 12), ("pop909-midi", 100), ("nottingham-midi", 100)):
        for path in sorted(shared_data(folder).glob("*.mid"))[::apart]:
            content = odd_file(path.read_bytes(), random.Random(path.name), many=40)
            song = one_song(read_midi(content, str(path)))
            old = raw_file(content)
            moved = transposed_song(song, 1).origin.midi
            assert moved is not None
            same_but_for(old, raw_file(moved), partial(in_other_key, semitones=1))
            require_drawn_in(old, song)
