"""A person's own file: what is kept stands where it was, and what is drawn comes in tracks of its
own."""

import io
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest
from own_files import ENCODING, Event, drawn, messages, parsed, starts
from toy_models import toy
from toy_music import chorale, song

from lnfgen.data.encoding import Encoding
from lnfgen.formats.midi import read_midi
from lnfgen.formats.read_write import read, read_bytes, to_bytes
from lnfgen.formats.song import at_tempo, file_bars, file_line, kept_tracks, midi_of, transposed
from lnfgen.inference.filling import fill_pieces
from lnfgen.inference.known import (
    KnownPart,
    decoded,
    known_intro,
    known_melody,
    known_part,
    known_whole,
    partly_hidden,
)
from lnfgen.models.observation import Frames
from lnfgen.music.pianoroll import PianoRoll


def swing() -> bytes:
    """A tune of 21 notes with swing beside a second track, drums, and much that a piano-roll does
    not have.

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
        velocity = 40 + 3 * index
        tune.append(
            mido.Message(
                "note_on", note=60 + index % 7, velocity=velocity, time=10 if index == 0 else 2
            )
        )
        tune.append(
            mido.Message(
                "note_off", note=60 + index % 7, velocity=7, time=62 if index % 2 == 0 else 30
            )
        )
    tune.append(mido.Message("sysex", data=(1, 2, 3)))
    tune.append(mido.MetaMessage("end_of_track", time=96))
    other = mido.MidiTrack()
    for channel, pitch in ((3, 48), (9, 35), (3, 50), (9, 38)):
        other.append(mido.Message("note_on", channel=channel, note=pitch, velocity=99, time=5))
        other.append(mido.Message("pitchwheel", channel=channel, pitch=100, time=100))
        other.append(mido.Message("note_on", channel=channel, note=pitch, velocity=0, time=100))
    file = mido.MidiFile(type=1, ticks_per_beat=96, tracks=[head, tune, other])
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def require_own_file(
    content: bytes, piece: PianoRoll, hidden_notes: Callable[[int, int], bool]
) -> list[Any]:
    """Check each event of a file beside those of the piece drawn from it, and return the tracks
    that are new.

    `hidden_notes` is true for the tick and the pitch of a note of the tracks that were kept, if it
    was to be drawn.
    """
    before, after = parsed(content), parsed(midi_of(piece, drawn_name="fill"))
    assert before.ticks_per_beat == after.ticks_per_beat
    for old, new in zip(before.tracks, after.tracks, strict=False):
        lost = Counter(messages(old)) - Counter(messages(new))
        assert not Counter(messages(new)) - Counter(messages(old)), (
            "nothing is new or moved in a track of the file"
        )
        assert all("note_o" in message for _, message in lost)
        gone = Counter(starts(old)) - Counter(starts(new))
        assert all(hidden_notes(tick, pitch) for tick, pitch, _ in gone)
    new_tracks = after.tracks[len(before.tracks) :]
    heard = [note for track in new_tracks for note in starts(track)]
    assert sorted((tick, pitch) for tick, pitch, _ in heard) == sorted(
        (round(start * before.ticks_per_beat / piece.steps_per_quarter), pitch)
        for start, _, pitch in piece.notes()
        if piece.drawn is not None and piece.drawn[start, pitch]
    )
    return new_tracks


@pytest.mark.parametrize("tracks", ["1", "tune", "all"])
def test_all_events_of_a_file_but_those_in_drawn_places_stay(tracks: str) -> None:
    content = swing()
    (roll,) = read_midi(content, tracks=tracks)
    assert roll.losses["rounded"]
    part = known_part(ENCODING, roll, ["bars:2"])
    (new,) = require_own_file(content, drawn(part), lambda tick, pitch: 276 <= tick < 564)
    assert new[0].name == "fill"
    left = starts(parsed(midi_of(drawn(part))).tracks[1])
    assert left == [note for note in starts(parsed(content).tracks[1]) if not 276 <= note[0] < 564]
    program = next(message for message in new if message.type == "program_change")
    assert (program.program, program.channel) == (65, 1), (
        "the instrument of the tune, on a channel that is free"
    )
    around = [
        velocity for tick, _, velocity in starts(parsed(content).tracks[1]) if 200 < tick < 700
    ]
    assert (
        all(min(around) <= velocity <= max(around) for _, _, velocity in starts(new))
        or tracks == "all"
    )


def test_each_command_gives_the_file_back() -> None:
    content = swing()
    (roll,) = read_midi(content, tracks="tune")
    for part in (
        known_melody(ENCODING, roll),
        known_intro(ENCODING, roll, 30),
        partly_hidden(ENCODING, known_whole(ENCODING, roll), 0.5, np.random.default_rng(1)),
    ):
        (new,) = require_own_file(
            content, drawn(part), lambda tick, pitch, part=part: bool(hears(part, tick)[pitch])
        )
        assert sum(message.time for message in new) >= len(part.hidden_cells) * 24
    # The tune is one line, so nothing of it is below the melody, and an intro is kept as a whole.
    for part in (known_melody(ENCODING, roll), known_intro(ENCODING, roll, 30)):
        assert starts(parsed(midi_of(drawn(part))).tracks[1]) == starts(parsed(content).tracks[1])


def hears(part: KnownPart, tick: int) -> np.ndarray:
    return part.hidden_cells[(tick + 12) // 24]


def test_a_melody_that_is_faster_than_the_grid_or_legato_stays_whole() -> None:
    """Of two notes in a step the lower one is below the other on the grid, but not in the file."""
    legato = mido.MidiTrack()
    for index, pitch in enumerate((72, 71, 69, 67, 65, 64)):
        legato.append(
            mido.Message("note_on", note=pitch, velocity=80, time=0 if index == 0 else 40)
        )
        if index:
            legato.append(mido.Message("note_off", note=(72, 71, 69, 67, 65)[index - 1], time=20))
    buffer = io.BytesIO()
    mido.MidiFile(ticks_per_beat=96, tracks=[legato]).save(file=buffer)
    coarse = Encoding("music", steps_per_quarter=1)
    for content, number in ((swing(), 1), (buffer.getvalue(), 0)):
        (roll,) = read_midi(content, tracks="1", steps_per_quarter=1)
        part = known_melody(coarse, roll)
        piece = decoded(coarse, part, part.values)
        assert isinstance(piece, PianoRoll)
        assert starts(parsed(midi_of(piece)).tracks[number]) == starts(
            parsed(content).tracks[number]
        )
    two_hands = PianoRoll.from_notes([(0, 8, 72), (8, 8, 71), (0, 4, 60), (4, 12, 57)])
    (roll,) = read_midi(to_bytes(two_hands, ".mid"))
    assert file_line(roll, top=True)[:, [72, 71, 60, 57]].sum(axis=0).tolist() == [8, 8, 0, 0]
    assert file_line(roll, top=False)[:, [72, 71, 60, 57]].sum(axis=0).tolist() == [0, 0, 4, 12]


def test_a_note_is_kept_to_its_end_where_it_begins_in_a_kept_place() -> None:
    roll = PianoRoll.from_notes([(0, 20, 60), (14, 6, 64), (16, 4, 67), (28, 8, 62)], num_steps=48)
    (own,) = read_midi(to_bytes(roll, ".mid"))
    part = known_part(ENCODING, own, ["bars:2"])
    assert not part.hidden_cells[:20, 60].any()
    assert part.hidden_cells[20:32, 60].all()
    piece = drawn(part)
    assert {(0, 20, 60), (14, 6, 64)} <= set(piece.notes())
    assert [note[1] for note in starts(parsed(midi_of(piece)).tracks[0])] == [60, 64]
    assert piece.sounding[32:36, 62 - piece.lowest_pitch].all(), (
        "the rest of a note that begins there still sounds"
    )


def test_bars_are_those_of_the_file() -> None:
    metres = [(0, 3, 4), (2 * 288, 4, 4), (2 * 288 + 384, 7, 8)]
    head, now = mido.MidiTrack(), 0
    for tick, beats, unit in metres:
        head.append(
            mido.MetaMessage("time_signature", numerator=beats, denominator=unit, time=tick - now)
        )
        now = tick
    tune = mido.MidiTrack()
    for _ in range(8):
        tune.append(mido.Message("note_on", note=60, velocity=64))
        tune.append(mido.Message("note_off", note=60, time=288))
    buffer = io.BytesIO()
    mido.MidiFile(ticks_per_beat=96, tracks=[head, tune]).save(file=buffer)
    (roll,) = read_midi(buffer.getvalue())
    assert file_bars(roll) == {1: 0, 2: 12, 3: 24, 4: 40, 5: 54, 6: 68, 7: 82}
    hidden = known_part(ENCODING, roll, ["bars:4-5"]).hidden_cells.any(axis=1)
    assert np.flatnonzero(hidden).tolist() == list(range(40, 68))
    assert file_bars(replace(roll, song=None)) == roll.bars()


def test_voices_and_programs_of_the_drawn_notes() -> None:
    content = song()
    (roll,) = read_midi(content, tracks="melody")
    piece = drawn(known_melody(ENCODING, roll))
    old, new = (
        parsed(content),
        parsed(midi_of(piece, voices=3, programs=[40, 41], drawn_name="harmonize")),
    )
    added = new.tracks[len(old.tracks) :]
    assert [track[0].name for track in added] == ["harmonize 1", "harmonize 2", "harmonize 3"]
    channels = [track[1].channel for track in added]
    assert len(set(channels)) == 3
    assert not {9, *(m.channel for t in old.tracks for m in t if not m.is_meta)} & set(channels)
    assert [track[1].program for track in added] == [40, 41, 41]
    together = starts(parsed(midi_of(piece)).tracks[-1])
    assert sorted(note[:2] for track in added for note in starts(track)) == sorted(
        note[:2] for note in together
    )


def test_a_file_that_uses_all_channels_keeps_its_instruments() -> None:
    tracks = [mido.MidiTrack() for _ in range(16)]
    for channel, track in enumerate(tracks):
        track.append(mido.Message("program_change", channel=channel, program=channel))
        track.append(mido.Message("note_on", channel=channel, note=60 + channel, velocity=50))
        track.append(mido.Message("note_off", channel=channel, note=60 + channel, time=4000))
    buffer = io.BytesIO()
    mido.MidiFile(tracks=tracks).save(file=buffer)
    (roll,) = read_midi(buffer.getvalue(), tracks="5")
    added = parsed(midi_of(drawn(known_part(ENCODING, roll, ["bars:2"])), programs=[100])).tracks[
        16
    ]
    assert {message.channel for message in added if not message.is_meta} == {4}
    assert not any(message.type == "program_change" for message in added)


def held_or_cut(file: mido.MidiFile, num_own: int) -> list[Event]:
    """Where a player cuts off a key of another track, or holds one to the end of all, after so many
    tracks of a file.

    It plays the tracks together and, at one tick, in their order. A release ends the key of its
    channel.
    """
    events = [
        (tick, index, m)
        for index, track in enumerate(file.tracks)
        for tick, m in zip(accumulate(m.time for m in track), track, strict=True)
        if m.type in ("note_on", "note_off")
    ]
    sounding: dict[tuple[int, int], list[int]] = {}
    wrong = []
    for tick, index, message in sorted(events, key=lambda event: event[:2]):
        owners = sounding.setdefault((message.channel, message.note), [])
        if message.type == "note_on" and message.velocity:
            owners.append(index)
        elif index in owners:
            owners.remove(index)
            if any(other != index and max(other, index) >= num_own for other in owners):
                wrong.append((tick, message))
    return wrong + [
        (-1, key) for key, owners in sounding.items() if any(index >= num_own for index in owners)
    ]


def test_drawn_notes_on_a_channel_of_the_file_end_no_other_note() -> None:
    tracks = [mido.MidiTrack() for _ in range(16)]
    for channel, track in enumerate(tracks):
        for index in range(40):  # off the grid, so that kept notes end within a step
            track.append(mido.Message("note_on", channel=channel, note=60 + index % 5, velocity=50))
            track.append(mido.Message("note_off", channel=channel, note=60 + index % 5, time=101))
    buffer = io.BytesIO()
    mido.MidiFile(ticks_per_beat=96, tracks=tracks).save(file=buffer)
    (roll,) = read_midi(buffer.getvalue(), tracks="5")
    piece = drawn(known_part(ENCODING, roll, ["keys:C2-C6,steps:2-100"]))
    for voices in (1, 3):
        file = parsed(midi_of(piece, voices=voices))
        assert len(file.tracks) == 16 + voices
        assert not held_or_cut(file, 16)


def test_drawn_notes_end_where_a_tick_is_longer_than_a_step() -> None:
    track = mido.MidiTrack()
    for _ in range(16):
        track.append(mido.Message("note_on", note=60, velocity=50))
        track.append(mido.Message("note_off", note=60, time=1))
    buffer = io.BytesIO()
    mido.MidiFile(ticks_per_beat=1, tracks=[track]).save(file=buffer)
    (roll,) = read_midi(buffer.getvalue())
    file = parsed(midi_of(drawn(known_part(ENCODING, roll, ["bars:2-4"]))))
    assert starts(file.tracks[1])
    assert not held_or_cut(file, 1)


def test_names_in_any_script() -> None:
    roll = PianoRoll.from_notes([(0, 4, 60), (20, 4, 64), (40, 4, 67)])
    score = to_bytes(roll, ".musicxml").replace(b"<part-name>Piano", "<part-name>Флейта".encode())
    (own,) = read_bytes(score, "score.musicxml", ".musicxml")
    assert isinstance(own, PianoRoll)
    piece = drawn(known_part(ENCODING, own, ["bars:2"]))
    (back,) = read_midi(midi_of(piece, drawn_name="笛"))
    assert [track.name for track in back.tracks] == ["Флейта", "笛"]


def test_a_format_0_file_becomes_format_1_and_keeps_its_track() -> None:
    roll = PianoRoll.from_notes([(0, 4, 60), (20, 4, 64), (40, 4, 67)])
    content = to_bytes(roll, ".mid")
    assert parsed(content).type == 0
    (own,) = read_midi(content)
    piece = drawn(known_part(ENCODING, own, ["bars:2"]))
    require_own_file(content, piece, lambda tick, pitch: pitch == 64)
    assert parsed(midi_of(piece)).type == 1
    assert midi_of(replace(piece, song=None), programs=[9]) == to_bytes(
        replace(piece, song=None), ".mid", program=9
    )


def test_tempo_and_key_of_an_own_file() -> None:
    content = swing()
    (roll,) = read_midi(content, tracks="tune")
    piece = drawn(known_part(ENCODING, roll, ["bars:2"]))
    slower = parsed(midi_of(at_tempo(piece, 60)))
    tempos = [
        message.tempo for track in slower.tracks for message in track if message.type == "set_tempo"
    ]
    assert tempos == [1_000_000]
    as_it_was, moved = parsed(midi_of(piece)), parsed(midi_of(transposed(piece, 3)))
    for old, new in zip(as_it_was.tracks, moved.tracks, strict=True):
        for before, after in zip(old, new, strict=True):
            if before.type in ("note_on", "note_off") and before.channel != 9:
                assert after.note == before.note + 3
            elif before.type != "key_signature":
                assert after == before
    for semitones, key in ((3, "Gb"), (2, "F"), (1, "E"), (-3, "C"), (-4, "B")):
        assert parsed(midi_of(transposed(piece, semitones))).tracks[0][1].key == key, "it was Eb"
    for semitones, column in ((-49, -1), (80, 0)):
        cells = np.zeros_like(piece.sounding)
        cells[0, column] = True
        far = transposed(replace(piece, sounding=cells, onsets=None), semitones)
        others = starts(parsed(midi_of(far)).tracks[2])
        assert [(note - semitones) % 12 for _, note, _ in others[::2]] == [48 % 12, 50 % 12], (
            "they stay on the keys"
        )
        assert [note for _, note, _ in others[1::2]] == [35, 38], "drums"


def test_a_score_becomes_a_file_with_its_parts() -> None:
    (roll,) = read_bytes(chorale(), "bwv66.6.mxl", ".mxl", tracks="soprano")
    assert isinstance(roll, PianoRoll)
    piece = drawn(known_melody(ENCODING, roll))
    file = parsed(midi_of(piece, drawn_name="harmonize"))
    names = [
        message.name for track in file.tracks for message in track if message.type == "track_name"
    ]
    assert names == ["Soprano", "Alto", "Tenor", "Bass", "harmonize"]
    (back,) = read_midi(midi_of(piece), tracks="soprano")
    assert back.notes() == roll.notes()
    assert (back.time_signature, back.tempo_bpm, back.upbeat) == (
        roll.time_signature,
        roll.tempo_bpm,
        roll.upbeat,
    )
    (score,) = read_bytes(
        to_bytes(piece, ".musicxml", drawn_name="harmonize"), "own.musicxml", ".musicxml"
    )
    assert isinstance(score, PianoRoll)
    parts = [track.name for track in score.tracks]
    assert parts[:4] == ["Soprano", "Alto", "Tenor", "Bass"]
    assert set(parts[4:]) == {"harmonize"}
    assert sum(track.notes for track in score.tracks[4:]) >= sum(
        piece.drawn[s, p] for s, _, p in piece.notes()
    )  # type: ignore[index]


def test_tracks_that_were_not_kept_are_silent_in_sound() -> None:
    (roll,) = read_midi(swing(), tracks="tune")
    played = parsed(kept_tracks(roll))
    assert [len(starts(track)) for track in played.tracks] == [0, 21, 0]
    assert messages(played.tracks[0]) == messages(parsed(swing()).tracks[0])


def fill_one_track(path: Path) -> None:
    """Fill bars 5 to 8 of the track with most notes by a toy, and check all events of the file."""
    (whole,) = read(path)
    assert isinstance(whole, PianoRoll)
    track = max((track for track in whole.tracks if track.kept), key=lambda track: track.notes)
    (roll,) = read(path, tracks=str(track.number))
    assert isinstance(roll, PianoRoll)
    bars = file_bars(roll)
    first, last = (5, 8) if max(bars) > 8 else (2, 3)  # one of the songs has four bars
    part = known_part(ENCODING, roll, [f"bars:{first}-{last}"])
    (piece,) = fill_pieces(
        toy("lstm", Frames(88, has_onsets=True)), ENCODING, part, particles=1, seed=1
    )
    assert isinstance(piece, PianoRoll)
    content = path.read_bytes()
    step = parsed(content).ticks_per_beat / 4
    begin, end = (bars[first] - 0.5) * step, (bars[last + 1] - 0.5) * step
    for new in require_own_file(content, piece, lambda tick, pitch: begin <= tick < end):
        assert all(begin <= tick < end for tick, _, _ in starts(new))


FOLDERS = {"freedoom-midi": 112, "pop909-midi": 50, "nottingham-midi": 50}


@pytest.mark.slow
@pytest.mark.parametrize("folder", FOLDERS)
def test_real_files_come_back_whole(folder: str, shared_data: Callable[[str], Path]) -> None:
    files = sorted(shared_data(folder).glob("*.mid"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for path in files[:: len(files) // FOLDERS[folder]][: FOLDERS[folder]]:
            if path.name != "dummy.mid":  # it holds drums and no other notes
                fill_one_track(path)


def test_a_real_file_comes_back_whole(shared_data: Callable[[str], Path]) -> None:
    fill_one_track(shared_data("nottingham-midi/jigs10.mid"))
