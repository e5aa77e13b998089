"""`lnfgen list`: the runs, the models in the box, the named datasets, the figures, the recipes."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from lnfgen.cli import console
from lnfgen.cli.options import Json, Quiet
from lnfgen.conventions import UNIT_WORDS
from lnfgen.errors import LnfgenError
from lnfgen.files import read_object
from lnfgen.pretrained import BOX, BOXED
from lnfgen.training.recipes import PRESETS, RECIPES, read_recipe

# The facts of a model or dataset for --json, and its table's rows.
Item = tuple[dict[str, Any], list[tuple[str, Any]]]


def _or(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


def command(  # noqa: PLR0913 - an argument for each option
    folders: Annotated[
        list[Path] | None, typer.Argument(help="Runs, or folders of runs.", show_default="runs/")
    ] = None,
    models: Annotated[
        bool, typer.Option("--models", help="List the models that come with lnfgen.")
    ] = False,
    datasets: Annotated[
        bool, typer.Option("--datasets", help="List the datasets that lnfgen knows by name.")
    ] = False,
    figures: Annotated[
        bool, typer.Option("--figures", help="List the figures of pieces, for --want and compare.")
    ] = False,
    recipe: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="DATA PRESET",
            help="Print a recipe as `lnfgen train --config` takes it, such as text small. "
            f"DATA is {_or(RECIPES)}, PRESET is {_or(PRESETS)}.",
        ),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List runs with their best valid scores and their progress, or models and datasets by name.

    The newest run comes last. A narrow screen has fewer columns; --json has all. Commands that take
    a run also take the name of a model, and those that take a dataset the name of a dataset.
    """
    asked = [bool(folders), models, datasets, figures, recipe is not None]
    if sum(asked) > 1:
        raise LnfgenError(
            "found several of FOLDERS, --models, --datasets, --figures and --recipe; "
            "expected one of them"
        )
    if recipe is not None:
        _show_recipe(*recipe)
    elif models:
        _show("models", _models(), json)
    elif datasets:
        _show("datasets", _datasets(), json)
    elif figures:
        _show_figures(json)
    else:
        _show_runs(folders or [], json)


def _show_recipe(name: str, preset: str) -> None:
    """Print all keys of a recipe as JSON. The seed is not among them."""
    for found, expected in ((name, RECIPES), (preset, PRESETS)):
        if found not in expected:
            raise LnfgenError(f"--recipe: found {found!r}, expected {_or(expected)}")
    sections: dict[str, dict[str, Any]] = {}
    for key, value in read_recipe(name, preset).items():
        section, _, own = key.partition(".")
        sections.setdefault(section, {})[own] = value
    console.result_json(sections)


def _show(kind: str, items: Iterable[Item], json: bool) -> None:
    if json:
        console.result_json({kind: [facts for facts, _ in items]})
        return
    for facts, rows in items:
        console.result_table(facts["name"], rows)
        console.result("")


def _models() -> Iterator[Item]:
    for name in BOXED:
        card = read_object(BOX / name / "card.json")
        choices = (card["model"], card["backbone"], card["transform"], card["emission"])
        rows = [
            ("makes", card["makes"]),
            ("dataset", card["dataset"]),
            ("model", ", ".join(dict.fromkeys(choice for choice in choices if choice))),
            ("size", f"{card['parameters']:,} parameters, {card['bytes'] / 1e6:.1f} MB"),
            ("test NLL", f"{card['scores']['test']['nll']:.2f} {UNIT_WORDS[card['unit']]}"),
            ("use", card["use"]),
            ("card", f"{BOX / name}/card.md"),
        ]
        yield card | {"path": str(BOX / name)}, rows


def _datasets() -> Iterator[Item]:
    from lnfgen.data.named import NAMED, is_downloaded

    for name, named in NAMED.items():
        available = is_downloaded(named)
        here = "yes" if available else f"not yet: lnfgen preprocess {name} --download"
        rows = [
            ("holds", f"{named.description}; {named.size}"),
            ("kind", named.kind),
            ("source", named.source),
            ("here", here),
            ("cite", named.citation),
            ("licence", named.licence),
        ]
        facts = {key: value for key, value in vars(named).items() if key != "files"}
        yield facts | {"available": available}, rows


def _show_figures(json: bool) -> None:
    from lnfgen.inference.wish_reading import OTHERS, numbers
    from lnfgen.music.parts import ROLES

    rows: list[tuple[str, str, str, float | None]] = []
    for kind, others in OTHERS.items():
        for name, words in others.items():
            rows.append((name, kind, words, None))
        of_all = numbers(kind)
        for name, figure in numbers(kind, ROLES).items():
            of = kind if name in of_all else "a band"
            rows.append((name, of, figure.label, figure.unit / 2))
    if json:
        facts = [
            {"name": name, "of": of, "is": words, "within": within}
            for name, of, words, within in rows
        ]
        console.result_json({"figures": facts})
        return
    cells: list[tuple[str, ...]] = []
    for name, of, words, within in rows:
        distance = "" if within is None else f"{within:g}"
        cells.append((name, of, words, distance))
    columns = ["figure", "of", "what it is", "within"]
    console.result_table("", cells, columns, optional=("within", "of"))


def _show_runs(folders: list[Path], json: bool) -> None:
    from lnfgen.runs.listing import overview

    rows = overview(folders)
    if json:
        console.result_json({"runs": rows})
    elif rows:
        cells = [_cells(row) for row in rows]
        columns = ["run", "dataset", "model, backbone", "valid ELBO", "changed", "state"]
        optional = ("changed", "model, backbone", "dataset")
        console.result_table("", cells, columns, optional)
    else:
        console.note(
            "no runs under runs/ yet; train one: lnfgen train; "
            "the models in the box: lnfgen list --models"
        )


def _cells(row: dict[str, Any]) -> list[str]:
    """The row of a run in the table."""
    names = [row[key] for key in ("model", "backbone") if row[key]]
    elbo = "-"
    if row["best_valid_elbo"] is not None:
        unit = row["unit"].split("_")[0]  # nats (a step) or bits (a character)
        elbo = f"{row['best_valid_elbo']:.3f} {unit}"
    return [
        row["run"],
        row["dataset"] or "-",
        ", ".join(dict.fromkeys(names)) or "-",
        elbo,
        row["changed"][:16].replace("T", " "),
        _state(row),
    ]


def _state(row: dict[str, Any]) -> str:
    """How far a run has come, in words."""
    state = row["state"]
    if state == "finished":
        return "finished"
    if state == "damaged":
        problem = row["problem"].split(";")[0]  # without the advice, which is the same for all
        return f"damaged: {problem}"
    if state == "interrupted" and row["step"] >= row["total_steps"]:
        return f"interrupted after its {row['total_steps']:,} updates"  # while it was calibrated
    return f"{state} at update {row['step']:,} of {row['total_steps']:,}"
