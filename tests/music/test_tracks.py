"""The tracks of MIDI files of several instruments: their descriptions, the choice of some, and a
dataset of songs."""

from pathlib import Path

import mido
import numpy as np
import pytest
from toy_music import BEAT, BELLS, CHORDS, LOW, TUNE, Events, midi, song, track

import lnfgen
from lnfgen.errors import UnreadableFileError
from lnfgen.formats.midi import read_midi
from lnfgen.formats.read_write import read
from lnfgen.music.tracks import said_of


def pitches(content: bytes, tracks: str) -> set[int]:
    return {pitch for roll in read_midi(content, tracks=tracks) for _, _, pitch in roll.notes()}


def of(events: Events) -> set[int]:
    return {pitch for _, _, pitch in events}


def test_a_file_tells_its_tracks() -> None:
    (roll,) = read_midi(song("Flauto\x1b[31m"))
    drums, strings, flute, bass, _ = roll.tracks
    assert [item.number for item in roll.tracks] == [1, 2, 3, 4, 5]
    assert [item.instrument for item in roll.tracks] == [
        "drums",
        "ensemble",
        "pipe",
        "bass",
        "chromatic percussion",
    ]
    assert flute.name == "Flauto [31m", "what a terminal would act upon is left out"
    assert (flute.channel, flute.program, flute.notes, flute.lowest, flute.highest) == (
        2,
        73,
        32,
        67,
        73,
    )
    assert (strings.polyphony, flute.polyphony) == (3.0, 1.0)
    assert [item.kept for item in roll.tracks] == [False, True, True, True, True]
    assert of(roll.notes()) == of(TUNE) | of(LOW) | of(CHORDS) | of(BELLS)
    assert said_of([roll.tracks]) == "merged 4 of 5 tracks, left out 1 of drums"
    assert (drums.name, bass.name) == ("Drums", "Bass_1")
    for encoding in ("utf-8", "latin-1"):
        name = "Flöte".encode(encoding).decode("latin-1")  # mido writes names as Latin-1
        assert read_midi(midi(track(name, 0, 73, TUNE)))[0].tracks[0].name == "Flöte"


def test_channels_of_one_track_are_tracks_of_their_own() -> None:
    merged = mido.merge_tracks(
        [track("", 0, 0, TUNE), track("", 1, 32, LOW), track("", 9, None, BEAT)]
    )
    (roll,) = read_midi(midi(merged, kind=0))
    assert [(item.channel, item.instrument) for item in roll.tracks] == [
        (1, "piano"),
        (2, "bass"),
        (10, "drums"),
    ]
    assert pitches(midi(merged, kind=0), "bass") == of(LOW)


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
    (roll,) = read_midi(midi(settings, track("", 4, None, TUNE)))
    assert roll.tracks[0].program == 71


def test_the_melody_is_named_or_else_the_highest_line_with_enough_notes() -> None:
    assert pitches(song(), "melody") == of(TUNE), (
        "neither the chords nor the few bells, which are higher"
    )
    for name in ("Lead Vocals", "MELODY", "vox_2"):
        low = track(name, 5, 0, [(quarter, 1, 50) for quarter in range(4)])
        assert pitches(midi(track("Flute", 0, 73, TUNE), low), "melody") == {50}
    several = midi(
        track("Vocal harmony", 0, 52, BELLS),
        track("Vocal", 1, 52, LOW),
        track("Flute", 0, 73, TUNE),
    )
    assert pitches(several, "melody") == of(LOW), "the one with most notes"
    hands = midi(
        track("Left", 0, 0, [(start, 4, pitch - 30) for start, _, pitch in CHORDS]),
        track("", 1, 0, CHORDS),
    )
    assert pitches(hands, "melody") == of(CHORDS), "where all have chords, the highest"


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


def test_tracks_are_chosen_by_number_and_by_whole_words() -> None:
    content = song()
    assert (
        pitches(content, "4") == pitches(content, "bass") == pitches(content, "Bass_1") == of(LOW)
    )
    assert pitches(content, "melody, bass") == of(TUNE) | of(LOW)
    assert pitches(content, "drums") == of(BEAT)
    assert pitches(content, "chromatic percussion") == of(BELLS)
    both = midi(
        track("Bassoon", 0, 70, TUNE), track("Kontrabass", 1, 43, LOW), track("Bass", 2, 0, CHORDS)
    )
    assert pitches(both, "bass") == of(CHORDS)
    (roll,) = read_midi(content, tracks="melody")
    assert roll.num_steps == read_midi(content)[0].num_steps, (
        "a track alone keeps its place in the song"
    )


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
    assert all(((train[index] > 0).sum(axis=1) == 1).all() for index in range(len(train)))
    assert len(train) + len(melodies.split("valid")) + len(melodies.split("test")) == 12


def test_the_melodies_of_real_tunes(shared_data: object) -> None:
    folder: Path = shared_data("nottingham-midi")  # type: ignore[operator]
    for path in sorted(folder.glob("*.mid"))[::90]:
        (tune,) = read(path, tracks="melody")
        assert isinstance(tune, lnfgen.PianoRoll)
        assert (
            np.bincount(tune.sounding.sum(axis=1), minlength=3)[2:].sum() <= 0.02 * tune.num_steps
        )
        assert [item.kept for item in tune.tracks] == [True] + [False] * (len(tune.tracks) - 1)
