"""Keeping a part of a piece: what words name, that it is kept exactly, and the commands."""

import gc
import json
import warnings
import weakref
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import mido
import numpy as np
import pytest
from command import Call, fails
from toy_dataset import write_dataset
from toy_home import make_run
from toy_keys import HAS_ONSETS, LOWEST, random_roll, small_music
from toy_models import toy

import lnfgen
from lnfgen.cli.sources import read_one
from lnfgen.data.encoding import Encoding, changes_in_words
from lnfgen.data.gather import Options
from lnfgen.errors import LnfgenError
from lnfgen.inference.filling import at_home, fill_pieces, vary_pieces
from lnfgen.inference.known import KnownPart, known_melody, known_whole
from lnfgen.models.observation import Frames, Symbols
from lnfgen.music.pianoroll import Losses, PianoRoll
from lnfgen.music.regions import random_share, region
from lnfgen.runs.folder import RunFolder

CHORD = PianoRoll.from_notes(
    [(0, 4, 72), (4, 4, 74), (8, 8, 76), (0, 8, 64), (8, 8, 60), (0, 16, 48)],
    steps_per_quarter=1,
)  # four bars of three voices


def whole_notes(roll: PianoRoll, kept: np.ndarray) -> set[tuple[int, int, int]]:
    """The notes all of whose cells are kept: bool [T, P]."""
    return {
        (start, length, pitch)
        for start, length, pitch in roll.notes()
        if kept[start : start + length, pitch - LOWEST].all()
    }


@HAS_ONSETS
@pytest.mark.parametrize(
    ("name", "emission"), [("lstm", "past"), ("lstm", "nade"), ("af-scf", "bernoulli")]
)
def test_what_is_given_is_kept_note_for_note(has_onsets: bool, name: str, emission: str) -> None:
    model, encoding = small_music(has_onsets, name, emission)
    lengths, drawn = set(), 0
    for seed in range(6):
        roll = random_roll(has_onsets, seed)
        kept = (
            np.random.default_rng(100 + seed).random(roll.sounding.shape)
            < (0.2, 0.5, 0.8)[seed % 3]
        )
        values = encoding.encode(roll)
        part = KnownPart(values, ~kept, roll, np.pad(~kept, ((0, 0), (60, 62))), Losses())
        for piece in fill_pieces(model, encoding, part, count=3, particles=4, seed=seed):
            assert isinstance(piece, PianoRoll)
            assert np.array_equal(encoding.encode(piece)[kept], values[kept])
            assert whole_notes(roll, kept) <= set(piece.notes())
            assert (piece.tempo_bpm, piece.time_signature) == (roll.tempo_bpm, roll.time_signature)
            lengths.add(piece.num_steps)
            drawn += int((encoding.encode(piece) != values).sum())
    assert lengths == {9}
    assert drawn > 0


def test_words_name_cells() -> None:
    def named(*words: str) -> set[tuple[int, int]]:
        return {
            (int(step), int(key) + CHORD.lowest_pitch)
            for step, key in np.argwhere(region(CHORD, words))
        }

    every = set(range(21, 109))
    assert named("bars:2") == {(step, key) for step in range(4, 8) for key in every}
    assert named("bars:2-3") == named("bars:2", "bars:3") == named("steps:5-12")
    assert named("bars:4-") == named("steps:13-16") == named("bars:4-9")
    assert named("keys:C4-E4") == {(step, key) for step in range(16) for key in range(60, 65)}
    assert named("keys:C4-E4,bars:1") == named("keys:C4-E4") & named("bars:1")
    top = [72] * 4 + [74] * 4 + [76] * 8
    assert named("below-melody") == {
        (step, key) for step, high in enumerate(top) for key in range(21, high)
    }
    assert named("above-bass") == {(step, key) for step in range(16) for key in range(49, 109)}
    assert named("voice:2") == {
        (step, key) for step, high in enumerate(top) for key in range(49, high)
    }
    assert named("voice:1") == {
        (s, key) for s in range(16) for key in range(65 if s < 8 else 61, 109)
    }
    assert named("voice:3,bars:4") == {
        (step, key) for step in range(12, 16) for key in range(21, 60)
    }
    rest = replace(CHORD, sounding=CHORD.sounding & (np.arange(16) != 6)[:, None], onsets=None)
    assert np.array_equal(region(rest, ["below-melody"]), region(CHORD, ["below-melody"]))


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("bar:2", "bars:5-8"),
        ("bars:x", "bars:5-8"),
        ("bars:0", "from 1 on"),
        ("bars:8-5", "ends before"),
        ("bars:5", "4 bars"),
        ("voice:4", "3 voices"),
        ("voice:0", "from 1 on"),
        ("keys:H2", "keys:C3-C5"),
        ("bars:1,bars:2", "no cell in common"),
    ],
)
def test_a_word_that_means_nothing_is_refused(word: str, said: str) -> None:
    with pytest.raises(LnfgenError, match=said):
        region(CHORD, [word])


