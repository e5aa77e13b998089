"""Which tracks play which part of a band, from a file to a dataset and back to a file."""

from dataclasses import asdict, replace
from pathlib import Path

import mido
import pytest
from toy_bands import band_file
from toy_music import midi, song, song_of_band, track

import lnfgen
from lnfgen.data.dataset import open_dataset
from lnfgen.data.encoding_json import encoding_from_json
from lnfgen.errors import LnfgenError, UnreadableFileError
from lnfgen.formats.midi import VELOCITY, midi_bytes, read_midi
from lnfgen.formats.song import midi_of
from lnfgen.music.parts import (
    ROLES,
    Part,
    are_pitched,
    part_programs,
    usual_parts,
    wanted_roles,
)
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Song

LINE = [(0, 1, 60), (1, 1, 62), (2, 2, 64)]


def roles_of(
    content: bytes, tracks: str = "all", roles: tuple[str, ...] = ROLES
) -> dict[int, tuple[str, str]]:
    """The role of each track of a file, and why it has it."""
    (piece,) = read_midi(content, roles=roles, tracks=tracks)
    assert piece.roll.roles == roles
    return {track.number: (track.role, track.why) for track in piece.origin.tracks}


def names_of(content: bytes, roles: tuple[str, ...] = ROLES) -> list[str]:
    """The roles of the tracks of a file, in their order."""
    return [role for role, _ in roles_of(content, roles=roles).values()]


def moved(semitones: int) -> list[tuple[int, int, int]]:
    return [(start, length, pitch + semitones) for start, length, pitch in LINE]


def test_a_book_of_bands_may_have_as_many_steps_as_a_book_of_one_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    book = bytearray(midi(track("", 0, 0, LINE), track("", 0, 33, moved(-24))))
    book[9] = 2  # two independent songs
    monkeypatch.setattr("lnfgen.formats.events.MAX_STEPS", 32)
    assert [piece.roll.num_steps for piece in read_midi(bytes(book), roles=ROLES)] == [16, 16]


def test_names_programs_and_pitches_decide() -> None:
    assert roles_of(song("Lead")) == {
        1: ("drums", "channel 10"),
        2: ("chords", "the others"),
        3: ("melody", "its name"),
        4: ("bass", "its name"),
        5: ("chords", "the others"),
    }
    chords = [(0, 4, pitch) for pitch in (55, 59, 62)]
    plain = midi(track("", 0, 0, chords), track("", 1, 0, moved(12)), track("", 2, 0, moved(-24)))
    found = [("chords", "the others"), ("melody", "its high notes"), ("bass", "its low notes")]
    assert [*roles_of(plain).values()] == found
    program = midi(
        track("", 0, 33, moved(-12)), track("", 1, 38, moved(-24)), track("", 2, 122, LINE)
    )
    assert [*roles_of(program).values()] == [("bass", "its program")] * 2 + [("", "")], (
        "a seashore plays no part"
    )
    high = midi(
        track("Bass Lead", 0, 87, moved(12)), track("", 1, 38, LINE), track("", 2, 33, moved(-24))
    )
    found = [("melody", "its name"), ("chords", "the others"), ("bass", "its program")]
    assert [*roles_of(high).values()] == found, "no bass is above middle C"


def test_two_tracks_of_the_same_notes_play_the_same_part() -> None:
    content = midi(
        track("Vocals", 0, 0, LINE), track("Flute", 1, 73, LINE), track("", 2, 0, moved(-7))
    )
    assert names_of(content) == ["melody", "melody", "chords"]
    (piece,) = read_midi(content, roles=ROLES)
    melody = [(4 * start, 4 * length, pitch) for start, length, pitch in LINE]
    assert piece.roll.notes(3) == melody
    assert piece.origin.report["merged"] == 3


