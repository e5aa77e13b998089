"""Configurations: every option from one source, and one clear line for whatever is wrong."""

import dataclasses
import json
from typing import Any

import pytest

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
    read_run_config,
)
from lnfgen.config_formats import CONFIG_FORMAT
from lnfgen.errors import ConfigError
from lnfgen.nn.backbones import BACKBONES
from lnfgen.training.settings import (
    FEW_PASSES,
    OF_TEXT,
    TEXT_LATENTS,
    TINY_UPDATES,
    assignments,
    run_config,
    settings_for,
)
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


def one_line(error: pytest.ExceptionInfo[ConfigError]) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


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


# The name of a model, and who decides: the command line, then the file, then the preset. -----------------------------


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


FILE = {"preset": "tiny", "model": {"time": "none", "features": "af", "hidden_size": 7}}


@pytest.mark.parametrize("model", sorted(NAMED_MODELS))
@pytest.mark.parametrize("other", [*sorted(NAMED_MODELS), None])
def test_the_model_of_the_command_line_beats_that_of_the_file(model, other):
    """The file is a whole `config.json`, its name included, or sets a few keys. Of a file that names its own preset,
    only what differs from that counts at another one."""
    values = FILE if other is None else without_version(build_config(other, "tiny"))
    config = run_config(model, "small", config=values)
    assert config.name == model
    assert config.preset == "small"
    assert config.model.hidden_size == (7 if other is None else build_config(model, "small").model.hidden_size)
    assert config == run_config(model, "small", config={"model": {"hidden_size": config.model.hidden_size}})


def without_version(config: Config) -> dict[str, Any]:
    return {key: value for key, value in json.loads(config.to_json()).items() if key != "format_version"}


def test_what_a_run_changed_of_its_preset_holds_at_another_preset_and_backbone():
    old = build_config("af-af", "tiny").override({"model": {"latent_size": 9}, "training": {"batch_size": 3}})
    found = run_config(preset="small", backbone="scan", config=without_version(old))
    changes = {"model": {"latent_size": 9}, "training": {"batch_size": 3}}
    assert found == build_config("af-af", "small", "scan").override(changes)


def test_what_a_file_sets_holds_also_where_it_is_the_value_of_its_preset():
    """At `tiny`, music with onsets has fewer updates than the preset; a file may ask for as many as that."""
    suited, plain = settings_for("music", True, "tiny"), build_config("af-scf", "tiny").training.max_steps
    assert run_config(preset="tiny", suited=suited).training.max_steps != plain
    file = {"preset": "tiny", "training": {"max_steps": plain}}
    assert run_config(suited=suited, config=file).training.max_steps == plain
    run = without_version(run_config(suited=suited, config=file))
    assert run_config(suited=suited, config=run).training.max_steps == plain


def test_a_file_without_a_preset_means_what_it_says():
    assert run_config(preset="paper", config={"training": {"max_steps": 4000}}).training.max_steps == 4000
    assert run_config(config={"model": {"backbone": "scan"}}) == run_config(backbone="scan")


def test_set_goes_before_the_options_and_these_before_the_file():
    file = {"training": {"max_steps": 2, "batch_size": 2, "seed": 2, "patience": 2}}
    changes = {"training.max_steps": 4, "model.time": "iaf", "model.backbone": "scan", "preset": "tiny"}
    config = run_config("af-af", "paper", config=file, max_steps=3, batch_size=3, set=changes)
    training = config.training
    assert (training.max_steps, training.batch_size, training.seed, training.patience) == (4, 3, 2, 2)
    assert (config.name, config.preset) == ("iaf-af", "tiny")
    assert training.learning_rate == build_config("af-af", "tiny", "scan").training.learning_rate
    assert file["training"]["max_steps"] == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("training.learning_rat=1e-3", ["--set", "'learning_rat'", "did you mean 'learning_rate'"]),
        ("learning_rat=1e-3", ["--set", "did you mean 'training.learning_rate'"]),
        ("model.hidden=3", ["it is now 'hidden_size'"]),
        ("training.learning_rate=fast", ["found 'fast'", "expected a number"]),
        ("training.seed", ["expected KEY=VALUE"]),
        ("training=3", ["--set: training: found 3"]),
        ("=3", ["unknown key ''"]),
        ("name=iaf-scf", ["name: found 'iaf-scf', expected 'af-scf'"]),
        ("preset=big", ["preset", "'big'", "tiny, small, paper"]),
    ],
)
def test_a_wrong_assignment_is_one_line(text, words):
    with pytest.raises(ConfigError) as error:
        run_config(set=assignments([text]))
    assert all(word in one_line(error) for word in words)


def test_assigned_values_are_json_or_else_strings():
    texts = [
        "training.epochs=null",
        "training.learning_rate=1e-3",
        "model.baseline=true",
        "model.backbone=scan",
        "a=b=c",
    ]
    assert list(assignments(texts).values()) == [None, 1e-3, True, "scan", "b=c"]


@pytest.mark.parametrize(
    "settings", [{"seed": 5}, {"config": {"training": {"seed": 5}}}, {"set": {"training.seed": 5}}]
)
def test_the_usual_seed_counts_only_if_nobody_gives_one(settings):
    assert run_config(usual_seed=7, **settings).training.seed == 5
    assert run_config(usual_seed=7, config={"training": {"batch_size": 2}}).training.seed == 7


