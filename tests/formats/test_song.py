"""Of a person's own file what is kept stands where it was; what is drawn has tracks of its own."""

import itertools
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest
from own_files import ENCODING, Event, content_of, drawn, messages, parsed, starts, timed
from reading import one_roll, one_song
from toy_models import toy
from toy_music import chorale, song

from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.formats.file_notes import file_bars, file_line, opened_file
from lnfgen.formats.midi import read_midi
from lnfgen.formats.read_write import read, read_bytes, to_bytes
from lnfgen.formats.song import (
    at_tempo,
    kept_tracks,
    midi_of,
    transposed_song,
)
from lnfgen.inference.filling import fill_pieces
from lnfgen.inference.known_music import KnownMusic
from lnfgen.inference.known_part import (
    known_intro,
    known_melody,
    known_part,
    known_whole,
    partly_hidden,
)
from lnfgen.models.observation import Frames
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Song


def swing() -> bytes:
    """A tune of 21 notes with swing, a second track, drums, and much that no piano-roll has.

    Each beat has an eighth of 64 ticks and one of 32, ten ticks late. The file has format 1.
    """
    head = mido.MidiTrack(
        [
            mido.MetaMessage("set_tempo", tempo=400_000),
            mido.MetaMessage("key_signature", key="Eb"),
            mido.MetaMessage("time_signature", numerator=3, denominator=4),
            mido.MetaMessage("marker", text="verse", time=96 * 3),
            mido.MetaMessage("set_tempo", tempo=500_000, time=50),
        ]
    )
    tune = mido.MidiTrack(
        [mido.MetaMessage("track_name", name="tune"), mido.Message("program_change", program=65)]
    )
    tune.append(mido.Message("control_change", control=64, value=127))
    for index in range(21):
        pitch = 60 + index % 7
        late = 10 if index == 0 else 2
        length = 62 if index % 2 == 0 else 30
        tune.append(mido.Message("note_on", note=pitch, velocity=40 + 3 * index, time=late))
        tune.append(mido.Message("note_off", note=pitch, velocity=7, time=length))
    tune.append(mido.Message("sysex", data=(1, 2, 3)))
    tune.append(mido.MetaMessage("end_of_track", time=96))
    other = mido.MidiTrack()
    for channel, pitch in ((3, 48), (9, 35), (3, 50), (9, 38)):
        other.append(mido.Message("note_on", channel=channel, note=pitch, velocity=99, time=5))
        other.append(mido.Message("pitchwheel", channel=channel, pitch=100, time=100))
        other.append(mido.Message("note_on", channel=channel, note=pitch, velocity=0, time=100))
    return content_of(head, tune, other)


def all_but(own: Song, words: list[str]) -> KnownMusic:
    """The song with the cells of these words hidden, and all others known."""
    part = known_part(ENCODING, own, words)
    assert isinstance(part, KnownMusic)
    return part


def require_own_file(
    content: bytes, piece: Song, hidden_notes: Callable[[int, int], bool]
) -> list[Any]:
    """Check each event of a file beside those of the piece drawn from it; return the new tracks.

    `hidden_notes` is true for the tick and the pitch of a note of the tracks that were kept, if it
    was to be drawn.
    """
    before = parsed(content)
    after = parsed(midi_of(piece, drawn_name="fill"))
    assert before.ticks_per_beat == after.ticks_per_beat
    for old, new in zip(before.tracks, after.tracks, strict=False):
        lost = Counter(messages(old)) - Counter(messages(new))
        added = Counter(messages(new)) - Counter(messages(old))
        assert not added, "nothing is new or moved in a track of the file"
        assert all("note_o" in message for _, message in lost)
        gone = Counter(starts(old)) - Counter(starts(new))
        assert all(hidden_notes(tick, pitch) for tick, pitch, _ in gone)
    new_tracks = after.tracks[len(before.tracks) :]
    heard: list[tuple[int, int]] = []
    for track in new_tracks:
        heard.extend((tick, pitch) for tick, pitch, _ in starts(track))
    assert piece.drawn is not None
    expected: list[tuple[int, int]] = []
    opened = opened_file(piece)
    for start, _, pitch in piece.roll.notes():
        if piece.drawn[start, 0, pitch]:
            expected.append((opened.tick(start), pitch))
    assert sorted(heard) == sorted(expected)
    return new_tracks


