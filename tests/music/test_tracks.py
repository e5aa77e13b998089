"""The tracks of MIDI files of several instruments, the choice of some, and a dataset of songs."""

from pathlib import Path

import mido
import pytest
from toy_music import BEAT, BELLS, CHORDS, LOW, TUNE, Events, midi, song, track

import lnfgen
from lnfgen.errors import UnreadableFileError
from lnfgen.formats.midi import read_midi
from lnfgen.formats.read_write import read
from lnfgen.music.song import Song
from lnfgen.music.tracks import Track, said_of


def pitches(content: bytes, tracks: str) -> set[int]:
    (piece,) = read_midi(content, tracks=tracks)
    return of(piece.roll.notes())


def of(events: Events) -> set[int]:
    return {pitch for _, _, pitch in events}


def tracks_of(content: bytes) -> tuple[Track, ...]:
    (piece,) = read_midi(content)
    return piece.origin.tracks


def test_a_file_tells_its_tracks() -> None:
    (piece,) = read_midi(song("Flauto\x1b[31m"))
    tracks = piece.origin.tracks
    drums, strings, flute, bass, bells = tracks
    assert [one.number for one in tracks] == [1, 2, 3, 4, 5]
    assert (drums.instrument, drums.name, drums.kept) == ("drums", "Drums", False)
    assert (strings.instrument, strings.polyphony, strings.kept) == ("ensemble", 3.0, True)
    assert (bass.instrument, bass.name, bass.kept) == ("bass", "Bass_1", True)
    assert (bells.instrument, bells.kept) == ("chromatic percussion", True)
    assert flute.name == "Flauto [31m", "what a terminal would act upon is left out"
    assert (flute.instrument, flute.channel, flute.program) == ("pipe", 2, 73)
    assert (flute.notes, flute.lowest, flute.highest, flute.polyphony) == (32, 67, 73, 1.0)
    assert of(piece.roll.notes()) == of(TUNE) | of(LOW) | of(CHORDS) | of(BELLS)
    assert said_of([tracks]) == "merged 4 of 5 tracks, left out 1 of drums"


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_name_may_have_letters_beyond_ascii(encoding: str) -> None:
    name = "Flöte".encode(encoding).decode("latin-1")  # mido writes names as Latin-1
    (flute,) = tracks_of(midi(track(name, 0, 73, TUNE)))
    assert flute.name == "Flöte"


def test_channels_of_one_track_are_tracks_of_their_own() -> None:
    merged = mido.merge_tracks(
        [track("", 0, 0, TUNE), track("", 1, 32, LOW), track("", 9, None, BEAT)]
    )
    content = midi(merged, kind=0)
    assert [(one.channel, one.instrument) for one in tracks_of(content)] == [
        (1, "piano"),
        (2, "bass"),
        (10, "drums"),
    ]
    assert pitches(content, "bass") == of(LOW)


def test_a_name_counts_before_an_instrument() -> None:
    content = midi(
        track("Tune", 0, 0, TUNE), track("PIANO", 1, 0, CHORDS), track("Low", 2, 32, LOW)
    )
    assert pitches(content, "piano") == of(CHORDS)
    assert pitches(content, "bass") == of(LOW)


def test_a_program_that_another_track_sets_counts() -> None:
    settings = mido.MidiTrack([mido.Message("program_change", channel=4, program=5)])
    settings.append(mido.Message("program_change", channel=4, program=71))  # the last at a tick
    settings.append(mido.Message("program_change", channel=4, program=0, time=5000))
    (tune,) = tracks_of(midi(settings, track("", 4, None, TUNE)))
    assert tune.program == 71


def test_the_melody_is_named_or_else_the_highest_line_with_enough_notes() -> None:
    chosen = pitches(song(), "melody")
    assert chosen == of(TUNE), "neither the chords nor the few bells, which are higher"
    hands = midi(
        track("Left", 0, 0, [(start, 4, pitch - 30) for start, _, pitch in CHORDS]),
        track("", 1, 0, CHORDS),
    )
    assert pitches(hands, "melody") == of(CHORDS), "where all have chords, the highest"


@pytest.mark.parametrize("name", ["Lead Vocals", "MELODY", "vox_2"])
def test_a_melody_is_named(name: str) -> None:
    low = track(name, 5, 0, [(quarter, 1, 50) for quarter in range(4)])
    assert pitches(midi(track("Flute", 0, 73, TUNE), low), "melody") == {50}


