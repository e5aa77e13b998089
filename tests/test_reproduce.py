"""The tables of results are those of the committed files, and the cells of `examples/reproduce` can
be run."""

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from toy_config import run_config

from lnfgen.errors import LnfgenError
from lnfgen.training.recipes import Corpus, assignments

FOLDER = Path(__file__).parents[1] / "examples" / "reproduce"
Script = Callable[[str], ModuleType]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    """Imports a script of the folder. Its modules have common names, so they are forgotten
    afterwards."""
    monkeypatch.syspath_prepend(str(FOLDER))
    for name in ("cells", "picture", "published", "run", "table"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return __import__


def test_pages_have_the_tables_of_the_results(script: Script, tmp_path: Path) -> None:
    table = script("table")
    results = table.read_results(table.RESULTS)
    table.check(table.README, table.best(results, "examples/"))
    table.check(table.CHAPTER, made := table.tables(results))

    text = table.CHAPTER.read_text(encoding="utf-8")
    begin = text.index(table.BEGIN) + len(table.BEGIN)
    typed = tmp_path / "results.md"
    for other, message in (
        (text[:begin] + text[begin:].replace("5.19", "4.19", 1), "does not hold the tables of"),
        (text[:begin], "end of results"),
    ):
        typed.write_text(other, encoding="utf-8")
        with pytest.raises(LnfgenError, match=message) as raised:
            table.check(typed, made)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("now", "is_older"),
    [
        ("x = 1", False),
        ('"""A module."""\n\nx = 1  # a comment', False),
        ('def f():\n    """Nothing."""\n    return 1', True),
        ("", True),
    ],
)
def test_a_result_is_older_than_other_statements_but_not_than_other_comments(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, now: str, is_older: bool
) -> None:
    run, cell = script("run"), script("cells").CELLS[0]
    file = "lnfgen/flows/one.py"
    contents = {f"then:{file}": "x = 1", f"HEAD:{file}": now, "HEAD": "0a", "then^{commit}": "0b"}
    monkeypatch.setattr(
        run, "_git", lambda do, *words: file if do == "diff" else contents.get(words[-1], "")
    )
    (tmp_path / f"{cell.name}.json").write_text(json.dumps({"commit": "then"}), encoding="utf-8")
    assert run.is_older(cell, tmp_path) == is_older
    for result in ("{}", json.dumps({"commit": "of another checkout"})):
        (tmp_path / f"{cell.name}.json").write_text(result, encoding="utf-8")
        assert run.is_older(cell, tmp_path)


def result_of(cell: Any, valid: float, test: float, minutes: float = 50) -> dict[str, Any]:
    """A result with these NLLs, of a run of 100 updates in so many minutes of a processor, with ten
    validations."""
    costs = dict.fromkeys(("elbo", "reconstruction", "kl", "marginal_nll"), 9.0) | {
        "dataset": cell.dataset
    }
    scores = {
        split: {**costs, "nll": nll, "steps": 4, "sequences": 1}
        for split, nll in (("valid", valid), ("test", test))
    }
    curve = {str(step): 200.0 - step for step in range(10, 101, 10)}
    return {"steps": 100, "cpu_seconds": 60.0 * minutes, "valid_elbo_at": curve, **scores}


def in_row(page: str, name: str) -> list[str]:
    """The cells of the first row of a page with this name, without the name."""
    row = next(line for line in page.splitlines() if line.startswith(f"| {name} |"))
    return [cell.strip() for cell in row.split("|")[2:-1]]


def figures(row: list[str]) -> list[str]:
    """What the cells of a row of the first table cost: the text of their links."""
    return [cell.partition("[")[2].partition("]")[0] for cell in row]