def test_an_echo_is_of_the_part_that_it_repeats_and_a_low_line_is_no_melody() -> None:
    echo = [(start + 1, 1, pitch) for start, _, pitch in LINE]
    with_echo = midi(
        track("Vocals", 0, 0, LINE), track("Echo", 1, 73, echo), track("", 2, 0, moved(-7))
    )
    assert names_of(with_echo) == ["melody", "melody", "chords"]
    low = midi(
        track("", 0, 33, moved(-24)),
        track("", 1, 0, [(0, 4, 55), (0, 4, 59)]),
        track("", 2, 0, moved(-20)),
    )
    assert names_of(low) == ["bass", "chords", "chords"]


def test_drums_have_channel_10_or_are_named_so() -> None:
    beat = [(quarter, 1, 36 + 2 * (quarter % 2)) for quarter in range(8)]
    content = midi(
        track("Drum kit", 0, 0, beat),
        track("Steel Drums", 1, 114, moved(12)),
        track("Percussive Organ", 2, 17, moved(-5)),
        track("Woodblock", 3, 115, LINE),
    )
    assert [*roles_of(content).values()] == [
        ("drums", "its name"),
        ("melody", "its high notes"),
        ("chords", "the others"),
        ("", ""),
    ]
    (merged,) = read_midi(content)
    pitches = {pitch for _, _, pitch in merged.roll.notes()}
    assert pitches.isdisjoint({36, 38}), "one merged roll has no drums"


@pytest.mark.parametrize(
    "name", ["Drums", "DRUM", "Drum kit 2", "DrumL", "Drums (MIDI)", "Percussion", "drum_track"]
)
def test_a_track_is_named_drums(name: str) -> None:
    assert roles_of(midi(track(name, 0, 0, LINE), track("", 1, 0, LINE)))[1] == (
        "drums",
        "its name",
    )


@pytest.mark.parametrize(
    "name", ["Drummond Castle", "Drums of War", "Steel Drums", "Percussive Organ", ""]
)
def test_a_tune_is_not_taken_for_drums(name: str) -> None:
    (piece,) = read_midi(midi(track(name, 0, 0, LINE)))
    assert piece.roll.num_notes == len(LINE)


def test_a_line_of_few_notes_is_the_melody_if_no_other_can_be() -> None:
    chords = []
    for bar in range(8):
        chords += [(bar, 1, 55), (bar, 1, 59)]
    bass = [(bar, 1, 36) for bar in range(8)]
    content = midi(track("", 0, 0, chords), track("", 1, 33, bass), track("", 2, 71, LINE))
    assert names_of(content) == ["chords", "bass", "melody"]
    with_bells = midi(
        track("", 0, 0, chords), track("", 1, 73, chords[::2]), track("", 2, 14, moved(24))
    )
    assert names_of(with_bells) == ["chords", "melody", "chords"]


def test_a_person_can_place_tracks() -> None:
    with_bells = roles_of(song("Lead"), "melody=glockenspiel")
    assert with_bells[5] == ("melody", "as asked")
    assert with_bells[3] == ("chords", "the others"), "there is a melody already"
    assert roles_of(song("Lead"), "melody=5,bass") == {
        1: ("", ""),
        2: ("", ""),
        3: ("", ""),
        4: ("bass", "its name"),
        5: ("melody", "as asked"),
    }
    with pytest.raises(LnfgenError, match="found the part 'tuba'; expected one of drums, bass"):
        roles_of(song("Lead"), "tuba=5")
    with pytest.raises(UnreadableFileError, match="has no track 'tuba'"):
        roles_of(song("Lead"), "melody=tuba")


def test_fewer_parts_take_the_tracks_of_the_others_but_no_drums() -> None:
    content = song("Lead")
    merged = names_of(content, roles=("chords", "melody"))
    assert merged == ["", "chords", "melody", "chords", "chords"]
    apart = names_of(content, roles=("drums", "bass"))
    assert apart == ["drums", "", "", "bass", ""], "neither melody nor chords get into the bass"


