"""The configurations that `lnfgen train` gives: one for each kind of data, preset and choice.

`python tests/helpers/configurations.py` writes them to `tests/training/configurations.json`, and
`tests/training/test_recipes.py` holds them. Whoever means to change a recipe writes that file
again, and its difference shows every run that has changed.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lnfgen.config import BACKBONES, NAMED_MODELS, TRANSFORMS
from lnfgen.errors import ConfigError
from lnfgen.training.recipes import PRESETS, Corpus
from lnfgen.training.run_settings import asked_for

WRITTEN_DOWN = Path(__file__).parents[1] / "training" / "configurations.json"

ONSETS = {"kind": "music", "has_onsets": True}

CORPORA: dict[str, dict[str, Any]] = {
    "text": {"kind": "text", "num_symbols": 50},
    "music": {"kind": "music"},
    "onsets": ONSETS,
    "band": ONSETS | {"num_parts": 4},
}
"""Datasets of no known size, whose runs see each sequence often."""

SIZED: dict[str, dict[str, Any]] = {
    "long text": {"kind": "text", "num_symbols": 50, "num_sequences": 100_000},
    "short text": {"kind": "text", "num_symbols": 50, "num_sequences": 1_000},
    "text of many symbols": {"kind": "text", "num_symbols": 501},
    "published music": {"kind": "music", "num_sequences": 87, "num_steps": 60_000},
    "chorales": ONSETS | {"num_sequences": 290, "num_steps": 37_664},
    "long pieces": ONSETS | {"num_sequences": 100, "num_steps": 25_000},
    "longest pieces": ONSETS | {"num_sequences": 2, "num_steps": 9_000},
    "sized band": ONSETS | {"num_sequences": 100, "num_steps": 12_000, "num_parts": 4},
}

OUTPUTS: dict[str, tuple[str | None, ...]] = {
    "text": (None,),
    "music": (None, "nade", "autoregressive"),
    "onsets": (None, "bernoulli", "nade"),
    "band": (None, "bernoulli", "nade"),
}
"""None is the usual output of this kind of data."""

USUAL = "usual"
"""Stands for a choice that nobody makes."""

Configurations = dict[str, dict[str, Any] | None]
"""Flat configurations by names such as `af-scf lstm`; None if the choice is refused."""


def choices(case: str, emission: str | None) -> Iterator[dict[str, str | None]]:
    """The models, backbones and transforms that are asked for beside an output."""
    backbones: tuple[str | None, ...] = (None, *BACKBONES)
    transforms: tuple[str, ...] = ()
    if case in SIZED:
        backbones = (None,)
    elif emission is None:
        transforms = TRANSFORMS
    for model in (None, *NAMED_MODELS):
        for backbone in backbones:
            yield {"model": model, "backbone": backbone}
        for transform in transforms:
            yield {"model": model, "transform": transform}


def name_of(choice: dict[str, str | None]) -> str:
    """As in `af-scf lstm`: the model, then what else is asked for."""
    others = [value for name, value in choice.items() if value and name != "model"]
    return " ".join([choice.get("model") or USUAL, *others])


def configurations(case: str, preset: str, emission: str | None) -> Configurations:
    """The configuration of each choice."""
    corpus = Corpus(**(CORPORA | SIZED)[case])
    found: Configurations = {}
    for choice in choices(case, emission):
        asked = asked_for(preset=preset, emission=emission, **choice)
        try:
            found[name_of(choice)] = asked.config(corpus).flat()
        except ConfigError:
            found[name_of(choice)] = None
    return found


def cases() -> Iterator[tuple[str, str, str | None]]:
    """Names of datasets, presets and outputs."""
    for preset in PRESETS:
        for case in CORPORA:
            for emission in OUTPUTS[case]:
                yield case, preset, emission
        for case in SIZED:
            yield case, preset, None
            if SIZED[case].get("has_onsets"):
                yield case, preset, "nade"


def compact(found: Configurations) -> dict[str, Any]:
    """The usual configuration, and each difference from it with the choices that bring it."""
    usual = found[USUAL]
    assert usual is not None
    refused: list[str] = []
    differences: dict[str, list[str]] = {}
    for name, keys in found.items():
        if keys is None:
            refused.append(name)
        else:
            changed = {key: value for key, value in keys.items() if value != usual[key]}
            differences.setdefault(json.dumps(changed), []).append(name)
    pairs = [[json.loads(changed), names] for changed, names in differences.items()]
    return {"usual": usual, "differences": pairs, "refused": refused}


def unfolded(case: dict[str, Any]) -> Configurations:
    """The inverse of `compact`."""
    found: Configurations = dict.fromkeys(case["refused"])
    for changed, names in case["differences"]:
        for name in names:
            found[name] = case["usual"] | changed
    return found


def main() -> None:
    lines: list[str] = []
    for case, preset, emission in cases():
        name = f"{case}, {preset}, {emission or USUAL}"
        content = compact(configurations(case, preset, emission))
        whole = json.dumps(content, separators=(",", ":"))
        lines.append(f"{json.dumps(name)}: {whole}")
    WRITTEN_DOWN.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