def test_the_row_shown_first_is_the_best_on_valid(script: Script) -> None:
    table, cells = script("table"), script("cells")
    found = {"af-scf": (1.0, 7.0), "af-af": (2.0, 6.0), "coupling": (3.0, 5.0), "lstm": (4.0, 4.0)}
    all_of_them = [
        cells.Cell("nottingham", name, "lstm" if name == "lstm" else "scan") for name in found
    ]
    page = table.tables({cell.name: result_of(cell, *found[cell.model]) for cell in all_of_them})
    shown = in_row(page, "Nottingham")[:4]
    assert figures(shown) == ["4.00", "7.00", "5.00", "7.00"]
    assert shown[0] == "**[4.00](reproduce/results/nottingham-lstm-seed-1.json)**, `lstm`, 50 min"


@pytest.mark.parametrize(
    ("minutes", "steps"), [(50, (10, 20, 40, 60, 80, 100, 100)), (70, (0, 10, 20, 40, 50, 70, 80))]
)
def test_bits_are_those_of_the_last_validation_until_the_minutes_of_the_head(
    script: Script, minutes: float, steps: tuple[int, ...]
) -> None:
    table, cells = script("table"), script("cells")
    cell = cells.Cell("ptb", "lstm", "lstm", emission="categorical", budget="hour")
    page = table.tables({cell.name: result_of(cell, 2.0, 2.0, minutes)})
    assert in_row(page, "`lstm`") == [f"{200 - step:.2f}" if step else "" for step in steps]


def test_models_whose_z_says_the_symbol_have_a_row_of_their_own(script: Script) -> None:
    table, cells = script("table"), script("cells")
    found = {"lstm": 1.0, "af-codes": 2.0, "af-af": 3.0, "blocks-codes": 4.0, "coupling": 5.0}
    backbones = {name: "conv-scan" if "codes" in name else "lstm" for name in found}
    of = {
        name: cells.Cell("ptb", name, backbones[name], emission="categorical", budget="hour")
        for name in found
    }
    results = {cell.name: result_of(cell, found[name], found[name]) for name, cell in of.items()}
    page = table.tables(results)
    learned, codes = (
        in_row(page, table.TITLES["ptb"]),
        in_row(page, "the same, where z says the symbol"),
    )
    assert figures(learned) == ["1.00", "3.00", "5.00", "", ""]
    assert figures(codes) == ["", "2.00", "4.00", "", ""]
    assert all("a language model" in cell for cell in codes if cell)
    # wherever one of the two is named
    assert sum(", a language model" in line for line in page.splitlines()) == 5

    # The picture has the same rows.
    *_, panel = table.panels(results)
    assert [course.name.split()[0] for course in panel.courses] == [
        "lstm",
        "af-af",
        "coupling",
        "af-codes",
        "blocks-codes",
    ]
    assert [course.dashed for course in panel.courses] == [False, False, False, True, True]


def test_the_picture_is_drawn_from_the_results(script: Script) -> None:
    table = script("table")
    results = table.read_results(table.RESULTS)
    panels, minutes = (
        table.panels(results),
        {result["cpu_seconds"] / 60 for result in results.values()},
    )
    for panel in panels:
        assert {"`lstm`", *list(table.KINDS)[1:3]} == {course.kind for course in panel.courses}
        for course in panel.courses:
            times = [time for time, _ in course.curve]
            assert times == sorted({0.0, *times})[1:]
            assert any(times[-1] == pytest.approx(one) for one in minutes), (
                "a curve ends where training ended"
            )
    assert table.by_minutes(panels).startswith(b"\x89PNG")
    assert table.PICTURE.stat().st_size < 120_000


def test_each_cell_is_a_possible_run_of_its_own(script: Script) -> None:
    cells = script("cells").CELLS
    assert len({cell.name for cell in cells}) == len(cells)
    for cell in cells:
        words = iter(cell.options())
        options = list(zip(words, words, strict=True))
        chosen = {name.removeprefix("--"): value for name, value in options if name != "--set"}
        settings = assignments(value for name, value in options if name == "--set")
        corpus = Corpus("text" if cell.dataset == "ptb" else "music")
        config = run_config(**{**chosen, "seed": int(chosen["seed"])}, set=settings, corpus=corpus)
        assert (config.model.backbone, config.model.emission) == (cell.backbone, cell.emission)
        assert config.model.transform == (cell.transform if config.model.has_transform else "none")
        assert (config.training.seed, config.training.transpose) == (cell.seed, cell.transpose)
        assert cell.features in (None, config.model.features)


