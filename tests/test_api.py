"""lnfgen from Python: the same as from the shell, in one process."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import call_in, start

import lnfgen
from lnfgen import config
from lnfgen.data.dataset import open_dataset
from lnfgen.errors import ConfigError, DatasetError, OutputError, RunError
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.training import recipes

SMALLEST: dict[str, Any] = {
    "model": {
        "hidden_size": 12,
        "embedding_size": 12,
        "latent_size": 4,
        "num_layers": 1,
        "num_flow_layers": 2,
        "conditioner_size": 8,
    },
    "training": {"batch_size": 4},
}
UPDATES = 5  # too few for rules to be calibrated, which takes longer than they do


def write_tunes(folder: Path, count: int = 10) -> Path:
    """A folder of short MIDI files."""
    folder.mkdir()
    for number in range(count):
        notes = [(4 * step, 4, 60 + (number + 3 * step) % 12) for step in range(4)]
        lnfgen.write(folder / f"tune-{number}.mid", PianoRoll.from_notes(notes))
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with MIDI files, a dataset on a grid of 2 steps, and a run, made by the shell."""
    home = tmp_path_factory.mktemp("home")
    write_tunes(home / "songs")
    (home / "smallest.json").write_text(json.dumps(SMALLEST))
    for args in (
        ["preprocess", "songs", "--out", "tunes", "--steps-per-quarter", "2"],
        [
            "train",
            "tunes",
            "--config",
            "smallest.json",
            "--max-steps",
            UPDATES,
            "--seed",
            "1",
            "--out",
            "run",
        ],
    ):
        done = start(home, *args)
        assert done.returncode == 0, done.stderr.decode()
    return home


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_preprocess_train_sample_and_score_as_the_commands_do(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    call = call_in(home, monkeypatch, capsys)
    told: list[tuple[str, int, int]] = []
    tunes = lnfgen.preprocess(
        home / "songs",
        tmp_path / "tunes",
        steps_per_quarter=2,
        progress=lambda *args: told.append(args),
    )
    assert told[-1][1:] == (10, 10)
    assert files_of(tunes.path) == files_of(home / "tunes")

    updates: list[tuple[int, int, dict[str, float]]] = []
    settings: dict[str, Any] = {"config": SMALLEST, "max_steps": UPDATES, "seed": 1}
    model = lnfgen.train(
        open_dataset(home / "tunes"),
        out=tmp_path / "run",
        progress=lambda *args: updates.append(args),
        **settings,
    )
    assert [(step, total) for step, total, _ in updates] == [
        (n, UPDATES) for n in range(1, UPDATES + 1)
    ]
    assert all(np.isfinite(figures["elbo"]) for _, _, figures in updates)
    ours, theirs = files_of(tmp_path / "run"), files_of(home / "run")
    assert ours.keys() == theirs.keys()
    timed = {"metrics.jsonl", "last/progress.json"}  # they hold seconds
    assert {name for name in ours if ours[name] != theirs[name]} <= timed

    pieces = model.sample(count=3, length=12, seed=5)
    names = call("sample", "run", "--count", "3", "--length", "12", "--seed", "5", "--out", "s.mid")
    for name, piece in zip(names.stdout.decode().split(), pieces, strict=True):
        lnfgen.write(tmp_path / "piece.mid", piece)
        assert (tmp_path / "piece.mid").read_bytes() == (home / name).read_bytes()

    test = [tunes.encoding.decode(x) for x in tunes.split("test")]
    figures = json.loads(call("eval", "run", "--nll", "--samples", "3", "--json").stdout)
    assert model.nll(test, samples=3).nll == pytest.approx(figures["nll"], rel=1e-6)


def test_a_run_goes_on_from_python(home: Path, tmp_path: Path) -> None:
    class EnoughError(Exception):
        pass

    def stop(step: int, total: int, figures: dict[str, float]) -> None:
        if step == UPDATES - 2:
            raise EnoughError

    settings: dict[str, Any] = {
        "config": SMALLEST,
        "max_steps": UPDATES,
        "seed": 1,
        "out": tmp_path / "run",
    }
    with pytest.raises(EnoughError):
        lnfgen.train(home / "tunes", progress=stop, **settings)
    lnfgen.train(out=tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == (
        home / "run" / "model.safetensors"
    ).read_bytes()
    lines = [
        json.loads(line)["step"]
        for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    ]
    assert lines == sorted(set(lines))
    assert lines[-1] == UPDATES
    with pytest.raises(ConfigError, match="leave them out"):
        lnfgen.train(model="af-scf", out=tmp_path / "run", resume=True)


def test_a_piece_on_another_grid_scores_as_the_piece_on_the_models(
    home: Path, tmp_path: Path
) -> None:
    model = lnfgen.load(home / "run")
    piece = model.sample(length=16, seed=2)[0]
    assert isinstance(piece, PianoRoll)
    assert piece.steps_per_quarter == 2
    lnfgen.write(tmp_path / "song.mid", piece)
    (again,) = lnfgen.read(tmp_path / "song.mid")
    assert isinstance(again, lnfgen.Song)
    assert again.roll.steps_per_quarter == 4
    assert model.nll(again, samples=2) == model.nll(piece, samples=2)
    assert model.nll(again.roll, samples=2) == model.nll(piece, samples=2)
    assert model.nll(again, samples=2).steps == 16


def test_mistakes_are_errors_of_the_package(home: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no sources"):
        lnfgen.preprocess([])
    with pytest.raises(DatasetError, match="stands alone"):
        lnfgen.preprocess(["chorales", home / "songs"], tmp_path / "a")
    with pytest.raises(OutputError, match="not empty"):
        lnfgen.preprocess(home / "songs", home / "tunes")
    with pytest.raises(RunError, match="expected a run"):
        lnfgen.load(tmp_path)
    with pytest.raises(lnfgen.LnfgenError, match="found text; expected music"):
        lnfgen.load(home / "run").nll("text")
    for wrong in ({"count": 0}, {"seed": -1}, {"length": 0}):
        with pytest.raises(lnfgen.LnfgenError, match="expected"):
            lnfgen.load(home / "run").sample(**wrong)
    for wrong in ({"samples": 0}, {"seed": -1}):
        with pytest.raises(lnfgen.LnfgenError, match="expected at least 1"):
            lnfgen.load(home / "run").nll(lnfgen.read(home / "songs" / "tune-0.mid"), **wrong)
    assert not list(tmp_path.iterdir())


README = Path(__file__).parents[1] / "README.md"


@pytest.mark.slow  # .ci/run runs it by name
def test_the_python_of_the_readme_runs_as_printed(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the names that it uses: a run of 2 steps a quarter, and a folder of MIDI files."""
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 1
    monkeypatch.chdir(tmp_path)
    write_tunes(Path("my-midi-folder"))
    Path("runs").mkdir()
    Path("runs/chorales-af-scf-001").symlink_to(home / "run")
    smallest = config.read_config(SMALLEST) | {"training.max_steps": 3}
    read_recipe = recipes.read_recipe
    monkeypatch.setattr(
        recipes, "read_recipe", lambda name, preset: read_recipe(name, preset) | smallest
    )
    exec(compile(blocks[0], "README.md", "exec"), {"__name__": "__main__"})
    _, _, nll, *_ = capsys.readouterr().out.splitlines()  # after the shape, and notes with tracks
    assert np.isfinite(float(nll))
    assert Path("song.mid").read_bytes().startswith(b"MThd")
    assert Path("runs/my-midi-folder-af-scf-001/model.safetensors").is_file()


def test_types_are_shipped() -> None:
    """Type checkers read the hints of a package only where this file is."""
    assert (Path(lnfgen.__file__).parent / "py.typed").is_file()


def test_preprocess_and_train_are_there_without_torch() -> None:
    probe = (
        "import sys, lnfgen; lnfgen.preprocess, lnfgen.train; "
        "assert not {'torch', 'music21'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
