"""Drawn notes go to the tracks whose place they take, with their instruments and their loudness."""

from collections.abc import Sequence

import mido
import numpy as np
from own_files import ENCODING, content_of, parsed, starts
from reading import one_song

from lnfgen.conventions import ONSET, SOUNDING
from lnfgen.formats.midi import read_midi
from lnfgen.formats.read_write import read_bytes, to_bytes
from lnfgen.formats.song import midi_of
from lnfgen.inference.known_music import KnownMusic
from lnfgen.inference.known_part import known_intro, known_part
from lnfgen.music.notes import Note
from lnfgen.music.song import Song

BARS = 6
ACCENTS = (100, 60, 80, 60)
# Of each track: its name, program, velocities of the quarters of a bar, and their chord. In this
# order the longest one is neither the highest nor the lowest.
TRACKS = (
    ("Agogo", 113, (127, 0, 0, 0), (70,)),
    ("Strings", 48, (50, 50, 50, 50), (60, 64, 67)),
    ("Bass", 33, ACCENTS, (36,)),
    ("Flute", 73, (90, 70, 70, 70), (79,)),
)


def orchestra() -> bytes:
    """A file of six bars in 4/4; the agogo plays in the first bar alone."""
    tracks = []
    for channel, (name, program, velocities, chord) in enumerate(TRACKS):
        track = mido.MidiTrack([mido.MetaMessage("track_name", name=name)])
        track.append(mido.Message("program_change", channel=channel, program=program))
        track.append(mido.Message("control_change", channel=channel, control=7, value=channel + 80))
        bars = 1 if name == "Agogo" else BARS
        wait = 0
        for velocity in velocities * bars:
            struck = chord if velocity else ()
            for place, pitch in enumerate(struck):
                time = 0 if place else wait
                track.append(
                    mido.Message(
                        "note_on", channel=channel, note=pitch, velocity=velocity, time=time
                    )
                )
            for place, pitch in enumerate(struck):
                time = 0 if place else 96
                track.append(mido.Message("note_off", channel=channel, note=pitch, time=time))
            wait = 0 if struck else wait + 96
        tracks.append(track)
    return content_of(*tracks)


def with_notes(part: KnownMusic, notes: Sequence[Note]) -> Song:
    """The piece in which a model drew these notes and no others."""
    x = np.where(part.hidden, 0, part.values).astype(np.uint8)
    for start, length, pitch in notes:
        key = pitch - part.encoding.lowest_pitch
        x[start : start + length, 0, key] = SOUNDING
        x[start, 0, key] |= ONSET
    return part.decoded(x)


def filled(words: str, notes: Sequence[Note]) -> Song:
    part = known_part(ENCODING, one_song(read_midi(orchestra())), [words])
    assert isinstance(part, KnownMusic)
    return with_notes(part, notes)


def new_tracks(piece: Song, num_own: int = len(TRACKS)) -> dict[str, mido.MidiTrack]:
    """The tracks after those of the file, by their names."""
    tracks = parsed(midi_of(piece, drawn_name="fill")).tracks[num_own:]
    return {track.name: track for track in tracks}


def test_each_note_goes_to_the_track_whose_place_it_takes() -> None:
    """The program of the longest track, or of a rare one, used to play all of them."""
    drawn = [(32, 4, 76), (32, 4, 65), (32, 4, 62), (32, 4, 41), (40, 4, 81), (40, 4, 66)]
    tracks = new_tracks(filled("bars:3-4", drawn))
    pitches = {name: [pitch for _, pitch, _ in starts(track)] for name, track in tracks.items()}
    # Of two notes at once, one is the highest and the other one the lowest.
    assert pitches == {"fill Strings": [62, 65], "fill Bass": [41, 66], "fill Flute": [76, 81]}


def test_they_sound_as_the_track() -> None:
    drawn = [(32, 4, 76), (32, 4, 62), (32, 4, 41)]
    for name, track in new_tracks(filled("bars:3-4", drawn)).items():
        number = [own for own, *_ in TRACKS].index(name.removeprefix("fill "))
        _, program, velocities, _ = TRACKS[number]
        [own_program] = [one.program for one in track if one.type == "program_change"]
        [volume] = [one.value for one in track if one.type == "control_change"]
        assert own_program == program
        assert volume == number + 80
        assert [velocity for _, _, velocity in starts(track)] == [velocities[0]]
        channels = {one.channel for one in track if not one.is_meta}
        assert len(channels) == 1
        assert not channels & set(range(len(TRACKS))), "a channel that is free"


def test_a_note_alone_goes_to_the_nearest_notes() -> None:
    tracks = new_tracks(filled("bars:3", [(32, 4, 38), (36, 4, 63), (40, 4, 84)]))
    assert set(tracks) == {"fill Bass", "fill Strings", "fill Flute"}


def test_an_asked_program_plays_all_of_them() -> None:
    piece = filled("bars:3-4", [(32, 4, 76), (32, 4, 62), (32, 4, 41)])
    [track] = parsed(midi_of(piece, programs=[19])).tracks[len(TRACKS) :]
    assert [one.program for one in track if one.type == "program_change"] == [19]


def test_what_goes_on_is_as_loud_at_each_beat_as_before() -> None:
    own = one_song(read_midi(orchestra(), tracks="bass"))
    part = known_intro(ENCODING, own, 32)
    assert isinstance(part, KnownMusic)
    end = BARS * 16
    drawn = [(end + 4 * beat, 4, 38) for beat in range(8)]
    [track] = new_tracks(with_notes(part, drawn)).values()
    assert [velocity for _, _, velocity in starts(track)] == [*ACCENTS, *ACCENTS]


def test_a_score_has_a_staff_for_each_of_these_tracks() -> None:
    piece = filled("bars:3-4", [(32, 4, 76), (32, 4, 62), (32, 4, 41)])
    content = to_bytes(piece, ".musicxml", drawn_name="fill")
    score = one_song(read_bytes(content, suffix=".musicxml"))
    names = [track.name for track in score.origin.tracks]
    assert names[-3:] == ["fill Strings", "fill Bass", "fill Flute"]


def test_drums_that_are_heard_alone_stay_drums() -> None:
    track = mido.MidiTrack([mido.MetaMessage("track_name", name="Kit")])
    for beat in range(32):
        key = 36 + 2 * (beat % 2)
        track.append(mido.Message("note_on", channel=9, note=key, velocity=90))
        track.append(mido.Message("note_off", channel=9, note=key, time=96))
    part = known_part(ENCODING, one_song(read_midi(content_of(track), tracks="drums")), ["bars:2"])
    assert isinstance(part, KnownMusic)
    [new] = new_tracks(with_notes(part, [(16, 1, 36), (20, 1, 38)]), 1).values()
    assert {one.channel for one in new if not one.is_meta} == {9}
