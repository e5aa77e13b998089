"""The card of a model: what it is, how it scores, what it is for and what not, as a page to read.

The page follows from `card.json` alone, so that its figures are those that were measured. Its
sections are those that Mitchell et al. ask for ("Model Cards for Model Reporting", FAT* 2019), as
far as they apply to music and ABC text.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from lnfgen.conventions import UNIT_WORDS
from lnfgen.data.named import NAMED

Card = dict[str, Any]

CHOICES = ("model", "backbone", "transform", "emission")
SCORES = ("nll", "elbo", "reconstruction", "kl", "length", "sounding_nll", "marginal_nll")


def card_page(card: Card) -> str:
    """The content of `card.md`."""
    page = [f"# {card['name']}", "", f"Makes {card['makes']}."]
    page += _section("Data and licence", _data(card))
    page += _section("Model", _model(card))
    page += _section("Scores", _scores(card))
    if "music" in card:
        page += _section("Music", _music(card["music"]))
    if "tunes" in card:
        page += _section("Tunes", _tunes(card["tunes"]))
    page += _section("What it is for", [card["intended_use"], "", f"    {card['use']}"])
    page += _section("Limits", [f"- {limit}" for limit in card["limits"]])
    page += _section("Train it again", _recipe(card))
    return "\n".join(page) + "\n"


def _section(title: str, lines: Iterator[str] | list[str]) -> list[str]:
    return ["", f"## {title}", "", *lines]


def _data(card: Card) -> Iterator[str]:
    data = card["data"]
    is_named = card["dataset"] in NAMED
    of_lnfgen = " of lnfgen" if is_named else ""
    yield f"- Dataset: `{card['dataset']}`{of_lnfgen}, {data['description']}; {data['size']}."
    sizes = [f"{split} {counts['sequences']:,}" for split, counts in data["splits"].items()]
    yield f"- Sequences: {', '.join(sizes)}. The model has learned from train alone."
    yield f"- Source: {data['source']}. Citation: {data['citation']}."
    yield f"- Licence of the data: {data['licence']}."
    yield "- Licence of the weights: that of lnfgen, MIT."


def _model(card: Card) -> Iterator[str]:
    rows = [[name, card[name]] for name in CHOICES if card[name]]
    rows.append(["parameters", f"{card['parameters']:,}"])
    rows.append(["updates", f"{card['updates']:,}"])
    yield from _table(["setting", "value"], rows)
    yield ""
    size = f"{card['bytes'] / 1e6:.2f} MB"
    yield f"The weights are stored in half precision, {size}, and compute in float32."
    yield "All figures below are those of the stored weights. `config.json` has every setting."


def _scores(card: Card) -> Iterator[str]:
    first = next(iter(card["scores"].values()))
    over = "the length's included, over T + 1: lower is better"
    yield f"Costs in {UNIT_WORDS[card['unit']]}, {over}. `marginal_nll` is the"
    yield "score of independent keys or characters."
    yield ""
    kinds = [kind for kind in SCORES if kind in first]
    rows: list[list[str]] = []
    for split, found in card["scores"].items():
        rows.append([split, *(_number(found[kind]) for kind in kinds)])
    yield from _table(["split", *kinds], rows)
    yield ""
    if card["exact"]:
        yield "The model has no latent, so its NLL is exact."
    else:
        yield f"`nll` is importance-sampled with K = {first['samples']}."


def _music(music: Card) -> Iterator[str]:
    split = music["split"]
    yield f"{_drawn(music, music['count'])}, beside the {split} split, in passages of"
    window = f"{music['window_quarters']:g} quarters"
    yield f"{window}. Inside is the share of samples in the 5 to 95 % range of the split."
    yield ""
    rows: list[list[str]] = []
    for figure in music["figures"].values():
        reference = figure["reference"]
        samples = figure["samples"]
        row = [
            figure["label"],
            _number(reference["median"]),
            _range(reference),
            _number(samples["median"]),
            _range(samples),
            _percent(figure["inside"]),
        ]
        rows.append(row)
    of_split = [f"{split}: median", "5 to 95 %"]
    of_samples = ["samples: median", "5 to 95 %"]
    yield from _table(["figure", *of_split, *of_samples, "inside"], rows)
    yield ""
    meaning = "how well a classifier tells samples from the split; 0.5 not at all, 1 always"
    yield f"AUC {_number(music['auc'])}: {meaning}."
    if music.get("train_auc") is not None:
        yield f"Train itself has {_number(music['train_auc'])} beside the split."
    longest = _number(music["most_copied"])
    yield f"The longest copy of train in any sample lasts {longest} quarters."


def _tunes(tunes: Card) -> Iterator[str]:
    yield f"{_drawn(tunes, tunes['samples'])}, by `examples/abc_share.py`:"
    yield ""
    read = "read as ABC, 8 notes and 2 bars or more"
    full = "and all bars full"
    rows = [
        [read, _percent(tunes["tunes"]), _percent(tunes["of_the_data"])],
        [full, _percent(tunes["full_bars"]), _percent(tunes["full_bars_of_the_data"])],
    ]
    yield from _table(["share", "of samples", "of test tunes"], rows)


def _drawn(drawn: Card, count: int) -> str:
    return f"{count} samples at temperature {drawn['temperature']:g} (seed {drawn['seed']})"


def _recipe(card: Card) -> Iterator[str]:
    words = [card["dataset"]]
    keys: list[str] = []
    for option, value in card["recipe"].items():
        if option == "set":
            keys = [f"--set {key}={setting}" for key, setting in value.items()]
        else:
            words.append(f"--{option.replace('_', '-')} {value}")
    script = f"`python examples/pretrained.py {card['name']}`"
    if card["dataset"] not in NAMED:
        script = f"`python examples/pretrained.py {card['name']} --data FOLDER FOLDER`"
    yield f"{script} trains as this command does, and measures all of the above:"
    yield ""
    yield f"    lnfgen train {' '.join([*words, *keys])}"
    yield ""
    versions = f"lnfgen {card['lnfgen']} and torch {card['torch']}"
    yield f"All was trained and measured with {versions}. Another machine rounds"
    yield "otherwise, which changes the trained weights a little, and the figures with them."


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield "|---" * len(columns) + "|"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _number(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:.2f}"


def _percent(value: float | None) -> str:
    if value is None or not math.isfinite(value):
        return "-"
    return f"{100 * value:.0f} %"


def _range(side: dict[str, float | None]) -> str:
    if _number(side["median"]) == "-":
        return "-"
    return f"{_number(side['q05'])} to {_number(side['q95'])}"
