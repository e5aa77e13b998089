"""`lnfgen compare` and `lnfgen.compare`: samples beside a dataset, any music beside other music."""

import json
import math
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from command import Call, call_in, fails
from toy_dataset import write_dataset
from toy_home import make_run
from toy_music import harmonised, pieces

import lnfgen
from lnfgen.cli.compare import _rows
from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.errors import DatasetError
from lnfgen.music.comparison import MusicComparison


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of music, an untrained run on it, and folders of MIDI files."""
    home = tmp_path_factory.mktemp("home")
    encoding = MusicEncoding(steps_per_quarter=2)
    splits = {"train": pieces(0, 8), "valid": pieces(8, 10), "test": pieces(10, 18)}
    encoded = {split: list(map(encoding.encode, rolls)) for split, rolls in splits.items()}
    make_run(
        home / "run", write_dataset(home / "four", name="four", encoding=encoding, splits=encoded)
    )
    for name, seeds in (("songs", range(30, 40)), ("others", range(40, 50))):
        (home / name).mkdir()
        for seed in seeds:
            lnfgen.write(home / name / f"{seed}.mid", harmonised(seed))
    (home / "others" / "broken.mid").write_bytes(b"MThd")
    (home / "letter.txt").write_text("Dear reader\n")
    return home


@pytest.fixture
def at_home(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    """`lnfgen ARGS` in `home`, in this process."""
    return call_in(home, monkeypatch, capsys)


def test_samples_of_a_run_beside_its_dataset(home: Path, at_home: Call) -> None:
    values = json.loads(at_home("compare", "run", "--count", "8", "--seed", "3", "--json").stdout)
    assert (values["count"], values["split"], values["run"]) == (8, "test", "run")
    assert (values["samples_songs"], values["reference_songs"]) == (8, 8)
    assert values["figures"]["exact_polyphony_rate"]["label"] == "steps with exactly 4 keys"
    assert values["auc"] > 0.9
    again = lnfgen.load(home / "run").compare(count=8, seed=3).to_json()  # the seed decides all
    assert again["figures"] == values["figures"]
    assert again["auc"] == values["auc"]


def test_folders_beside_one_another(home: Path, at_home: Call) -> None:
    done = at_home("compare", "songs", "others", "--plot", "gap.svg")
    table, said = done.stdout.decode(), done.stderr.decode()
    assert done.returncode == 0, said
    assert "steps with exactly 4 keys" in table
    assert "AUC" in table
    assert "warning: others: left out 1 of 11 files" in said
    assert "broken.mid" in said
    assert "note length" in (home / "gap.svg").read_text()
    values = json.loads(at_home("compare", "songs", "four", "--json", "--quiet").stdout)
    assert (values["reference_songs"], values["samples_songs"]) == (8, 10)
    assert "train" in values["figures"]["longest_copy"]["label"]
    with pytest.warns(UserWarning, match="left out 1 of 11 files"):
        assert isinstance(lnfgen.compare(home / "songs", home / "others"), MusicComparison)


def test_a_figure_that_no_passage_has_is_one_dash() -> None:
    nothing = np.full(1, math.nan)
    row = SimpleNamespace(label="groove", reference=nothing, samples=nothing, inside=math.nan)
    assert [*_rows(SimpleNamespace(figures={"groove": row}))] == [
        ("groove", "-", "-", "-", "-", "-")
    ]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["songs"], ["songs is no run", "lnfgen compare songs OTHER"]),
        (["songs", "nothing"], ["nothing"]),
        (["letter.txt", "songs"], ["letter.txt", "expected music"]),
        (["songs", "others", "--plot", "gap.txt"], ["gap.txt", ".png"]),
        (["songs", "others", "--count", "3"], ["--count", "songs is no run"]),
        (["songs", "others", "--temperature", "1"], ["--temperature"]),
        (["songs", "others", "--device", "cpu"], ["--device", "songs is no run"]),
    ],
)
def test_what_cannot_be_compared(args: Sequence[str], words: Sequence[str], at_home: Call) -> None:
    fails(at_home("compare", *args), *words)


def test_bars_are_those_of_the_pieces_but_beside_samples_the_usual_ones(home: Path) -> None:
    encoding = MusicEncoding(steps_per_quarter=2)
    rolls = {"train": [encoding.encode(piece) for piece in pieces(0, 6)]}
    waltzes = write_dataset(
        home / "waltzes",
        name="waltzes",
        encoding=encoding,
        splits=rolls,
        time_signatures={"train": [(3, 4)] * 6},
    )
    beside_music = lnfgen.compare(waltzes, waltzes, split="train")
    beside_samples = lnfgen.load(home / "run").compare(waltzes, split="train", count=4)
    for result, share in ((beside_music, 1 / 3), (beside_samples, 1 / 4)):
        assert np.median(result.figures["downbeat_rate"].reference) == pytest.approx(
            share, abs=0.05
        )


def test_pieces_are_a_source_too(home: Path) -> None:
    assert lnfgen.compare(pieces(0, 4), home / "four").reference_songs == 8
    assert lnfgen.compare(home / "four", iter(pieces(0, 4))).reference_songs == 4
    songs = [lnfgen.Song(piece) for piece in pieces(0, 4)]
    assert lnfgen.compare(songs, home / "four").samples_songs == 4
    with pytest.raises(DatasetError, match="no pieces"):
        lnfgen.compare([], home / "four")


def test_comparing_folders_loads_no_torch(home: Path) -> None:
    probe = (
        "import sys; from lnfgen.cli import main\n"
        "try: main(['compare', 'songs', 'four'])\n"
        "except SystemExit as end: assert not end.code\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], cwd=home, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_a_temperature_out_of_range_is_refused_as_by_sample(at_home: Call) -> None:
    for command in ("compare", "sample"):
        done = at_home(command, "run", "--temperature", "-1", "--seed", "1")
        fails(done, "a temperature of -1.0; expected a number from 0 to 100")
