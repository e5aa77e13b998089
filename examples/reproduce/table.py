"""Write the tables of results from `results/*.json`: `python examples/reproduce/table.py`.

`--check` only compares.

All tables go into `examples/results.md`, and the first one of them into README too, between two
comments. They are never typed. Each figure is a mean over the seeds of a row. `examples/budget.png`
has the curves of the best rows.
"""

import argparse
import json
import statistics
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cells import ABLATION, CELLS, CODES, TEXT, Cell
from picture import Course, Panel, by_minutes
from published import PUBLISHED, TEXT8
from rows import Results, head_of, markdown, measured, minutes_of, model_of, rows_of

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
ONE_PASS = ("iaf-scf", "coupling", "blocks-scf", "blocks-codes")
"""The models that draw z of all steps at once, or by blocks in 32 passes."""

MINUTES = (5, 10, 20, 30, 40, 50, 60)
"""The times at which the table of bits against time is read."""

Curve = list[tuple[float, float]]


DRAWN = (
    "![Valid ELBO by minutes of one core: a panel each for Nottingham, the chorales and Penn "
    "Treebank](budget.png)\n"
    "\n"
    "The picture has the valid ELBO of the first three columns by minutes of one core. A dot is a "
    "model whose result has no\n"
    "curve, where it ended. The dashed models are those whose z says the symbol.\n"
)

ON_TEXT8 = (
    "None of our models was trained on text8, and bits of PTB do not compare with these: text8 "
    "has 27 symbols (a to z and the\n"
    "space) and 90 million characters to train on, PTB has 49 and 5 million, in sentences that "
    "are scored alone and with their\n"
    "ends. Chunks are scored alone, without the text before them. AF/AF and IAF/SCF are models of "
    "the paper.\n"
)
NOT_ON_TEXT8 = (
    "Block diffusion (BD3-LM, arXiv 2503.09573) and MDLM (arXiv 2406.07524) are not here: their "
    "papers have perplexities of\n"
    "word pieces, on LM1B and OpenWebText. A later paper quotes 1.40 for MDLM on text8 (arXiv "
    "2502.11564).\n"
)


def _is_factorised(cell: Cell) -> bool:
    """True if the keys of a frame are independent given the latent, as in the paper.

    So it is with a text too, because a step is one symbol.
    """
    return cell.emission in ("bernoulli", "categorical") and not cell.transpose


def _is_baseline(cell: Cell) -> bool:
    return _is_factorised(cell) and cell.model == "lstm"


def _goes_step_by_step(cell: Cell) -> bool:
    return _is_factorised(cell) and cell.model not in ("lstm", *ONE_PASS)


def _goes_in_few_passes(cell: Cell) -> bool:
    return _is_factorised(cell) and cell.model in ONE_PASS


def _is_music(cell: Cell) -> bool:
    return cell.dataset != TEXT and not cell.transpose


KINDS: dict[str, Callable[[Cell], bool]] = {
    "`lstm`": _is_baseline,
    "a flow, step by step": _goes_step_by_step,
    "a flow, in one pass or in 32": _goes_in_few_passes,
    "any output": _is_music,
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
        made = {README: best(results, "examples/"), CHAPTER: tables(results)}
        for page, content in made.items():
            if given.check:
                check(page, content)
            else:
                write_text(page, with_tables(page, content))
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
            f"{page} does not hold the tables of the results; "
            "run python examples/reproduce/table.py"
        )