def test_a_lowest_line_is_at_home_where_the_lowest_lines_of_samples_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lnfgen.inference.filling._home_samples", lambda *_: [CHORD])
    encoding = Encoding("music", steps_per_quarter=1)
    roll = PianoRoll.from_notes(
        [(0, 8, 72), (8, 8, 74), (0, 8, 77), (8, 8, 79)], steps_per_quarter=1
    )
    part = known_melody(encoding, roll, above=True)
    assert part.hidden_cells[0].nonzero()[0].tolist() == list(range(73, 128))
    assert at_home(toy("lstm", Frames(88, True)), encoding, part).shift == -24
    assert (
        at_home(toy("lstm", Frames(88, True)), encoding, known_melody(encoding, roll)).shift == -3
    )


@pytest.mark.usefixtures("few_home_samples")
def test_voices_limit_what_goes_on_in_any_format(toy_home: Path, call: Call) -> None:
    lnfgen.write(
        toy_home / "one.mid", PianoRoll.from_notes([(0, 8, 67), (0, 8, 60)], steps_per_quarter=1)
    )
    done = call(
        *("continue", "one.mid", "--model", "run-rolls", "--particles", "2", "--seed", "1"),
        *("--length", "6", "--voices", "1", "--out", "one.txt"),
    )
    assert done.returncode == 0, done.stderr
    (piece,) = lnfgen.read(toy_home / "one.txt")
    assert isinstance(piece, PianoRoll)
    assert piece.sounding[-6:].sum(axis=1).max() <= 1


@pytest.mark.usefixtures("few_home_samples")
def test_an_own_file_takes_voices_and_instruments(toy_home: Path, call: Call) -> None:
    lnfgen.write(
        toy_home / "g.mid", PianoRoll.from_notes([(0, 4, 67), (4, 4, 71), (8, 4, 74), (12, 4, 67)])
    )
    few = (
        "--model",
        "run-rolls",
        "--particles",
        "2",
        "--seed",
        "1",
        "--temperature",
        "9",
        "--out",
        "own.mid",
    )
    asked = ("--voices", "2", "--program", "flute,cello")
    done = call("harmonize", "g.mid", *few, *asked)
    assert done.returncode == 0, done.stderr
    _, *added = mido.MidiFile(toy_home / "own.mid").tracks
    assert [(track[0].name, track[1].program) for track in added] == [
        ("harmonize 1", 73),
        ("harmonize 2", 42),
    ]
    call("harmonize", "g.mid", *few, "--flat")
    assert len(mido.MidiFile(toy_home / "own.mid").tracks) == 1


