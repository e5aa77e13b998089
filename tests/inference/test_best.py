"""The best of many pieces: by their likelihood, and without what the training data holds already."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command import Call, fails
from toy_home import make_home

from lnfgen.data.dataset import open_dataset
from lnfgen.errors import LnfgenError
from lnfgen.formats.text import with_long_copies
from lnfgen.inference import best as choosing
from lnfgen.inference.best import choose_best
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.runs.trained import TrainedModel


def melody(seed: int, num_steps: int = 60) -> PianoRoll:
    """Notes at random in the metre and on the grid of the toy run, which finds pieces of fewer notes likelier."""
    rng = np.random.default_rng(seed)
    notes = [(step, 1, int(rng.integers(50, 70))) for step in range(0, num_steps, 1 + seed)]
    return PianoRoll.from_notes(notes, num_steps=num_steps, steps_per_quarter=2, time_signature=(3, 4))


@pytest.fixture
def music(toy_home: Path) -> TrainedModel:
    return TrainedModel(toy_home / "run-rolls")


@pytest.fixture
def words(toy_home: Path) -> TrainedModel:
    return TrainedModel(toy_home / "run-lines")


def test_the_likeliest_pieces_come_first_and_silence_last(music: TrainedModel) -> None:
    silence = PianoRoll(np.zeros((60, 88), np.bool_), None, steps_per_quarter=2)
    pieces = [silence, melody(0), melody(4), melody(1)]
    told: list[tuple[str, int, int]] = []
    choices = choose_best(music.model, music.encoding, pieces, 4, None, progress=lambda *args: told.append(args))
    assert [choice.index for choice in choices] == [2, 3, 1, 0]
    assert told[-1] == ("scoring", 4, 4)
    for choice in choices:
        assert choice.piece is pieces[choice.index]
        assert choice.longest_copy is None
        assert choice.nll == pytest.approx(music.nll(choice.piece).nll, rel=0.05)
    assert choice.nll is not None
    assert choice.nll < min(other.nll or 0 for other in choices[:3])  # so likely is silence
    again = choose_best(music.model, music.encoding, pieces, 2, None)
    assert [(choice.index, choice.nll) for choice in again] == [(choice.index, choice.nll) for choice in choices[:2]]


def test_a_long_copy_in_any_key_is_out_and_a_short_one_stays(music: TrainedModel) -> None:
    train = [melody(0, 100), melody(1)]
    most = choosing.MAX_COPY_BARS * 6  # steps
    longer, as_long = train[0].stretch(10, 11 + most), train[0].stretch(10, 10 + most)
    pieces = [replace(longer.transposed(3), tempo_bpm=60.0), as_long.transposed(-5), melody(2)]
    choices = choose_best(music.model, music.encoding, pieces, 3, train)
    assert [choice.index for choice in choices] == [2, 1]
    assert choices[1].longest_copy == most / 2  # quarters
    assert choices[0].longest_copy is not None
    assert choices[0].longest_copy < most / 2
    with pytest.raises(LnfgenError, match=r"1 piece, each .* over 4 bars"):
        choose_best(music.model, music.encoding, pieces[:1], 1, train)
    assert len(choose_best(music.model, music.encoding, pieces, 3, None)) == 3


def test_long_copies_of_text() -> None:
    corpus = ["the cat sat", "on the mat"]
    assert with_long_copies(["a cat sat", "cat on", "", "the mat on"], corpus, 7) == [True, False, False, False]
    assert with_long_copies(["a cat sat", "cat on", "the mat on"], corpus, 8) == [False, False, False]
    assert with_long_copies(["sat on the"], corpus, 6) == [False]  # a passage is in one text of the corpus
    assert with_long_copies([], corpus, 3) == with_long_copies([], [], 3) == []


def test_texts_with_a_long_copy_are_out(words: TrainedModel) -> None:
    phrase = "".join(np.random.default_rng(0).choice(["a", "b", " "], 140))
    pieces = [phrase[4 : 5 + choosing.MAX_COPY_CHARS], phrase[4 : 4 + choosing.MAX_COPY_CHARS]]
    choices = choose_best(words.model, words.encoding, pieces, 2, [phrase])
    assert [(choice.index, choice.longest_copy) for choice in choices] == [(1, None)]


def test_sample_keeps_the_best_under_the_names_of_so_many(toy_home: Path, call: Call, words: TrainedModel) -> None:
    asked = ("sample", "run-lines", "--length", "12", "--seed", "3", "--count", "20")
    drawn = [(toy_home / name).read_bytes() for name in call(*asked, "--out", "all.txt").stdout.decode().split()]
    done = call(*asked, "--best", "3", "--out", "best.txt", "--json")
    pieces = json.loads(done.stdout)["pieces"]
    assert [piece["path"] for piece in pieces] == ["best-01.txt", "best-02.txt", "best-03.txt"]
    assert not (toy_home / "best-04.txt").exists()
    for piece in pieces:
        assert (toy_home / piece["path"]).read_bytes() == drawn[piece["index"] - 1]
        assert piece.keys() == {"path", "index", "nll", "unit", "longest_copy"}
        assert piece["unit"] == "bits_per_char"
        assert piece["longest_copy"] is None
    scores = sorted(words.nll(content.decode()).nll for content in drawn)
    assert [piece["nll"] for piece in pieces] == sorted(piece["nll"] for piece in pieces)
    assert pieces[2]["nll"] < scores[10]
    texts = words.sample(20, length=12, seed=3, best=3)
    assert texts == [(toy_home / piece["path"]).read_text() for piece in pieces]
    (one,) = json.loads(call(*asked, "--best", "1", "--out", "one.txt", "--json").stdout)["pieces"]
    assert one == {**pieces[0], "path": "one.txt"}
    assert call(*asked, "--best", "1", "--out", "-").stdout == drawn[one["index"] - 1]


def test_json_of_pieces_that_are_not_chosen(call: Call) -> None:
    done = call("sample", "run-lines", "--count", "2", "--seed", "1", "--out", "plain.txt", "--json")
    assert json.loads(done.stdout) == {
        "pieces": [{"path": "plain-01.txt", "index": 1}, {"path": "plain-02.txt", "index": 2}]
    }
    done = call("sample", "run-rolls", "--count", "3", "--best", "2", "--seed", "1", "--out", "page.html", "--json")
    assert [piece["path"] for piece in json.loads(done.stdout)["pieces"]] == ["page.html"] * 2
    assert {piece["longest_copy"] for piece in json.loads(done.stdout)["pieces"]} == {0.0}


@pytest.mark.parametrize(
    ("args", "found"),
    [
        (["run-lines", "--count", "3", "--best", "5"], ["--best 5", "--count 3"]),
        (["run-lines", "--best", "2"], ["--best 2", "--count 1"]),
        (["run-lines", "--count", "5", "--best", "2", "--out", "-"], ["--out -", "--best 2"]),
        (["run-lines", "--out", "-", "--json"], ["--out -", "--json"]),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_drawn(
    args: list[str], found: list[str], toy_home: Path, call: Call
) -> None:
    before = sorted(toy_home.iterdir())
    fails(call("sample", "--seed", "1", *args), *found)
    assert sorted(toy_home.iterdir()) == before


def test_too_few_without_a_copy_are_said(call: Call, words: TrainedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ("sample", "run-lines", "--seed", "1", "--count", "6", "--best", "6", "--length", "30", "--out", "few.txt")
    train = list(map(str, open_dataset(Path("lines")).pieces("train")))
    drawn = list(map(str, words.sample(6, length=30, seed=1)))
    lengths = {sum(with_long_copies(drawn, train, length)): length for length in range(1, 12)}
    some = next(number for number in lengths if 0 < number < 6)
    monkeypatch.setattr(choosing, "MAX_COPY_CHARS", lengths[some])
    done = call(*asked)
    assert len(done.stdout.split()) == 6 - some
    (said,) = done.stderr.decode().splitlines()
    assert said.startswith(f"warning: found {6 - some} pieces for --best 6")
    monkeypatch.setattr(choosing, "MAX_COPY_CHARS", 1)
    fails(call(*asked), "6 pieces, each", "over 1 character")


def test_without_the_runs_dataset_it_is_said(tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    make_home(tmp_path)
    (tmp_path / "lines").rename(tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path)
    done = call("sample", "run-lines", "--seed", "1", "--count", "4", "--best", "2", "--out", "x.txt")
    assert done.stdout.decode().split() == ["x-01.txt", "x-02.txt"]
    (said,) = done.stderr.decode().splitlines()
    assert "not looked for" in said
    assert "lines" in said
    with pytest.warns(UserWarning, match="not looked for"):
        assert len(TrainedModel(tmp_path / "run-lines").sample(4, best=2)) == 2
    with pytest.raises(LnfgenError, match="best 5 of 4"):
        TrainedModel(tmp_path / "run-lines").sample(4, best=5)
