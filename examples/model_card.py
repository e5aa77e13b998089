"""The card of a model: what it is, how it scores, what it is for and what not, as a page to read.

The page follows from `card.json` alone, so that its figures are those that were measured. Its
sections are those that Mitchell et al. ask for ("Model Cards for Model Reporting", FAT* 2019), as
far as they apply to music and ABC text.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from lnfgen.conventions import UNIT_WORDS

Card = dict[str, Any]


def card_page(card: Card) -> str:
    """The content of `card.md`."""
    sections = {
        "Data and licence": _data(card),
        "Model": _model(card),
        "Scores": _scores(card),
        "Music": _music(card["music"]) if "music" in card else None,
        "Tunes": _tunes(card["tunes"]) if "tunes" in card else None,
        "What it is for": [card["intended_use"], "", f"    {card['use']}"],
        "Limits": (f"- {limit}" for limit in card["limits"]),
        "Train it again": _recipe(card),
    }
    page = [f"# {card['name']}", "", f"Makes {card['makes']}."]
    for title, lines in sections.items():
        if lines is not None:
            page += ["", f"## {title}", "", *lines]
    return "\n".join(page) + "\n"


def _data(card: Card) -> Iterator[str]:
    data = card["data"]
    yield f"- Dataset: `{card['dataset']}` of lnfgen, {data['description']}; {data['size']}."
    sizes = (f"{split} {counts['sequences']:,}" for split, counts in data["splits"].items())
    yield f"- Sequences: {', '.join(sizes)}. The model has learned from train alone."
    yield f"- Source: {data['source']}. Citation: {data['citation']}."
    yield f"- Licence of the data: {data['licence']}."
    yield "- Licence of the weights: that of lnfgen, MIT."


def _model(card: Card) -> Iterator[str]:
    choices = {
        name: card[name] for name in ("model", "backbone", "transform", "emission") if card[name]
    }
    choices |= {"parameters": f"{card['parameters']:,}", "updates": f"{card['updates']:,}"}
    yield from _table(["setting", "value"], [[name, str(value)] for name, value in choices.items()])
    yield ""
    yield f"The weights are stored in half precision, {card['bytes'] / 1e6:.2f} MB, and compute in float32."
    yield "All figures below are those of the stored weights. `config.json` has every setting."


def _scores(card: Card) -> Iterator[str]:
    first = next(iter(card["scores"].values()))
    unit = UNIT_WORDS[card["unit"]]
    yield f"Costs in {unit}, the length's included, over T + 1: lower is better. `marginal_nll` is the"
    yield "score of independent keys or characters."
    yield ""
    kinds = ["nll", "elbo", "reconstruction", "kl", "length", "sounding_nll", "marginal_nll"]
    kinds = [kind for kind in kinds if kind in first]
    rows = [
        [split, *(_number(found[kind]) for kind in kinds)]
        for split, found in card["scores"].items()
    ]
    yield from _table(["split", *kinds], rows)
    yield ""
    if card["exact"]:
        yield "The model has no latent, so its NLL is exact."
    else:
        yield f"`nll` is importance-sampled with K = {first['samples']}."


def _music(music: Card) -> Iterator[str]:
    yield f"{_drawn(music, music['count'])}, beside the {music['split']} split, in passages of"
    yield f"{music['window_quarters']:g} quarters. Inside is the share of samples in the 5 to 95 % range of the split."
    yield ""
    rows = []
    for figure in music["figures"].values():
        sides = [figure["reference"], figure["samples"]]
        cells = [cell for side in sides for cell in (_number(side["median"]), _range(side))]
        rows.append([figure["label"], *cells, _percent(figure["inside"])])
    columns = [
        "figure",
        f"{music['split']}: median",
        "5 to 95 %",
        "samples: median",
        "5 to 95 %",
        "inside",
    ]
    yield from _table(columns, rows)
    yield ""
    yield f"AUC {_number(music['auc'])}: how well a classifier tells samples from the split; 0.5 not at all, 1 always."
    yield f"The longest copy of train in any sample lasts {_number(music['most_copied'])} quarters."


def _tunes(tunes: Card) -> Iterator[str]:
    yield f"{_drawn(tunes, tunes['samples'])}, by `examples/abc_share.py`:"
    yield ""
    rows = [
        [
            "read as ABC, 8 notes and 2 bars or more",
            _percent(tunes["tunes"]),
            _percent(tunes["of_the_data"]),
        ],
        [
            "and all bars full",
            _percent(tunes["full_bars"]),
            _percent(tunes["full_bars_of_the_data"]),
        ],
    ]
    yield from _table(["share", "of samples", "of test tunes"], rows)


def _drawn(drawn: Card, count: int) -> str:
    return f"{count} samples at temperature {drawn['temperature']:g} (seed {drawn['seed']})"


def _recipe(card: Card) -> Iterator[str]:
    settings = dict(card["recipe"])
    keys = [f"--set {key}={value}" for key, value in settings.pop("set").items()]
    words = [f"--{option.replace('_', '-')} {value}" for option, value in settings.items()] + keys
    yield f"`python examples/pretrained.py {card['name']}` trains as this command does, and measures all of the above:"
    yield ""
    yield f"    lnfgen train {' '.join([card['dataset'], *words])}"
    yield ""
    yield f"All was trained and measured with lnfgen {card['lnfgen']} and torch {card['torch']}. Another machine rounds"
    yield "otherwise, which changes the trained weights a little, and the figures with them."


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield "|---" * len(columns) + "|"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _number(value: float | None) -> str:
    return f"{value:.2f}" if _known(value) else "-"


def _percent(value: float | None) -> str:
    return f"{100 * value:.0f} %" if value is not None and _known(value) else "-"


def _range(side: dict[str, float | None]) -> str:
    return f"{_number(side['q05'])} to {_number(side['q95'])}" if _known(side["median"]) else "-"