@pytest.mark.usefixtures("few_home_samples")
def test_a_melody_with_little_room_names_the_other_side(toy_home: Path, call: Call) -> None:
    low = PianoRoll.from_notes([(0, 4, 24), (4, 4, 28)], steps_per_quarter=2)
    model = lnfgen.load(toy_home / "run-rolls", "cpu")
    with pytest.warns(
        UserWarning,
        match="few keys are free below the melody, down to A0; to draw above it, take --above",
    ):
        model.harmonize(low, particles=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.harmonize(low, above=True, particles=2)
    lnfgen.write(toy_home / "low.mid", low)
    for words, said in (((), True), (("--above",), False)):
        done = call(
            "harmonize",
            "low.mid",
            "--model",
            "run-rolls",
            "--out",
            "new.mid",
            "--particles",
            "2",
            *words,
        )
        assert done.returncode == 0, done.stderr
        assert (b"take --above" in done.stderr) == said


def test_a_melody_that_is_too_high_is_moved_and_comes_back() -> None:
    model, encoding = small_music(True)
    melody = PianoRoll.from_notes([(0, 2, 88), (2, 2, 90), (5, 3, 89)], steps_per_quarter=1)
    part = at_home(model, encoding, known_melody(encoding, melody))
    assert -28 <= part.shift <= -20
    assert not changes_in_words(part.changes)
    for piece in fill_pieces(model, encoding, part, count=3):
        assert isinstance(piece, PianoRoll)
        assert piece.edge_keys(top=True)[0] + piece.lowest_pitch == 88
        assert set(melody.notes()) <= set(piece.notes())
        assert len(piece.notes()) > len(melody.notes())


@pytest.mark.parametrize("name", ["lstm", "af-scf"])
def test_a_variation_keeps_all_but_a_share(name: str) -> None:
    """Of bars and voices, and with a share of 1 nothing."""
    model, encoding = small_music(True, name)
    roll = random_roll(True, 3, steps=16)
    whole = known_whole(encoding, roll)

    def varied(amount: float, **asked: int) -> list[PianoRoll]:
        pieces = vary_pieces(model, encoding, whole, amount=amount, particles=4, **asked)
        return [piece for piece in pieces if isinstance(piece, PianoRoll)]

    assert all(piece.notes() == roll.notes() for piece in varied(0, count=2))
    changed = []
    for amount in (0.1, 0.5, 1.0):
        pieces = varied(amount, count=3, seed=1)
        assert {piece.num_steps for piece in pieces} == {16}
        changed.append(sum(int((encoding.encode(piece) != whole.values).sum()) for piece in pieces))
    assert 0 < changed[0] < changed[1] < changed[2]
    first, second = varied(0.3, count=2, seed=1)
    (alone,) = varied(0.3, seed=1)
    assert alone == first != second
    for wrong in (-0.1, 1.5, float("nan")):
        with pytest.raises(LnfgenError, match="an amount of"):
            varied(wrong)
    with pytest.raises(LnfgenError, match="0 pieces; expected at least 1"):
        varied(0.5, count=0)


def test_the_places_of_a_variation_are_voices_in_bars() -> None:
    rng = np.random.default_rng(0)
    one = [random_share(CHORD, 1 / 12, rng) for _ in range(40)]
    places = [
        region(CHORD, [f"bars:{bar},voice:{voice}"]) for bar in range(1, 5) for voice in range(1, 4)
    ]
    found = {
        next(index for index, place in enumerate(places) if np.array_equal(cells, place))
        for cells in one
    }
    assert len(found) > 8
    assert random_share(CHORD, 1, rng).all()
    assert not random_share(CHORD, 0, rng).any()


def test_a_text_varies_in_spans() -> None:
    encoding = Encoding("text", vocabulary=("\ufffd", "a", "b", "c"))
    model, text = toy("lstm", Symbols(4)), "abcxabcabcabcabcabcabcab"
    whole = known_whole(encoding, text)
    for piece in vary_pieces(model, encoding, whole, amount=1 / 3, count=5, seed=1):
        assert isinstance(piece, str)
        same = [piece[start : start + 8] == text[start : start + 8] for start in (0, 8, 16)]
        assert (len(piece), sum(same)) == (24, 2)
    assert list(vary_pieces(model, encoding, whole, amount=0)) == [text]


@pytest.mark.usefixtures("few_home_samples")
def test_where_a_model_is_at_home_is_asked_once_and_forgotten_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, encoding = small_music(True)
    part = known_melody(encoding, random_roll(True, 1))
    drawn = at_home(model, encoding, part)
    with monkeypatch.context() as patch:
        patch.setattr(
            "lnfgen.inference.filling.drawn_pieces", lambda *_, **__: pytest.fail("drawn again")
        )
        assert at_home(model, encoding, part).shift == drawn.shift
    before = weakref.ref(model)
    del model
    gc.collect()
    assert before() is None


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
        warnings.simplefilter("error")
        model.fill(piece, "keys:C2-C3", particles=2)


# Commands.
# ------------------------------------------------------------------------------------------------------------


def written(done: "object") -> list[str]:
    assert done.returncode == 0, done.stderr.decode()  # type: ignore[attr-defined]
    return done.stdout.decode().split()  # type: ignore[attr-defined]


@pytest.mark.usefixtures("few_home_samples")
def test_commands_write_pieces_that_keep_what_was_given(here: Call, tmp_path: Path) -> None:
    song = PianoRoll.from_notes(
        [(0, 4, 67), (4, 4, 69), (0, 8, 48), (8, 8, 65)], steps_per_quarter=4
    )
    lnfgen.write("song.mid", song)
    few = ("--seed", "1", "--particles", "4")
    assert written(here("vary", "song.mid", "--out", "same.npz", "--amount", "0", *few)) == [
        "same.npz"
    ]
    (same,) = lnfgen.read("same.npz")
    assert isinstance(same, PianoRoll)
    assert same.notes() == [
        (start // 2, length // 2, pitch) for start, length, pitch in song.notes()
    ]
    assert (
        json.loads(here("vary", "song.mid", "--out", "x.mid", "--json", *few).stdout)["amount"]
        == 0.25
    )
    done = here("harmonize", "song.mid", "--out", "new.mid", "--count", "2", *few)
    assert written(done) == ["new-01.mid", "new-02.mid"]
    assert b"the model in the box: chorales" in done.stderr
    for name in ("new-01.mid", "new-02.mid"):
        (piece,) = lnfgen.read(name)
        assert {(0, 4, 67), (4, 4, 69), (8, 8, 65)} <= set(piece.notes())
    done = here(
        "fill",
        "song.mid",
        "--out",
        "page.html",
        "--free",
        "voice:2",
        "--free",
        "steps:7-8",
        "--json",
        *few,
    )
    facts = json.loads(done.stdout)
    assert [piece["path"] for piece in facts["pieces"]] == ["page.html"]
    assert (facts["run"], facts["seed"], facts["particles"]) == ("chorales", 1, 4)
    assert " · seed 1<" in Path("page.html").read_text()
    lnfgen.write("score.musicxml", replace(song, title="My song"))
    assert written(
        here("fill", "score.musicxml", "--out", "full.musicxml", "--free", "steps:7-8", *few)
    )
    assert "<work-title>My song<" in Path("full.musicxml").read_text()
    assert written(here("continue", "song.mid", "--out", "on.npz", "--bars", "2", *few)) == [
        "on.npz"
    ]
    (piece,) = lnfgen.read("on.npz")
    assert (piece.num_steps, piece.steps_per_quarter) == (24, 2)
    assert {(0, 2, 67), (2, 2, 69), (0, 4, 48), (4, 4, 65)} <= set(piece.notes())


def test_commands_of_a_latent_flow_and_of_text(toy_home: Path, call: Call) -> None:
    (toy_home / "gap.txt").write_text("ab_b_ba\n")
    (text,) = written(call("fill", "gap.txt", "--model", "run-lines", "--out", "-", "--seed", "1"))[
        :1
    ]
    call("fill", "gap.txt", "--model", "run-lines", "--out", "full.txt", "--seed", "1")
    full = (toy_home / "full.txt").read_text()
    # the line ends, as it did in gap.txt
    assert (full[:2], full[3], full[5:]) == ("ab", "b", "ba\n")
    assert text == full.split()[0]
    call("continue", "gap.txt", "--model", "run-lines", "--out", "more.txt", "--length", "4")
    more = (toy_home / "more.txt").read_text()
    assert (len(more), more[3], more[-1]) == (12, "b", "\n")
    call(
        "fill",
        "more.txt",
        "--model",
        "run-lines",
        "--out",
        "again.txt",
        "--free",
        "1-2,6",
        "--seed",
        "1",
    )
    again = (toy_home / "again.txt").read_text()
    assert (len(again), again[2:5], again[6:]) == (12, more[2:5], more[6:])


@pytest.mark.usefixtures("few_home_samples")
def test_every_command_says_what_it_does_not_keep_of_a_file(toy_home: Path, call: Call) -> None:
    """In the words of `convert`, and by the same code."""
    tracks = [
        [
            mido.MetaMessage("set_tempo", tempo=500_000),
            mido.MetaMessage("time_signature", numerator=4, denominator=4),
            mido.Message("note_on", note=60),
            mido.MetaMessage("set_tempo", tempo=600_000, time=16),
            mido.MetaMessage("time_signature", numerator=3, denominator=4),
            mido.Message("note_off", note=60, time=16),
        ],
        [mido.Message("note_on", note=50), mido.Message("note_off", note=50, time=32)],
        [mido.Message("note_on", note=3), mido.Message("note_off", note=3, time=32)],
    ]
    mido.MidiFile(ticks_per_beat=4, tracks=[mido.MidiTrack(track) for track in tracks]).save(
        toy_home / "rubato.mid"
    )
    few = ("--model", "run-rolls", "--seed", "1", "--particles", "2", "--out", "new.mid")
    commands = (
        ("fill", "rubato.mid", "--free", "bars:2", *few),
        ("harmonize", "rubato.mid", "--tracks", "all", *few),
        ("continue", "rubato.mid", "--length", "2", *few),
        ("vary", "rubato.mid", *few),
    )
    for words in (
        ("convert", "rubato.mid", "new.mid"),
        *((*words, "--flat") for words in commands),
    ):
        done = call(*words)
        assert done.returncode == 0, done.stderr
        said = done.stderr.decode()
        assert "rubato.mid: merged 3 of 3 tracks\n" in said, words
        changes = "rubato.mid: a piano-roll has one tempo and time signature; left out changes: 1 of tempo, 1 of time"
        assert changes in said, words
        assert "rubato.mid: left out 1 note outside a piano's 88 keys" in said, words
    for words in commands:  # the file itself has lost nothing
        said = call(*words, "--tracks", "1,2").stderr.decode()
        assert (
            said == "rubato.mid: the model hears 2 of 3 tracks; all others stay as in the file\n"
        ), words
        tempos = [
            message.tempo
            for message in mido.MidiFile(toy_home / "new.mid").tracks[0]
            if "tempo" in message.type
        ]
        assert tempos == [500_000, 600_000]


def test_a_command_says_in_a_line_what_is_wrong(here: Call) -> None:
    lnfgen.write("song.mid", PianoRoll.from_notes([(0, 4, 67)]))
    nothing = here("fill", "song.mid", "--out", "x.mid")
    fails(nothing, "nothing that is free")
    assert b"seed" not in nothing.stderr  # it is not drawn in vain
    fails(here("fill", "song.mid", "--out", "x.abc", "--free", "bars:1"), "--out x.abc", ".mid")
    fails(here("fill", "none.mid", "--out", "x.mid", "--free", "bars:1"), "none.mid is not there")
    fails(here("harmonize", "song.mid", "--out", "-", "--count", "2"), "--count 2")
    fails(here("vary", "song.mid", "--out", "x.mid", "--amount", "2"), "an amount of 2")
    fails(
        here("continue", "song.mid", "--out", "x.mid", "--bars", "2", "--length", "2"),
        "leave one out",
    )


def test_a_model_of_text_takes_no_file_of_music(call: Call) -> None:
    done = call("continue", "melody.mid", "--out", "x.txt", "--model", "run-lines")
    fails(done, "melody.mid is music; expected a text, as run-lines makes; choose another --model")
    for out in ("x.mid", "x.txt"):  # no text has a melody, so it is the model that does not fit
        done = call("harmonize", "song.txt", "--out", out, "--model", "run-lines")
        fails(done, "run-lines makes text; expected a model of music; choose another --model")


@pytest.mark.usefixtures("few_home_samples")
def test_the_melody_of_a_piano_roll_is_harmonized_and_it_has_no_tracks(call: Call) -> None:
    lnfgen.write("melody.npz", lnfgen.read("melody.mid")[0])
    asked = (
        "harmonize",
        "melody.npz",
        "--model",
        "run-rolls",
        "--particles",
        "2",
        "--out",
        "harmony.npz",
    )
    assert written(call(*asked)) == ["harmony.npz"]
    fails(call(*asked, "--tracks", "bass"), "melody.npz is a piano-roll; leave --tracks out")


def test_the_end_of_a_file_is_no_character_of_a_line_or_chunk(
    toy_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    letters = Encoding("text", vocabulary=("\ufffd", "\n", " ", "a", "b"))
    texts = write_dataset(
        toy_home / "texts", name="t", encoding=letters, splits={"train": [letters.encode("ab a")]}
    )
    make_run(toy_home / "run-texts", texts)
    (toy_home / "own.txt").write_text("a b\n\n")
    for name, options, read in (
        ("run-lines", Options(), "a b"),
        ("run-texts", Options(chunks=True), "a b\n"),
        ("run-texts", Options(), "a b\n\n"),  # a tune has an end of its own
    ):
        monkeypatch.setattr("lnfgen.cli.sources.reading_options", Mock(return_value=options))
        assert (
            read_one(RunFolder(toy_home / name), str(toy_home / "own.txt"), "all", flat=False)
            == read
        )


@pytest.mark.parametrize("words", [("fill", "--free", "1"), ("continue",), ("vary",)])
def test_a_text_has_no_tracks(words: tuple[str, ...], toy_home: Path, call: Call) -> None:
    before = sorted(toy_home.iterdir())
    asked = (*words, "song.txt", "--out", "new.txt", "--model", "run-lines")
    fails(
        call(*asked, "--tracks", "melody"),
        "run-lines makes text, which has no tracks; leave --tracks out",
    )
    assert sorted(toy_home.iterdir()) == before
