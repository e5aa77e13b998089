"""Configurations: every option from one source, and one clear line for whatever is wrong."""

import dataclasses
import json

import pytest
from command import one_line

from lnfgen.config import (
    FEATURES,
    NAMED_MODELS,
    PRESETS,
    TIMES,
    Config,
    ModelConfig,
    TrainingConfig,
    build_config,
    read_config,
)
from lnfgen.config_formats import CONFIG_FORMAT
from lnfgen.errors import ConfigError
from lnfgen.nn.backbones import BACKBONES
from lnfgen.transforms import TRANSFORMS


@pytest.mark.parametrize("model", sorted(NAMED_MODELS))
@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_json_round_trip_of_every_named_model_and_preset(model, preset):
    config = build_config(model, preset)
    assert (config.name, config.preset) == (model, preset)
    values = json.loads(config.to_json())
    assert values.pop("format_version") == CONFIG_FORMAT
    assert Config().override(values) == config


def test_presets_have_the_sizes_that_they_say():
    assert build_config("af-scf", "paper").model.hidden_size == 500
    assert build_config("af-scf", "paper").training.max_steps is None
    assert build_config("lstm", "tiny").model.baseline
    assert build_config("af-scf", "small").model == ModelConfig()


def test_what_is_registered_can_be_configured():
    for transform in TRANSFORMS:
        assert Config().override({"model": {"transform": transform}}).model.transform == transform
    for features in FEATURES:
        assert Config().override({"model": {"features": features}}).model.features == features
    for backbone in BACKBONES:
        assert Config().override({"model": {"backbone": backbone}}).model.backbone == backbone


def test_overrides_leave_the_rest_and_the_original_alone():
    before = Config()
    after = before.override({"training": {"learning_rate": 1}, "model": {"latent_size": 8}})
    assert after.training.learning_rate == 1.0
    assert isinstance(after.training.learning_rate, float)
    assert after.model == dataclasses.replace(ModelConfig(), latent_size=8)
    assert before == Config()
    assert before.override({}) == before


@pytest.mark.parametrize(
    ("values", "hint"),
    [
        ({"model": {"hiden": 5}}, "did you mean 'hidden_size'"),
        ({"trainig": {}}, "did you mean 'training'"),
        ({"training": {"lerning_rate": 1e-3}}, "did you mean 'learning_rate'"),
        ({"model": {"num_layer": 1}}, "did you mean 'num_layers'"),
        ({"model": {"xyzzy": 1}}, "expected one of baseline, time"),
    ],
)
def test_misspelt_keys_name_the_nearest(values, hint):
    with pytest.raises(ConfigError) as error:
        Config().override(values, "my.json")
    message = one_line(error)
    assert hint in message
    assert message.startswith("my.json")


@pytest.mark.parametrize(
    "values",
    [
        {"model": {"hidden_size": "200"}},
        {"model": {"hidden_size": 20.5}},
        {"model": {"hidden_size": True}},
        {"model": {"hidden_size": None}},
        {"model": {"transform": 3}},
        {"model": {"dropout": "much"}},
        {"model": {"dropout": False}},
        {"model": 3},
        {"model": None},
        {"model": []},
        {"training": {"max_steps": "all"}},
        {"training": {"max_steps": 1.5}},
        {"training": {"num_samples": None}},
        {"training": {"weight_decay": 10**400}},
        {"model": {"baseline": 1}},
        {"model": {"baseline": "yes"}},
        {"model": {"baseline": None}},
        {"training": {"precision": 16}},
        {"name": 3},
    ],
)
def test_wrong_types_are_refused(values):
    with pytest.raises(ConfigError) as error:
        Config().override(values)
    assert "expected" in one_line(error)