def test_each_result_is_of_its_cell_and_has_scores_of_both_splits(script: Script) -> None:
    table, run = script("table"), script("run")
    cells = {cell.name: cell for cell in script("cells").CELLS}
    for name, result in table.read_results(table.RESULTS).items():
        cell = cells[name]
        assert (result["cell"], result["seed"]) == (name, cell.seed)
        # by the settings that the cell has now
        assert run.state(cell, table.RESULTS, table.RESULTS) == "done"
        name = (
            cell.model if cell.features is None else f"{cell.model.split('-')[0]}-{cell.features}"
        )
        for split in ("valid", "test"):
            scores = result[split]
            found = [
                scores[key] for key in ("split", "dataset", "model", "backbone", "emission", "unit")
            ]
            unit = "bits_per_char" if cell.emission == "categorical" else "nats_per_step"
            assert found == [
                split,
                Path(cell.source).stem,
                name,
                cell.backbone,
                cell.emission,
                unit,
            ]
            assert scores["samples"] == (1 if cell.model == "lstm" else 50)


def test_without_the_data_the_driver_says_so_in_one_line(tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(FOLDER / "run.py"),
        str(tmp_path),
        "--only",
        "nottingham-*-seed-*",
    ]
    done = subprocess.run([*command, "--list"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0
    assert {line.split()[0] for line in done.stdout.splitlines()} <= {"done", "older", "missing"}
    results = tmp_path / "results"
    done = subprocess.run(
        [*command, "--results", str(results)], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 1
    assert done.stderr.startswith(
        f"error: {tmp_path / 'polyphonic' / 'nottingham.pickle'} is missing"
    )
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_cell_is_trained_scored_and_tabled(
    script: Script, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run, table, cells = script("run"), script("table"), script("cells")
    monkeypatch.setitem(cells.BUDGETS, "grid", {"preset": "tiny", "training.max_steps": 3})
    source = tmp_path / "jsb_chorales.pickle"
    piece = [(60, 64), (60,), (), (67, 72)]
    source.write_bytes(
        pickle.dumps({split: [piece, piece[1:]] for split in ("train", "valid", "test")})
    )
    cell = cells.Cell("jsb_chorales", "coupling")
    runs, results = tmp_path / "runs", tmp_path / "results"

    scored = run.scored
    monkeypatch.setattr(run, "scored", lambda *_: sys.exit(130))  # as Ctrl-C after training
    with pytest.raises(SystemExit):
        run.measure(cell, source, runs, results)
    assert run.state(cell, runs, results) == "begun"
    assert (seconds := run.read_object(runs / f"{cell.name}.json")["cpu_seconds"]) > 0

    monkeypatch.setitem(cells.BUDGETS, "grid", {"preset": "tiny", "training.max_steps": 4})
    with pytest.raises(LnfgenError, match="was begun by"):
        run.measure(cell, source, runs, results)
    monkeypatch.setitem(cells.BUDGETS, "grid", {"preset": "tiny", "training.max_steps": 3})
    monkeypatch.setattr(run, "scored", scored)
    path = run.measure(cell, source, runs, results)
    assert run.state(cell, runs, results) == "done"
    result = json.loads(path.read_text())
    assert result["steps"] == 3
    assert result["cpu_seconds"] == round(seconds, 1)
    page = table.tables(table.read_results(results))
    nll, steps = result["test"]["nll"], 7
    assert f"**{nll:.2f}** | {nll * (steps + 2) / steps:.2f} |" in page