@pytest.mark.parametrize(
    ("words", "roles"),
    [
        ("1", ()),
        ("2", ("chords", "melody")),
        ("3", ("drums", "chords", "melody")),
        ("4", ROLES),
        ("melody, drums", ("drums", "melody")),
    ],
)
def test_parts_are_wanted_by_their_number_or_their_names(words: str, roles: tuple[str]) -> None:
    assert wanted_roles(words) == roles


@pytest.mark.parametrize("wrong", ["5", "0", "", "bass,tuba"])
def test_parts_that_there_are_not(wrong: str) -> None:
    with pytest.raises(
        LnfgenError, match="expected 1 to 4, or some of drums, bass, chords, melody"
    ):
        wanted_roles(wrong)


def test_a_file_of_64_tracks() -> None:
    tracks = [track(f"Track {index}", index % 16, 0, moved(index % 12)) for index in range(64)]
    found = names_of(midi(*tracks))
    assert found.count("drums") == 4
    assert set(found) == {"drums", "chords", "melody"}


def test_a_part_has_the_program_of_its_first_note() -> None:
    changed = mido.MidiTrack(track("Lead", 0, 73, LINE)[:-1])
    changed += [mido.Message("program_change", program=40), *track("", 0, None, moved(2))]
    (piece,) = read_midi(midi(changed), roles=ROLES)
    assert piece.roll.parts[3].program == 73
    assert len(piece.roll.notes(3)) == 6


def band_with_accents() -> PianoRoll:
    band = song_of_band(1)
    loud = tuple(100 - 5 * (place % 4) for place in range(16))
    parts = [
        Part("drums", 8, loud),
        Part("bass", 33, loud),
        Part("chords", 4),
        Part("melody", 73, loud),
    ]
    return replace(band, parts=tuple(parts))


def test_a_written_band_is_read_again_with_its_programs_and_accents() -> None:
    band = band_with_accents()
    (piece,) = read_midi(midi_bytes(band), roles=ROLES)
    again = piece.roll
    assert again == band
    for part, expected in zip(again.parts, band.parts, strict=True):
        assert (part.role, part.program) == (expected.role, expected.program)
    assert again.parts[1].velocities[0] == 100
    assert again.parts[2].velocities == (VELOCITY,) * 16
    assert [track.channel for track in piece.origin.tracks] == [10, 2, 3, 4]


def test_programs_are_those_of_the_highest_parts_down() -> None:
    band = band_with_accents()
    (piece,) = read_midi(midi_bytes(band, programs=[73, 48]), roles=ROLES)
    assert [part.program for part in piece.roll.parts] == [8, 48, 48, 73], "but for drums"
    assert part_programs(band.parts, []) == [8, 33, 4, 73]
    assert part_programs(band.parts, [40]) == [8, 40, 40, 40]
    assert part_programs(band.parts, [1, 2, 3]) == [8, 3, 2, 1]
    with pytest.raises(LnfgenError, match="3 voices of a band; expected none"):
        midi_of(Song(band), voices=3)


def test_drums_have_no_pitches() -> None:
    assert are_pitched(ROLES).tolist() == [False, True, True, True]
    assert are_pitched(()).tolist() == [True], "music without parts has"


def test_a_part_is_read_from_json_again_and_anything_else_is_refused() -> None:
    part = Part("bass", 33, (90, 70))
    assert Part.from_json(asdict(part)) == part
    wrong = [
        {},
        "bass",
        {**asdict(part), "role": "tuba"},
        {**asdict(part), "program": 128},
        {**asdict(part), "velocities": [1.5]},
        {**asdict(part), "velocities": 90},
        {**asdict(part), "name": "Bass"},
    ]
    for value in wrong:
        with pytest.raises(ValueError, match="the part"):
            Part.from_json(value)


def test_the_usual_parts_of_a_set() -> None:
    pieces = [
        (Part("bass", 33, (90, 70)),),
        (Part("bass", 33, (100, 80)),),
        (Part("bass", 38, (1,)),),
        (Part("bass"),),
    ]
    assert usual_parts(pieces) == (Part("bass", 33, (95, 75)),)
    assert usual_parts(pieces[3:]) == (Part("bass"),)


