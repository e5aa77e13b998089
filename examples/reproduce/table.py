"""Write the tables of results from `results/*.json`: `python examples/reproduce/table.py`;
`--check` only compares.

All tables go into `examples/results.md`, and the first one of them into README too, between two
comments. They are never typed. Each figure is a mean over the seeds of a row. `examples/budget.png`
has the curves of the best rows.
"""

import argparse
import json
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cells import ABLATION, BUDGETS, CELLS, CODES, TEXT, Cell, same_but_seed
from picture import Course, Panel, by_minutes
from published import PUBLISHED, Published

from lnfgen.errors import LnfgenError
from lnfgen.files import write_bytes, write_text

README = Path(__file__).parents[2] / "README.md"
CHAPTER = Path(__file__).parents[1] / "results.md"
PICTURE = Path(__file__).parents[1] / "budget.png"
RESULTS = Path(__file__).parent / "results"
BEGIN = "<!-- results: written by python examples/reproduce/table.py -->"
END = "<!-- end of results -->"

TITLES = {
    "jsb_chorales": "JSB chorales",
    "nottingham": "Nottingham",
    "piano_midi": "Piano-midi.de",
    "musedata": "MuseData",
    TEXT: "Penn Treebank, characters",
}
OUTPUTS = {
    "bernoulli": "independent",
    "nade": "each given the lower ones",
    "past": "each given others and all frames before",
    "categorical": "",
}
NOT_OF_TEXT = ("keys of a frame", "over T")
HEAD = (
    "model",
    "keys of a frame",
    "updates",
    "NLL(50)",
    "over T",
    "ELBO",
    "reconstruction",
    "KL",
    "minutes",
    "seeds",
)

ONE_PASS = ("iaf-scf", "coupling", "blocks-scf", "blocks-codes")
"""The models that draw z of all steps at once, or by blocks in 32 passes."""

MINUTES = (5, 10, 20, 30, 40, 50, 60)
"""The times at which the table of bits against time is read."""

Results = dict[str, dict[str, Any]]


def _is_factorised(cell: Cell) -> bool:
    """True if the keys of a frame are independent given the latent, as in the paper; a step of a
    text is one symbol."""
    return cell.emission in ("bernoulli", "categorical") and not cell.transpose


DRAWN = """![Valid ELBO by minutes of one core: a panel each for Nottingham, the chorales and Penn Treebank](budget.png)

The picture has the valid ELBO of the first three columns by minutes of one core. A dot is a model whose result has no
curve, where it ended. The dashed models are those whose z says the symbol.
"""

