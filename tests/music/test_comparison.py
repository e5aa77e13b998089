"""Comparing two sets of music: the classifier, windows of equal length, the command and its picture."""

import json
import math
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from command import fails
from lnfgen.cli.eval_music import _rows
from toy_dataset import write_dataset
from toy_models import SIZES

import lnfgen
from lnfgen.cli import main
from lnfgen.config import Config
from lnfgen.data.benchmarks import read_benchmark
from lnfgen.data.dataset import Dataset
from lnfgen.data.encoding import Encoding
from lnfgen.errors import DatasetError
from lnfgen.music.classifier import area_under_curve, two_sample_auc
from lnfgen.music.comparison import MusicComparison, compare_pieces, spread
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.runs.checkpoint import new_model, save_model
from lnfgen.runs.folder import RunFolder

TRIADS = np.array([[0, 7, 16, 24], [5, 9, 17, 24], [7, 14, 17, 23], [9, 12, 16, 21]])


def harmonised(seed: int, num_quarters: int = 40, wrong: float = 0.0) -> PianoRoll:
    """Four voices in chords of one key, a chord a quarter, in eighths. A pitch is random with a chance `wrong`."""
    rng = np.random.default_rng(seed)
    key = 44 + int(rng.integers(8))
    notes = []
    for quarter in range(num_quarters):
        for pitch in (TRIADS[rng.integers(4)] + key).tolist():
            pitch = int(rng.integers(40, 84)) if rng.random() < wrong else pitch
            split = rng.random() < 0.2
            notes += [(2 * quarter, 1, pitch), (2 * quarter + 1, 1, pitch)] if split else [(2 * quarter, 2, pitch)]
    return PianoRoll.from_notes(notes, num_steps=2 * num_quarters, steps_per_quarter=2)


def pieces(first: int, last: int, **options: Any) -> list[PianoRoll]:
    return [harmonised(seed, **options) for seed in range(first, last)]


def test_area_under_curve() -> None:
    assert area_under_curve(np.array([2.0, 3]), np.array([0.0, 1])) == 1
    assert area_under_curve(np.array([0.0, 1]), np.array([2.0, 3])) == 0
    assert area_under_curve(np.array([1.0, 1]), np.array([1.0])) == 0.5
    assert area_under_curve(np.array([0.0, 2]), np.array([1.0, 2])) == 0.375


def test_the_classifier_knows_what_differs_and_only_that() -> None:
    rng = np.random.default_rng(0)
    groups = np.arange(120)

    def auc(shift: float) -> float:
        first, second = rng.normal(size=(120, 6)), rng.normal(size=(120, 6))
        first[:, 2] += shift
        first[::9, 4] = math.nan  # a figure that some pieces have not
        first[:, 5] = second[:, 5] = 3.0  # and one that is the same for all
        return two_sample_auc(first, second, groups, groups)

    assert 0.35 < auc(0) < 0.65
    # Two normal distributions whose means are d apart: AUC = Phi(d / sqrt 2).
    assert auc(1) == pytest.approx(0.5 * (1 + math.erf(1 / 2)), abs=0.08)
    assert auc(30) > 0.999


def test_rows_of_one_piece_share_a_fold() -> None:
    """Four rows of a piece are equal. A classifier that had seen some of them would know the others again."""
    rng = np.random.default_rng(1)
    owners = np.repeat(np.arange(30), 4)
    first, second = (np.repeat(rng.normal(size=(30, 60)), 4, axis=0) for _ in range(2))
    assert two_sample_auc(first, second, owners, owners) < 0.7
    assert two_sample_auc(first, second, np.arange(120), np.arange(120)) > 0.95


def test_one_piece_alone_has_no_auc() -> None:
    assert math.isnan(two_sample_auc(np.ones((3, 2)), np.zeros((9, 2)), np.zeros(3), np.arange(9)))


def test_two_halves_of_a_set_are_alike_and_a_damaged_copy_is_not() -> None:
    halves = compare_pieces(pieces(0, 70), pieces(70, 140))
    assert 0.3 < halves.auc < 0.7
    assert np.mean([row.inside for row in halves.figures.values()]) > 0.85
    assert halves.usual_voices == 4
    assert halves.samples_variety == pytest.approx(halves.reference_variety, rel=0.3)
    damaged = compare_pieces(pieces(0, 70, wrong=0.2), pieces(70, 140))
    assert damaged.auc > 0.97
    assert damaged.figures["scale_consistency"].inside < 0.5
    assert damaged.figures["note_length"].inside > 0.5


