"""The rows of the table of a set, which `table.py` writes: a row for each model and its seeds."""

import statistics
from collections.abc import Iterator, Sequence
from typing import Any

from cells import ABLATION, BUDGETS, CELLS, CODES, TEXT, Cell, same_but_seed
from published import PUBLISHED, Published

Results = dict[str, dict[str, Any]]
"""The results by the name of their cell."""

OUTPUTS = {
    "bernoulli": "independent",
    "nade": "each given the lower ones",
    "autoregressive": "each given others and all frames before",
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


def measured(dataset: str, results: Results) -> Iterator[list[Cell]]:
    """The cells of each row of a set, which differ in their seeds.

    Cells that only the ablation has are left out.
    """
    only_there = {cell for cell in ABLATION if cell.transform != "nlsq" or cell.features}
    rows: dict[Cell, list[Cell]] = {}
    for cell in CELLS:
        if cell.dataset == dataset and cell not in only_there:
            row = rows.setdefault(same_but_seed(cell), [])
            if cell.name in results:
                row.append(cell)
    yield from filter(None, rows.values())


def rows_of(dataset: str, results: Results) -> list[list[str]]:
    """The rows of a set: those measured, that of independent keys or characters, the published."""
    rows: list[list[str]] = []
    for cells in measured(dataset, results):
        rows.append(_row(cells, [results[cell.name] for cell in cells]))
    if not rows:
        return []
    rows.append(_row_of_marginal(dataset, results))
    for one in PUBLISHED:
        if dataset in one.costs:
            rows.append(_row_of_published(one, dataset))
    kept = _columns_of(dataset)
    return [[row[column] for column in kept] for row in rows]


def head_of(dataset: str) -> list[str]:
    return [HEAD[column] for column in _columns_of(dataset)]


def _columns_of(dataset: str) -> list[int]:
    """The columns of a set's table.

    A text has no frames, and all figures of it are in one column.
    """
    columns: list[int] = []
    for column, name in enumerate(HEAD):
        if dataset != TEXT or name not in NOT_OF_TEXT:
            columns.append(column)
    return columns


def model_of(cell: Cell) -> str:
    """The model of a cell in words."""
    words = f"`{cell.model}`"
    if cell.model != "lstm":
        words += f" on {cell.backbone}s"
    if cell.transform != "nlsq":
        words += f", `{cell.transform}`"
    if cell.copies:
        words += ", copy attention"
    if cell.model in CODES:
        words += ", a language model"
    return words


def _row(cells: list[Cell], found: list[dict[str, Any]]) -> list[str]:
    """One row: the mean over seeds, and of the NLL also how far the seeds are from it at most."""
    cell = cells[0]
    tests = [result["test"] for result in found]
    output = OUTPUTS[cell.emission]
    if cell.transpose:
        output += f"; trained in keys up to {cell.transpose} semitones away"
    nlls = [test["nll"] for test in tests]
    nll = f"**{statistics.fmean(nlls):.2f}**"
    if len(nlls) > 1:
        spread = max(abs(nll - statistics.fmean(nlls)) for nll in nlls)
        nll += f" ± {spread:.2f}"
    seeds = [f"[{one.seed}](reproduce/results/{one.name}.json)" for one in cells]
    return [
        model_of(cell),
        output,
        f"{_updates(found)} at `{BUDGETS[cell.budget]['preset']}`",
        nll,
        _mean([_over_steps(test, test["nll"]) for test in tests]),
        _mean([test["elbo"] for test in tests]),
        _mean([test["reconstruction"] for test in tests]),
        _mean([test["kl"] for test in tests]),
        f"{minutes_of(found):.1f}",
        ", ".join(seeds),
    ]


def _row_of_marginal(dataset: str, results: Results) -> list[str]:
    """The cost of keys or characters that depend on nothing, which any model must beat."""
    first = next(measured(dataset, results))
    test = results[first[0].name]["test"]
    nll = test["marginal_nll"]
    what = "characters" if dataset == TEXT else "keys"
    return [
        f"none: {what} as often as in train",
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


def _row_of_published(one: Published, dataset: str) -> list[str]:
    """A row whose figure is in the column of what it is divided by; a text has one column."""
    cost = one.costs[dataset]
    nll = ""
    over_steps = ""
    elbo = ""
    if one.estimate == "ELBO":
        elbo = f"{cost} (over {one.divisor})"
    elif one.divisor == "T" and dataset != TEXT:
        over_steps = cost
    else:
        nll = cost
    source = f"{one.source}, {one.estimate}"
    return [one.system, OUTPUTS[one.output], "", nll, over_steps, elbo, "", "", "", source]


def _over_steps(test: dict[str, Any], cost: float) -> float:
    """A cost over T + 1 as one over T."""
    over: float = cost * (test["steps"] + test["sequences"]) / test["steps"]
    return over


def _updates(found: list[dict[str, Any]]) -> str:
    counts = sorted({result["steps"] for result in found})
    if len(counts) == 1:
        return f"{counts[0]:,}"
    return f"{counts[0]:,} to {counts[-1]:,}"


def minutes_of(found: list[dict[str, Any]]) -> float:
    """The minutes of a processor that training took, the mean over the seeds."""
    return statistics.fmean(result["cpu_seconds"] for result in found) / 60


def _mean(values: list[float]) -> str:
    return f"{statistics.fmean(values):.2f}"


def markdown(head: Sequence[str], rows: list[list[str]]) -> str:
    """A table, a line for each row."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