@pytest.mark.parametrize("tracks", ["1", "tune", "all"])
def test_all_events_of_a_file_but_those_in_drawn_places_stay(tracks: str) -> None:
    content = swing()
    own = one_song(read_midi(content, tracks=tracks))
    assert own.origin.report["rounded"]
    part = all_but(own, ["bars:2"])
    piece = drawn(part)
    news = require_own_file(content, piece, lambda tick, pitch: 276 <= tick < 564)
    new = news[0]
    expected = ["fill"]
    if tracks == "all":
        expected = ["fill tune", "fill piano"]
    assert [track.name for track in news] == expected
    tune = starts(parsed(content).tracks[1])
    left = starts(parsed(midi_of(piece)).tracks[1])
    assert left == [note for note in tune if not 276 <= note[0] < 564]
    program = next(message for message in new if message.type == "program_change")
    assert program.program == 65, "the instrument of the tune"
    assert program.channel == 1, "a channel that is free"
    if tracks != "all":
        around = [velocity for tick, _, velocity in tune if 200 < tick < 700]
        loudness = [velocity for _, _, velocity in starts(new)]
        assert min(around) <= min(loudness)
        assert max(loudness) <= max(around)


def test_what_is_drawn_is_late_and_swings_as_the_file_does() -> None:
    """Each beat of the file is 10 ticks late, and its second eighth begins at two thirds."""
    own = one_song(read_midi(swing(), tracks="tune"))
    for part in (all_but(own, ["bars:2"]), known_intro(ENCODING, own, 30)):
        assert isinstance(part, KnownMusic)
        [said] = [remark for remark in part.remarks() if "swing" in remark]
        assert said.startswith("all notes come 0.104 quarters after the beats of the file; ")
        assert "the eighths swing at 0.67 of a quarter; the model hears them even" in said
        kept = part.song.roll.notes()
        assert kept == [(2 * index, 2, 60 + index % 7) for index in range(21)]
        *_, new = parsed(midi_of(drawn(part))).tracks
        places = {tick % 96 for tick, _, _ in starts(new)}
        assert places <= {10, 10 + 32, 10 + 64, 10 + 80}
        assert 10 + 64 in places


def test_each_command_gives_the_file_back() -> None:
    content = swing()
    own = one_song(read_midi(content, tracks="tune"))
    whole = known_whole(ENCODING, own)
    for part in (
        known_melody(ENCODING, own),
        known_intro(ENCODING, own, 30),
        partly_hidden(whole, 0.5, np.random.default_rng(1)),
    ):
        assert isinstance(part, KnownMusic)
        hidden = part.hidden_cells[:, 0]

        step = opened_file(part.song).step

        def was_hidden(
            tick: int,
            pitch: int,
            hidden: np.ndarray = hidden,
            step: Callable[[int], int] = step,
        ) -> bool:
            return bool(hidden[step(tick), pitch])

        (new,) = require_own_file(content, drawn(part), was_hidden)
        assert sum(message.time for message in new) >= len(hidden) * 24
    # The tune is one line, so nothing of it is below the melody, and an intro is kept as a whole.
    for part in (known_melody(ENCODING, own), known_intro(ENCODING, own, 30)):
        assert starts(parsed(midi_of(drawn(part))).tracks[1]) == starts(parsed(content).tracks[1])


def test_a_melody_that_is_faster_than_the_grid_or_legato_stays_whole() -> None:
    """Of two notes in a step the lower one is below the other on the grid, but not in the file."""
    legato = mido.MidiTrack()
    legato.append(mido.Message("note_on", note=72, velocity=80))
    for before, pitch in itertools.pairwise((72, 71, 69, 67, 65, 64)):
        legato.append(mido.Message("note_on", note=pitch, velocity=80, time=40))
        legato.append(mido.Message("note_off", note=before, time=20))
    coarse = MusicEncoding(steps_per_quarter=1)
    for content, number in ((swing(), 1), (content_of(legato), 0)):
        own = one_song(read_midi(content, tracks="1", steps_per_quarter=1))
        part = known_melody(coarse, own)
        piece = part.decoded(part.values)
        kept = parsed(midi_of(piece)).tracks[number]
        assert starts(kept) == starts(parsed(content).tracks[number])
    two_hands = PianoRoll.from_notes([(0, 8, 72), (8, 8, 71), (0, 4, 60), (4, 12, 57)])
    own = one_song(read_midi(to_bytes(two_hands, ".mid")))
    pitches = [72, 71, 60, 57]
    assert file_line(own, top=True)[:, pitches].sum(axis=0).tolist() == [8, 8, 0, 0]
    assert file_line(own, top=False)[:, pitches].sum(axis=0).tolist() == [0, 0, 4, 12]