def test_of_several_named_melodies_the_one_with_most_notes_counts() -> None:
    several = midi(
        track("Vocal harmony", 0, 52, BELLS),
        track("Vocal", 1, 52, LOW),
        track("Flute", 0, 73, TUNE),
    )
    assert pitches(several, "melody") == of(LOW)


def test_the_bass_is_named_or_plays_a_bass_or_is_the_lowest() -> None:
    low = [(start, length, pitch - 12) for start, length, pitch in LOW]
    unnamed = midi(track("Flute", 0, 73, TUNE), track("", 1, 38, LOW), track("Tuba", 2, 58, low))
    assert pitches(unnamed, "bass") == of(LOW), "a program of General MIDI's basses"
    named = midi(track("Flute", 0, 73, TUNE), track("Bass 1", 1, 48, CHORDS), track("", 2, 33, LOW))
    assert pitches(named, "bass") == of(CHORDS)
    thud = [(quarter, 1, 24) for quarter in (0, 31)]
    neither = midi(
        track("", 0, 73, TUNE), track("", 1, 0, LOW), track("", 2, 0, thud), track("", 9, 33, BEAT)
    )
    assert pitches(neither, "bass") == of(LOW), "neither the drums nor two notes far below"
    assert pitches(neither, "melody,bass") == of(TUNE) | of(LOW)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("4", of(LOW)),
        ("bass", of(LOW)),
        ("Bass_1", of(LOW)),
        ("melody, bass", of(TUNE) | of(LOW)),
        ("drums", of(BEAT)),
        ("chromatic percussion", of(BELLS)),
    ],
)
def test_tracks_are_chosen_by_number_and_by_words(wanted: str, expected: set[int]) -> None:
    assert pitches(song(), wanted) == expected


def test_a_word_is_a_whole_one() -> None:
    both = midi(
        track("Bassoon", 0, 70, TUNE), track("Kontrabass", 1, 43, LOW), track("Bass", 2, 0, CHORDS)
    )
    assert pitches(both, "bass") == of(CHORDS)


def test_a_track_alone_keeps_its_place_in_the_song() -> None:
    (whole,) = read_midi(song())
    (melody,) = read_midi(song(), tracks="melody")
    assert melody.roll.num_steps == whole.roll.num_steps


@pytest.mark.parametrize("wanted", ["trombone", "7", "", "melody,,bass", "9" * 5000])
def test_a_track_that_is_not_there_is_named_with_those_that_are(wanted: str) -> None:
    with pytest.raises(
        UnreadableFileError, match=r"song\.mid has no track .*2 Strings \(ensemble\), 3 \(pipe\)"
    ):
        read_midi(song(), "song.mid", tracks=wanted)


def test_twelve_songs_become_a_set_of_melodies(tmp_path: Path) -> None:
    (tmp_path / "songs").mkdir()
    for number in range(12):
        (tmp_path / "songs" / f"{number}.mid").write_bytes(song("Lead", shift=number))
    whole = lnfgen.preprocess(tmp_path / "songs", tmp_path / "whole")
    melodies = lnfgen.preprocess(tmp_path / "songs", tmp_path / "melodies", tracks="melody")
    for dataset, kept in (
        (whole, "placed in parts 60 of 60 tracks"),
        (melodies, "kept 12 of 60 tracks, left out 48 (12 of drums)"),
    ):
        remarks = dataset.manifest["preprocessing"]["remarks"]
        assert f"pieces with several tracks: 12 of 12; {kept}" in remarks
    assert melodies.manifest["preprocessing"]["options"]["tracks"] == "melody"
    train = melodies.split("train")
    for index in range(len(train)):
        keys_at = (train[index] > 0).sum(axis=(1, 2))
        assert set(keys_at) == {1}
    # In other keys they are versions of one song, which is split in time.
    splits = [melodies.split(name) for name in ("train", "valid", "test")]
    assert [set(split.songs.tolist()) for split in splits] == [{0}] * 3


def test_the_melodies_of_real_tunes(shared_data: object) -> None:
    folder: Path = shared_data("nottingham-midi")  # type: ignore[operator]
    for path in sorted(folder.glob("*.mid"))[::90]:
        (tune,) = read(path, tracks="melody")
        assert isinstance(tune, Song)
        keys_at = tune.roll.sounding.sum(axis=(1, 2))
        assert (keys_at >= 2).sum() <= 0.02 * tune.roll.num_steps
        first, *others = tune.origin.tracks
        assert first.kept
        assert not any(track.kept for track in others)
