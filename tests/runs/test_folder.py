"""The run folder: it reads back, and whatever is damaged is one clear line."""

import csv
import io
import json
import math
import re
import shutil
import subprocess
import sys

import pytest
from command import one_line
from toy_runs import make_run

from lnfgen.errors import LnfgenError, OutputError, RunError
from lnfgen.pretrained import BOX
from lnfgen.runs.checkpoint import load_state
from lnfgen.runs.folder import RunFolder, metrics_csv
from lnfgen.runs.listing import run_facts
from lnfgen.runs.naming import METRICS


@pytest.fixture
def run(dataset, tmp_path) -> RunFolder:
    return make_run(tmp_path / "run", dataset)


def test_a_run_remembers_its_settings_and_dataset(run, dataset):
    again = RunFolder(run.path)
    assert again.config == run.config
    assert again.encoding == dataset.encoding
    assert again.dataset["fingerprint"] == dataset.fingerprint
    assert again.dataset["path"] == str(dataset.path.resolve())
    assert again.metrics() == []
    again.write_metrics([{"step": 1}, {"step": 2, "valid_elbo": 3.5}])
    assert again.metrics() == [{"step": 1}, {"step": 2, "valid_elbo": 3.5}]


def test_an_occupied_folder_is_refused(run, dataset):
    with pytest.raises(OutputError) as error:
        RunFolder.create(run.path, run.config, dataset)
    assert str(run.path) in one_line(error)


def test_a_missing_folder_and_a_folder_that_is_no_run(tmp_path):
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(RunError, match="not a run") as error:
            RunFolder(path)
        assert str(path) in one_line(error)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"hiden": 5}, r"did you mean 'model\.hidden_size'"),
        ({"hidden_size": 10**8}, r"config\.json: model\.hidden_size: found 100000000"),
    ],
)
def test_wrong_settings_name_the_key(run, settings, said):
    values = json.loads((run.path / "config.json").read_text())
    (run.path / "config.json").write_text(
        json.dumps({**values, "model": values["model"] | settings})
    )
    with pytest.raises(LnfgenError, match=said):
        RunFolder(run.path)


@pytest.mark.parametrize(
    ("name", "key", "edit"), [("chorales", "lowest_pitch", 37), ("folk-abc", "vocabulary", "ab")]
)
def test_an_edited_encoding_is_one_line(tmp_path, name, key, edit):
    """By it a model would draw other notes or letters without a word."""
    shutil.copy(BOX / name / "config.json", tmp_path)
    content = json.loads((BOX / name / "dataset.json").read_text())
    if edit == "ab":  # both letters change places
        edit = [{"a": "b", "b": "a"}.get(letter, letter) for letter in content["encoding"][key]]
    assert content["encoding"][key] != edit
    content["encoding"][key] = edit
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(
        RunError, match=r"dataset\.json is damaged or incomplete: its encoding.*fingerprint"
    ) as error:
        RunFolder(tmp_path)
    one_line(error)


@pytest.mark.parametrize("splits", [None, [0], "abc", {"train": 3}, {"train": {}}])
def test_splits_without_checksums_are_one_line(run, splits):
    content = json.loads((run.path / "dataset.json").read_text())
    (run.path / "dataset.json").write_text(json.dumps(content | {"splits": splits}))
    with pytest.raises(
        RunError, match=r"dataset\.json is damaged or incomplete: the .*split"
    ) as error:
        RunFolder(run.path)
    one_line(error)


@pytest.mark.parametrize(
    "file", ["config.json", "dataset.json", "last/progress.json", "metrics.jsonl"]
)
@pytest.mark.parametrize(
    "content", ["[" * 100_000, '{"step": NaN, "preset": NaN, "name": NaN}', '{"step": "x"}', "3"]
)
def test_json_that_is_not_what_it_should_be(run, file, content):
    """For all who read a run: `info`, scoring, resuming."""
    (run.path / file).write_text(content)

    def read_everything() -> None:
        run_facts(run.path)
        opened = RunFolder(run.path)
        load_state(opened)
        opened.metrics()

    with pytest.raises(LnfgenError, match=re.escape(file)) as error:
        read_everything()
    one_line(error)


def test_a_damaged_line_of_metrics_is_named(run):
    run.write_metrics([{"step": 1, "train_elbo": 2.5}, {"step": 2, "train_elbo": 1.5}])
    path = run.path / METRICS
    for damaged in (path.read_text()[:-5], path.read_text() + "[3]\n", path.read_text() + "{}\n"):
        path.write_text(damaged)
        with pytest.raises(
            RunError, match=f"line {damaged.rstrip().count(chr(10)) + 1} has no figures"
        ) as error:
            run.metrics()
        assert "delete that line" in one_line(error)
        run.write_metrics([{"step": 1, "train_elbo": 2.5}, {"step": 2, "train_elbo": 1.5}])
    path.unlink()
    with pytest.raises(RunError, match=r"metrics\.jsonl is missing; restore it"):
        run.metrics()


def test_metrics_as_csv(run):
    lines = [
        {"step": 1, "train_elbo": 2.5},
        {"step": 2, "train_elbo": 1.5, "valid_elbo": math.nan, "kept": True},
    ]
    run.write_metrics(lines)
    rows = list(csv.DictReader(io.StringIO(metrics_csv(run.path / METRICS))))
    assert [row["step"] for row in rows] == ["1", "2"]
    assert [float(row["train_elbo"]) for row in rows] == [2.5, 1.5]
    assert [row["valid_elbo"] for row in rows] == ["", "nan"]


WITHOUT_TORCH = """
import sys

from lnfgen.cli import main

missing = [["sample"], ["eval"], ["compare"], ["plot"], ["train", "--resume", "--out"]]
commands = [[*command, "nowhere"] for command in missing]
commands += [["plot", "run", "--out", "run.svg"], ["info", "run"]]
for args in commands:
    try:
        main(args)
    except SystemExit as ended:
        assert bool(ended.code) == ("nowhere" in args), args
    assert "torch" not in sys.modules, args
"""


def test_a_missing_run_is_said_and_curves_are_drawn_before_torch_is_loaded(run):
    line = dict.fromkeys(
        ("kl_weight", "learning_rate", "train_elbo", "train_reconstruction", "train_kl"), 1.0
    )
    run.write_metrics([{"step": step, **line} for step in (1, 2)])
    probe = [sys.executable, "-c", WITHOUT_TORCH]
    done = subprocess.run(probe, cwd=run.path.parent, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("nowhere does not exist; expected a run") == 5
