"""`lnfgen list`: recipes as `train --config` takes them, and one thing at a time."""

import json
from pathlib import Path

import pytest
from command import Call, fails
from toy_config import run_config

from lnfgen.config import KEYS, read_config
from lnfgen.training.recipes import PRESETS, RECIPES, Corpus

CORPORA = {
    "text": Corpus("text", num_symbols=50),
    "music": Corpus("music"),
    "onsets": Corpus("music", has_onsets=True),
    "band": Corpus("music", has_onsets=True, num_parts=4),
}


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_printed_as_train_takes_it(name: str, here: Call) -> None:
    for preset in PRESETS:
        done = here("list", "--recipe", name, preset)
        assert done.returncode == 0, done.stderr.decode()
        Path("recipe.json").write_bytes(done.stdout)
        keys = read_config("recipe.json")
        assert list(keys) == [key for key in KEYS if key != "training.seed"]
        corpus = CORPORA[name]
        usual = run_config(preset=preset, corpus=corpus)
        assert run_config(corpus=corpus, config="recipe.json") == usual


def test_a_recipe_that_is_not_there_is_refused(here: Call) -> None:
    fails(here("list", "--recipe", "texts", "small"), "'texts'", "text, music, onsets or band")
    fails(here("list", "--recipe", "text", "large"), "'large'", "tiny, small or paper")


def test_one_thing_is_listed_at_a_time(here: Call) -> None:
    fails(here("list", "--models", "--recipe", "text", "small"), "expected one of them")
    fails(here("list", "runs", "--datasets"), "expected one of them")


def test_figures_have_units_and_bands_have_more_of_them(here: Call) -> None:
    listed = json.loads(here("list", "--figures", "--json").stdout)["figures"]
    assert {"name", "of", "is", "within"} == set(listed[0])
    assert {"music", "text", "a band"} <= {figure["of"] for figure in listed}
    table = here("list", "--figures").stdout.decode()
    assert all(figure["name"] in table for figure in listed)
