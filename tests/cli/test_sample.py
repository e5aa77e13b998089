"""`lnfgen sample` as a person and a script meet it."""

import base64
import json
import re
from pathlib import Path

import numpy as np
import pytest
from command import Call, fails
from toy_dataset import write_dataset
from toy_home import make_home, make_run

from lnfgen.data.dataset import open_dataset
from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.formats.text import with_long_copies
from lnfgen.inference import best as choosing
from lnfgen.runs.trained import TrainedModel


@pytest.fixture(scope="module")
def home(toy_home: Path) -> Path:
    """`toy_home` with `run-notes`, whose samples are not silent."""
    # each key costs time
    encoding = MusicEncoding(lowest_pitch=52, num_pitches=20)
    rolls = []
    for i in range(4):
        is_struck = np.random.default_rng(i).random((12 + i, 1, 20)) < 0.09
        rolls.append(np.where(is_struck, 3, 0).astype(np.uint8))
    make_run(
        toy_home / "run-notes",
        write_dataset(toy_home / "notes", name="notes", encoding=encoding, splits={"train": rolls}),
    )
    return toy_home


@pytest.fixture
def words(toy_home: Path) -> TrainedModel:
    return TrainedModel(toy_home / "run-lines")


def test_same_seed_same_bytes_whatever_the_count(home: Path, call: Call) -> None:
    names = call("sample", "run-notes", "--out", "a.mid", "--count", "3", "--seed", "3")
    assert names.stdout.decode().split() == ["a-01.mid", "a-02.mid", "a-03.mid"]
    call("sample", "run-notes", "--out", "b.mid", "--count", "20", "--seed", "3")
    for number in ("01", "02", "03"):
        assert (home / f"a-{number}.mid").read_bytes() == (home / f"b-{number}.mid").read_bytes()
    assert (home / "a-01.mid").read_bytes() != (home / "a-02.mid").read_bytes()


def test_several_samples_are_one_page(home: Path, call: Call) -> None:
    done = call("sample", "run-notes", "--out", "p.html", "--count", "3", "--seed", "3")
    assert done.stdout == b"p.html\n", done.stderr
    assert not list(home.glob("p-*"))
    call("sample", "run-notes", "--out", "p.mid", "--count", "3", "--seed", "3")
    links = re.findall(rb"data:audio/midi;base64,([^\"]+)", (home / "p.html").read_bytes())
    assert [base64.b64decode(link) for link in links] == [
        (home / f"p-0{n}.mid").read_bytes() for n in (1, 2, 3)
    ]
    fails(call("sample", "run-lines", "--out", "p.html"), ".html", ".txt")


@pytest.mark.parametrize(
    ("args", "found"),
    [
        (["run-lines", "--temperature", "inf"], ["inf", "0 to 100"]),
        (["run-lines", "--temperature", "nan"], ["nan", "0 to 100"]),
        (["run-lines", "--length", "100000000"], ["100,000,000", "100,000"]),
        (["run-rolls", "--bars", "100000000"], ["600,000,000", "100,000"]),
        (["run-lines", "--bars", "2"], ["bars (2)", "text"]),
        (["run-rolls", "--bars", "2", "--length", "9"], ["steps (9)", "bars (2)"]),
        (["run-rolls", "--tempo", "2"], ["tempo of 2 ", "3.58"]),
        (["run-rolls", "--tempo", "nan"], ["tempo of nan", "3.58"]),
        (["run-lines", "--tempo", "90"], ["text", "leave --tempo out"]),
        (["run-lines", "--seed", str(2**63)], ["--seed 9223372036854775808", "2^63"]),
        (["run-lines", "--seed", "-1"], ["--seed -1", "2^63"]),
        (["run-lines", "--count", "3", "--best", "5"], ["--best 5", "--count 3"]),
        (["run-lines", "--best", "2"], ["--best 2", "--count 1"]),
        (["run-lines", "--count", "5", "--best", "2", "--out", "-"], ["--out -", "--best 2"]),
        (["run-lines", "--out", "-", "--json"], ["--out -", "--json"]),
        (["run-lines", "--out", "song.mid"], [".mid", ".txt"]),
        (["run-rolls", "--out", "song.doc"], [".doc", ".mid", ".musicxml"]),
        (["run-rolls", "--out", "x.npz", "--voices", "2"], [".npz", ".musicxml"]),
        (
            ["run-rolls", "--out", "x.musicxml", "--program", "40"],
            [".musicxml", "leave --program out"],
        ),
        (["run-lines", "--program", "40"], [".txt", "leave --program out"]),
        (
            ["run-lines", "--passes", "8"],
            ["run-lines is af-scf", "leave --passes out", "blocks-scf or blocks-codes"],
        ),
        (
            ["run-lines", "--want", "mode=minor"],
            ["the wish mode=minor; expected one of contains, key, time_signature, line_length"],
        ),
        (["run-rolls", "--want", "mode=sad"], ["the wish mode=sad; expected major or minor"]),
    ],
)
def test_sample_refuses_before_it_draws(
    args: list[str], found: list[str], toy_home: Path, call: Call
) -> None:
    before = sorted(toy_home.iterdir())
    fails(call("sample", "--seed", "1", *args), *found)
    assert sorted(toy_home.iterdir()) == before


