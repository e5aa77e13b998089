"""Who decides a setting: the recipe, names, the file of settings, options, or `--set`."""

import itertools
import json
import tomllib
from dataclasses import replace
from typing import Any

import pytest
from command import one_line
from configurations import USUAL, WRITTEN_DOWN, cases, configurations, unfolded
from toy_config import run_config

from lnfgen.config import KEYS, NAMED_MODELS, Config, config_of, read_config
from lnfgen.errors import ConfigError
from lnfgen.nn.backbones import BACKBONES
from lnfgen.training.recipes import (
    FEW_PASSES,
    FILES,
    MOST_CODES,
    PRESETS,
    RECIPES,
    Corpus,
    asked_for,
    assignments,
    choose_recipe,
    read_recipe,
)

ONSETS = Corpus("music", has_onsets=True)
TEXT = Corpus("text", num_symbols=50)
CORPORA = {
    "text": TEXT,
    "long text": Corpus("text", num_sequences=100_000, num_symbols=50),
    "text of many symbols": Corpus("text", num_symbols=MOST_CODES + 1),
    "music": Corpus("music"),
    "onsets": ONSETS,
}
MODELS = [None, *NAMED_MODELS]


def choices() -> list[Any]:
    """Each corpus with each preset and each model that can be asked for."""
    found: list[Any] = []
    for (name, corpus), preset, model in itertools.product(CORPORA.items(), PRESETS, MODELS):
        if corpus.kind == "text" or "codes" not in str(model):
            found.append(pytest.param(corpus, preset, model, id=f"{name}-{preset}-{model}"))
    return found


def without_version(config: Config) -> dict[str, Any]:
    values = json.loads(config.to_json())
    del values["format_version"]
    return values


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("name", RECIPES)
def test_each_recipe_has_every_key_but_the_seed(name, preset):
    assert set(read_recipe(name, preset)) == set(KEYS) - {"training.seed"}


@pytest.mark.parametrize(("corpus", "preset", "model"), choices())
def test_what_is_spelled_out_gives_what_leaving_it_out_gives(corpus, preset, model):
    config = run_config(model, preset, corpus=corpus)
    assert model in (None, config.model.name)
    for key, value in config.flat().items():
        assert run_config(model, preset, corpus=corpus, set={key: value}) == config, key
    settings: dict[str, Any] = {
        "emission": config.model.emission,
        "backbone": config.model.backbone,
    }
    settings["transform"] = config.model.transform
    for name, value in settings.items():
        assert run_config(model, preset, corpus=corpus, **{name: value}) == config, name
    assert run_config(config.model.name, preset, corpus=corpus) == config
    length = {"max_steps": config.training.max_steps, "epochs": config.training.epochs}
    assert run_config(model, preset, corpus=corpus, **settings, **length, seed=0) == config
    whole = without_version(config)
    for other in PRESETS:  # a whole file leaves nothing to the recipe
        assert run_config(preset=other, corpus=corpus, config=whole) == config
    assert run_config(model, preset, corpus=corpus, config=whole) == config


def test_presets_have_the_sizes_that_they_say():
    assert run_config("af-scf", "paper", corpus=CORPORA["music"]).model.hidden_size == 500
    assert run_config("af-scf", "paper", corpus=CORPORA["music"]).training.max_steps is None
    assert run_config("lstm", "tiny", corpus=CORPORA["music"]).model.baseline
    assert run_config(corpus=ONSETS) == run_config("af-scf", "small", corpus=ONSETS)