def test_two_tracks_may_hold_one_note_that_is_released_in_one_of_them_alone() -> None:
    strike = mido.Message("note_on", note=60, velocity=64)
    released = mido.MidiTrack([strike, mido.Message("note_off", note=60, time=96)])
    hanging = mido.MidiTrack([strike, mido.MetaMessage("end_of_track", time=96)])
    for tracks in ((released, hanging), (hanging, released)):
        own = one_song(read_midi(content_of(*tracks)))
        for top in (True, False):
            assert file_line(own, top)[:, 60].tolist() == [True] * 4


def test_a_note_is_kept_to_its_end_where_it_begins_in_a_kept_place() -> None:
    roll = PianoRoll.from_notes([(0, 20, 60), (14, 6, 64), (16, 4, 67), (28, 8, 62)], num_steps=48)
    own = one_song(read_midi(to_bytes(roll, ".mid")))
    part = all_but(own, ["bars:2"])
    assert not part.hidden_cells[:20, 0, 60].any()
    assert part.hidden_cells[20:32, 0, 60].all()
    piece = drawn(part)
    assert {(0, 20, 60), (14, 6, 64)} <= set(piece.roll.notes())
    assert [note[1] for note in starts(parsed(midi_of(piece)).tracks[0])] == [60, 64]
    assert piece.roll.sounding[32:36, 0, 62 - piece.roll.lowest_pitch].all(), (
        "the rest of a note that begins there still sounds"
    )


def test_bars_are_those_of_the_file() -> None:
    signatures = [(0, 3, 4), (2 * 288, 4, 4), (2 * 288 + 384, 7, 8)]
    head = mido.MidiTrack()
    now = 0
    for tick, beats, unit in signatures:
        signature = mido.MetaMessage("time_signature", numerator=beats, denominator=unit)
        head.append(signature.copy(time=tick - now))
        now = tick
    tune = mido.MidiTrack()
    for _ in range(8):
        tune.append(mido.Message("note_on", note=60, velocity=64))
        tune.append(mido.Message("note_off", note=60, time=288))
    own = one_song(read_midi(content_of(head, tune)))
    assert file_bars(own) == {1: 0, 2: 12, 3: 24, 4: 40, 5: 54, 6: 68, 7: 82}
    hidden = all_but(own, ["bars:4-5"]).hidden_cells.any(axis=(1, 2))
    assert np.flatnonzero(hidden).tolist() == list(range(40, 68))
    assert file_bars(Song(own.roll)) == own.roll.bars()


def test_voices_and_programs_of_the_drawn_notes() -> None:
    content = song()
    own = one_song(read_midi(content, tracks="melody"))
    piece = drawn(known_melody(ENCODING, own))
    old = parsed(content)
    new = parsed(midi_of(piece, voices=3, programs=[40, 41], drawn_name="harmonize"))
    added = new.tracks[len(old.tracks) :]
    assert [track[0].name for track in added] == ["harmonize 1", "harmonize 2", "harmonize 3"]
    channels = [track[1].channel for track in added]
    assert len(set(channels)) == 3
    taken = {9}
    for track in old.tracks:
        taken.update(message.channel for message in track if not message.is_meta)
    assert not taken & set(channels)
    assert [track[1].program for track in added] == [40, 41, 41]
    apart: list[tuple[int, int]] = []
    for track in added:
        apart.extend(note[:2] for note in starts(track))
    together = [note[:2] for note in starts(parsed(midi_of(piece)).tracks[-1])]
    assert sorted(apart) == sorted(together)


def test_a_file_that_uses_all_channels_keeps_its_instruments() -> None:
    tracks = [mido.MidiTrack() for _ in range(16)]
    for channel, track in enumerate(tracks):
        track.append(mido.Message("program_change", channel=channel, program=channel))
        track.append(mido.Message("note_on", channel=channel, note=60 + channel, velocity=50))
        track.append(mido.Message("note_off", channel=channel, note=60 + channel, time=4000))
    own = one_song(read_midi(content_of(*tracks, ticks_per_beat=480), tracks="5"))
    piece = drawn(all_but(own, ["bars:2"]))
    added = parsed(midi_of(piece, programs=[100])).tracks[16]
    assert {message.channel for message in added if not message.is_meta} == {4}
    assert not any(message.type == "program_change" for message in added)