def test_an_unknown_preset_is_refused_in_a_runs_config_too():
    with pytest.raises(ConfigError, match="preset: found 'huge', expected one of tiny"):
        Config().override({"preset": "huge"})


def test_without_a_model_on_the_command_line_the_file_decides():
    config = run_config(config=FILE)
    assert (config.name, config.preset, config.model.hidden_size) == ("af-only", "tiny", 7)
    assert config.training == build_config("af-only", "tiny").training
    assert run_config(config={}) == build_config()
    for values in ({"preset": "tinny"}, {"preset": 3}, {"preset": []}, {"model": 3}, {"name": "af-af"}):
        with pytest.raises(ConfigError, match="expected") as error:
            run_config(config=values)
        assert one_line(error).startswith("config: ")


@pytest.mark.parametrize("model", sorted(NAMED_MODELS))
@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_a_runs_config_is_read_back_and_makes_the_same_run_again(model, preset, tmp_path):
    config = build_config(model, preset, "lstm" if model == "lstm" else "scan")
    path = tmp_path / "config.json"
    path.write_text(config.to_json())
    assert read_run_config(path) == config
    assert run_config(config=path) == config


# What suits the data. -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", sorted(NAMED_MODELS))
def test_text_is_learned_by_the_scan_that_is_made_for_it(model):
    config = run_config(model, "tiny", suited=settings_for("text", has_onsets=False, preset="tiny"))
    plain = build_config(model, "tiny", "lstm" if model == "lstm" else "conv-scan")
    latent = plain.model.latent_size if model == "lstm" else TEXT_LATENTS["tiny"]
    assert config.model == dataclasses.replace(plain.model, latent_size=latent)
    assert config.training == dataclasses.replace(plain.training, **OF_TEXT["training"])


def test_text_has_the_latent_of_the_paper_at_its_preset():
    suited = settings_for("text", has_onsets=False, preset="paper")
    config = run_config(preset="paper", suited=suited)
    assert (config.name, config.model.latent_size) == ("af-scf", ModelConfig().latent_size)


@pytest.mark.parametrize("preset", sorted(TEXT_LATENTS))
def test_text_has_a_mixture_of_codes_unless_something_else_is_asked_for(preset):
    suited = settings_for("text", has_onsets=False, preset=preset)
    assert run_config(preset=preset, suited=suited).name == "af-codes"
    assert run_config("coupling", preset, suited=suited).name == "coupling"
    assert run_config(preset=preset, transform="affine", suited=suited).name == "af-scf"
    assert run_config(preset=preset, config={"model": {"features": "af"}}, suited=suited).name == "af-af"
    with pytest.raises(ConfigError, match="af-codes has no elementwise transform"):
        run_config("af-codes", preset, transform="affine", suited=suited)


@pytest.mark.parametrize(("passes", "dropout"), [(0.5, 0.0), (FEW_PASSES, 0.2), (100.0, 0.2)])
def test_a_text_that_is_seen_a_few_times_needs_no_dropout(passes, dropout):
    suited = settings_for("text", has_onsets=False, passes=passes)
    assert run_config("lstm", "tiny", suited=suited).model.dropout == dropout
    assert (run_config("lstm", "tiny", suited=suited).model.input_dropout == 0) == (dropout == 0)
    assert run_config("lstm", "tiny", suited=suited, set={"model.dropout": 0.3}).model.dropout == 0.3


def test_passes_of_a_run_follow_from_its_length():
    assert TrainingConfig(max_steps=100, batch_size=16).passes(400) == 4
    assert TrainingConfig(max_steps=None, epochs=3, batch_size=16).passes(320) == 3


@pytest.mark.parametrize("model", sorted(NAMED_MODELS))
def test_music_with_onsets_is_learned_by_the_tied_output_in_all_keys(model):
    config = run_config(model, "tiny", suited=settings_for("music", has_onsets=True))
    assert config.model.backbone == ("lstm" if model == "lstm" else "scan")
    assert config.model.emission == "past"
    assert config.training.transpose == 3
    assert config.training.learning_rate == build_config(model, "tiny", config.model.backbone).training.learning_rate


def test_a_first_song_takes_fewer_updates_unless_another_length_is_asked_for():
    suited = settings_for("music", has_onsets=True, preset="tiny")
    assert run_config(preset="tiny", suited=suited).training.max_steps == TINY_UPDATES
    assert run_config(preset="tiny", suited=suited, max_steps=5).training.max_steps == 5
    assert run_config(preset="tiny", suited=suited, epochs=2).training.max_steps is None


def test_published_sets_are_learned_as_published():
    config = run_config(suited=settings_for("music", has_onsets=False))
    assert config == build_config(backbone="scan")
    assert config.model.emission == "auto"


def test_what_suits_the_tied_output_does_not_go_with_another_one():
    suited = settings_for("music", has_onsets=True)
    for asked in (
        {"emission": "nade"},
        {"set": {"model.emission": "nade"}},
        {"config": {"model": {"emission": "nade"}}},
    ):
        config = run_config(suited=suited, **asked)
        assert config == build_config(backbone="scan").override({"model": {"emission": "nade"}})


def test_what_a_person_asks_for_goes_before_what_suits_the_data():
    suited = settings_for("music", has_onsets=True)
    config = run_config(suited=suited, batch_size=3, config={"training": {"transpose": 0}}, backbone="lstm")
    assert (config.training.batch_size, config.training.transpose, config.model.backbone) == (3, 0, "lstm")
    assert config.training.learning_rate == build_config().training.learning_rate
