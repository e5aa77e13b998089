"""Runs of older formats: still scored and resumed as the version that wrote them did. Newer formats are refused.

`data/run-format-1` holds a text dataset, two runs on it (one of them interrupted) and the figures that the version of
lnfgen that wrote them gave for them. `data/run-format-2` holds an interrupted run on that dataset, from before states
had checksums.
"""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from command import fails, start

import lnfgen
from lnfgen.config import Config, ModelConfig, TrainingConfig, read_config, read_run_config
from lnfgen.config_formats import CONFIG_FORMAT, RENAMED
from lnfgen.errors import ConfigError, LnfgenError
from lnfgen.runs.checkpoint import load_state
from lnfgen.runs.folder import RunFolder

OLD = Path(__file__).parents[1] / "data" / "run-format-1"
FORMAT_2 = OLD.with_name("run-format-2")
FIGURES = json.loads((OLD / "expected.json").read_text())
FIGURES_2 = json.loads((FORMAT_2 / "expected.json").read_text())


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The old runs and their dataset, as if they had moved here."""
    folder = tmp_path / "old"
    shutil.copytree(OLD, folder)
    shutil.copytree(FORMAT_2 / "af-scf", folder / "format-2")
    for manifest in folder.glob("*/dataset.json"):
        values = json.loads(manifest.read_text(encoding="utf-8"))
        if "path" in values:  # a run's, not the dataset's own
            manifest.write_text(json.dumps({**values, "path": str(folder / "dataset")}), encoding="utf-8")
    return folder


def figures_of(run: Path) -> dict[str, Any]:
    done = start(run.parent, "eval", run.name, "--nll", "--samples", "5", "--json")
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def agree(found: dict[str, Any], expected: dict[str, Any], tolerance: float) -> None:
    for key, value in expected.items():
        assert found[key] == (pytest.approx(value, abs=tolerance) if isinstance(value, float) else value), key


@pytest.mark.parametrize("name", ["af-scf", "lstm"])
def test_a_run_of_format_1_scores_as_it_did(old, name):
    agree(figures_of(old / name), FIGURES[name], 1e-6)


def test_a_run_of_format_1_is_resumed_as_it_would_have_been(old):
    before = json.loads((old / "af-scf" / "last" / "progress.json").read_text())["step"]
    done = start(old, "train", "--resume", "--out", "af-scf")
    assert done.returncode == 0, done.stderr.decode()
    after = json.loads((old / "af-scf" / "last" / "progress.json").read_text())["step"]
    assert before < after == 24
    agree(figures_of(old / "af-scf"), FIGURES["af-scf resumed to its end"], 1e-5)  # rounding grows over the updates


def test_a_run_of_format_2_scores_and_is_resumed_as_it_would_have_been(old):
    agree(figures_of(old / "format-2"), FIGURES_2["af-scf"], 1e-6)
    done = start(old, "train", "--resume", "--out", "format-2")
    assert done.returncode == 0, done.stderr.decode()
    agree(figures_of(old / "format-2"), FIGURES_2["af-scf resumed to its end"], 1e-5)


@pytest.mark.parametrize("file", ["last/progress.json", "dataset.json"])
def test_newer_states_and_datasets_are_refused_with_advice(old, file):
    """Not taken for damage, which would have an older state take their place."""
    path = old / "format-2" / file
    path.write_text(json.dumps({**json.loads(path.read_text()), "format_version": 99}))
    shutil.copytree(old / "format-2" / "last", old / "format-2" / "previous")
    with pytest.raises(LnfgenError, match=r"99.*upgrade lnfgen") as error:
        load_state(RunFolder(old / "format-2"))
    assert "\n" not in str(error.value)


LATER = {
    "model": {
        "note_noise",
        "latent_kind",
        "num_codes",
        "near_end",
        "in_bars",
        "in_metre",
        "copy_attention",
        "copy_melody",
    },
    "training": {"cooldown_start", "free_bits", "transpose", "keep", "filling_steps", "calibration_pieces"},
}
"""Keys that came after format 1. Their defaults leave a run as it was."""


@pytest.mark.parametrize("name", ["af-scf", "lstm"])
def test_every_key_of_format_1_arrives_under_its_present_name(name):
    values = json.loads((OLD / name / "config.json").read_text())
    assert "format_version" not in values
    config = lnfgen.load(OLD / name).run.config
    assert (config.name, config.preset) == (values["name"], values["preset"])
    for section in ("model", "training"):
        found = dataclasses.asdict(getattr(config, section))
        own = {RENAMED[section].get(key, key) for key in values[section]}
        assert set(found) - own == LATER[section]
        assert all(found[key] == getattr(getattr(Config(), section), key) for key in LATER[section])
        for key, value in values[section].items():
            expected = value == "none" if key == "prior" else value
            assert found[RENAMED[section].get(key, key)] == expected, key


def test_old_names_are_gone_and_new_names_are_keys():
    for section, settings in (("model", ModelConfig), ("training", TrainingConfig)):
        keys = {key.name for key in dataclasses.fields(settings)}
        assert set(RENAMED[section].values()) <= keys
        assert not set(RENAMED[section]) & keys


@pytest.mark.parametrize(("section", "old_key"), [(section, key) for section in RENAMED for key in RENAMED[section]])
def test_an_old_key_in_a_persons_file_names_the_new_one(tmp_path, section, old_key):
    path = tmp_path / "my.json"
    path.write_text(json.dumps({section: {old_key: 1}}))
    with pytest.raises(ConfigError) as error:
        Config().override(read_config(path), str(path))
    assert f"unknown key {old_key!r}; it is now {RENAMED[section][old_key]!r}" in str(error.value)
    assert str(error.value).startswith(str(path))


def test_format_2_has_no_old_names(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"format_version": 2, "model": {"hidden": 8}}))
    with pytest.raises(ConfigError, match="it is now 'hidden_size'"):
        read_run_config(path)


@pytest.mark.parametrize("read", [read_config, read_run_config])
def test_a_newer_format_is_refused_with_advice(tmp_path, read):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"format_version": CONFIG_FORMAT + 1, "anything": {"new": 1}}))
    with pytest.raises(ConfigError, match=f"format_version {CONFIG_FORMAT + 1}.*upgrade lnfgen") as error:
        read(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("read", [read_config, read_run_config])
@pytest.mark.parametrize("version", [0, -1, "2", 2.0, True, None, [2]])
def test_a_format_that_is_no_number_is_refused(tmp_path, read, version):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"format_version": version}))
    with pytest.raises(ConfigError, match=r"format_version: found .* expected"):
        read(path)


@pytest.mark.parametrize("prior", ["gaussian", None, True, []])
def test_an_unknown_prior_of_format_1_is_refused(tmp_path, prior):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"model": {"prior": prior}}))
    with pytest.raises(ConfigError, match=r"prior: found .* expected one of flow, none"):
        read_run_config(path)


def test_a_persons_file_on_the_command_line(tmp_path):
    (tmp_path / "my.json").write_text('{"model": {"flow_layers": 3}}')
    fails(start(tmp_path, "train", "--config", "my.json"), "my.json", "'flow_layers'", "it is now 'num_flow_layers'")
    fails(start(tmp_path, "train", "--resume", "--model", "iaf-scf"), "--resume", "leave them out")