def held_or_cut(file: mido.MidiFile, num_own: int) -> list[Event]:
    """Where a player cuts off a key of another track, or holds one to the end of all.

    It plays the tracks together and, at one tick, in their order. A release ends the key of its
    channel. Only what the tracks after the first `num_own` do is wrong.
    """
    events: list[tuple[int, int, Any]] = []
    for index, track in enumerate(file.tracks):
        for tick, message in timed(track):
            if message.type in ("note_on", "note_off"):
                events.append((tick, index, message))
    sounding: dict[tuple[int, int], list[int]] = {}
    wrong: list[Event] = []
    for tick, index, message in sorted(events, key=lambda event: event[:2]):
        owners = sounding.setdefault((message.channel, message.note), [])
        if message.type == "note_on" and message.velocity:
            owners.append(index)
        elif index in owners:
            owners.remove(index)
            if any(other != index and max(other, index) >= num_own for other in owners):
                wrong.append((tick, message))
    for key, owners in sounding.items():
        if any(index >= num_own for index in owners):
            wrong.append((-1, key))
    return wrong


def test_drawn_notes_on_a_channel_of_the_file_end_no_other_note() -> None:
    tracks = [mido.MidiTrack() for _ in range(16)]
    for channel, track in enumerate(tracks):
        for index in range(40):  # off the grid, so that kept notes end within a step
            track.append(mido.Message("note_on", channel=channel, note=60 + index % 5, velocity=50))
            track.append(mido.Message("note_off", channel=channel, note=60 + index % 5, time=101))
    own = one_song(read_midi(content_of(*tracks), tracks="5"))
    piece = drawn(all_but(own, ["keys:C2-C6,steps:2-100"]))
    for voices in (1, 3):
        file = parsed(midi_of(piece, voices=voices))
        assert len(file.tracks) == 16 + voices
        assert not held_or_cut(file, 16)


def test_drawn_notes_end_where_a_tick_is_longer_than_a_step() -> None:
    track = mido.MidiTrack()
    for _ in range(16):
        track.append(mido.Message("note_on", note=60, velocity=50))
        track.append(mido.Message("note_off", note=60, time=1))
    own = one_song(read_midi(content_of(track, ticks_per_beat=1)))
    file = parsed(midi_of(drawn(all_but(own, ["bars:2-4"]))))
    assert starts(file.tracks[1])
    assert not held_or_cut(file, 1)


def test_names_in_any_script() -> None:
    roll = PianoRoll.from_notes([(0, 4, 60), (20, 4, 64), (40, 4, 67)])
    score = to_bytes(roll, ".musicxml").replace(b"<part-name>Piano", "<part-name>Флейта".encode())
    own = one_song(read_bytes(score, "score.musicxml", ".musicxml"))
    piece = drawn(all_but(own, ["bars:2"]))
    back = one_song(read_midi(midi_of(piece, drawn_name="笛")))
    assert [track.name for track in back.origin.tracks] == ["Флейта", "笛"]


def test_a_format_0_file_becomes_format_1_and_keeps_its_track() -> None:
    roll = PianoRoll.from_notes([(0, 4, 60), (20, 4, 64), (40, 4, 67)])
    content = to_bytes(roll, ".mid")
    assert parsed(content).type == 0
    own = one_song(read_midi(content))
    piece = drawn(all_but(own, ["bars:2"]))
    require_own_file(content, piece, lambda tick, pitch: pitch == 64)
    assert parsed(midi_of(piece)).type == 1
    assert midi_of(piece.roll, programs=[9]) == to_bytes(piece.roll, ".mid", program=9)


def test_tempo_and_key_of_an_own_file() -> None:
    content = swing()
    own = one_song(read_midi(content, tracks="tune"))
    piece = drawn(all_but(own, ["bars:2"]))
    slower = parsed(midi_of(at_tempo(piece, 60)))
    tempos: list[int] = []
    for track in slower.tracks:
        tempos.extend(message.tempo for message in track if message.type == "set_tempo")
    assert tempos == [1_000_000]
    as_it_was = parsed(midi_of(piece))
    moved = parsed(midi_of(transposed_song(piece, 3)))
    for old, new in zip(as_it_was.tracks, moved.tracks, strict=True):
        for before, after in zip(old, new, strict=True):
            if before.type in ("note_on", "note_off") and before.channel != 9:
                assert after.note == before.note + 3
            elif before.type != "key_signature":
                assert after == before
    for semitones, key in ((3, "Gb"), (2, "F"), (1, "E"), (-3, "C"), (-4, "B")):
        assert parsed(midi_of(transposed_song(piece, semitones))).tracks[0][1].key == key, (
            "it was Eb"
        )