def folder_of_songs(folder: Path, count: int) -> Path:
    folder.mkdir()
    for number in range(count):
        (folder / f"{number}.mid").write_bytes(band_file(2 + number))
    return folder


def test_a_folder_of_songs_becomes_a_dataset_of_bands(tmp_path: Path) -> None:
    dataset = lnfgen.preprocess(folder_of_songs(tmp_path / "songs", 6), tmp_path / "d")
    encoding = dataset.encoding
    assert encoding.roles == ROLES
    assert encoding.steps_per_quarter == 4
    assert [part.program for part in encoding.parts] == [16, 33, 2, 73]
    assert encoding_from_json(encoding.to_json()) == encoding
    for piece in dataset.pieces("train"):
        assert isinstance(piece, PianoRoll)
        drums = piece.notes(0)
        assert {length for _, length, _ in drums} == {1}, "drums are never held"
        assert {pitch for _, _, pitch in drums} == {36, 38, 42}
        assert piece.notes(1)


def test_a_folder_of_songs_becomes_the_parts_that_are_wanted(tmp_path: Path) -> None:
    songs = folder_of_songs(tmp_path / "songs", 6)
    merged = lnfgen.preprocess(songs, tmp_path / "m", parts="1")
    assert not merged.encoding.parts
    two = lnfgen.preprocess(songs, tmp_path / "two", parts="drums,melody")
    assert two.encoding.roles == ("drums", "melody")


def test_a_dataset_of_bands_may_have_a_fine_grid(tmp_path: Path) -> None:
    """The limit of 960 counts time steps, also where a band is read from its folder again."""
    songs = folder_of_songs(tmp_path / "songs", 4)
    options = {"parts": "4", "steps_per_quarter": 480, "max_length": 4000}
    lnfgen.preprocess(songs, tmp_path / "d", **options)
    dataset = open_dataset(tmp_path / "d")
    assert dataset.encoding.steps_per_quarter == 480
    assert {piece.steps_per_quarter for piece in dataset.pieces("train")} == {480}


def test_notes_beyond_the_keys_of_a_part_are_moved_by_octaves(tmp_path: Path) -> None:
    (tmp_path / "songs").mkdir()
    for number in range(4):
        (tmp_path / "songs" / f"{number}.mid").write_bytes(song("Lead", 21 + number))
    for parts, are_moved in (("auto", True), ("1", False)):
        dataset = lnfgen.preprocess(tmp_path / "songs", tmp_path / parts, parts=parts)
        remarks = " ".join(dataset.manifest["preprocessing"]["remarks"])
        assert ("by octaves, onto the four octaves of their part" in remarks) == are_moved
        assert "outside" not in remarks


@pytest.mark.parametrize(("parts", "roles"), [("auto", ROLES), ("1", ())])
def test_piano_rolls_beside_songs_take_their_parts(
    parts: str, roles: tuple[str, ...], tmp_path: Path
) -> None:
    songs = folder_of_songs(tmp_path / "songs", 3)
    line = PianoRoll.from_notes([(4 * index, 4, 60 + index) for index in range(16)])
    lnfgen.write(songs / "a line.npz", line)
    lnfgen.write(songs / "a band.npz", song_of_band(1))
    dataset = lnfgen.preprocess(songs, tmp_path / parts, parts=parts)
    assert dataset.encoding.roles == roles
    assert dataset.manifest["skipped"] == []
    assert sum(len(dataset.split(name)) for name in dataset.split_names) == 5


def test_a_folder_without_drums_and_names_has_no_parts(tmp_path: Path) -> None:
    (tmp_path / "songs").mkdir()
    for number in range(4):
        content = midi(track("", 0, 0, moved(number)), track("", 1, 0, moved(number - 12)))
        (tmp_path / "songs" / f"{number}.mid").write_bytes(content)
    assert not lnfgen.preprocess(tmp_path / "songs", tmp_path / "d").encoding.parts
