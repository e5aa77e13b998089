"""`lnfgen list`: the rows of whole, unfinished and damaged runs."""

import json
import os
import shutil
from pathlib import Path

import pytest
from command import Call, fails, start
from toy_config import toy_config
from toy_runs import make_run

from lnfgen.config import DECAYS_BEFORE_STOP
from lnfgen.data.dataset import Dataset
from lnfgen.errors import RunError
from lnfgen.files import try_lock
from lnfgen.runs.folder import RunFolder
from lnfgen.runs.listing import overview
from lnfgen.training.session import TrainingSession

UPDATES = 40


def with_figures(run: RunFolder) -> None:
    figures = {"valid_elbo": 3.0, "valid_kl": 0.5, "kl_weight": 1.0}
    first = {"step": 1, "epoch": 1, **figures}
    second = {"step": 2, "epoch": 2, **figures, "valid_elbo": 2.5}
    run.write_metrics([first, second])


@pytest.fixture
def runs(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run, one that gave up early, an interrupted one, and damaged ones.

    Each has changed after the last.
    """
    monkeypatch.chdir(tmp_path)
    runs = tmp_path / "runs"
    with_figures(make_run(runs / "a-finished", dataset, UPDATES))
    patience = DECAYS_BEFORE_STOP * toy_config().training.patience
    with_figures(make_run(runs / "b-gave-up", dataset, 30, stale=patience))
    with_figures(make_run(runs / "c-interrupted", dataset, 12, stale=patience - 1))
    for name, file, content in (
        ("d-config", "config.json", "{"),
        ("e-dataset", "dataset.json", None),
        ("f-model", "model.safetensors", "x"),
        ("g-progress", "last/progress.json", '{"step": "far"}'),
        ("h-deep", "dataset.json", "[" * 100_000),
        ("i-no-model", "model.safetensors", None),
        ("j-no-splits", "dataset.json", "{}"),
    ):
        shutil.copytree(runs / "a-finished", runs / name)
        (runs / name / file).unlink()
        if content is not None:
            (runs / name / file).write_text(content)
    (runs / "no run").mkdir()
    for hour, folder in enumerate(sorted(runs.iterdir())):
        for file in ("metrics.jsonl", "config.json"):
            if (folder / file).exists():
                os.utime(folder / file, (3600 * hour, 3600 * hour))
    return runs


def test_each_run_is_a_row_and_damage_hides_no_other(runs: Path) -> None:
    rows = {Path(row["run"]).name: row for row in overview()}
    assert list(rows) == sorted(folder.name for folder in runs.iterdir() if folder.name != "no run")
    states = [row["state"] for row in rows.values()]
    assert states == ["finished", "finished", "interrupted", *["damaged"] * 7]
    assert all((row["problem"] is not None) == (row["state"] == "damaged") for row in rows.values())
    problems = {name: row["problem"] for name, row in rows.items() if row["problem"]}
    for name, beginning in (
        ("d-config", "config.json"),
        ("e-dataset", "dataset.json"),
        ("f-model", "model.safetensors"),
        ("g-progress", "last/progress.json"),
        ("i-no-model", "it is finished"),
        ("j-no-splits", "dataset.json is damaged at 'splits'; restore"),
    ):
        assert problems[name].startswith(beginning), problems[name]
    found = rows["c-interrupted"]
    assert (found["dataset"], found["model"], found["backbone"]) == ("toy", "af-scf", "lstm")
    assert (found["step"], found["total_steps"], found["unit"]) == (12, UPDATES, "bits_per_char")
    assert (found["best_valid_elbo"], found["best_valid_kl"]) == (2.5, 0.5)
    assert found["changed"].startswith(("1970-01-01T", "1969-12-31T"))


def test_a_run_is_in_training_while_a_process_holds_its_lock(runs: Path) -> None:
    run = runs / "c-interrupted"
    (run / "last").rename(run / "previous")  # which then takes its place
    assert overview([run])[0]["state"] == "interrupted"
    with try_lock(run) as free:
        assert free
        assert overview([run])[0]["state"] == "training"
        with pytest.raises(RunError, match="being trained by another process"):
            TrainingSession.resume(RunFolder(run), "cpu")
    assert overview([run])[0]["state"] == "interrupted"


def test_the_command_prints_a_table_or_json(runs: Path, here: Call, tmp_path: Path) -> None:
    done = start(tmp_path, "list")
    assert done.returncode == 0, done.stderr.decode()
    table = done.stdout.decode()
    assert "interrupted at update 12 of 40" in table
    assert "2.500 bits" in table
    assert "damaged: config.json" in table
    assert json.loads(here("list", "--json").stdout)["runs"] == overview()


def test_folders_may_be_named(runs: Path, here: Call, tmp_path: Path) -> None:
    both = overview([runs / "c-interrupted", runs])
    assert len(both) == len(overview()) == len({row["run"] for row in both})
    for folder in (runs / "no run", tmp_path / "absent"):
        with pytest.raises(RunError, match="expected a run"):
            overview([folder])
    fails(here("list", "absent"), "absent")


def test_a_model_in_the_box_has_the_name_that_commands_take() -> None:
    assert [row["run"] for row in overview([Path("folk-abc")])] == ["folk-abc"]


def test_no_runs_are_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert overview() == []