def test_far_transposed_notes_stay_on_the_keys_of_midi_and_drums_do_not_move() -> None:
    own = one_song(read_midi(swing(), tracks="tune"))
    piece = drawn(all_but(own, ["bars:2"]))
    for semitones, column in ((-49, -1), (80, 0)):
        cells = np.zeros_like(piece.roll.sounding)
        cells[0, 0, column] = True
        roll = replace(piece.roll, sounding=cells, onsets=None)
        far = transposed_song(replace(piece, roll=roll), semitones)
        others = [pitch for _, pitch, _ in starts(parsed(midi_of(far)).tracks[2])]
        assert [(pitch - semitones) % 12 for pitch in others[::2]] == [48 % 12, 50 % 12]
        assert others[1::2] == [35, 38], "drums"


def test_a_score_becomes_a_file_with_its_parts() -> None:
    own = one_song(read_bytes(chorale(), "bwv66.6.mxl", ".mxl", tracks="soprano"))
    piece = drawn(known_melody(ENCODING, own))
    file = parsed(midi_of(piece, drawn_name="harmonize"))
    names: list[str] = []
    for track in file.tracks:
        names.extend(message.name for message in track if message.type == "track_name")
    assert names == ["Soprano", "Alto", "Tenor", "Bass", "harmonize"]
    back = one_roll(read_midi(midi_of(piece), tracks="soprano"))
    assert back.notes() == own.roll.notes()
    for attribute in ("time_signature", "tempo_bpm", "upbeat"):
        assert getattr(back, attribute) == getattr(own.roll, attribute)
    content = to_bytes(piece, ".musicxml", drawn_name="harmonize")
    score = one_song(read_bytes(content, "own.musicxml", ".musicxml"))
    names = [track.name for track in score.origin.tracks]
    assert names[:4] == ["Soprano", "Alto", "Tenor", "Bass"]
    drawn_tracks = score.origin.tracks[4:]
    assert {track.name for track in drawn_tracks} == {"harmonize"}
    num_drawn = sum(piece.was_drawn(note) for note in piece.roll.notes())
    assert sum(track.notes for track in drawn_tracks) >= num_drawn


def test_tracks_that_were_not_kept_are_silent_in_sound() -> None:
    own = one_song(read_midi(swing(), tracks="tune"))
    played = parsed(kept_tracks(own))
    assert [len(starts(track)) for track in played.tracks] == [0, 21, 0]
    assert messages(played.tracks[0]) == messages(parsed(swing()).tracks[0])


def fill_one_track(path: Path) -> None:
    """Fill bars 5 to 8 of the track with most notes by a toy, and check all events of the file."""
    kept = [track for track in one_song(read(path)).origin.tracks if track.kept]
    longest = max(kept, key=lambda track: track.notes)
    own = one_song(read(path, tracks=str(longest.number)))
    bars = file_bars(own)
    first, last = (5, 8) if max(bars) > 8 else (2, 3)  # one of the songs has four bars
    part = all_but(own, [f"bars:{first}-{last}"])
    model = toy("lstm", Frames(88, has_onsets=True))
    (piece,) = fill_pieces(model, part, particles=1, seed=1)
    assert isinstance(piece, Song)
    content = path.read_bytes()
    step = opened_file(piece).step

    def is_hidden(tick: int, _: int = 0) -> bool:
        return bars[first] <= step(tick) < bars[last + 1]

    for new in require_own_file(content, piece, is_hidden):
        assert all(is_hidden(tick) for tick, _, _ in starts(new))


FOLDERS = {"freedoom-midi": 112, "pop909-midi": 50, "nottingham-midi": 50}


@pytest.mark.slow
@pytest.mark.parametrize("folder", FOLDERS)
def test_real_files_come_back_whole(folder: str, shared_data: Callable[[str], Path]) -> None:
    files = sorted(shared_data(folder).glob("*.mid"))
    count = FOLDERS[folder]
    apart = len(files) // count
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for path in files[::apart][:count]:
            if path.name != "dummy.mid":  # it holds drums and no other notes
                fill_one_track(path)


def test_a_real_file_comes_back_whole(shared_data: Callable[[str], Path]) -> None:
    fill_one_track(shared_data("nottingham-midi/jigs10.mid"))