KINDS: dict[str, Callable[[Cell], bool]] = {
    "`lstm`": lambda cell: _is_factorised(cell) and cell.model == "lstm",
    "a flow, step by step": lambda cell: (
        _is_factorised(cell) and cell.model not in ("lstm", *ONE_PASS)
    ),
    "a flow, in one pass or in 32": lambda cell: _is_factorised(cell) and cell.model in ONE_PASS,
    "any output": lambda cell: cell.dataset != TEXT and not cell.transpose,
}
"""The columns of the first table: which cells are in one. The first three are also drawn."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--check", action="store_true", help="fail if a page does not hold these tables"
    )
    given = parser.parse_args()
    try:
        results = read_results(RESULTS)
        for page, made in ((README, best(results, "examples/")), (CHAPTER, tables(results))):
            if given.check:
                check(page, made)
            else:
                write_text(page, with_tables(page, made))
        if not given.check:
            write_bytes(PICTURE, by_minutes(panels(results)))
    except LnfgenError as error:
        raise SystemExit(f"error: {error}") from None


def check(page: Path, made: str) -> None:
    """Compare the tables of a page with those that are made of the results.

    Raises:
        LnfgenError: if they disagree.
    """
    if with_tables(page, made) != page.read_text(encoding="utf-8"):
        raise LnfgenError(
            f"{page} does not hold the tables of the results; run python examples/reproduce/table.py"
        )


def read_results(folder: Path) -> Results:
    """The results by the name of their cell.

    Raises:
        LnfgenError: if one is of no cell.
    """
    results = {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob("*.json"))
    }
    if unknown := results.keys() - {cell.name for cell in CELLS}:
        raise LnfgenError(
            f"{folder} holds {min(unknown)}.json, which is no cell of cells.py; name it there or delete it"
        )
    return results


def with_tables(page: Path, made: str) -> str:
    """The text of a page with these tables between its two comments.

    Raises:
        LnfgenError: if the comments are not there.
    """
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise LnfgenError(
            f"{page} has no {END if begin else BEGIN!r}; expected it around the tables of results"
        )
    return f"{before}{begin}\n\n{made}\n{end}{after}"


def tables(results: Results) -> str:
    """All tables as Markdown: the best of each set, then for each set all figures and the published
    ones."""
    pages = [best(results), _bits_by_time(results), _bits_by_passes(results), DRAWN]
    for dataset, title in TITLES.items():
        rows = [
            _row(cells, [results[cell.name] for cell in cells])
            for cells in _measured(dataset, results)
        ]
        if rows:
            rows.append(_row_of_marginal(dataset, results))
            rows += [_row_of_published(one, dataset) for one in PUBLISHED if dataset in one.costs]
            pages.append(f"## {title}\n\n{_markdown(*_columns_of(dataset, rows))}")
    pages.append(_ablation(results))
    return "\n".join(page for page in pages if page)


def best(results: Results, place: str = "") -> str:
    """For each set and kind of model, the NLL(50) on test of the row with the lowest one on valid,
    and its minutes.

    The models whose z says the symbol have a row of their own. `place` leads from the page to
    `examples/`.
    """
    rows = []
    for dataset, title in TITLES.items():
        for codes, name in ((False, title), (True, "the same, where z says the symbol")):
            row = [
                _shown(_best_row(dataset, fits, codes, results), results, place)
                for fits in KINDS.values()
            ]
            if any(row):
                rows.append([name, *row, "" if codes else _of_paper(dataset)])
    return _markdown(("set", *KINDS, "the paper: LSTM, best flow"), rows) if rows else ""


def _best_row(
    dataset: str, fits: Callable[[Cell], bool], codes: bool, results: Results
) -> list[Cell]:
    """The cells of the row that is best on valid, of those that fit, with codes or without; none if
    there is none."""
    rows = [
        cells
        for cells in _measured(dataset, results)
        if fits(cells[0]) and (cells[0].model in CODES) == codes
    ]
    return min(rows, key=lambda cells: _mean_nll(cells, results, "valid"), default=[])


def _shown(cells: list[Cell], results: Results, place: str) -> str:
    if not cells:
        return ""
    figure = (
        f"[{_mean_nll(cells, results, 'test'):.2f}]({place}reproduce/results/{cells[0].name}.json)"
    )
    return f"**{figure}**, {_model(cells[0])}, {_minutes([results[cell.name] for cell in cells]):.0f} min"


def _of_paper(dataset: str) -> str:
    costs = {
        one.system: one.costs.get(dataset, "") for one in PUBLISHED if "the paper" in one.system
    }
    baseline = costs.pop("LSTM, the paper")
    return f"{baseline}, {min(filter(None, costs.values()), key=float)}"


def _mean_nll(cells: list[Cell], results: Results, split: str) -> float:
    return statistics.fmean(results[cell.name][split]["nll"] for cell in cells)


def _bits_by_time(results: Results) -> str:
    """For each text model that had an hour of a core, its valid ELBO at the last validation before
    some minutes."""
    rows = []
    for cell in CELLS:
        if cell.budget == "hour" and cell.seed == 1 and cell.name in results:
            curve = _curve(results[cell.name])
            read = [[elbo for at, elbo in curve if at <= minutes][-1:] for minutes in MINUTES]
            rows.append([_model(cell), *(f"{elbo[0]:.2f}" if elbo else "" for elbo in read)])
    if not rows:
        return ""
    head = (f"{TITLES[TEXT]}: valid ELBO after", *(f"{minutes} minutes" for minutes in MINUTES))
    return _markdown(head, rows)


def _bits_by_passes(results: Results) -> str:
    """For each text model by blocks that had an hour of a core, its test ELBO by the number of
    passes."""
    cells = [cell for cell in CELLS if "elbo_by_passes" in results.get(cell.name, {})]
    found = [results[cell.name]["elbo_by_passes"]["test"] for cell in cells]
    if not cells:
        return ""
    head = (
        f"{TITLES[TEXT]}: test ELBO in so many passes",
        *list(found[0])[:-1],
        "all steps in order",
    )
    names = [f"{_model(cell)}, seed {cell.seed}" for cell in cells]
    return _markdown(
        head,
        [
            [name, *(f"{bits:.2f}" for bits in by.values())]
            for name, by in zip(names, found, strict=True)
        ],
    )


def _curve(result: dict[str, Any]) -> list[tuple[float, float]]:
    """The minutes of a processor and the valid ELBO at each validation; of old results only those
    at the end."""
    minutes_per_update = result["cpu_seconds"] / 60 / result["steps"]
    curve = result.get("valid_elbo_at") or {result["steps"]: result["valid"]["elbo"]}
    return [(int(step) * minutes_per_update, elbo) for step, elbo in curve.items()]


def panels(results: Results) -> list[Panel]:
    """What is drawn: for three sets the valid ELBO by minutes of the rows that the first table
    shows.

    If a row has several seeds, the first one is drawn.
    """
    drawn = []
    for dataset in ("nottingham", "jsb_chorales", TEXT):
        courses = []
        for codes in (False, True):
            for kind in list(KINDS)[:3]:
                for cell in _best_row(dataset, KINDS[kind], codes, results)[:1]:
                    courses.append(
                        Course(
                            _model(cell).replace("`", ""), kind, codes, _curve(results[cell.name])
                        )
                    )
        drawn.append(
            Panel(
                TITLES[dataset],
                "bits per character" if dataset == TEXT else "nats per time step",
                courses,
            )
        )
    return drawn


def _columns_of(dataset: str, rows: list[list[str]]) -> tuple[tuple[str, ...], list[list[str]]]:
    """The head and the rows of a set's table. A text has no frames, and its published figures are
    over T + 1."""
    kept = [
        column for column, name in enumerate(HEAD) if dataset != TEXT or name not in NOT_OF_TEXT
    ]
    return tuple(HEAD[column] for column in kept), [
        [row[column] for column in kept] for row in rows
    ]


def _measured(dataset: str, results: Results) -> Iterator[list[Cell]]:
    """The cells of each row of a set, which differ in their seeds. Cells that only the ablation has
    are left out."""
    only_there = {cell for cell in ABLATION if cell.transform != "nlsq" or cell.features}
    shown = [cell for cell in CELLS if cell.dataset == dataset and cell not in only_there]
    for row in dict.fromkeys(map(same_but_seed, shown)):
        cells = [cell for cell in shown if same_but_seed(cell) == row and cell.name in results]
        if cells:
            yield cells


def _model(cell: Cell) -> str:
    name = f"`{cell.model}`" + (f" on {cell.backbone}s" if cell.model != "lstm" else "")
    name += f", `{cell.transform}`" * (cell.transform != "nlsq") + ", copy attention" * cell.copies
    return name + ", a language model" * (cell.model in CODES)


def _row(cells: list[Cell], found: list[dict[str, Any]]) -> list[str]:
    """One row: the mean over seeds, and of the NLL also how far the seeds are from it at most."""
    cell, tests = cells[0], [result["test"] for result in found]
    output = OUTPUTS[cell.emission]
    output += f"; trained in keys up to {cell.transpose} semitones away" * bool(cell.transpose)
    nlls = [test["nll"] for test in tests]
    spread = max(abs(nll - statistics.fmean(nlls)) for nll in nlls)
    seeds = ", ".join(f"[{one.seed}](reproduce/results/{one.name}.json)" for one in cells)
    return [
        _model(cell),
        output,
        f"{_updates(found)} at `{BUDGETS[cell.budget]['preset']}`",
        f"**{statistics.fmean(nlls):.2f}**" + (f" ± {spread:.2f}" if len(nlls) > 1 else ""),
        _mean([_over_steps(test, test["nll"]) for test in tests]),
        *(_mean([test[key] for test in tests]) for key in ("elbo", "reconstruction", "kl")),
        f"{_minutes(found):.1f}",
        seeds,
    ]


def _row_of_marginal(dataset: str, results: Results) -> list[str]:
    """The cost of keys or characters that depend on nothing, which any model must beat."""
    test = next(
        results[cell.name]["test"]
        for cell in CELLS
        if cell.dataset == dataset and cell.name in results
    )
    nll = test["marginal_nll"]
    model = f"none: {'characters' if dataset == TEXT else 'keys'} as often as in train"
    return [
        model,
        OUTPUTS["bernoulli"],
        "",
        f"{nll:.2f}",
        _mean([_over_steps(test, nll)]),
        "",
        "",
        "",
        "",
        "exact",
    ]


def _over_steps(test: dict[str, Any], cost: float) -> float:
    """A cost over T + 1 as one over T."""
    over: float = cost * (test["steps"] + test["sequences"]) / test["steps"]
    return over


def _updates(found: list[dict[str, Any]]) -> str:
    counts = sorted({result["steps"] for result in found})
    return f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,}"


def _minutes(found: list[dict[str, Any]]) -> float:
    """The minutes of a processor that training took, the mean over the seeds."""
    return statistics.fmean(result["cpu_seconds"] for result in found) / 60


def _mean(values: list[float]) -> str:
    return f"{statistics.fmean(values):.2f}"


def _row_of_published(one: Published, dataset: str) -> list[str]:
    """A row whose figure is in the column of what it is divided by."""
    cost = one.costs[dataset]
    over = ["", cost] if one.divisor == "T" else [cost, ""]
    if one.estimate == "ELBO":
        over = ["", ""]
    return [one.system, OUTPUTS[one.output], "", *over, f"{cost} (over {one.divisor})" * (one.estimate == "ELBO"),
            "", "", "", f"{one.source}, {one.estimate}"]  # fmt: skip


def _ablation(results: Results) -> str:
    """NLL(50) on the chorales by transform, with and without the flow across the features of a
    step."""
    transforms = list(dict.fromkeys(cell.transform for cell in ABLATION))
    rows = []
    for features, name in ((None, "with split couplings"), ("none", "without")):
        cells = {cell.transform: cell for cell in ABLATION if cell.features == features}
        found = [results.get(cells[transform].name) for transform in transforms]
        if sum(map(bool, found)) > 1:
            rows.append(
                [name, *(f"{result['test']['nll']:.2f}" if result else "" for result in found)]
            )
    if not rows:
        return ""
    head = ("`af-scf` on scans, JSB chorales: NLL(50) with", *(f"`{name}`" for name in transforms))
    return f"## Transforms, and the flow across the features of a step\n\n{_markdown(head, rows)}"


def _markdown(head: tuple[str, ...], rows: list[list[str]]) -> str:
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (head, ["---"] * len(head), *rows))


if __name__ == "__main__":
    main()