def test_set_goes_before_the_options_and_these_before_the_file():
    file = {"training": {"max_steps": 2, "batch_size": 2, "seed": 2, "patience": 2}}
    changes = {"training.max_steps": 4, "model.time": "iaf", "training.batch_size": 4}
    config = run_config(
        "af-af", "paper", corpus=Corpus("music"), config=file, max_steps=3, seed=3, set=changes
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


# Keys without effect.
# -------------------------------------------------------------------------------------------------


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


# What suits the data.
# -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("corpus", CORPORA)
@pytest.mark.parametrize("preset", PRESETS)
def test_a_backbone_brings_the_learning_rate_and_dropout_that_suit_it(preset, corpus):
    model = "af-scf"
    plain = run_config(model, preset, corpus=CORPORA[corpus])
    allowed = {"model.backbone", "model.dropout", "training.learning_rate"}
    for name in BACKBONES:
        other = run_config(model, preset, corpus=CORPORA[corpus], backbone=name)
        changed = {key for key, value in other.flat().items() if value != plain.flat()[key]}
        assert changed <= (allowed if name == "lstm" else {"model.backbone"})
    with pytest.raises(ConfigError, match="spine"):
        run_config(model, preset, corpus=CORPORA[corpus], backbone="spine")


@pytest.mark.parametrize("model", ["af-af", "iaf-scf", "coupling"])
def test_models_that_text_has_on_lstms_have_scans_where_they_are_asked_for_and_for_music(model):
    assert run_config(model, corpus=TEXT).model.backbone == "lstm"
    assert run_config(model, corpus=TEXT, backbone="conv-scan").model.backbone == "conv-scan"
    assert run_config(model, corpus=ONSETS).model.backbone == "scan"


@pytest.mark.parametrize("preset", PRESETS)
def test_other_flows_than_codes_learn_their_latent_with_a_kl_that_does_not_count_at_first(preset):
    """Else they learn not to use it."""
    for model in ("af-codes", "blocks-codes"):
        config = run_config(model, preset, corpus=TEXT)
        assert (config.model.near_end, config.training.kl_warmup_end) == (True, 0)
    for model in ("af-scf", "coupling", "af-only", "blocks-scf"):
        config = run_config(model, preset, corpus=TEXT)
        assert (config.model.near_end, config.training.kl_warmup_end) == (False, 0.35)


def test_a_text_of_many_symbols_has_no_codes_unless_they_are_asked_for():
    many = CORPORA["text of many symbols"]
    assert run_config(corpus=many).model.name == "af-scf"
    assert run_config("af-codes", corpus=many).model.name == "af-codes"


@pytest.mark.parametrize(("passes", "dropout"), [(0.5, 0.0), (FEW_PASSES, 0.2), (100.0, 0.2)])
def test_a_text_that_is_seen_a_few_times_needs_no_dropout(passes, dropout):
    updates = run_config("lstm", "tiny", corpus=TEXT).training
    assert updates.max_steps is not None
    corpus = Corpus("text", num_sequences=round(updates.max_steps * updates.batch_size / passes))
    config = run_config("lstm", "tiny", corpus=corpus)
    assert config.model.dropout == dropout
    assert (config.model.input_dropout == 0) == (dropout == 0)
    asked = run_config("lstm", "tiny", corpus=corpus, set={"model.dropout": 0.3})
    assert asked.model.dropout == 0.3
    long = run_config("lstm", "tiny", corpus=corpus, max_steps=10**6)
    assert long.model.dropout == 0.2


def test_another_output_than_past_has_the_recipe_of_the_published_sets_and_bars():
    found = run_config(corpus=ONSETS, emission="nade")
    expected = run_config(corpus=CORPORA["music"], emission="nade")
    assert found == config_of(expected.flat() | {"model.reads_time_signature": True})


def test_an_update_on_long_pieces_of_music_has_as_many_steps_as_one_on_chorales():
    chorales = Corpus("music", has_onsets=True, num_sequences=290, num_steps=37_664)
    long = Corpus("music", has_onsets=True, num_sequences=100, num_steps=25_000)
    for preset in PRESETS:
        usual = run_config(preset=preset, corpus=ONSETS).training.batch_size
        assert run_config(preset=preset, corpus=chorales).training.batch_size == min(usual, 7)
        found = run_config(preset=preset, corpus=long)
        assert found.training.batch_size == min(usual, 4)
        asked = run_config(preset=preset, corpus=long, set={"training.batch_size": 9})
        assert asked.training.batch_size == 9
    longer = Corpus("music", has_onsets=True, num_sequences=2, num_steps=9_000)
    assert run_config(corpus=longer).training.batch_size == 1
    published = Corpus("music", num_sequences=87, num_steps=60_000)
    for emission in (None, "autoregressive"):  # the tables have their figures
        assert run_config(corpus=published, emission=emission) == run_config(
            corpus=Corpus("music"), emission=emission
        )


def test_an_update_on_a_band_has_as_many_steps_of_its_parts():
    band = Corpus("music", has_onsets=True, num_sequences=100, num_steps=12_000, num_parts=4)
    for preset in PRESETS:
        assert run_config(preset=preset, corpus=band).training.batch_size == 2


@pytest.mark.parametrize(("num_sequences", "times"), [(100, 1), (1000, 2), (100_000, 3)])
def test_a_small_run_on_much_music_is_longer_up_to_a_bound(num_sequences, times):
    """Each update here is of one piece of 1,000 steps."""
    much = Corpus(
        "music", has_onsets=True, num_sequences=num_sequences, num_steps=1000 * num_sequences
    )
    usual = run_config(corpus=ONSETS).training.max_steps
    assert usual is not None
    found = run_config(corpus=much).training.max_steps
    expected = 3 * num_sequences if times == 2 else times * usual
    assert found == expected
    assert usual <= found <= 3 * usual
    assert run_config(preset="tiny", corpus=much).training == replace(
        run_config(preset="tiny", corpus=ONSETS).training, batch_size=1
    )
    assert run_config(corpus=much, max_steps=7).training.max_steps == 7
    assert run_config(corpus=much, epochs=1).training.max_steps is None
    larger = run_config(corpus=much, set={"training.batch_size": 10}).training.max_steps
    assert larger == max(usual, min(3 * num_sequences // 10, 3 * usual))


@pytest.mark.parametrize("preset", PRESETS)
def test_a_band_has_a_recipe_for_any_model_and_output(preset):
    """Its own keys give way to those that a model or an output needs."""
    band = Corpus("music", has_onsets=True, num_sequences=100, num_steps=12_000, num_parts=4)
    usual = run_config(preset=preset, corpus=band).training
    assert usual.free_bits > 0
    for model, emission in (
        ("lstm", None),
        ("af-scf", "bernoulli"),
        ("lstm", "nade"),
        ("iaf-scf", "bernoulli"),
    ):
        own = run_config(model, preset, corpus=band, emission=emission).training
        assert own.max_steps == usual.max_steps
        assert own.free_bits == 0
        assert own.calibration_rounds == (0 if emission else usual.calibration_rounds)


def test_a_small_folder_is_compared_with_what_the_recipe_was_made_with():
    few = Corpus("music", has_onsets=True, num_sequences=30, num_steps=5_752)
    assert "train holds 5,752 steps" in few.shortage
    band = Corpus("music", has_onsets=True, num_sequences=30, num_steps=5_752, num_parts=4)
    assert band.shortage == few.shortage
    short = Corpus("text", num_sequences=30, num_steps=9_000)
    assert "train holds 9,000 characters" in short.shortage
    chorales = Corpus("music", has_onsets=True, num_sequences=290, num_steps=37_664)
    published = Corpus("music", num_sequences=229, num_steps=13_800)
    assert {one.shortage for one in (chorales, published, TEXT, ONSETS)} == {""}


# All configurations, as they were written down.
# -------------------------------------------------------------------------------------------------

WRITTEN = json.loads(WRITTEN_DOWN.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("case", "preset", "emission"), list(cases()))
def test_each_choice_has_the_configuration_that_was_written_down(case, preset, emission):
    written = WRITTEN[f"{case}, {preset}, {emission or USUAL}"]
    found = configurations(case, preset, emission)
    assert found == unfolded(written)


def test_all_choices_are_written_down():
    assert len(WRITTEN) == len(list(cases()))


# The files.
# -------------------------------------------------------------------------------------------------


def test_an_override_replaces_keys_of_presets_that_there_are():
    files = sorted((FILES / "overrides").glob("*.toml"))
    assert len(files) <= 5
    for file in files:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
        assert set(tables) <= set(RECIPES)
        for presets in tables.values():
            assert set(presets) <= set(PRESETS)
            for keys in presets.values():
                assert read_config(keys)


def test_a_run_remembers_the_files_that_it_took():
    recipe = choose_recipe(TEXT, "small", "iaf-scf")
    assert (recipe.name, recipe.preset) == ("text", "small")
    assert recipe.overrides == ("learned", "on-lstms")
    assert choose_recipe(TEXT, "paper", "af-scf").overrides == ()
    assert choose_recipe(TEXT, "paper", "af-codes").overrides == ("codes",)
    assert choose_recipe(CORPORA["text of many symbols"], "tiny").overrides == ("learned",)
    other = choose_recipe(ONSETS, "small", "lstm", emission="nade")
    assert (other.name, other.overrides) == ("music", ("other-outputs", "lstm", "on-lstms"))


def test_what_differs_from_the_files_is_what_is_asked_for_and_what_the_size_decides():
    corpus = Corpus("music", has_onsets=True, num_sequences=100, num_steps=25_000)
    asked = asked_for(preset="small", transform="affine", max_steps=9, seed=5)
    differences = asked.recipe(corpus).differences(asked.config(corpus))
    assert differences == {
        "model.transform": "affine",
        "training.max_steps": 9,
        "training.batch_size": 4,
    }
    usual = asked_for(preset="small")
    assert usual.recipe(ONSETS).differences(usual.config(ONSETS)) == {}


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