def test_silence_is_said_and_bars_are_of_the_datasets_time_signature(
    toy_home: Path, call: Call
) -> None:
    done = call(
        "sample", "run-rolls", "--bars", "2", "--seed", "1", "--out", "silent.txt", "--tempo", "33"
    )
    assert done.stdout == b"silent.txt\n"
    (said,) = done.stderr.decode().splitlines()  # and nothing of how the flow was solved
    assert said.startswith("warning: silent.txt is silent")
    # two bars of three quarters of two steps
    assert b"12" in call("info", "silent.txt").stdout.split()


def test_sample_keeps_the_best_under_the_names_of_so_many(
    toy_home: Path, call: Call, words: TrainedModel
) -> None:
    asked = ("sample", "run-lines", "--length", "12", "--seed", "3", "--count", "20")
    drawn = [
        (toy_home / name).read_bytes()
        for name in call(*asked, "--out", "all.txt").stdout.decode().split()
    ]
    assert [text.count(b"\n") for text in drawn] == [1] * 20  # each is a line, and ends as one
    done = call(*asked, "--best", "3", "--out", "best.txt", "--json")
    pieces = json.loads(done.stdout)["pieces"]
    assert [piece["path"] for piece in pieces] == ["best-01.txt", "best-02.txt", "best-03.txt"]
    assert not (toy_home / "best-04.txt").exists()
    for piece in pieces:
        assert (toy_home / piece["path"]).read_bytes() == drawn[piece["index"] - 1]
        assert piece.keys() == {"path", "index", "nll", "unit", "longest_copy"}
        assert piece["unit"] == "bits_per_char"
        assert piece["longest_copy"] is None
    scores = sorted(words.nll(content.decode().removesuffix("\n")).nll for content in drawn)
    assert [piece["nll"] for piece in pieces] == sorted(piece["nll"] for piece in pieces)
    assert pieces[2]["nll"] < scores[10]
    texts = words.sample(20, length=12, seed=3, best=3)
    assert [text + "\n" for text in texts] == [
        (toy_home / piece["path"]).read_text() for piece in pieces
    ]
    (one,) = json.loads(call(*asked, "--best", "1", "--out", "one.txt", "--json").stdout)["pieces"]
    assert one == {**pieces[0], "path": "one.txt"}
    assert call(*asked, "--best", "1", "--out", "-").stdout == drawn[one["index"] - 1]


def test_json_of_pieces_that_are_not_chosen(call: Call) -> None:
    done = call(
        "sample", "run-lines", "--count", "2", "--seed", "1", "--out", "plain.txt", "--json"
    )
    assert json.loads(done.stdout) == {
        "seed": 1,
        "pieces": [{"path": "plain-01.txt", "index": 1}, {"path": "plain-02.txt", "index": 2}],
    }
    done = call(
        *("sample", "run-rolls", "--count", "3", "--best", "2"),
        *("--seed", "1", "--out", "page.html", "--json"),
    )
    pieces = json.loads(done.stdout)["pieces"]
    assert [piece["path"] for piece in pieces] == ["page.html"] * 2
    assert {piece["longest_copy"] for piece in pieces} == {0.0}


def test_a_page_names_the_seed(toy_home: Path, call: Call) -> None:
    call("sample", "run-rolls", "--seed", "41", "--program", "church organ", "--out", "seed.html")
    assert " · Church Organ · seed 41<" in (toy_home / "seed.html").read_text()


def test_too_few_without_a_copy_are_said(
    call: Call, words: TrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = (
        *("sample", "run-lines", "--seed", "1", "--count", "6", "--best", "6"),
        *("--length", "30", "--out", "few.txt"),
    )
    train = list(map(str, open_dataset(Path("lines")).pieces("train")))
    drawn = list(map(str, words.sample(6, length=30, seed=1)))
    lengths = {sum(with_long_copies(drawn, train, length)): length for length in range(1, 12)}
    some = next(number for number in lengths if 0 < number < 6)
    monkeypatch.setattr(choosing, "MAX_COPY_CHARS", lengths[some])
    done = call(*asked)
    assert len(done.stdout.split()) == 6 - some
    (said,) = done.stderr.decode().splitlines()
    assert said.startswith(f"warning: found {6 - some} pieces of the best 6")
    monkeypatch.setattr(choosing, "MAX_COPY_CHARS", 1)
    fails(call(*asked), "6 pieces, each", "over 1 character")


def test_without_the_runs_dataset_it_is_said(
    tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_home(tmp_path)
    (tmp_path / "lines").rename(tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path)
    done = call(
        "sample", "run-lines", "--seed", "1", "--count", "4", "--best", "2", "--out", "x.txt"
    )
    assert done.stdout.decode().split() == ["x-01.txt", "x-02.txt"]
    (said,) = done.stderr.decode().splitlines()
    assert "not looked for" in said
    assert "lines" in said