@pytest.mark.parametrize(
    "values",
    [
        {"model": {"hidden_size": 0}},
        {"model": {"hidden_size": 10**10}},
        {"model": {"num_layers": 10**30}},
        {"model": {"latent_size": 1}},
        {"model": {"num_layers": -1}},
        {"model": {"dropout": 1.0}},
        {"model": {"input_dropout": -0.1}},
        {"model": {"dropout": float("nan")}},
        {"model": {"transform": "spline-of-dreams"}},
        {"model": {"time": "sideways"}},
        {"model": {"features": "made up"}},
        {"model": {"emission": "nades"}},
        {"model": {"backbone": "spine"}},
        {"model": {"baseline": True, "backbone": "scan"}},
        {"training": {"max_steps": None, "epochs": None}},
        {"training": {"max_steps": 0}},
        {"training": {"epochs": 0}},
        {"training": {"batch_size": 0}},
        {"training": {"num_samples": 0}},
        {"training": {"precision": "float16"}},
        {"training": {"learning_rate": 0}},
        {"training": {"learning_rate": float("inf")}},
        {"training": {"max_grad_norm": 0}},
        {"training": {"ema_decay": 1.0}},
        {"training": {"kl_warmup_start": 0.5, "kl_warmup_end": 0.4}},
        {"training": {"kl_warmup_end": 1.5}},
        {"training": {"learning_rate_decay": 0}},
        {"training": {"patience": 0}},
        {"training": {"seed": -1}},
        {"training": {"seed": 2**64}},
    ],
)
def test_impossible_values_are_refused(values):
    with pytest.raises(ConfigError) as error:
        Config().override(values)
    message = one_line(error)
    assert "found" in message
    assert "expected" in message


def test_a_single_latent_feature_needs_no_coupling():
    assert Config().override({"model": {"latent_size": 1, "features": "none"}}).model.latent_size == 1


@pytest.mark.parametrize(("model", "preset"), [("af-scff", "small"), ("af-scf", "smal"), ("", "")])
def test_unknown_names_list_those_that_there_are(model, preset):
    with pytest.raises(ConfigError) as error:
        build_config(model, preset)
    assert "af-scf" in one_line(error) or "small" in one_line(error)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]", b"3", b'"text"', b"\xff\xfe\x00", b"[" * 100_000, b'{"preset": NaN}']
)
def test_files_that_are_no_json_object(tmp_path, content):
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as error:
        read_config(path)
    assert str(path) in one_line(error)


def test_read_config(tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"model": {"latent_size": 8}}')
    assert Config().override(read_config(path)).model.latent_size == 8


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_a_backbone_brings_the_learning_rate_and_dropout_that_suit_it_and_nothing_else(preset):
    plain = build_config("af-scf", preset)
    for name, backbone in BACKBONES.items():
        own = build_config("af-scf", preset, name)
        dropout = plain.model.dropout * backbone.dropout
        assert own.model == dataclasses.replace(plain.model, backbone=name, dropout=dropout)
        rate = plain.training.learning_rate * backbone.pace
        assert own.training == dataclasses.replace(plain.training, learning_rate=rate)
    with pytest.raises(ConfigError, match="spine"):
        build_config("af-scf", preset, "spine")


def test_a_name_follows_from_the_model_and_no_two_models_share_one():
    points = [(time, features) for time in TIMES for features in FEATURES if time != "coupling" or features == "none"]
    names = [ModelConfig(time=time, features=features).name for time, features in points]
    assert len(set(names)) == len(names)
    assert set(NAMED_MODELS) - {"lstm"} < set(names)
    assert ModelConfig(time="iaf", features="af").name == "iaf-af"
    assert ModelConfig(baseline=True, time="iaf", features="af").name == "lstm"
    assert json.loads(Config(model=ModelConfig(time="iaf", features="af")).to_json())["name"] == "iaf-af"


def test_a_name_that_is_not_the_models_is_refused():
    assert Config().override({"name": "af-scf"}) == Config()
    assert Config().override({"name": "iaf-scf", "model": {"time": "iaf"}}).model.time == "iaf"
    with pytest.raises(ConfigError, match="found 'iaf-scf', expected 'af-scf'") as error:
        Config().override({"name": "iaf-scf"}, "my.json")
    assert "--model" in one_line(error)


def test_an_unknown_preset_is_refused_in_a_runs_config_too():
    with pytest.raises(ConfigError, match="preset: found 'huge', expected one of tiny"):
        Config().override({"preset": "huge"})


def test_passes_of_a_run_follow_from_its_length():
    assert TrainingConfig(max_steps=100, batch_size=16).passes(400) == 4
    assert TrainingConfig(max_steps=None, epochs=3, batch_size=16).passes(320) == 3
