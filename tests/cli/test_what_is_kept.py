"""Commands that draw from a person's piece: what they keep of it, and what they say of the rest."""

import json
import warnings
from pathlib import Path
from subprocess import CompletedProcess
from unittest.mock import Mock

import mido
import numpy as np
import pytest
from command import Call, fails
from reading import one_roll
from toy_bands import band_encoding, band_file
from toy_dataset import write_dataset
from toy_home import make_run

import lnfgen
from lnfgen.cli.sources import read_one
from lnfgen.data.dataset_options import Options
from lnfgen.data.text_encoding import TextEncoding
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Origin, Song
from lnfgen.runs.folder import RunFolder

FEW = ("--seed", "1", "--particles", "4")
TOY_RUN = ("--run", "run-rolls", "--seed", "1", "--particles", "2")
SONG = PianoRoll.from_notes([(0, 4, 67), (4, 4, 69), (0, 8, 48), (8, 8, 65)], steps_per_quarter=4)


def written(done: CompletedProcess[bytes]) -> list[str]:
    """The paths that a command has printed."""
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().split()


@pytest.fixture
def song(here: Call) -> Call:
    """Commands in a folder with song.mid."""
    lnfgen.write("song.mid", SONG)
    return here


def test_a_variation_of_nothing_is_the_piece_on_the_models_grid(song: Call) -> None:
    done = song("vary", "song.mid", "--out", "same.npz", "--amount", "0", *FEW)
    assert written(done) == ["same.npz"]
    halved = [(start // 2, length // 2, pitch) for start, length, pitch in SONG.notes()]
    assert one_roll(lnfgen.read("same.npz")).notes() == halved


@pytest.mark.usefixtures("few_home_samples")
def test_a_melody_is_kept_in_all_harmonies(song: Call) -> None:
    done = song("harmonize", "song.mid", "--out", "new.mid", "--count", "2", *FEW)
    assert written(done) == ["new-01.mid", "new-02.mid"]
    assert b"the model in the box: chorales" in done.stderr
    for name in ("new-01.mid", "new-02.mid"):
        notes = one_roll(lnfgen.read(name)).notes()
        assert {(0, 4, 67), (4, 4, 69), (8, 8, 65)} <= set(notes)


@pytest.mark.usefixtures("few_home_samples")
def test_a_page_and_a_score_are_written_of_what_is_filled(song: Call) -> None:
    words = ("--free", "voice:2", "--free", "steps:7-8")
    done = song("fill", "song.mid", "--out", "page.html", *words, "--json", *FEW)
    facts = json.loads(done.stdout)
    assert [piece["path"] for piece in facts["pieces"]] == ["page.html"]
    assert (facts["run"], facts["seed"], facts["particles"]) == ("chorales", 1, 4)
    assert " · seed 1<" in Path("page.html").read_text()
    lnfgen.write("score.musicxml", Song(SONG, Origin(title="My song")))
    assert written(song("fill", "score.musicxml", "--out", "full.musicxml", *words[2:], *FEW))
    assert "<work-title>My song<" in Path("full.musicxml").read_text()


@pytest.mark.usefixtures("few_home_samples")
def test_an_intro_is_kept(song: Call) -> None:
    done = song("continue", "song.mid", "--out", "on.npz", "--bars", "2", *FEW)
    assert written(done) == ["on.npz"]
    roll = one_roll(lnfgen.read("on.npz"))
    assert (roll.num_steps, roll.steps_per_quarter) == (24, 2)
    assert {(0, 2, 67), (2, 2, 69), (0, 4, 48), (4, 4, 65)} <= set(roll.notes())


@pytest.mark.usefixtures("few_home_samples")
def test_an_own_file_takes_voices_and_instruments(toy_home: Path, call: Call) -> None:
    notes = [(0, 4, 67), (4, 4, 71), (8, 4, 74), (12, 4, 67)]
    lnfgen.write(toy_home / "g.mid", PianoRoll.from_notes(notes))
    few = (*TOY_RUN, "--temperature", "9", "--out", "own.mid")
    done = call("harmonize", "g.mid", *few, "--voices", "2", "--program", "flute,cello")
    assert done.returncode == 0, done.stderr
    _, *added = mido.MidiFile(toy_home / "own.mid").tracks
    assert [track[0].name for track in added] == ["harmonize 1", "harmonize 2"]
    assert [track[1].program for track in added] == [73, 42]
    call("harmonize", "g.mid", *few, "--flat")
    assert len(mido.MidiFile(toy_home / "own.mid").tracks) == 1


@pytest.mark.usefixtures("few_home_samples")
@pytest.mark.parametrize("above", [False, True])
def test_a_melody_with_little_room_names_the_other_side(
    above: bool, toy_home: Path, call: Call
) -> None:
    low = PianoRoll.from_notes([(0, 4, 24), (4, 4, 28)], steps_per_quarter=2)
    lnfgen.write(toy_home / "low.mid", low)
    words = ["--above"] if above else []
    done = call("harmonize", "low.mid", *TOY_RUN, "--out", "new.mid", *words)
    assert done.returncode == 0, done.stderr
    assert (b"take --above" in done.stderr) != above


def test_keys_that_the_model_does_not_have_are_a_warning_in_python(toy_home: Path) -> None:
    model = lnfgen.load(toy_home / "run-rolls", "cpu")
    piece = PianoRoll.from_notes(
        [(0, 2, 60), (2, 2, 62)], steps_per_quarter=2, lowest_pitch=0, num_pitches=128
    )
    said = "keys:C0-C5 goes beyond the keys of the model, A0 to C8; nothing is drawn there"
    with pytest.warns(UserWarning, match=said) as warned:
        model.fill(piece, ["steps:1,keys:C0-C5", "keys:C2-C3"], particles=2)
    assert [warning.filename for warning in warned] == [__file__]
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*beyond the keys of the model")
        model.fill(piece, "keys:C2-C3", particles=2)


def test_what_a_latent_flow_writes_of_a_text_keeps_the_rest(toy_home: Path, call: Call) -> None:
    of_text = ("--run", "run-lines", "--seed", "1")
    (toy_home / "gap.txt").write_text("ab_b_ba\n")
    first = written(call("fill", "gap.txt", *of_text, "--out", "-"))[0]
    call("fill", "gap.txt", *of_text, "--out", "full.txt")
    full = (toy_home / "full.txt").read_text()
    # the line ends, as it did in gap.txt
    assert (full[:2], full[3], full[5:]) == ("ab", "b", "ba\n")
    assert first == full.split()[0]
    call("continue", "gap.txt", "--run", "run-lines", "--out", "more.txt", "--length", "4")
    more = (toy_home / "more.txt").read_text()
    assert (len(more), more[3], more[-1]) == (12, "b", "\n")
    call("fill", "more.txt", *of_text, "--out", "again.txt", "--free", "1-2,6")
    again = (toy_home / "again.txt").read_text()
    assert (len(again), again[2:5], again[6:]) == (12, more[2:5], more[6:])


def rubato(path: Path) -> None:
    """Write a file with two tempos, two time signatures, and a note that no piano has."""
    first = [
        mido.MetaMessage("set_tempo", tempo=500_000),
        mido.MetaMessage("time_signature", numerator=4, denominator=4),
        mido.Message("note_on", note=60),
        mido.MetaMessage("set_tempo", tempo=600_000, time=16),
        mido.MetaMessage("time_signature", numerator=3, denominator=4),
        mido.Message("note_off", note=60, time=16),
    ]
    tracks = [mido.MidiTrack(first)]
    for pitch in (50, 3):
        on = mido.Message("note_on", note=pitch)
        tracks.append(mido.MidiTrack([on, mido.Message("note_off", note=pitch, time=32)]))
    mido.MidiFile(ticks_per_beat=4, tracks=tracks).save(path)


FROM_RUBATO = [
    ("fill", "rubato.mid", "--free", "bars:2"),
    ("harmonize", "rubato.mid", "--tracks", "all"),
    ("continue", "rubato.mid", "--length", "2"),
    ("vary", "rubato.mid"),
]


@pytest.mark.usefixtures("few_home_samples")
@pytest.mark.parametrize("words", [("convert", "rubato.mid"), *FROM_RUBATO])
def test_every_command_says_what_a_roll_does_not_keep_of_a_file(
    words: tuple[str, ...], toy_home: Path, call: Call
) -> None:
    """In the words of `convert`, and by the same code."""
    rubato(toy_home / "rubato.mid")
    if words[0] == "convert":
        done = call(*words, "new.mid")
    else:
        done = call(*words, *TOY_RUN, "--out", "new.mid", "--flat")
    assert done.returncode == 0, done.stderr
    said = done.stderr.decode()
    assert "rubato.mid: merged 3 of 3 tracks\n" in said
    changes = "left out changes: 1 of tempo, 1 of time"
    assert f"rubato.mid: a piano-roll has one tempo and time signature; {changes}" in said
    assert "rubato.mid: left out 1 note outside a piano's 88 keys" in said


@pytest.mark.usefixtures("few_home_samples")
@pytest.mark.parametrize("words", FROM_RUBATO)
def test_the_file_itself_loses_nothing(words: tuple[str, ...], toy_home: Path, call: Call) -> None:
    rubato(toy_home / "rubato.mid")
    done = call(*words, *TOY_RUN, "--out", "new.mid", "--tracks", "1,2")
    said = done.stderr.decode().splitlines()
    # The toy may draw nothing.
    of_the_file = [line for line in said if "no note was drawn" not in line]
    heard = "rubato.mid: the model hears 2 of 3 tracks; all others stay as in the file"
    assert of_the_file == [heard]
    head = mido.MidiFile(toy_home / "new.mid").tracks[0]
    tempos = [message.tempo for message in head if message.type == "set_tempo"]
    assert tempos == [500_000, 600_000]


WRONG = [
    (("fill", "--out", "x.abc", "--free", "bars:1"), ("--out x.abc", ".mid")),
    (("harmonize", "--out", "-", "--count", "2"), ("--count 2",)),
    (("vary", "--out", "x.mid", "--amount", "2"), ("an amount of 2",)),
    (("continue", "--out", "x.mid", "--bars", "2", "--length", "2"), ("leave one out",)),
]


@pytest.mark.parametrize(("words", "said"), WRONG)
def test_a_command_says_in_a_line_what_is_wrong(
    words: tuple[str, ...], said: tuple[str, ...], song: Call
) -> None:
    name, *options = words
    fails(song(name, "song.mid", *options), *said)


def test_nothing_free_is_refused_before_a_seed_is_drawn(song: Call) -> None:
    nothing = song("fill", "song.mid", "--out", "x.mid")
    fails(nothing, "nothing that is free")
    assert b"seed" not in nothing.stderr
    absent = song("fill", "none.mid", "--out", "x.mid", "--free", "bars:1")
    fails(absent, "none.mid is not there")


def test_a_model_of_text_takes_no_file_of_music(call: Call) -> None:
    done = call("continue", "melody.mid", "--out", "x.txt", "--run", "run-lines")
    fails(done, "melody.mid is music; expected a text, as run-lines makes; choose another --run")
    for out in ("x.mid", "x.txt"):  # no text has a melody, so it is the model that does not fit
        done = call("harmonize", "song.txt", "--out", out, "--run", "run-lines")
        fails(done, "run-lines makes text; expected a model of music; choose another --run")


@pytest.mark.usefixtures("few_home_samples")
def test_the_melody_of_a_piano_roll_is_harmonized_and_it_has_no_tracks(call: Call) -> None:
    lnfgen.write("melody.npz", lnfgen.read("melody.mid")[0])
    asked = ("harmonize", "melody.npz", *TOY_RUN, "--out", "harmony.npz")
    assert written(call(*asked)) == ["harmony.npz"]
    fails(call(*asked, "--tracks", "bass"), "melody.npz is a piano-roll; leave --tracks out")


ENDS = [
    ("run-lines", Options(), "a b"),
    ("run-texts", Options(chunks=True), "a b\n"),
    ("run-texts", Options(), "a b\n\n"),  # a tune has an end of its own
]


def test_the_end_of_a_file_is_no_character_of_a_line_or_chunk(
    toy_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    letters = TextEncoding(("\ufffd", "\n", " ", "a", "b"))
    splits = {"train": [letters.encode("ab a")]}
    texts = write_dataset(toy_home / "texts", name="t", encoding=letters, splits=splits)
    make_run(toy_home / "run-texts", texts)
    (toy_home / "own.txt").write_text("a b\n\n")
    for name, options, content in ENDS:
        monkeypatch.setattr("lnfgen.cli.sources.reading_options", Mock(return_value=options))
        run = RunFolder(toy_home / name)
        assert read_one(run, str(toy_home / "own.txt"), "all", flat=False) == content


@pytest.mark.parametrize("words", [("fill", "--free", "1"), ("continue",), ("vary",)])
def test_a_text_has_no_tracks(words: tuple[str, ...], toy_home: Path, call: Call) -> None:
    before = sorted(toy_home.iterdir())
    asked = (*words, "song.txt", "--out", "new.txt", "--run", "run-lines")
    said = "run-lines makes text, which has no tracks; leave --tracks out"
    fails(call(*asked, "--tracks", "melody"), said)
    assert sorted(toy_home.iterdir()) == before


# Bands.

ROLES = {"drums", "bass", "chords", "melody"}
OF_BAND = [
    (["fill", "song.mid", "--free", "part:drums,bars:2-3"], {"drums"}),
    (["harmonize", "song.mid"], {"drums", "bass", "chords"}),
    (["harmonize", "song.mid", "--above"], {"drums", "chords", "melody"}),
    (["continue", "song.mid", "--bars", "1"], ROLES),
    (["vary", "song.mid", "--amount", "1"], ROLES),
]


@pytest.fixture(scope="module")
def band_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of bands at toy sizes, and a song."""
    home = tmp_path_factory.mktemp("band")
    rng = np.random.default_rng(0)
    songs = []
    for _ in range(6):
        songs.append(np.where(rng.random((16, 4, 49)) < 0.03, 3, 0).astype(np.uint8))
    splits = {"train": songs[:4], "valid": songs[4:], "test": songs[4:]}
    dataset = write_dataset(home / "band", name="band", encoding=band_encoding(), splits=splits)
    make_run(home / "run", dataset)
    (home / "song.mid").write_bytes(band_file())
    return home


@pytest.mark.parametrize(("words", "roles"), OF_BAND)
def test_parts_of_a_band_are_drawn_in_tracks_of_their_own(
    words: list[str], roles: set[str], band_home: Path, tmp_path: Path, here: Call
) -> None:
    name, _, *options = words
    common = ["--run", str(band_home / "run"), "--particles", "2", "--seed", "1", "--quiet"]
    done = here(name, str(band_home / "song.mid"), *options, "--out", "new.mid", *common)
    assert done.returncode == 0, done.stderr
    found = set()
    for track in mido.MidiFile(tmp_path / "new.mid").tracks:
        command, _, role = track.name.partition(" ")
        if command == name:
            found.add(role)
    assert found == roles


def test_a_band_has_no_voices(band_home: Path, here: Call) -> None:
    common = ["--run", str(band_home / "run"), "--out", "new.mid", "--seed", "1", "--quiet"]
    fill = ["fill", str(band_home / "song.mid"), *common]
    fails(here(*fill, "--free", "bars:2", "--voices", "2"), "leave it out")
    fails(here(*fill, "--free", "voice:2"), "part:melody,voice:2")


@pytest.mark.usefixtures("few_home_samples")
def test_that_no_note_was_drawn_is_said(call: Call) -> None:
    """The toy samples silence."""
    asked = ["fill", "melody.mid", "--free", "keys:C3-E3", *TOY_RUN, "--out", "new.mid"]
    done = call(*asked, "--count", "2", "--json")
    drawn = [piece["drawn_notes"] for piece in json.loads(done.stdout)["pieces"]]
    assert drawn == [0, 0]
    for name in ("piece 1", "piece 2"):
        said = f"no note was drawn in {name}: the model left silent all that is free; "
        assert said in done.stderr.decode()
    same = call("vary", "melody.mid", "--amount", "0", *TOY_RUN, "--out", "same.mid")
    assert b"no note was drawn" not in same.stderr, "nothing was free"


def test_drawn_notes_are_counted(song: Call) -> None:
    done = song("fill", "song.mid", "--free", "below-melody", *FEW, "--out", "new.mid", "--json")
    [piece] = json.loads(done.stdout)["pieces"]
    assert piece["drawn_notes"] > 0
    assert b"no note was drawn" not in done.stderr
