"""MIDI files, written here as hexdumps, are read as they sound, and a grid comes back as it was."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from midi_hexdumps import END, midi
from reading import one_roll, one_song
from strategies import GRIDS, rolls

from lnfgen.errors import UnreadableFileError
from lnfgen.formats.events import MAX_STEPS
from lnfgen.formats.midi import midi_bytes, read_midi, upbeat_signature
from lnfgen.music.pianoroll import MAX_BPM, MIN_BPM, PianoRoll
from lnfgen.music.song import Song


def one(*tracks: str, **options: int) -> PianoRoll:
    return one_roll(read_midi(midi(*tracks, **options)))


@pytest.mark.parametrize(
    ("track", "division", "notes"),
    [
        # note-on C4, then with running status: its end as velocity 0, then D4 and its end
        (f"00 90 3C 40  04 3C 00  02 3E 40  03 3E 00  {END}", 4, [(0, 4, 60), (6, 3, 62)]),
        # struck again at the tick of the release; and with the new strike before the old end: first
        # in, first out
        (f"00 90 3C 40  04 3C 00  00 3C 40  04 3C 00  {END}", 4, [(0, 4, 60), (4, 4, 60)]),
        (f"00 90 3C 40  04 3C 40  00 3C 00  04 3C 00  {END}", 4, [(0, 4, 60), (4, 4, 60)]),
        (f"00 90 3C 40  02 3C 40  02 3C 00  04 3C 00  {END}", 4, [(0, 2, 60), (2, 6, 60)]),
        # a hanging note ends with its track; also without an end-of-track event, and with a stray
        # note-off
        ("00 90 3C 40  10 FF 2F 00", 4, [(0, 16, 60)]),
        ("00 90 3C 40  10 80 3E 00", 4, [(0, 16, 60)]),
        # 480 ticks to a quarter, a step is 120: 59 ticks round down, 60 up; a note lasts a step at
        # least
        (f"3B 90 3C 40  81 70 80 3C 00 {END}", 480, [(0, 2, 60)]),
        (f"3C 90 3C 40  81 70 80 3C 00 {END}", 480, [(1, 2, 60)]),
        (f"00 90 3C 40  01 80 3C 00 {END}", 480, [(0, 1, 60)]),
    ],
)
def test_strikes_and_releases(track: str, division: int, notes: list[tuple[int, int, int]]) -> None:
    assert one(track, division=division).notes() == notes


def test_silence_at_both_ends_is_kept_and_the_grid_can_be_finer() -> None:
    roll = one("08 90 3C 40  04 80 3C 00  14 FF 2F 00")
    assert (roll.notes(), roll.num_steps) == ([(8, 4, 60)], 32)
    content = midi(f"00 90 3C 40  81 20 80 3C 00 {END}", division=480)
    roll = one_roll(read_midi(content, steps_per_quarter=12))
    assert (roll.notes(), roll.steps_per_quarter) == ([(0, 4, 60)], 12)


def test_channels_and_tracks_sound_together() -> None:
    roll = one(
        f"00 90 3C 40  00 91 3C 40  04 80 3C 00  04 81 3C 00 {END}",
        f"02 90 40 40  04 80 40 00 {END}",
    )
    assert roll.notes() == [(0, 8, 60), (2, 4, 64)]
    content = midi(f"00 90 14 40  00 6D 40  00 3C 40  04 14 00  00 6D 00  00 3C 00 {END}")
    song = one_song(read_midi(content))
    assert song.roll.notes() == [(0, 4, 60)]
    assert song.origin.report["out_of_range"] == 2, "two pitches outside the keys"


def test_drums_are_left_out_unless_wanted() -> None:
    content = midi(f"00 90 3C 40  00 99 24 40  04 80 3C 00  00 89 24 00 {END}")
    assert one_roll(read_midi(content)).notes() == [(0, 4, 60)]
    with_drums = one_roll(read_midi(content, tracks="all,drums"))
    assert with_drums.notes() == [(0, 4, 36), (0, 4, 60)]
    with pytest.raises(UnreadableFileError, match="drums and no other notes"):
        read_midi(midi(f"00 99 24 40  04 89 24 00 {END}"))


@pytest.mark.parametrize(
    "settings",
    [
        "00 FF 58 04 02 02 18 08  00 FF 58 04 01 02 18 08  00 FF 58 04 04 02 18 08 "
        "00 FF 51 03 03 D0 90",
        "00 FF 58 04 01 02 18 08  04 FF 58 04 04 02 18 08",  # an upbeat of a quarter
        "",
    ],
)
def test_the_longest_lasting_counts_and_of_several_at_one_tick_the_last_given(
    settings: str,
) -> None:
    last = "00 FF 51 03 0F 42 40"  # 60 bpm, in a later track
    roll = one(f"{settings} {END}", f"{last} 00 90 3C 40  30 80 3C 00 {END}")
    assert (roll.tempo_bpm, roll.time_signature) == (60.0, (4, 4))
    # A bar at 60 bpm, then two quarters at 240; 6/8 at first, 3/4 later.
    first = "00 FF 51 03 0F 42 40  00 FF 58 04 06 03 18 08"
    then = "10 FF 51 03 03 D0 90  04 FF 58 04 03 02 18 08"
    roll = one(f"{first} {then} 04 {END[3:]}", f"00 90 3C 40  18 80 3C 00 {END}")
    assert (roll.tempo_bpm, roll.time_signature) == (60.0, (6, 8))


def test_format_2_is_a_list_of_pieces() -> None:
    content = midi(
        f"00 FF 51 03 0F 42 40 00 90 3C 40  04 80 3C 00 {END}",
        f"04 {END[3:]}",
        f"00 90 3E 40  08 80 3E 00 {END}",
        kind=2,
    )
    first, second = (song.roll for song in read_midi(content))
    assert (first.notes(), first.tempo_bpm) == ([(0, 4, 60)], 60.0)
    assert (second.notes(), second.tempo_bpm) == ([(0, 8, 62)], 120.0)


def test_smpte_time_becomes_120_bpm() -> None:
    # 25 frames of 40 ticks: a thousand ticks a second, so a quarter at 120 bpm is 500 of them; the
    # tempo is not heard
    division = (-25 << 8) | 40
    roll = one(f"00 FF 51 03 0F 42 40  00 90 3C 40  83 74 80 3C 00 {END}", division=division)
    assert (roll.notes(), roll.tempo_bpm) == ([(0, 4, 60)], 120.0)


# The way there and back


@given(rolls(GRIDS | st.just(960)), st.sampled_from((None, 1, 3, 8)))
def test_writing_and_reading_is_exact_on_the_grid(roll: PianoRoll, voices: int | None) -> None:
    grid = roll.steps_per_quarter
    found = one_roll(read_midi(midi_bytes(roll, voices=voices), steps_per_quarter=grid))
    assert found == replace(roll, upbeat=roll.upbeat if upbeat_signature(roll) else 0)
    held = replace(roll, onsets=None)
    found = one_roll(read_midi(midi_bytes(held, voices=voices), steps_per_quarter=grid))
    assert found.notes() == held.notes()


@given(st.floats(MIN_BPM, 1000))
@example(MIN_BPM)
@example(MAX_BPM)
def test_a_tempo_that_was_read_once_stays(bpm: float) -> None:
    roll = PianoRoll.from_notes([(0, 4, 60)], tempo_bpm=bpm)
    once = one_roll(read_midi(midi_bytes(roll)))
    twice = one_roll(read_midi(midi_bytes(once)))
    assert once == twice
    assert once.tempo_bpm == pytest.approx(bpm, rel=1e-4)


def test_a_program_is_a_number_of_general_midi() -> None:
    roll = PianoRoll.from_notes([(0, 4, 60)])
    assert bytes.fromhex("C0 49") in midi_bytes(roll, programs=[73])


def test_a_folder_of_tunes(shared_data: object) -> None:
    folder: Path = shared_data("nottingham-midi")  # type: ignore[operator]
    for path in sorted(folder.glob("*.mid"))[::60]:
        roll = one_roll(read_midi(path.read_bytes(), str(path)))
        assert roll.num_notes > 50
        assert roll.onsets is not None
        assert one_roll(read_midi(midi_bytes(roll))) == roll


# What is no MIDI file, or was one

GOOD = midi(
    f"00 90 3C 40  04 80 3C 00 {END}", f"00 FF 58 04 06 03 18 08 00 91 3E 40  04 81 3E 00 {END}"
)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "starts with b''"),
        (b"Dear diary, today", "starts with b'Dear'"),
        (b"MThd", "cut off in the MIDI header"),
        (GOOD[:14], "promises 2 tracks, 0 are there"),
        (GOOD[:-6], "claims 20 bytes, 14 are there"),
        (GOOD[:18] + b"\xff\xff\xff\xff" + GOOD[22:], "claims 4,294,967,295 bytes"),
        (GOOD[:9] + b"\x07" + GOOD[10:], "format 7"),
        (GOOD[:12] + b"\x00\x00" + GOOD[14:], "0 ticks"),
        (midi(END), "without notes"),
        (midi(f"00 90 3C 40  FF FF FF 7F 80 3C 00 {END}"), f"at most {MAX_STEPS}"),
        (midi(*[f"00 90 3C 40  A4 CF 40 80 3C 00 {END}"] * 2, kind=2), "lasts 1200000 steps"),
        (midi("00 3C 40"), "running status"),
        (midi("00 90 3C"), "damaged"),
    ],
)
def test_what_is_no_midi_file_is_said_in_one_line(content: bytes, said: str) -> None:
    with pytest.raises(UnreadableFileError, match=r"song\.mid") as caught:
        read_midi(content, "song.mid")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_mutated_bytes_are_read_or_refused_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    roll = PianoRoll.from_notes([(step, 2, 40 + step) for step in range(40)])
    for seed in (GOOD, midi_bytes(roll)):
        for _ in range(400):
            content = mutated(seed, rng)
            try:
                songs = read_midi(content)
            except UnreadableFileError:
                continue
            assert all(isinstance(song, Song) for song in songs)


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """The content with a few other bytes, and sometimes cut off."""
    changed = bytearray(content)
    for position in rng.integers(0, len(changed), rng.integers(1, 4)):
        changed[position] = rng.integers(0, 256)
    if rng.random() < 0.3:
        del changed[rng.integers(0, len(changed)) :]
    return bytes(changed)
