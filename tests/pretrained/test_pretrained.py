"""The models in the box: commands take their names, and cards say what the files are."""

import importlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from command import Call, fails
from safetensors.torch import load_file
from toy_config import run_config

import lnfgen
from lnfgen.data.named import NAMED
from lnfgen.errors import DatasetError
from lnfgen.files import read_object
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Song
from lnfgen.pretrained import BOX, BOXED, DEFAULT
from lnfgen.runs.checkpoint import MODEL, load_model, serialise
from lnfgen.runs.evaluation_data import open_source
from lnfgen.runs.folder import RunFolder
from lnfgen.runs.listing import run_facts
from lnfgen.runs.naming import find
from lnfgen.training.recipes import Corpus

MAX_BYTES = 4_000_000
MAX_PACKAGE = 12_000_000
FOLDER = "freedoom-midi"  # of the data of the band, which come with no package
SAID = f"the model in the box: {DEFAULT}"
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Import a script of examples/."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module


def ended(done: "subprocess.CompletedProcess[bytes]") -> "subprocess.CompletedProcess[bytes]":
    assert done.returncode == 0, done.stderr.decode()
    return done


# Commands.
# ------------------------------------------------------------------------------------------------


def test_without_a_run_there_is_music_at_once_and_stderr_says_whose(
    here: Call, tmp_path: Path
) -> None:
    done = ended(here("sample", "--out", "song.mid", "--seed", "1", "--length", "16"))
    assert done.stdout == b"song.mid\n"
    assert SAID in done.stderr.decode()
    (song,) = lnfgen.read("song.mid")
    assert isinstance(song, Song)
    assert song.roll.sounding.any()
    assert (
        SAID not in ended(here("sample", "--quiet", "--seed", "1", "--length", "2")).stderr.decode()
    )

    done = ended(here("plot", "--out", "curves.svg"))
    assert SAID in done.stderr.decode()
    assert f"{DEFAULT}: " in (tmp_path / "curves.svg").read_text()