def test_the_chorales_are_like_one_another(shared_data: Callable[[str], Path]) -> None:
    chorales = read_benchmark(shared_data("polyphonic/jsb_chorales.pickle"))
    train, test = chorales["train"][:80], chorales["test"]
    alike = compare_pieces(train, test)
    assert 0.35 < alike.auc < 0.65
    assert alike.usual_voices == 4
    assert np.mean([row.inside for row in alike.figures.values()]) > 0.85
    rng = np.random.default_rng(0)
    noisy = [replace(piece, sounding=piece.sounding ^ (rng.random(piece.sounding.shape) < 0.002)) for piece in train]
    assert compare_pieces(noisy, test).auc > 0.9


def test_a_set_beside_itself_cannot_be_told_apart() -> None:
    same = compare_pieces(pieces(0, 30), pieces(0, 30))
    assert same.auc < 0.6
    assert same.most_copied == 32


def test_inside_counts_the_range_and_no_sample_without_the_figure() -> None:
    silent = PianoRoll.from_notes([], num_steps=80, steps_per_quarter=2)
    result = compare_pieces([*pieces(0, 3), silent], pieces(10, 40))
    lengths = result.figures["note_length"]
    low, _, high = spread(lengths.reference)
    assert np.isnan(lengths.samples[3])
    assert lengths.inside == sum(low <= value <= high for value in lengths.samples) / 4
    assert result.figures["empty_step_rate"].inside == 0.75


def test_windows_have_one_length_and_start_with_bars() -> None:
    long = harmonised(0, 100)
    three_four = replace(harmonised(1, 100), time_signature=(3, 4))
    result = compare_pieces([long, three_four, harmonised(2, 20)], pieces(3, 6))
    assert result.window_quarters == 32
    # Of 100 quarters: 0 to 32, 32 to 64, 64 to 96; in 3/4 the next bars after 32 and 65 start at 33 and 66.
    assert (result.samples_windows, result.samples_pieces) == (6, 2)
    assert (result.reference_windows, result.reference_pieces) == (3, 3)
    in_bars = compare_pieces([three_four], [three_four]).figures["downbeat_rate"].samples
    assert in_bars == pytest.approx([1 / 3] * 3, abs=0.06)  # a window of 32 quarters has eleven of its chords on bars


def test_short_pieces_have_short_windows_and_grids_are_made_one() -> None:
    result = compare_pieces([piece.on_grid(4) for piece in pieces(0, 4, num_quarters=13)], pieces(4, 9))
    assert result.window_quarters == 13
    assert result.figures["note_length"].samples == pytest.approx(
        compare_pieces(pieces(0, 4, num_quarters=13), pieces(4, 9)).figures["note_length"].samples
    )
    one_step = PianoRoll.from_notes([(0, 1, 60)], steps_per_quarter=2)
    assert compare_pieces([one_step], [one_step]).window_quarters == 0.5


def test_onsets_count_where_all_pieces_have_them() -> None:
    known = pieces(0, 6)
    unknown = [replace(piece, onsets=None) for piece in known]
    for first, second in ((known, unknown), (unknown, known)):
        row = compare_pieces(first, second).figures["note_length"]
        assert row.samples.tolist() == row.reference.tolist()


def test_copies_of_train_and_of_the_reference() -> None:
    train, test = pieces(0, 6), pieces(6, 12)
    of_train = compare_pieces([train[2], test[0]], test, train)
    assert of_train.figures["longest_copy"].samples[0] == of_train.most_copied == 32
    assert of_train.figures["longest_copy"].samples[1] < 8
    of_reference = compare_pieces([train[2], test[0]], test)
    assert of_reference.figures["longest_copy"].samples[1] == 32
    assert max(of_reference.figures["longest_copy"].reference) < 8  # no piece is a copy of itself


def test_variety_is_less_where_pieces_are_alike() -> None:
    result = compare_pieces([harmonised(3)] * 10, pieces(10, 30))
    assert result.samples_variety == pytest.approx(0, abs=1e-6)
    assert result.reference_variety > 2


def test_the_result_is_json_whatever_is_compared() -> None:
    silent = PianoRoll.from_notes([], num_steps=80)
    for result in (compare_pieces([silent], [silent]), compare_pieces([silent], pieces(0, 3))):
        values = json.loads(json.dumps(result.to_json(), allow_nan=False))
        assert values["auc"] is None
        assert values["figures"]["note_length"]["samples"] == {"q05": None, "median": None, "q95": None}
    assert values["figures"]["note_length"]["inside"] == 0


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
        (["--music", "songs", "others", "--solver", "sweeps"], ["--solver"]),
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
