"""Who decides a setting: the recipe, names, the file of settings, options, or `--set`."""

import pytest
from command import one_line
from toy_config import run_config

from lnfgen.errors import ConfigError
from lnfgen.training.recipes import Corpus, read_recipe
from lnfgen.training.run_settings import asked_for, assignments

MUSIC = Corpus("music")
ONSETS = Corpus("music", has_onsets=True)
CORPORA = {"music": MUSIC, "onsets": ONSETS, "text": Corpus("text", num_symbols=50)}


def test_set_goes_before_the_options_and_these_before_the_file():
    file = {"training": {"max_steps": 2, "batch_size": 2, "seed": 2, "patience": 2}}
    changes = {"training.max_steps": 4, "model.time": "iaf", "training.batch_size": 4}
    config = run_config(
        "af-af", "paper", corpus=MUSIC, config=file, max_steps=3, seed=3, set=changes
    )
    training = config.training
    assert (training.max_steps, training.batch_size) == (4, 4)
    assert (training.seed, training.patience) == (3, 2)
    assert config.model.name == "iaf-af"
    assert training.learning_rate == read_recipe("music", "paper")["training.learning_rate"]
    assert file["training"]["max_steps"] == 2


def test_a_model_that_the_file_contradicts_is_refused():
    with pytest.raises(
        ConfigError, match=r"--model af-scf: found model.time 'iaf' in --config, expected 'af'"
    ) as error:
        run_config("af-scf", corpus=ONSETS, config={"model": {"time": "iaf"}})
    one_line(error)
    agreeing = run_config("iaf-scf", corpus=ONSETS, config={"model": {"time": "iaf"}})
    assert agreeing.model.name == "iaf-scf"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "training.learning_rat=1e-3",
            ["--set", "'training.learning_rat'", "did you mean 'training.learning_rate'"],
        ),
        ("learning_rat=1e-3", ["--set", "did you mean 'training.learning_rate'"]),
        ("training.learning_rate=fast", ["found 'fast'", "expected a number"]),
        ("training.seed", ["expected KEY=VALUE"]),
        ("training=3", ["--set: unknown key 'training'"]),
        ("=3", ["unknown key ''"]),
        ("preset=tiny", ["--set: unknown key 'preset'"]),
        ("model.hidden_size=0", ["model.hidden_size: found 0"]),
    ],
)
def test_a_wrong_assignment_is_one_line(text, words):
    with pytest.raises(ConfigError) as error:
        asked_for(set=assignments([text])).require_possible()
    assert all(word in one_line(error) for word in words)


@pytest.mark.parametrize("names", [("af-scff", None), ("", None), (None, "smal"), (None, "")])
def test_unknown_names_list_those_that_there_are(names):
    with pytest.raises(ConfigError) as error:
        asked_for(*names)
    assert "af-scf" in one_line(error) or "small" in one_line(error)


def test_assigned_values_are_json_or_else_strings():
    texts = [
        "training.epochs=null",
        "training.learning_rate=1e-3",
        "model.near_end=true",
        "model.time=iaf",
        "a=b=c",
    ]
    assert list(assignments(texts).values()) == [None, 1e-3, True, "iaf", "b=c"]


@pytest.mark.parametrize(
    "settings", [{"seed": 5}, {"config": {"training": {"seed": 5}}}, {"set": {"training.seed": 5}}]
)
def test_the_usual_seed_counts_only_if_nobody_gives_one(settings):
    assert asked_for(**settings).config(ONSETS, usual_seed=7).training.seed == 5
    without = asked_for(config={"training": {"batch_size": 2}})
    assert without.config(ONSETS, usual_seed=7).training.seed == 7


def test_a_length_given_alone_is_the_whole_length():
    assert run_config(corpus=ONSETS, preset="tiny", epochs=2).training.max_steps is None
    assert run_config(corpus=ONSETS, preset="paper", max_steps=5).training.epochs is None
    both = run_config(corpus=ONSETS, max_steps=5, epochs=2).training
    assert (both.max_steps, both.epochs) == (5, 2)


@pytest.mark.parametrize(
    ("corpus", "model", "emission", "key", "value"),
    [
        ("onsets", "iaf-scf", "bernoulli", "model.copy_attention", True),
        ("onsets", "lstm", "nade", "model.copy_attention", True),
        ("text", "lstm", None, "model.copy_attention", True),
        ("onsets", None, "nade", "model.note_noise", 0.1),
        ("music", None, None, "training.calibration_rounds", 10),
        ("text", "af-codes", None, "model.transform", "nlsq"),
        ("text", "blocks-codes", None, "model.num_flow_layers", 2),
        ("onsets", "lstm", None, "model.transform", "nlsq"),
        ("onsets", "lstm", None, "model.conditioner_size", 8),
        ("onsets", "lstm", None, "model.time", "af"),
        ("onsets", "lstm", None, "model.features", "scf"),
        ("onsets", "lstm", None, "model.backbone", "scan"),
        ("onsets", "lstm", None, "training.free_bits", 0.1),
        ("text", "lstm", None, "training.kl_warmup_end", 0.3),
        ("text", None, None, "training.transpose", 3),
        ("text", None, None, "model.reads_time_signature", True),
        ("music", None, None, "model.reads_time_signature", True),
        ("text", "lstm", None, "model.note_noise", 0.1),
    ],
)
def test_a_key_that_would_have_no_effect_is_refused(corpus, model, emission, key, value):
    asked = {"emission": emission, "set": {key: value}}
    with pytest.raises(ConfigError) as error:
        run_config(model, "tiny", corpus=CORPORA[corpus], **asked)
    message = one_line(error)
    assert message.startswith(f"{key}: found {value!r}, which has no effect")
    assert "expected" in message


def test_before_the_data_is_known_what_some_data_allows_is_possible():
    for settings in (
        {"emission": "nade"},
        {"model": "af-codes"},
        {"emission": "autoregressive"},
        {"transform": "affine"},
    ):
        asked_for(**settings).require_possible()
    for settings in (
        {"model": "lstm", "transform": "affine"},
        {"model": "lstm", "backbone": "scan"},
    ):
        with pytest.raises(ConfigError, match="has no effect"):
            asked_for(**settings).require_possible()


def test_settings_in_toml(tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text("training.max_steps = 7\n[model]\nhidden_size = 12\n")
    config = run_config(corpus=ONSETS, config=file)
    assert (config.training.max_steps, config.model.hidden_size) == (7, 12)
    for content in ("training.max_steps = ", "[model]\nhidden = 12", "[tiny]\nmodel.dropout = 0"):
        file.write_text(content)
        with pytest.raises(ConfigError) as error:
            asked_for(config=file)
        assert "settings.toml" in one_line(error)
