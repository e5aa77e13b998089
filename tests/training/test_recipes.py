"""Which recipe a run takes, and what suits its data."""

import itertools
import json
import tomllib
from dataclasses import replace
from typing import Any

import pytest
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
    choose_recipe,
    read_recipe,
)
from lnfgen.training.run_settings import asked_for

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
