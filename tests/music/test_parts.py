"""Which tracks play which part of a band, from a file to a dataset and back to a file."""

from pathlib import Path

import mido
import pytest
from toy_bands import band_file
from toy_music import midi, song, song_of_band, track

import lnfgen
from lnfgen.data.encoding import Encoding
from lnfgen.errors import LnfgenError, UnreadableFileError
from lnfgen.formats.midi import VELOCITY, midi_bytes, read_midi
from lnfgen.formats.song import midi_of
from lnfgen.music.parts import ROLES, Part, usual_parts, wanted_roles
from lnfgen.music.pianoroll import PianoRoll

LINE = [(0, 1, 60), (1, 1, 62), (2, 2, 64)]


def roles_of(
    content: bytes, tracks: str = "all", roles: tuple[str, ...] = ROLES
) -> dict[int, tuple[str, str]]:
    (roll,) = read_midi(content, roles=roles, tracks=tracks)
    assert roll.roles == roles
    return {one.number: (one.role, one.why) for one in roll.tracks}


def moved(semitones: int) -> list[tuple[float, float, int]]:
    return [(start, length, pitch + semitones) for start, length, pitch in LINE]


def test_a_book_of_bands_may_have_as_many_steps_as_a_book_of_one_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    book = bytearray(midi(track("", 0, 0, LINE), track("", 0, 33, moved(-24))))
    book[9] = 2  # two independent songs
    monkeypatch.setattr("lnfgen.formats.events.MAX_STEPS", 32)
    assert [roll.num_steps for roll in read_midi(bytes(book), roles=ROLES)] == [64, 64], (
        "16 steps of four parts each"
    )


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
    assert [role for role, _ in roles_of(content).values()] == ["melody", "melody", "chords"]
    (roll,) = read_midi(content, roles=ROLES)
    assert roll.part(3).notes() == [(4 * start, 4 * length, pitch) for start, length, pitch in LINE]
    assert roll.losses["merged"] == 3


def test_an_echo_is_of_the_part_that_it_repeats_and_a_low_line_is_no_melody() -> None:
    echo = [(start + 1, 1, pitch) for start, _, pitch in LINE]
    found = roles_of(
        midi(track("Vocals", 0, 0, LINE), track("Echo", 1, 73, echo), track("", 2, 0, moved(-7)))
    )
    assert [role for role, _ in found.values()] == ["melody", "melody", "chords"]
    low = midi(
        track("", 0, 33, moved(-24)),
        track("", 1, 0, [(0, 4, 55), (0, 4, 59)]),
        track("", 2, 0, moved(-20)),
    )
    assert [role for role, _ in roles_of(low).values()] == ["bass", "chords", "chords"]


def test_drums_have_channel_10_or_are_named_so() -> None:
    beat = [(quarter, 1, 36 + 2 * (quarter % 2)) for quarter in range(8)]
    steel, organ = (
        track("Steel Drums", 1, 114, moved(12)),
        track("Percussive Organ", 2, 17, moved(-5)),
    )
    content = midi(track("Drum kit", 0, 0, beat), steel, organ, track("Woodblock", 3, 115, LINE))
    found = [
        ("drums", "its name"),
        ("melody", "its high notes"),
        ("chords", "the others"),
        ("", ""),
    ]
    assert [*roles_of(content).values()] == found
    (roll,) = read_midi(content)
    assert {pitch for _, _, pitch in roll.notes()}.isdisjoint({36, 38}), (
        "one merged roll has no drums"
    )


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
    (roll,) = read_midi(midi(track(name, 0, 0, LINE)))
    assert len(roll.notes()) == len(LINE)


def test_a_line_of_few_notes_is_the_melody_if_no_other_can_be() -> None:
    chords = [(bar, 1, pitch) for bar in range(8) for pitch in (55, 59)]
    content = midi(
        track("", 0, 0, chords),
        track("", 1, 33, [(bar, 1, 36) for bar in range(8)]),
        track("", 2, 71, LINE),
    )
    assert [role for role, _ in roles_of(content).values()] == ["chords", "bass", "melody"]
    with_bells = midi(
        track("", 0, 0, chords), track("", 1, 73, chords[::2]), track("", 2, 14, moved(24))
    )
    assert [role for role, _ in roles_of(with_bells).values()] == ["chords", "melody", "chords"]