def read_results(folder: Path) -> Results:
    """The results by the name of their cell.

    Raises:
        LnfgenError: if one is of no cell.
    """
    results: Results = {}
    for path in sorted(folder.glob("*.json")):
        results[path.stem] = json.loads(path.read_text(encoding="utf-8"))
    unknown = results.keys() - {cell.name for cell in CELLS}
    if unknown:
        raise LnfgenError(
            f"{folder} holds {min(unknown)}.json, which is no cell of cells.py; "
            "name it there or delete it"
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
        missing = END if begin else BEGIN
        raise LnfgenError(f"{page} has no {missing!r}; expected it around the tables of results")
    return f"{before}{begin}\n\n{made}\n{end}{after}"


def tables(results: Results) -> str:
    """All tables as Markdown: the best of each set, a table for each set, and text8."""
    pages = [best(results), _commits(results)]
    pages += [_bits_by_time(results), _bits_by_passes(results), DRAWN]
    for dataset, title in TITLES.items():
        rows = rows_of(dataset, results)
        if rows:
            pages.append(f"## {title}\n\n{markdown(head_of(dataset), rows)}")
    pages.append(_text8())
    pages.append(_ablation(results))
    return "\n".join(page for page in pages if page)


# The best of each set.
# -------------------------------------------------------------------------------------------------


def best(results: Results, place: str = "") -> str:
    """For each set and kind of model, the row with the lowest NLL(50) on valid.

    Its NLL(50) on test is shown, and its minutes. The models whose z says the symbol have a row of
    their own. `place` leads from the page to `examples/`.
    """
    rows: list[list[str]] = []
    for dataset, title in TITLES.items():
        learned = _shown_of_kinds(dataset, False, results, place)
        if any(learned):
            rows.append([title, *learned, _of_paper(dataset)])
        with_codes = _shown_of_kinds(dataset, True, results, place)
        if any(with_codes):
            rows.append(["the same, where z says the symbol", *with_codes, ""])
    if not rows:
        return ""
    return markdown(("set", *KINDS, "the paper: LSTM, best flow"), rows)


def _shown_of_kinds(dataset: str, codes: bool, results: Results, place: str) -> list[str]:
    """The best row of each kind, in the words of a cell of the table."""
    shown: list[str] = []
    for fits in KINDS.values():
        row = _best_row(dataset, fits, codes, results)
        shown.append(_shown(row, results, place) if row else "")
    return shown


def _best_row(
    dataset: str, fits: Callable[[Cell], bool], codes: bool, results: Results
) -> list[Cell]:
    """The cells of the row that is best on valid, of those that fit; none if there is none.

    With `codes` it is a row whose z says the symbol, else one of the others.
    """
    rows: list[list[Cell]] = []
    for cells in measured(dataset, results):
        has_codes = cells[0].model in CODES
        if fits(cells[0]) and has_codes == codes:
            rows.append(cells)
    return min(rows, key=lambda cells: _mean_nll(cells, results, "valid"), default=[])


def _shown(cells: list[Cell], results: Results, place: str) -> str:
    """A row in the words of a cell of the first table."""
    nll = _mean_nll(cells, results, "test")
    link = f"{place}reproduce/results/{cells[0].name}.json"
    minutes = minutes_of([results[cell.name] for cell in cells])
    return f"**[{nll:.2f}]({link})**, {model_of(cells[0])}, {minutes:.0f} min"


def _of_paper(dataset: str) -> str:
    """The costs of the paper's baseline and of its best flow."""
    baseline = ""
    flows: list[str] = []
    for one in PUBLISHED:
        cost = one.costs.get(dataset)
        if cost is None or "the paper" not in one.system:
            continue
        if one.system == "LSTM, the paper":
            baseline = cost
        else:
            flows.append(cost)
    return f"{baseline}, {min(flows, key=float)}"


def _mean_nll(cells: list[Cell], results: Results, split: str) -> float:
    return statistics.fmean(results[cell.name][split]["nll"] for cell in cells)


def _commits(results: Results) -> str:
    """A paragraph on the commits that measured the results."""
    in_first_table: Results = {}
    for dataset in TITLES:
        for fits in KINDS.values():
            for codes in (False, True):
                for cell in _best_row(dataset, fits, codes, results):
                    in_first_table[cell.name] = results[cell.name]
    if not in_first_table:
        return ""
    lines = [
        f"The results of this table name the commits {_by_commit(in_first_table)}.",
        *_trained_again(in_first_table),
        f"All results: {_by_commit(results)}.",
    ]
    return "\n".join(lines) + "\n"


def _trained_again(results: Results) -> list[str]:
    """A line for each commit that learned the same as results of others (`again.py`)."""
    distances: dict[str, list[float]] = {}
    for result in results.values():
        if "again" in result:
            distances.setdefault(result["again"]["commit"], []).append(result["again"]["distance"])
    lines: list[str] = []
    for commit, found in distances.items():
        lines.append(
            f"Trained again by {commit[:7]} until the first validation, {len(found)} of them have "
            f"the same valid ELBO: it differs by {max(found):.6f} at most."
        )
    return lines


def _by_commit(results: Results) -> str:
    """How many results name each commit, and how many name none, in words."""
    counts = Counter(result.get("commit") for result in results.values())
    unknown = counts.pop(None, 0)
    words = [f"{commit[:7]} ({count})" for commit, count in counts.most_common() if commit]
    if unknown:
        words.append(f"none ({unknown})")
    return ", ".join(words)


# Bits against time and passes, the picture, and transforms.
# -------------------------------------------------------------------------------------------------


def _bits_by_time(results: Results) -> str:
    """The valid ELBO of each text model that had an hour, at the last validation before some
    minutes."""
    rows: list[list[str]] = []
    for cell in CELLS:
        if cell.budget == "hour" and cell.seed == 1 and cell.name in results:
            curve = _curve(results[cell.name])
            read = [_elbo_after(minutes, curve) for minutes in MINUTES]
            rows.append([model_of(cell), *read])
    if not rows:
        return ""
    columns = [f"{minutes} minutes" for minutes in MINUTES]
    return markdown((f"{TITLES[TEXT]}: valid ELBO after", *columns), rows)


def _elbo_after(minutes: float, curve: Curve) -> str:
    """The last ELBO of a curve until so many minutes; empty if there is none yet."""
    shown = ""
    for at, elbo in curve:
        if at <= minutes:
            shown = f"{elbo:.2f}"
    return shown


def _bits_by_passes(results: Results) -> str:
    """The test ELBO of each text model by blocks that had an hour, by the number of passes."""
    rows: list[list[str]] = []
    passes: list[str] = []
    for cell in CELLS:
        if cell.name in results and "elbo_by_passes" in results[cell.name]:
            found = results[cell.name]["elbo_by_passes"]["test"]
            passes = passes or list(found)
            bits = [f"{elbo:.2f}" for elbo in found.values()]
            rows.append([f"{model_of(cell)}, seed {cell.seed}", *bits])
    if not rows:
        return ""
    head = f"{TITLES[TEXT]}: test ELBO in so many passes"
    return markdown((head, *passes[:-1], "all steps in order"), rows)


def _curve(result: dict[str, Any]) -> Curve:
    """The minutes of a processor and the valid ELBO at each validation.

    Old results have only those at the end.
    """
    minutes_per_update = result["cpu_seconds"] / 60 / result["steps"]
    found = result.get("valid_elbo_at") or {result["steps"]: result["valid"]["elbo"]}
    return [(int(step) * minutes_per_update, elbo) for step, elbo in found.items()]


def panels(results: Results) -> list[Panel]:
    """What is drawn: for three sets the rows that the first table shows, by minutes.

    If a row has several seeds, the first one is drawn.
    """
    drawn: list[Panel] = []
    for dataset in ("nottingham", "jsb_chorales", TEXT):
        unit = "bits per character" if dataset == TEXT else "nats per time step"
        courses = _courses(dataset, False, results) + _courses(dataset, True, results)
        drawn.append(Panel(TITLES[dataset], unit, courses))
    return drawn


def _courses(dataset: str, codes: bool, results: Results) -> list[Course]:
    """The courses of the first three kinds of the first table, with codes or without."""
    courses: list[Course] = []
    for kind in list(KINDS)[:3]:
        row = _best_row(dataset, KINDS[kind], codes, results)
        if row:
            name = model_of(row[0]).replace("`", "")
            courses.append(Course(name, kind, codes, _curve(results[row[0].name])))
    return courses


def _text8() -> str:
    """What others have published on text8, each figure with its protocol."""
    rows: list[list[str]] = []
    for one in TEXT8:
        rows.append([one.system, one.drawn, one.bits, one.protocol, one.source])
    head = ("model", "drawn", "bits per character", "what the figure is", "read in")
    return f"## text8, as published\n\n{ON_TEXT8}\n{markdown(head, rows)}\n{NOT_ON_TEXT8}"


def _ablation(results: Results) -> str:
    """NLL(50) on the chorales by transform, with the flow across the features and without."""
    transforms = list(dict.fromkeys(cell.transform for cell in ABLATION))
    rows: list[list[str]] = []
    for features, name in ((None, "with split couplings"), ("none", "without")):
        shown: dict[str, str] = {}
        for cell in ABLATION:
            if cell.features == features and cell.name in results:
                shown[cell.transform] = f"{results[cell.name]['test']['nll']:.2f}"
        if len(shown) > 1:
            rows.append([name, *[shown.get(transform, "") for transform in transforms]])
    if not rows:
        return ""
    head = "`af-scf` on scans, JSB chorales: NLL(50) with"
    columns = [f"`{name}`" for name in transforms]
    title = "Transforms, and the flow across the features of a step"
    return f"## {title}\n\n{markdown((head, *columns), rows)}"


if __name__ == "__main__":
    main()
