"""Configurations: every option from one source, and one clear line for whatever is wrong."""

import dataclasses
import json

import pytest

from lnfgen.config import NAMED_MODELS, PRESETS, Config, ModelConfig, build_config, read_config
from lnfgen.errors import ConfigError
from lnfgen.flows.features import FEATURE_FLOWS
from lnfgen.nn.backbones import BACKBONES
from lnfgen.transforms import TRANSFORMS


@pytest.mark.parametrize("model", sorted(NAMED_MODELS))
@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_json_round_trip_of_every_named_model_and_preset(model, preset):
    config = build_config(model, preset)
    assert (config.name, config.preset) == (model, preset)
    assert Config().override(json.loads(config.to_json())) == config


def test_presets_have_the_sizes_that_they_say():
    assert build_config("af-scf", "paper").model.hidden == 500
    assert build_config("af-scf", "paper").training.max_steps is None
    assert build_config("lstm", "tiny").model.prior == "none"
    assert build_config("af-scf", "small").model == ModelConfig()


def test_what_is_registered_can_be_configured():
    for transform in TRANSFORMS:
        assert Config().override({"model": {"transform": transform}}).model.transform == transform
    for features in FEATURE_FLOWS:
        assert Config().override({"model": {"features": features}}).model.features == features
    for backbone in BACKBONES:
        assert Config().override({"model": {"backbone": backbone}}).model.backbone == backbone


def test_overrides_leave_the_rest_and_the_original_alone():
    before = Config()
    after = before.override({"training": {"learning_rate": 1}, "model": {"latent": 8}})
    assert after.training.learning_rate == 1.0
    assert isinstance(after.training.learning_rate, float)
    assert after.model == dataclasses.replace(ModelConfig(), latent=8)
    assert before == Config()
    assert before.override({}) == before


def one_line(error: pytest.ExceptionInfo[ConfigError]) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("values", "hint"),
    [
        ({"model": {"hiden": 5}}, "did you mean 'hidden'"),
        ({"trainig": {}}, "did you mean 'training'"),
        ({"training": {"lerning_rate": 1e-3}}, "did you mean 'learning_rate'"),
        ({"model": {"xyzzy": 1}}, "expected one of prior, time"),
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
        {"model": {"hidden": "200"}},
        {"model": {"hidden": 20.5}},
        {"model": {"hidden": True}},
        {"model": {"hidden": None}},
        {"model": {"transform": 3}},
        {"model": {"dropout": "much"}},
        {"model": {"dropout": False}},
        {"model": 3},
        {"model": None},
        {"model": []},
        {"training": {"max_steps": "all"}},
        {"training": {"max_steps": 1.5}},
        {"training": {"samples": None}},
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
        {"model": {"hidden": 0}},
        {"model": {"latent": 1}},
        {"model": {"lstm_layers": -1}},
        {"model": {"dropout": 1.0}},
        {"model": {"input_dropout": -0.1}},
        {"model": {"dropout": float("nan")}},
        {"model": {"transform": "spline-of-dreams"}},
        {"model": {"time": "sideways"}},
        {"model": {"features": "made up"}},
        {"model": {"prior": "gaussian"}},
        {"model": {"emission": "nades"}},
        {"model": {"backbone": "spine"}},
        {"model": {"prior": "none", "backbone": "scan"}},
        {"training": {"max_steps": None, "epochs": None}},
        {"training": {"max_steps": 0}},
        {"training": {"epochs": 0}},
        {"training": {"batch_size": 0}},
        {"training": {"samples": 0}},
        {"training": {"precision": "float16"}},
        {"training": {"learning_rate": 0}},
        {"training": {"learning_rate": float("inf")}},
        {"training": {"gradient_norm": 0}},
        {"training": {"averaging": 1.0}},
        {"training": {"kl_start": 0.5, "kl_full": 0.4}},
        {"training": {"kl_full": 1.5}},
        {"training": {"decay": 0}},
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
    assert Config().override({"model": {"latent": 1, "features": "none"}}).model.latent == 1


@pytest.mark.parametrize(("model", "preset"), [("af-scff", "small"), ("af-scf", "smal"), ("", "")])
def test_unknown_names_list_those_that_there_are(model, preset):
    with pytest.raises(ConfigError) as error:
        build_config(model, preset)
    assert "af-scf" in one_line(error) or "small" in one_line(error)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"3", b'"text"', b"\xff\xfe\x00", b"[" * 100_000])
def test_files_that_are_no_json_object(tmp_path, content):
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as error:
        read_config(path)
    assert str(path) in one_line(error)


def test_read_config(tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"model": {"latent": 8}}')
    assert Config().override(read_config(path)).model.latent == 8


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
