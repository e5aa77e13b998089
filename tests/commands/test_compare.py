"""Comparing music by the command and from Python: runs, datasets, folders and pieces."""

import json
import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from command import fails
from toy_dataset import write_dataset
from toy_models import SIZES
from toy_music import harmonised, pieces

import lnfgen
from lnfgen.cli import main
from lnfgen.cli.eval_music import _rows
from lnfgen.config import Config
from lnfgen.data.dataset import Dataset
from lnfgen.data.encoding import Encoding
from lnfgen.errors import DatasetError
from lnfgen.music.comparison import MusicComparison
from lnfgen.runs.checkpoint import new_model, save_model
from lnfgen.runs.folder import RunFolder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of music, an untrained run on it, and folders of MIDI files."""
    home = tmp_path_factory.mktemp("home")
    encoding = Encoding("music", steps_per_quarter=2)
    splits = {"train": pieces(0, 8), "valid": pieces(8, 10), "test": pieces(10, 18)}
    dataset = write_dataset(
        home / "four",
        name="four",
        encoding=encoding,
        splits={k: list(map(encoding.encode, v)) for k, v in splits.items()},
    )
    _run(home / "run", dataset)
    for name, seeds in (("songs", range(30, 40)), ("others", range(40, 50))):
        (home / name).mkdir()
        for seed in seeds:
            lnfgen.write(home / name / f"{seed}.mid", harmonised(seed))
    (home / "others" / "broken.mid").write_bytes(b"MThd")
    (home / "letter.txt").write_text("Dear reader\n")
    return home


def _run(path: Path, dataset: Dataset) -> None:
    """A run with random weights."""
    config = Config(model=SIZES)
    save_model(RunFolder.create(path, config, dataset), new_model(config, dataset).state_dict())


def run(capsys: pytest.CaptureFixture[str], *args: object) -> tuple[int, str, str]:
    """The command in this process: its exit code and what it prints."""
    with pytest.raises(SystemExit) as ended:
        main(list(map(str, args)))
    printed = capsys.readouterr()
    return int(ended.value.code or 0), printed.out, printed.err


def test_eval_music_of_a_run(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "eval", home / "run", "--music", "--count", "8", "--seed", "3", "--json")
    assert code == 0
    values = json.loads(out)
    assert (values["count"], values["split"]) == (8, "test")
    assert (values["samples_pieces"], values["reference_pieces"]) == (8, 8)
    assert values["figures"]["exact_polyphony_rate"]["label"] == "steps with exactly 4 keys"
    assert values["auc"] > 0.9
    again = lnfgen.load(home / "run").compare_music(count=8, seed=3).to_json()  # the seed decides all
    assert again["figures"] == values["figures"]
    assert again["auc"] == values["auc"]


def test_eval_music_of_folders(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "eval", "--music", home / "songs", home / "others", "--plot", home / "gap.svg")
    assert code == 0
    assert "steps with exactly 4 keys" in out
    assert "AUC" in out
    assert "left out 1 of 11 files" in err
    assert "broken.mid" in err
    assert "note length" in (home / "gap.svg").read_text()
    code, out, _ = run(capsys, "eval", "--music", home / "songs", home / "four", "--json", "--quiet")
    values = json.loads(out)
    assert (values["reference_pieces"], values["samples_pieces"]) == (8, 10)
    assert "train" in values["figures"]["longest_copy"]["label"]
    with pytest.warns(UserWarning, match="left out 1 of 11 files"):
        assert isinstance(lnfgen.compare_music(home / "songs", home / "others"), MusicComparison)


def test_a_figure_that_no_passage_has_is_one_dash() -> None:
    nothing = np.full(1, math.nan)
    row = SimpleNamespace(label="groove", reference=nothing, samples=nothing, inside=math.nan)
    assert [*_rows(SimpleNamespace(figures={"groove": row}))] == [("groove", "-", "-", "-", "-", "-")]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--music", "songs"], ["songs is not a run", "--music"]),
        (["--music", "songs", "nothing"], ["nothing"]),
        (["--music", "letter.txt", "songs"], ["letter.txt", "expected music"]),
        (["--music", "songs", "others", "--plot", "gap.txt"], ["gap.txt", ".png"]),
        (["--music", "run", "--nll"], ["--nll"]),
        (["run", "--count", "3"], ["--count", "--music"]),
        (["run", "--music", "--samples", "3"], ["--samples", "--fill"]),
        (["--music", "songs", "others", "--count", "3"], ["--count", "songs is no run"]),
        (["--music", "songs", "others", "--temperature", "1"], ["--temperature"]),
        (["--music", "songs", "others", "--device", "cpu"], ["--device", "songs is no run"]),
        (["run", "--plot", "x.png"], ["--plot", "--music"]),
    ],
)
def test_eval_says_what_cannot_be_compared(
    home: Path,
    args: Sequence[str],
    words: Sequence[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(home)
    code, out, err = run(capsys, "eval", *args)
    fails(subprocess.CompletedProcess(args, code, out.encode(), err.encode()), *words)


def test_bars_are_those_of_the_pieces_but_beside_samples_the_usual_ones(home: Path) -> None:
    encoding = Encoding("music", steps_per_quarter=2)
    rolls = {"train": [encoding.encode(piece) for piece in pieces(0, 6)]}
    waltzes = write_dataset(
        home / "waltzes", name="waltzes", encoding=encoding, splits=rolls, time_signatures={"train": [(3, 4)] * 6}
    )
    beside_music = lnfgen.compare_music(waltzes, waltzes, split="train")
    beside_samples = lnfgen.load(home / "run").compare_music(waltzes, split="train", count=4)
    for result, share in ((beside_music, 1 / 3), (beside_samples, 1 / 4)):
        assert np.median(result.figures["downbeat_rate"].reference) == pytest.approx(share, abs=0.05)


def test_pieces_are_a_source_too(home: Path) -> None:
    assert lnfgen.compare_music(pieces(0, 4), home / "four").reference_pieces == 8
    assert lnfgen.compare_music(home / "four", iter(pieces(0, 4))).reference_pieces == 4
    with pytest.raises(DatasetError, match="no pieces"):
        lnfgen.compare_music([], home / "four")


def test_comparing_folders_loads_no_torch(home: Path) -> None:
    probe = (
        "import sys; from lnfgen.cli import main\n"
        "try: main(['eval', '--music', 'songs', 'four'])\n"
        "except SystemExit as end: assert not end.code\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", probe], cwd=home, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
