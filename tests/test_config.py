"""Configurations: JSON in and out, and one clear line for whatever is wrong."""

import contextlib
import itertools
import json
import math
from typing import Any, get_args

import pytest
from command import one_line
from hypothesis import given, reject
from hypothesis import strategies as st
from toy_config import model_config, toy_config

from lnfgen.config import (
    CONFIG_FORMAT,
    FEATURES,
    KEYS,
    NAMED_MODELS,
    TIMES,
    Config,
    config_of,
    read_config,
)
from lnfgen.errors import ConfigError
from lnfgen.nn.backbones import BACKBONES
from lnfgen.transforms import TRANSFORMS


def test_there_are_few_keys():
    assert len(KEYS) <= 33
    assert set(KEYS) == set(toy_config().flat())


@pytest.mark.parametrize("model", sorted(NAMED_MODELS))
def test_json_round_trip_of_every_named_model(model, tmp_path):
    config = Config(model_config(**NAMED_MODELS[model]), toy_config().training)
    assert config.model.name == model
    (tmp_path / "config.json").write_text(config.to_json())
    for source in (tmp_path, tmp_path / "config.json", json.loads(config.to_json())):
        assert read_config(source) == config.flat()
        assert config_of(read_config(source)) == config


def possible(key: str) -> st.SearchStrategy[Any]:
    """The values that a key can take."""
    if KEYS[key] is bool:
        return st.booleans()
    kind, limits = get_args(KEYS[key])
    if kind is str:
        return st.sampled_from(limits)
    least, greatest = limits
    greatest_whole = None if greatest == math.inf else int(greatest)
    whole = st.integers(math.ceil(least), greatest_whole)
    if kind is int:
        return whole
    if kind is float:
        return whole | st.floats(least, greatest)
    return whole | st.none()


@given(st.fixed_dictionaries({}, optional={key: possible(key) for key in KEYS}))
def test_json_round_trip_of_any_settings(keys: dict[str, Any]) -> None:
    try:
        config = toy_config(keys)
    except ConfigError:  # values that do not go together
        reject()
    assert config_of(read_config(json.loads(config.to_json()))) == config
    assert config.flat().items() >= keys.items()


def test_what_is_registered_can_be_configured():
    for transform in TRANSFORMS:
        assert model_config(transform=transform).transform == transform
    for features in FEATURES:
        assert model_config(features=features).features == features
    for backbone in BACKBONES:
        assert model_config(backbone=backbone).backbone == backbone


def test_a_whole_number_is_a_number():
    rate = toy_config({"training.learning_rate": 1}).training.learning_rate
    assert (rate, type(rate)) == (1.0, float)


@pytest.mark.parametrize(
    ("values", "hint"),
    [
        ({"model": {"hiden": 5}}, "did you mean 'model.hidden_size'"),
        ({"training": {"lerning_rate": 1e-3}}, "did you mean 'training.learning_rate'"),
        ({"learning_rate": 1e-3}, "did you mean 'training.learning_rate'"),
        ({"model": {"num_layer": 1}}, "did you mean 'model.num_layers'"),
        ({"model": {"xyzzy": 1}}, "expected one of model.time"),
        ({"training": {"lr": 1}}, "did you mean 'training.learning_rate'"),
        ({"trainig": {}}, "unknown key 'trainig'; did you mean 'training'"),
    ],
)
def test_misspelt_keys_name_the_nearest(values, hint, tmp_path):
    (tmp_path / "my.json").write_text(json.dumps(values))
    with pytest.raises(ConfigError) as error:
        read_config(tmp_path / "my.json")
    message = one_line(error)
    assert hint in message
    assert message.startswith(str(tmp_path / "my.json"))


@pytest.mark.parametrize(
    "values",
    [
        {"model.hidden_size": "200"},
        {"model.hidden_size": 20.5},
        {"model.hidden_size": True},
        {"model.hidden_size": None},
        {"model.transform": 3},
        {"model.dropout": "much"},
        {"model.dropout": False},
        {"model.near_end": 1},
        {"model.near_end": "yes"},
        {"training.max_steps": "all"},
        {"training.max_steps": 1.5},
        {"training.batch_size": None},
        {"training.free_bits": 10**400},
        {"training.precision": 16},
    ],
)
def test_wrong_types_are_refused(values):
    with pytest.raises(ConfigError) as error:
        toy_config(values)
    assert "expected" in one_line(error)


@pytest.mark.parametrize(
    "values",
    [
        {"model.hidden_size": 0},
        {"model.hidden_size": 10**10},
        {"model.num_layers": 10**30},
        {"model.latent_size": 1},
        {"model.latent_size": -1},
        {"model.num_layers": -1},
        {"model.dropout": 1.0},
        {"model.note_noise": -0.1},
        {"model.dropout": float("nan")},
        {"model.transform": "spline-of-dreams"},
        {"model.transform": "none"},
        {"model.num_flow_layers": 0},
        {"model.conditioner_size": 0},
        {"model.time": "sideways"},
        {"model.time": "coupling"},
        {"model.features": "made up"},
        {"model.emission": "nades"},
        {"model.backbone": "spine"},
        {"training.max_steps": None, "training.epochs": None},
        {"training.max_steps": 0},
        {"training.epochs": 0},
        {"training.batch_size": 0},
        {"training.precision": "float16"},
        {"training.learning_rate": 0},
        {"training.learning_rate": float("inf")},
        {"training.ema_decay": 1.0},
        {"training.kl_warmup_start": 0.5, "training.kl_warmup_end": 0.4},
        {"training.kl_warmup_end": 1.5},
        {"training.patience": 0},
        {"training.seed": -1},
        {"training.seed": 2**64},
    ],
)
def test_impossible_values_are_refused(values):
    with pytest.raises(ConfigError) as error:
        toy_config(values)
    message = one_line(error)
    assert "found" in message
    assert "expected" in message


def test_a_single_latent_feature_needs_no_coupling():
    assert model_config(latent_size=1, features="none").latent_size == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[1]",
        b"3",
        b'"text"',
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"model": NaN}',
        b'{"model": []}',
    ],
)
def test_files_that_are_no_json_object(tmp_path, content):
    path = tmp_path / "config.json"
    path.write_bytes(content)
    for source in (path, tmp_path / "none.json", tmp_path):
        with pytest.raises(ConfigError) as error:
            read_config(source)
        assert str(source) in one_line(error)


@pytest.mark.parametrize("version", [CONFIG_FORMAT + 1, 0, "1", 1.0, True, None])
def test_another_format_is_refused(tmp_path, version):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"format_version": version, "anything": {"new": 1}}))
    with pytest.raises(
        ConfigError, match=rf"format_version: found .*, expected {CONFIG_FORMAT}; another version"
    ):
        read_config(path)


def test_a_persons_file_may_have_a_few_keys_and_a_runs_file_has_all():
    few: dict[str, Any] = {"model": {"latent_size": 8}}
    assert read_config(few) == {"model.latent_size": 8}
    with pytest.raises(
        ConfigError, match=r"config\.json: found no model\.time and no .*; expected all keys"
    ):
        config_of(read_config(few), "config.json")


def test_a_name_follows_from_the_model_and_no_two_models_share_one():
    names = []
    for time, features in itertools.product(TIMES, FEATURES):
        with contextlib.suppress(ConfigError):  # a pair that is refused
            names.append(model_config(time=time, features=features).name)
    assert len(set(names)) == len(names)
    assert set(NAMED_MODELS) - {"lstm"} < set(names)
    assert model_config(time="iaf", features="af").name == "iaf-af"
    assert model_config(latent_size=0, time="iaf", features="af").name == "lstm"