def test_eval_takes_it_too_but_a_run_under_runs_goes_first(
    here: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise DatasetError("not made here")  # making the chorales takes half a minute

    monkeypatch.setattr("lnfgen.runs.evaluation_data.build_cached", refuse)
    fails(here("eval"), SAID, "not made here")
    shutil.copytree(BOX / DEFAULT, tmp_path / "runs" / "mine")
    fails(here("eval"), f"run {Path('runs/mine')}", "not made here")


def test_each_command_that_takes_a_run_takes_the_name_of_a_model(
    cache: Path, here: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LNFGEN_CACHE", str(cache))
    ended(here("sample", "folk-abc", "--out", "tune.txt", "--length", "120", "--seed", "1"))
    values = json.loads(ended(here("eval", "folk-abc", "tune.txt", "--nll", "--json")).stdout)
    assert (values["unit"], values["run"]) == ("bits_per_char", "folk-abc")
    assert (values["nll"], values["kl"]) == (values["elbo"], 0)  # the baseline is exact
    assert values["marginal_nll"] > 0  # the train split was made again, by the name of the dataset
    ended(here("plot", *BOXED[:1], "--out", "one.png"))
    fails(here("plot", *BOXED), "different units")
    fails(here("compare", "folk-abc"), "makes text")


def test_info_and_runs_tell_of_them(here: Call) -> None:
    for name in BOXED:
        facts = json.loads(ended(here("info", name, "--json")).stdout)
        dataset = FOLDER if name == "band" else name
        assert (facts["path"], facts["kind"], facts["dataset"]) == (name, "run", dataset)
        assert ended(here("info", name, "--csv")).stdout.startswith(b"step,")
    rows = json.loads(ended(here("list", *BOXED, "--json")).stdout)["runs"]
    assert {Path(row["run"]).name: row["state"] for row in rows} == dict.fromkeys(BOXED, "finished")
    assert json.loads(ended(here("list", "--json")).stdout) == {"runs": []}


def test_models_lists_them(here: Call) -> None:
    models = json.loads(ended(here("list", "--models", "--json")).stdout)["models"]
    assert [model["name"] for model in models] == list(BOXED)
    assert all((Path(model["path"]) / "card.md").is_file() for model in models)
    table = ended(here("list", "--models")).stdout.decode()
    for model in models:
        for word in (
            model["makes"],
            model["use"],
            f"{model['parameters']:,}",
            f"{model['scores']['test']['nll']:.2f}",
        ):
            assert word in table


def test_a_model_in_the_box_is_not_resumed_and_an_unknown_name_hears_of_them(
    here: Call, tmp_path: Path
) -> None:
    refused = here("train", "--resume", "--out", DEFAULT)
    fails(refused, f"error: {DEFAULT} is a model in the box, which has no state to go on from")
    assert str(BOX).encode() not in refused.stderr
    fails(here("train", "--resume"), "lnfgen train")
    fails(here("sample", "choral"), "choral does not exist", "did you mean", *BOXED)
    assert not list(tmp_path.iterdir())


# Names and paths.
# ------------------------------------------------------------------------------------------------


def test_a_run_of_the_same_name_goes_first(
    toy_home: Path, tmp_path: Path, here: Call, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LNFGEN_CACHE", str(cache))
    for name in BOXED:
        shutil.copytree(toy_home / "run-lines", tmp_path / name)
    assert find(DEFAULT, "run") == ("run", Path(DEFAULT))
    assert lnfgen.load(DEFAULT).encoding.kind == "text"
    assert json.loads(ended(here("info", DEFAULT, "--json")).stdout)["model"] == "af-scf"
    no_state = f"{DEFAULT} has no last/ to resume from; train a new run: lnfgen train\n"
    fails(here("train", "--resume", "--out", DEFAULT), no_state)
    # Where a dataset is meant, it is the dataset, though a run's folder holds a dataset.json too.
    assert open_source("folk-abc").name == "folk-abc"
    shutil.move(DEFAULT, "other")
    with pytest.raises(DatasetError, match="other is a run"):
        open_source("other")


def test_what_is_no_run_does_not_hide_a_model(toy_home: Path, tmp_path: Path, here: Call) -> None:
    """`lnfgen preprocess chorales` makes a folder of that name."""
    shutil.copytree(toy_home / "lines", tmp_path / DEFAULT)
    done = ended(here("sample", DEFAULT, "--bars", "1", "--seed", "1", "--out", "song.mid"))
    assert SAID in done.stderr.decode()
    assert json.loads(ended(here("info", DEFAULT, "--json")).stdout)["kind"] == "dataset"
    fails(here("sample", "song.mid"), "song.mid is a file")


# Files.
# ------------------------------------------------------------------------------------------------


def test_half_precision_is_loaded_as_rounded_weights(toy_home: Path, tmp_path: Path) -> None:
    shutil.copytree(toy_home / "run-lines", tmp_path / "run")
    exact = load_file(tmp_path / "run" / MODEL)
    halved = {
        name: value.half() if value.dtype == torch.float32 else value
        for name, value in exact.items()
    }
    (tmp_path / "run" / MODEL).unlink()  # `exact` is a view of the old file
    (tmp_path / "run" / MODEL).write_bytes(serialise(halved))
    loaded = load_model(RunFolder(tmp_path / "run"), torch.device("cpu")).state_dict()
    assert {name: value.dtype for name, value in loaded.items()} == {
        name: value.dtype for name, value in exact.items()
    }
    assert all(torch.equal(loaded[name], halved[name].to(loaded[name].dtype)) for name in exact)
    assert any(not torch.equal(loaded[name], exact[name]) for name in exact)


@pytest.mark.parametrize("name", BOXED)
def test_a_boxed_folder_holds_what_it_should_and_is_small(name: str) -> None:
    folder = BOX / name
    files = {path.name: path.stat().st_size for path in folder.iterdir()}
    expected = {"config.json", "dataset.json", "metrics.jsonl", "card.json", "card.md", MODEL}
    if RunFolder(folder).encoding.kind == "music":
        expected.add("ranges.json")
    assert files.keys() == expected
    assert files[MODEL] <= MAX_BYTES
    assert sum(path.stat().st_size for path in BOX.parent.rglob("*")) < MAX_PACKAGE
    counted = ("length.", "time_signatures.", "homes.")
    for key, value in load_file(folder / MODEL).items():
        assert key.startswith(counted) or value.dtype == torch.float16, key
    run = RunFolder(folder)
    assert run.dataset["name"] == run.dataset["path"]
    assert run.dataset["name"] in (*NAMED, FOLDER)


@pytest.mark.parametrize("name", BOXED)
def test_a_card_says_what_the_files_are(name: str, example: Callable[[str], ModuleType]) -> None:
    card_page = example("model_card").card_page
    card = read_object(BOX / name / "card.json")
    facts = run_facts(BOX / name)
    assert (BOX / name / "card.md").read_text(encoding="utf-8") == card_page(card)
    for key in ("model", "backbone", "transform", "emission", "parameters", "dataset"):
        assert card[key] == facts[key], key
    assert card["updates"] == facts["steps"]
    assert card["bytes"] == (BOX / name / MODEL).stat().st_size
    folders = example("pretrained").FOLDERS
    known = folders.get(card["dataset"]) or vars(NAMED[card["dataset"]])
    assert card["data"]["licence"] == known["licence"]
    for split, scores in card["scores"].items():
        row = f"| {split} | {scores['nll']:.2f} | {scores['elbo']:.2f} |"
        assert row in card_page(card)
    assert card["scores"]["test"]["nll"] < card["scores"]["test"]["marginal_nll"]
    run = RunFolder(BOX / name)
    train = card["data"]["splits"]["train"]
    corpus = Corpus(
        kind=run.encoding.kind,
        has_onsets=run.encoding.kind == "music",
        num_sequences=train["sequences"],
        num_steps=train["steps"],
        num_parts=len(run.encoding.roles),
    )
    assert run_config(**card["recipe"], corpus=corpus) == run.config


@pytest.mark.slow
@pytest.mark.parametrize("name", BOXED)
def test_the_scores_of_a_card_are_those_of_eval(name: str, here: Call) -> None:
    scores = read_object(BOX / name / "card.json")["scores"]["test"]
    dataset = []
    if name == "band":
        data = os.environ.get("LNFGEN_TEST_DATA")
        if not data:
            pytest.skip("needs the songs of the band; LNFGEN_TEST_DATA names their folder")
        folders = [Path(data) / folder for folder in (FOLDER, "freedoom-history-midi")]
        dataset = [lnfgen.preprocess(folders, out="songs").path]
    done = ended(here("eval", name, *dataset, "--nll", "--samples", scores["samples"], "--json"))
    values = json.loads(done.stdout)
    for key in ("nll", "elbo", "marginal_nll", "sequences", "steps"):
        assert values[key] == pytest.approx(scores[key], abs=0.002), key


# The script that makes them.
# ------------------------------------------------------------------------------------------------


def test_bars_of_abc_are_measured(example: Callable[[str], ModuleType]) -> None:
    has_full_bars = example("abc_share").has_full_bars
    head = "X:1\nT:Tune\nM:6/8\nL:1/8\nK:D\n"
    whole = 'D|DEF A2B|(3abc d>e "A"f{g}e|[DA]3 z/d/2^f=f,|FED D2:|'
    assert has_full_bars(head + whole)
    assert has_full_bars(head + whole + "\n|: A | BBB BBB | ccc c3 | A2 |]\n")
    assert has_full_bars(
        head.replace("6/8", "3/4") + "AB|c2 d2 e2|c2 d2 e2|\\\nc2 d2 e2|1 c4:|2 c4||"
    )
    assert not has_full_bars(head + whole.replace("A2B", "A2B2"))
    assert not has_full_bars(head.replace("M:6/8\n", "") + whole)
    assert not has_full_bars(head.replace("6/8", "C|") + whole)
    assert not has_full_bars(head + "D|D2:|")
    assert not has_full_bars("")


def test_a_band_draws_songs_and_plays_to_ones_own(here: Call, tmp_path: Path) -> None:
    ended(here("sample", "band", "--bars", "2", "--seed", "1", "--out", "song.mid"))
    (song,) = lnfgen.read("song.mid", parts="4")
    assert isinstance(song, Song)
    assert song.roll.sounding.any()
    lnfgen.write(tmp_path / "own.mid", PianoRoll.from_notes([(0, 8, 72), (8, 8, 74), (16, 16, 76)]))
    ended(here("harmonize", "own.mid", "--run", "band", "--seed", "1", "--out", "band.mid"))
    (band,) = lnfgen.read("band.mid", parts="4")
    assert isinstance(band, Song)
    assert band.roll.num_notes > 3
