"""A person's file of a band, in which parts are drawn: all else stays as it was."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import mido
import numpy as np
import pytest
from own_files import drawn, messages, parsed, starts
from reading import one_song
from toy_bands import FOUR, band_encoding, band_file

from lnfgen.formats.read_write import read_bytes, to_bytes
from lnfgen.formats.song import midi_of, transposed_song
from lnfgen.inference.known_music import KnownMusic
from lnfgen.inference.known_part import known_melody, known_part
from lnfgen.music.song import Song

TICKS = 120  # of a step
BAND_WORDS = [
    ["part:melody"],
    ["bars:2-3,part:drums", "part:bass"],
    ["bars:1"],
    ["part:chords,voice:2"],
]


def own_band(**how: str) -> Song:
    return one_song(read_bytes(band_file(), "song.mid", ".mid", **(how or {"parts": "4"})))


def taken_notes(hidden: np.ndarray, track: mido.MidiTrack) -> set[tuple[int, int]]:
    """The notes (tick, pitch) of a track that begin in these hidden cells, bool [T, 128]."""
    taken = set()
    for tick, pitch, _ in starts(track):
        if hidden[int(tick / TICKS + 0.5), pitch]:
            taken.add((tick, pitch))
    return taken


def places(notes: Sequence[tuple[int, int, int]]) -> list[tuple[int, int]]:
    """(tick, pitch) of notes."""
    return [(tick, pitch) for tick, pitch, _ in notes]


@pytest.mark.parametrize("words", BAND_WORDS)
def test_tracks_of_a_file_keep_all_that_was_not_drawn(words: list[str]) -> None:
    own = own_band()
    assert [track.role for track in own.origin.tracks] == ["drums", "bass", "chords", "melody"]
    part = known_part(band_encoding(), own, words)
    assert isinstance(part, KnownMusic)
    before = parsed(band_file()).tracks
    after = parsed(to_bytes(drawn(part), ".mid")).tracks
    assert messages(after[0]) == messages(before[0])
    added = {track.name.split()[-1] for track in after[5:]}
    for number, role in enumerate(own.roll.roles):
        old = before[number + 1]
        new = after[number + 1]
        taken = taken_notes(part.hidden_cells[:, number], old)
        assert set(places(starts(old))) - taken == set(places(starts(new)))
        assert not Counter(messages(new)) - Counter(messages(old)), "nothing is added"
        if taken:
            assert role in added
        else:
            assert messages(new) == messages(old)


@pytest.mark.parametrize("words", BAND_WORDS)
def test_drawn_parts_have_tracks_that_play_like_the_others(words: list[str]) -> None:
    own = own_band()
    part = known_part(band_encoding(), own, words)
    assert isinstance(part, KnownMusic)
    song = drawn(part)
    before = parsed(band_file()).tracks
    tracks = {track.name.split()[-1]: track for track in parsed(to_bytes(song, ".mid")).tracks[5:]}
    for role, track in tracks.items():
        number = own.roll.roles.index(role)
        expected = []
        for start, _, pitch in song.roll.notes(number):
            if part.hidden_cells[start, number, pitch]:
                expected.append((TICKS * start, pitch))
        assert places(starts(track)) == expected
        own_loudness = [velocity for *_, velocity in starts(before[number + 1])]
        loudness = [velocity for *_, velocity in starts(track)]
        assert min(own_loudness) <= min(loudness)
        assert max(loudness) <= max(own_loudness)
        channels = {message.channel for message in track if hasattr(message, "channel")}
        if role == "drums":
            assert (programs(track), channels) == ([], {9})
        else:
            assert programs(track) == [own.roll.parts[number].program]
            assert 9 not in channels


def programs(track: mido.MidiTrack) -> list[int]:
    return [message.program for message in track if message.type == "program_change"]


def test_a_part_that_a_file_lacks_comes_with_its_usual_program_and_velocities() -> None:
    bass_part = replace(FOUR[1], program=38, velocities=(70, 71, 72, 73))
    encoding = band_encoding((FOUR[0], bass_part, *FOUR[2:]))
    contents = []
    for own in (own_band(tracks="4", parts="4"), own_band(tracks="4")):
        song = drawn(known_melody(encoding, own))
        contents.append(midi_of(song))
        *_, bass, chords = parsed(midi_of(song, programs=[4, 5, 6])).tracks
        assert (bass.name, bass[1].program) == ("drawn bass", 6)
        assert (chords.name, chords[1].program) == ("drawn chords", 5)
    assert contents[0] == contents[1]
    before = parsed(band_file()).tracks
    after = parsed(contents[0]).tracks
    for old, new in zip(before, after, strict=False):
        assert messages(new) == messages(old)
    assert [track.name for track in after[5:]] == ["drawn drums", "drawn bass", "drawn chords"]
    bass = after[6]
    assert programs(bass) == [38]
    for tick, _, velocity in starts(bass):
        assert velocity == 70 + tick // TICKS % 4


def test_a_band_that_is_transposed_leaves_its_drums() -> None:
    song = drawn(known_part(band_encoding(), own_band(), ["keys:B1-D2"]))
    before = parsed(to_bytes(song, ".mid")).tracks
    after = parsed(to_bytes(transposed_song(song, 2), ".mid")).tracks
    for old, new in zip(before, after, strict=True):
        up = 0 if "rum" in old.name else 2
        assert [(tick, pitch + up, loud) for tick, pitch, loud in starts(old)] == starts(new)
