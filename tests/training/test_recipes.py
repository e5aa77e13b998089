"""Who decides a setting: the preset, what suits the data, the file of settings, the options, and `--set`."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from command import one_line

from lnfgen.config import NAMED_MODELS, PRESETS, Config, ModelConfig, build_config, read_run_config
from lnfgen.errors import ConfigError
from lnfgen.training.recipes import (
    FEW_PASSES,
    FILLING_SHARE,
    MOST_CODES,
    MUSIC_AT_PRESETS,
    NO_SETTINGS,
    OF_TEXT,
    TEXT_LATENTS,
    TEXT_ON_LSTMS,
    WITH_CODES,
    Corpus,
    assignments,
    run_config,
)

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
    corpus, plain = Corpus("music", has_onsets=True), build_config("af-scf", "tiny").training.max_steps
    assert run_config(preset="tiny", corpus=corpus).training.max_steps != plain
    file = {"preset": "tiny", "training": {"max_steps": plain}}
    assert run_config(corpus=corpus, config=file).training.max_steps == plain
    run = without_version(run_config(corpus=corpus, config=file))
    assert run_config(corpus=corpus, config=run).training.max_steps == plain


CORPORA = [Corpus("text"), Corpus("text", num_sequences=100_000), Corpus("music"), Corpus("music", has_onsets=True)]


@pytest.mark.parametrize("corpus", CORPORA)
@pytest.mark.parametrize("model", ["af-scf", "lstm"])
@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_another_preset_gives_a_run_all_that_the_preset_gives_for_its_data(preset, model, corpus):
    """Also what the first preset gives for the data alone: the updates of `tiny` for music, its latent for text."""
    run = without_version(run_config(model, preset, corpus=corpus))
    for other in PRESETS:
        assert run_config(preset=other, corpus=corpus, config=run) == run_config(model, other, corpus=corpus)
    changed = without_version(run_config(model, preset, corpus=corpus, max_steps=77, batch_size=5))
    for other in PRESETS:
        asked = run_config(model, other, corpus=corpus, max_steps=77, batch_size=5)
        assert run_config(preset=other, corpus=corpus, config=changed) == asked


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


def test_a_config_with_a_byte_order_mark_is_read(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text('{"training": {"max_steps": 3}}', encoding="utf-8-sig")  # as some editors save it
    assert run_config(config=path).training.max_steps == 3


# What suits the data. -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", sorted(NAMED_MODELS))
def test_text_is_learned_by_the_scan_that_is_made_for_it_or_by_lstms(model):
    config = run_config(model, "tiny", corpus=Corpus("text"))
    on_lstms = model == "lstm" or model in TEXT_ON_LSTMS
    plain = build_config(model, "tiny", "lstm" if on_lstms else "conv-scan")
    latent = plain.model.latent_size if model == "lstm" else TEXT_LATENTS["tiny"]
    of_codes = WITH_CODES if plain.model.features == "codes" else NO_SETTINGS
    of_model = {"latent_size": latent, "near_end": model == "lstm" or bool(of_codes["model"])} | of_codes["model"]
    assert config.model == dataclasses.replace(plain.model, **of_model)
    filling = 0 if model == "lstm" else int(FILLING_SHARE * (plain.training.max_steps or 0))
    of_training = OF_TEXT["training"] | of_codes["training"] | {"filling_steps": filling}
    assert config.training == dataclasses.replace(plain.training, **of_training)


def test_models_that_text_has_on_lstms_have_scans_where_they_are_asked_for_and_for_music():
    for model in sorted(TEXT_ON_LSTMS):
        for corpus, asked, expected in (
            (Corpus("text"), "conv-scan", "conv-scan"),
            (Corpus("text"), None, "lstm"),
            (Corpus("music", has_onsets=True), None, "scan"),
            (Corpus("music"), None, "scan"),
        ):
            found = run_config(model, "tiny", backbone=asked, corpus=corpus).model.backbone
            assert found == expected, (model, corpus, asked)


def test_a_latent_of_symbols_goes_with_codes_alone():
    """Other flows learn their latent, with a KL that does not count at first: else they learn not to use it."""
    corpus = Corpus("text", num_symbols=50)
    for config in (run_config(preset="tiny", corpus=corpus), run_config("blocks-codes", "small", corpus=corpus)):
        assert (config.model.latent_kind, config.model.near_end) == ("symbols", True)
        assert config.training.kl_warmup_end == 0
    learned = [
        run_config("coupling", "tiny", corpus=corpus),
        run_config(preset="tiny", transform="affine", corpus=corpus),
        run_config(preset="tiny", config={"model": {"features": "af"}}, corpus=corpus),
        run_config(preset="tiny", set={"model.features": "none"}, corpus=corpus),
        run_config(preset="tiny", set={"model.latent_kind": "learned"}, corpus=corpus),
        run_config("af-codes", "tiny", corpus=Corpus("text", num_symbols=MOST_CODES + 1)),
        run_config("af-codes", "paper", corpus=corpus),
    ]
    for config in learned:
        assert (config.model.latent_kind, config.model.near_end) == ("learned", False)
        assert config.training.kl_warmup_end > 0


def test_codes_in_time_have_more_blocks_where_a_preset_has_too_few():
    corpus = Corpus("text", num_symbols=50)
    for name in (None, "af-codes", "blocks-codes"):
        assert [run_config(name, preset=preset, corpus=corpus).model.num_layers for preset in PRESETS] == [1, 4, 2]
    others = [
        run_config("lstm", "small", corpus=corpus),
        run_config("af-scf", "small", corpus=corpus),
        run_config("af-codes", "small", backbone="lstm", corpus=corpus),
        run_config("af-codes", "small", corpus=Corpus("text", num_symbols=MOST_CODES + 1)),
        run_config("af-codes", "small", corpus=Corpus("music")),
    ]
    assert {config.model.num_layers for config in others} == {ModelConfig().num_layers}
    music = run_config(preset="small", corpus=Corpus("music", has_onsets=True))
    assert music.model.num_layers == MUSIC_AT_PRESETS["small"]["model"]["num_layers"]


def test_text_has_the_latent_of_the_paper_at_its_preset():
    config = run_config(preset="paper", corpus=Corpus("text"))
    assert (config.name, config.model.latent_size) == ("af-scf", ModelConfig().latent_size)


@pytest.mark.parametrize("preset", sorted(TEXT_LATENTS))
def test_text_has_a_mixture_of_codes_unless_something_else_is_asked_for(preset):
    corpus = Corpus("text")
    assert run_config(preset=preset, corpus=corpus).name == "af-codes"
    assert run_config("coupling", preset, corpus=corpus).name == "coupling"
    assert run_config(preset=preset, transform="affine", corpus=corpus).name == "af-scf"
    assert run_config(preset=preset, config={"model": {"features": "af"}}, corpus=corpus).name == "af-af"
    with pytest.raises(ConfigError, match="af-codes has no elementwise transform"):
        run_config("af-codes", preset, transform="affine", corpus=corpus)


@pytest.mark.parametrize("model", sorted(NAMED_MODELS))
def test_a_run_on_text_keeps_its_model_when_its_settings_are_used_again(model):
    corpus = Corpus("text")
    config = run_config(model, "tiny", corpus=corpus)
    again = run_config(config=without_version(config), corpus=corpus)
    assert again == config
    assert run_config(preset="small", config=without_version(config), corpus=corpus).name == model


def test_the_name_of_the_usual_output_changes_nothing_else():
    """A text has one output, so to name it is to ask for nothing."""
    for model in (None, "lstm", "coupling"):
        corpus = Corpus("text", num_sequences=100_000)
        named = run_config(model, "tiny", corpus=corpus, emission="categorical")
        assert named.override({"model": {"emission": "auto"}}) == run_config(model, "tiny", corpus=corpus)


@pytest.mark.parametrize(("passes", "dropout"), [(0.5, 0.0), (FEW_PASSES, 0.2), (100.0, 0.2)])
def test_a_text_that_is_seen_a_few_times_needs_no_dropout(passes, dropout):
    updates = build_config("lstm", "tiny").training
    corpus = Corpus("text", num_sequences=round(updates.max_steps * updates.batch_size / passes))
    assert run_config("lstm", "tiny", corpus=corpus).model.dropout == dropout
    assert (run_config("lstm", "tiny", corpus=corpus).model.input_dropout == 0) == (dropout == 0)
    assert run_config("lstm", "tiny", corpus=corpus, set={"model.dropout": 0.3}).model.dropout == 0.3


@pytest.mark.parametrize("model", sorted(NAMED_MODELS))
def test_music_with_onsets_is_learned_by_the_tied_output_in_all_keys(model):
    config = run_config(model, "tiny", corpus=Corpus("music", has_onsets=True))
    assert config.model.backbone == ("lstm" if model == "lstm" else "scan")
    assert config.model.emission == "past"
    assert config.training.transpose == 3
    of_tiny = MUSIC_AT_PRESETS["tiny"]["training"]
    assert all(getattr(config.training, key) == value for key, value in of_tiny.items())


def test_a_first_song_takes_fewer_updates_unless_another_length_is_asked_for():
    corpus = Corpus("music", has_onsets=True)
    assert run_config(preset="tiny", corpus=corpus).training.max_steps < 1000
    assert run_config(preset="tiny", corpus=corpus, max_steps=5).training.max_steps == 5
    assert run_config(preset="tiny", corpus=corpus, epochs=2).training.max_steps is None


def test_published_sets_are_learned_as_published():
    config = run_config(corpus=Corpus("music"))
    assert config == build_config(backbone="scan")
    assert config.model.emission == "auto"


def test_what_suits_the_tied_output_does_not_go_with_another_one():
    corpus = Corpus("music", has_onsets=True)
    for asked in (
        {"emission": "nade"},
        {"set": {"model.emission": "nade"}},
        {"config": {"model": {"emission": "nade"}}},
    ):
        config = run_config(corpus=corpus, **asked)
        assert config == build_config(backbone="scan").override({"model": {"emission": "nade", "in_metre": True}})


def test_what_a_person_asks_for_goes_before_what_suits_the_data():
    corpus = Corpus("music", has_onsets=True)
    asked = {"batch_size": 3, "config": {"training": {"transpose": 0}}, "backbone": "lstm"}
    config = run_config(preset="tiny", corpus=corpus, **asked)
    assert (config.training.batch_size, config.training.transpose, config.model.backbone) == (3, 0, "lstm")
    assert config.training.learning_rate == MUSIC_AT_PRESETS["tiny"]["training"]["learning_rate"]


def test_a_file_of_settings_that_is_not_there_is_an_error_of_the_package(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.json is not there"):
        run_config(config=tmp_path / "none.json")