def test_a_person_can_place_tracks() -> None:
    assert roles_of(song("Lead"), "melody=glockenspiel")[5] == ("melody", "as asked")
    assert roles_of(song("Lead"), "melody=glockenspiel")[3] == ("chords", "the others"), (
        "there is a melody already"
    )
    assert [*roles_of(song("Lead"), "melody=5,bass").values()] == [("", "")] * 3 + [
        ("bass", "its name"),
        ("melody", "as asked"),
    ]
    with pytest.raises(LnfgenError, match="found the part 'tuba'; expected one of drums, bass"):
        roles_of(song("Lead"), "tuba=5")
    with pytest.raises(UnreadableFileError, match="has no track 'tuba'"):
        roles_of(song("Lead"), "melody=tuba")


def test_fewer_parts_take_the_tracks_of_the_others_but_no_drums() -> None:
    assert [role for role, _ in roles_of(song("Lead"), roles=("chords", "melody")).values()] == [
        *("", "chords", "melody", "chords", "chords")
    ]
    named = [role for role, _ in roles_of(song("Lead"), roles=("drums", "bass")).values()]
    assert named == ["drums", "", "", "bass", ""], (
        "neither the melody nor the chords get into the bass"
    )
    assert wanted_roles("3") == ("drums", "chords", "melody")
    assert wanted_roles("melody, drums") == ("drums", "melody")
    assert wanted_roles("1") == ()
    for wrong in ("5", "0", "", "bass,tuba"):
        with pytest.raises(
            LnfgenError, match="expected 1 to 4, or some of drums, bass, chords, melody"
        ):
            wanted_roles(wrong)


def test_a_file_of_64_tracks_and_one_whose_program_changes() -> None:
    many = midi(*(track(f"Track {index}", index % 16, 0, moved(index % 12)) for index in range(64)))
    found = [role for role, _ in roles_of(many).values()]
    assert found.count("drums") == 4
    assert set(found) == {"drums", "chords", "melody"}
    changed = mido.MidiTrack(track("Lead", 0, 73, LINE)[:-1])
    changed += [mido.Message("program_change", program=40), *track("", 0, None, moved(2))]
    (roll,) = read_midi(midi(changed), roles=ROLES)
    assert (roll.parts[3].program, len(roll.part(3).notes())) == (73, 6), (
        "the program of its first note"
    )


def test_a_written_band_is_read_again_with_its_programs_and_accents() -> None:
    band = song_of_band(1)
    loud = tuple(100 - 5 * (place % 4) for place in range(16))
    parts = [
        Part("drums", 8, loud),
        Part("bass", 33, loud),
        Part("chords", 4),
        Part("melody", 73, loud),
    ]
    band = PianoRoll.of_parts([band.part(number) for number in range(4)], parts)
    content = midi_bytes(band)
    (again,) = read_midi(content, roles=ROLES)
    assert again == band
    assert [(part.role, part.program) for part in again.parts] == [
        (part.role, part.program) for part in parts
    ]
    assert again.parts[1].velocities[0] == loud[0]
    assert again.parts[2].velocities == (VELOCITY,) * 16
    assert [one.channel for one in again.tracks] == [10, 2, 3, 4]
    (flutes,) = read_midi(midi_bytes(band, programs=[73, 48]), roles=ROLES)
    assert [part.program for part in flutes.parts] == [8, 48, 48, 73], (
        "from the highest part down, but for drums"
    )
    with pytest.raises(LnfgenError, match="3 voices of a band; expected none"):
        midi_of(band, voices=3)


