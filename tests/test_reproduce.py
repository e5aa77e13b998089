"""The tables of results are those of the committed files, and the cells can be run."""

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
from lnfgen.training.recipes import Corpus
from lnfgen.training.run_settings import assignments

FOLDER = Path(__file__).parents[1] / "examples" / "reproduce"
Script = Callable[[str], ModuleType]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    """Imports a script of the folder.

    Its modules have common names, so they are forgotten afterwards.
    """
    monkeypatch.syspath_prepend(str(FOLDER))
    for name in ("again", "cells", "picture", "published", "rows", "run", "table"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return __import__


def test_pages_have_the_tables_of_the_results(script: Script, tmp_path: Path) -> None:
    table = script("table")
    results = table.read_results(table.RESULTS)
    made = table.tables(results)
    table.check(table.README, table.best(results, "examples/"))
    table.check(table.CHAPTER, made)

    text = table.CHAPTER.read_text(encoding="utf-8")
    begin = text.index(table.BEGIN) + len(table.BEGIN)
    with_another_figure = text[:begin] + text[begin:].replace("5.19", "4.19", 1)
    typed = tmp_path / "results.md"
    for other, message in (
        (with_another_figure, "does not hold the tables of"),
        (text[:begin], "end of results"),
    ):
        typed.write_text(other, encoding="utf-8")
        with pytest.raises(LnfgenError, match=message) as raised:
            table.check(typed, made)
        assert "\n" not in str(raised.value)


def test_the_page_says_which_results_name_their_commit(script: Script) -> None:
    table = script("table")
    cells = script("cells")
    results = {}
    for seed, commit in ((1, "0123456789"), (2, "0123456789"), (3, None)):
        cell = cells.Cell("jsb_chorales", "lstm", "lstm", seed=seed)
        results[cell.name] = result_of(cell, 1.0, 1.0) | {"commit": commit}
    other = cells.Cell("jsb_chorales", "lstm", "lstm", emission="nade")
    results[other.name] = result_of(other, 2.0, 2.0)
    page = table.tables(results)
    assert "The results of this table name the commits 0123456 (2), none (1)." in page
    assert "All results: 0123456 (2), none (2)." in page


def test_the_page_says_which_results_the_present_code_learns_again(script: Script) -> None:
    table = script("table")
    cells = script("cells")
    results = {}
    for seed, distance in ((1, 2e-6), (2, 3e-6)):
        cell = cells.Cell("jsb_chorales", "lstm", "lstm", seed=seed)
        again = {"commit": "0123456789", "updates": 24, "distance": distance}
        results[cell.name] = result_of(cell, 1.0, 1.0) | {"again": again}
    page = table.tables(results)
    assert "Trained again by 0123456 until the first validation, 2 of them have" in page
    assert "it differs by 0.000003 at most." in page


@pytest.mark.parametrize(("before", "agrees"), [(9.0005, True), (9.01, False)])
def test_a_result_that_the_present_code_learns_again_names_its_commit(
    script: Script, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, before: float, agrees: bool
) -> None:
    again = script("again")
    cell = script("cells").CELLS[0]
    monkeypatch.setattr(again, "first_validation", lambda *_: (24, 9.0))
    monkeypatch.setattr(again, "commit_of_code", lambda: "0123456789")
    path = tmp_path / f"{cell.name}.json"
    earlier = {"commit": "then", "again": {"commit": "earlier"}}
    path.write_text(json.dumps(earlier | {"valid_elbo_at": {"24": before, "48": 8.0}}))
    assert again.learns_the_same(cell, tmp_path, path) == agrees
    result = json.loads(path.read_text())
    assert result["commit"] == "then"
    assert result.get("again", {}).get("commit") == ("0123456789" if agrees else None)


def result_of(cell: Any, valid: float, test: float, minutes: float = 50) -> dict[str, Any]:
    """A result with these NLLs, of 100 updates in so many minutes, with ten validations."""
    costs = dict.fromkeys(("elbo", "reconstruction", "kl", "marginal_nll"), 9.0)
    of_each = costs | {"dataset": cell.dataset, "steps": 4, "sequences": 1}
    curve = {str(step): 200.0 - step for step in range(10, 101, 10)}
    return {
        "steps": 100,
        "cpu_seconds": 60.0 * minutes,
        "valid_elbo_at": curve,
        "valid": of_each | {"nll": valid},
        "test": of_each | {"nll": test},
    }


def in_row(page: str, name: str) -> list[str]:
    """The cells of the first row of a page with this name, without the name."""
    row = next(line for line in page.splitlines() if line.startswith(f"| {name} |"))
    return [cell.strip() for cell in row.split("|")[2:-1]]


def figures(row: list[str]) -> list[str]:
    """What the cells of a row of the first table cost: the text of their links."""
    return [cell.partition("[")[2].partition("]")[0] for cell in row]


def test_the_row_shown_first_is_the_best_on_valid(script: Script) -> None:
    table = script("table")
    cells = script("cells")
    found = {"af-scf": (1.0, 7.0), "af-af": (2.0, 6.0), "coupling": (3.0, 5.0), "lstm": (4.0, 4.0)}
    results = {}
    for name, (valid, test) in found.items():
        cell = cells.Cell("nottingham", name, "lstm" if name == "lstm" else "scan")
        results[cell.name] = result_of(cell, valid, test)
    shown = in_row(table.tables(results), "Nottingham")[:4]
    assert figures(shown) == ["4.00", "7.00", "5.00", "7.00"]
    assert shown[0] == "**[4.00](reproduce/results/nottingham-lstm-seed-1.json)**, `lstm`, 50 min"


@pytest.mark.parametrize(
    ("minutes", "steps"), [(50, (10, 20, 40, 60, 80, 100, 100)), (70, (0, 10, 20, 40, 50, 70, 80))]
)
def test_bits_are_those_of_the_last_validation_until_the_minutes_of_the_head(
    script: Script, minutes: float, steps: tuple[int, ...]
) -> None:
    table = script("table")
    cell = script("cells").Cell("ptb", "lstm", "lstm", emission="categorical", budget="hour")
    page = table.tables({cell.name: result_of(cell, 2.0, 2.0, minutes)})
    expected = [f"{200 - step:.2f}" if step else "" for step in steps]
    assert in_row(page, "`lstm`") == expected


def test_models_whose_z_says_the_symbol_have_a_row_of_their_own(script: Script) -> None:
    table = script("table")
    cells = script("cells")
    found = {"lstm": 1.0, "af-codes": 2.0, "af-af": 3.0, "blocks-codes": 4.0, "coupling": 5.0}
    results = {}
    for name, nll in found.items():
        backbone = "conv-scan" if "codes" in name else "lstm"
        cell = cells.Cell("ptb", name, backbone, emission="categorical", budget="hour")
        results[cell.name] = result_of(cell, nll, nll)
    page = table.tables(results)
    learned = in_row(page, table.TITLES["ptb"])
    codes = in_row(page, "the same, where z says the symbol")
    assert figures(learned) == ["1.00", "3.00", "5.00", "", ""]
    assert figures(codes) == ["", "2.00", "4.00", "", ""]
    assert all("a language model" in cell for cell in codes if cell)
    # wherever one of the two is named
    assert sum(", a language model" in line for line in page.splitlines()) == 5

    # The picture has the same rows.
    *_, panel = table.panels(results)
    names = ["lstm", "af-af", "coupling", "af-codes", "blocks-codes"]
    assert [course.name.split()[0] for course in panel.courses] == names
    assert [course.dashed for course in panel.courses] == [False, False, False, True, True]


def test_a_published_cost_is_in_the_column_of_its_divisor(script: Script) -> None:
    rows = script("rows")
    costs = {"nottingham": "3.00", "ptb": "1.00"}
    one = script("published").Published("A model", "bernoulli", "T", "exact", "a paper", costs)
    music = dict(zip(rows.HEAD, rows._row_of_published(one, "nottingham"), strict=True))
    assert (music["NLL(50)"], music["over T"]) == ("", "3.00")
    text = dict(zip(rows.HEAD, rows._row_of_published(one, "ptb"), strict=True))
    assert (text["NLL(50)"], text["over T"]) == ("1.00", "")


def test_each_figure_of_text8_says_what_it_is_and_where_it_was_read(script: Script) -> None:
    page = script("table").tables({})
    for one in script("published").TEXT8:
        assert 1 < float(one.bits.removeprefix("≤ ")) < 2
        assert one.bits[0] != "≤" or one.protocol.startswith("a bound")
        assert one.source.startswith("arXiv ")
        row = (one.system, one.drawn, one.bits, one.protocol, one.source)
        assert f"| {' | '.join(row)} |\n" in page


def test_the_picture_is_drawn_from_the_results(script: Script) -> None:
    table = script("table")
    results = table.read_results(table.RESULTS)
    panels = table.panels(results)
    minutes = {result["cpu_seconds"] / 60 for result in results.values()}
    for panel in panels:
        assert {"`lstm`", *list(table.KINDS)[1:3]} == {course.kind for course in panel.courses}
        for course in panel.courses:
            times = [time for time, _ in course.curve]
            assert times == sorted({0.0, *times})[1:]
            # a curve ends where training ended
            assert any(times[-1] == pytest.approx(one) for one in minutes)
    assert table.by_minutes(panels).startswith(b"\x89PNG")
    assert table.PICTURE.stat().st_size < 120_000


def test_each_cell_is_a_possible_run_of_its_own(script: Script) -> None:
    cells = script("cells").CELLS
    assert len({cell.name for cell in cells}) == len(cells)
    for cell in cells:
        words = cell.options()
        options = list(zip(words[::2], words[1::2], strict=True))
        chosen = {name.removeprefix("--"): value for name, value in options if name != "--set"}
        settings = assignments(value for name, value in options if name == "--set")
        corpus = Corpus("text" if cell.dataset == "ptb" else "music")
        chosen["seed"] = int(chosen["seed"])
        config = run_config(**chosen, set=settings, corpus=corpus)
        assert config.model.backbone == cell.backbone
        assert config.model.emission == cell.emission
        assert config.model.transform == (cell.transform if config.model.has_transform else "none")
        assert config.training.seed == cell.seed
        assert config.training.transpose == cell.transpose
        assert cell.features in (None, config.model.features)


def test_each_result_is_of_its_cell_and_has_scores_of_both_splits(script: Script) -> None:
    table = script("table")
    run = script("run")
    cells = {cell.name: cell for cell in script("cells").CELLS}
    for name, result in table.read_results(table.RESULTS).items():
        cell = cells[name]
        assert result["cell"] == name
        assert result["seed"] == cell.seed
        # by the settings that the cell has now
        assert run.state(cell, table.RESULTS, table.RESULTS) == "done"
        model = cell.model
        if cell.features is not None:
            time = model.split("-")[0]
            model = f"{time}-{cell.features}"
        unit = "bits_per_char" if cell.emission == "categorical" else "nats_per_step"
        for split in ("valid", "test"):
            scores = result[split]
            assert scores["split"] == split
            assert scores["dataset"] == Path(cell.source).stem
            assert scores["model"] == model
            assert scores["backbone"] == cell.backbone
            assert scores["emission"] == cell.emission
            assert scores["unit"] == unit
            assert scores["samples"] == (1 if cell.model == "lstm" else 50)


def test_without_the_data_the_driver_says_so_in_one_line(tmp_path: Path) -> None:
    cells = ["--only", "nottingham-*-seed-*"]
    command = [sys.executable, str(FOLDER / "run.py"), str(tmp_path), *cells]
    done = subprocess.run([*command, "--list"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0
    assert {line.split()[0] for line in done.stdout.splitlines()} <= {"done", "missing"}
    command += ["--results", str(tmp_path / "results")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    missing = tmp_path / "polyphonic" / "nottingham.pickle"
    assert done.stderr.startswith(f"error: {missing} is missing")
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_cell_is_trained_scored_and_tabled(
    script: Script, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = script("run")
    table = script("table")
    cells = script("cells")
    monkeypatch.setitem(cells.BUDGETS, "grid", {"preset": "tiny", "training.max_steps": 3})
    source = tmp_path / "jsb_chorales.pickle"
    piece = [(60, 64), (60,), (), (67, 72)]
    splits = {split: [piece, piece[1:]] for split in ("train", "valid", "test")}
    source.write_bytes(pickle.dumps(splits))
    cell = cells.Cell("jsb_chorales", "coupling")
    runs = tmp_path / "runs"
    results = tmp_path / "results"

    scored = run.scored
    monkeypatch.setattr(run, "scored", lambda *_: sys.exit(130))  # as Ctrl-C after training
    with pytest.raises(SystemExit):
        run.measure(cell, source, runs, results)
    assert run.state(cell, runs, results) == "begun"
    seconds = run.read_object(runs / f"{cell.name}.json")["cpu_seconds"]
    assert seconds > 0

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
    nll = result["test"]["nll"]
    again = script("again")
    assert again.learns_the_same(cell, source, path)
    assert json.loads(path.read_text())["again"]["distance"] == 0
    steps = 7
    assert f"**{nll:.2f}** | {nll * (steps + 2) / steps:.2f} |" in page