def test_a_band_has_each_part_once_and_whole_steps() -> None:
    line = PianoRoll.from_notes([(0, 4, 60)])
    with pytest.raises(LnfgenError, match="a band of bass, bass; expected each part once"):
        PianoRoll.of_parts([line, line], [Part("bass"), Part("bass")])
    pair = PianoRoll.of_parts([line, line], [Part("bass"), Part("melody")])
    with pytest.raises(LnfgenError, match="5 rows of 2 parts; expected as many of each part"):
        pair.stretch(0, 5)


def test_the_usual_parts_of_a_set() -> None:
    pieces = [
        (Part("bass", 33, (90, 70)),),
        (Part("bass", 33, (100, 80)),),
        (Part("bass", 38, (1,)),),
        (Part("bass"),),
    ]
    assert usual_parts(pieces) == (Part("bass", 33, (95, 75)),)
    assert usual_parts(pieces[3:]) == (Part("bass"),)


def test_a_folder_of_songs_becomes_a_dataset_of_bands(tmp_path: Path) -> None:
    (tmp_path / "songs").mkdir()
    for number in range(6):
        (tmp_path / "songs" / f"{number}.mid").write_bytes(band_file(2 + number))
    dataset = lnfgen.preprocess(tmp_path / "songs", tmp_path / "d")
    encoding = dataset.encoding
    assert (encoding.roles, encoding.grid, encoding.steps_per_quarter) == (ROLES, 4, 16)
    assert [part.program for part in encoding.parts] == [16, 33, 2, 73]
    assert Encoding.from_json(encoding.to_json()) == encoding
    for piece in dataset.pieces("train"):
        assert isinstance(piece, PianoRoll)
        assert all(length == 1 for _, length, _ in piece.part(0).notes()), "drums are never held"
        assert {pitch for _, _, pitch in piece.part(0).notes()} == {36, 38, 42}
        assert piece.part(1).notes()
    merged = lnfgen.preprocess(tmp_path / "songs", tmp_path / "m", parts="1")
    assert not merged.encoding.parts
    two = lnfgen.preprocess(tmp_path / "songs", tmp_path / "two", parts="drums,melody")
    assert two.encoding.roles == ("drums", "melody")


def test_notes_beyond_the_keys_of_a_part_are_not_called_beyond_a_piano(tmp_path: Path) -> None:
    (tmp_path / "songs").mkdir()
    for number in range(4):
        (tmp_path / "songs" / f"{number}.mid").write_bytes(song("Lead", 21 + number))
    for parts, beyond in (("auto", ["the four octaves of their part"]), ("1", [])):
        dataset = lnfgen.preprocess(tmp_path / "songs", tmp_path / parts, parts=parts)
        remarks = dataset.manifest["preprocessing"]["remarks"]
        assert [line.partition("outside ")[2] for line in remarks if "outside" in line] == beyond


def test_piano_rolls_beside_songs_take_their_parts(tmp_path: Path) -> None:
    (tmp_path / "songs").mkdir()
    for number in range(3):
        (tmp_path / "songs" / f"{number}.mid").write_bytes(band_file(2 + number))
    plain = PianoRoll.from_notes([(4 * index, 4, 60 + index) for index in range(16)])
    lnfgen.write(tmp_path / "songs" / "a line.npz", plain)
    lnfgen.write(tmp_path / "songs" / "a band.npz", song_of_band(1))
    for parts, roles in (("auto", ROLES), ("1", ())):
        dataset = lnfgen.preprocess(tmp_path / "songs", tmp_path / parts, parts=parts)
        assert (dataset.encoding.roles, dataset.manifest["skipped"]) == (roles, [])
        assert sum(len(dataset.split(name)) for name in dataset.split_names) == 5


def test_a_folder_without_drums_and_names_has_no_parts(tmp_path: Path) -> None:
    (tmp_path / "songs").mkdir()
    for number in range(4):
        content = midi(track("", 0, 0, moved(number)), track("", 1, 0, moved(number - 12)))
        (tmp_path / "songs" / f"{number}.mid").write_bytes(content)
    assert not lnfgen.preprocess(tmp_path / "songs", tmp_path / "d").encoding.parts
