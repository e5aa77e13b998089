"""`lnfgen list`: the runs, the models in the box and the named datasets."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from lnfgen.cli import console
from lnfgen.cli.options import Json, Quiet
from lnfgen.conventions import UNIT_WORDS
from lnfgen.errors import LnfgenError
from lnfgen.files import read_object
from lnfgen.pretrained import BOX, BOXED

# the facts of a model or dataset for --json, and its table's rows
Item = tuple[dict[str, Any], list[tuple[str, Any]]]


def command(
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
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List runs with their best valid scores and their progress, or the models and datasets that
    have a name.

    The newest run comes last. A narrow screen has fewer columns; --json has all. Commands that take
    a run also take the name of a model, and those that take a dataset the name of a dataset.
    """
    if bool(folders) + models + datasets + figures > 1:
        raise LnfgenError(
            "found several of FOLDERS, --models, --datasets and --figures; expected one of them"
        )
    if models:
        _show("models", _models(), json)
    elif datasets:
        _show("datasets", _datasets(), json)
    elif figures:
        _show_figures(json)
    else:
        _show_runs(folders or [], json)


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
        rows = [
            ("holds", f"{named.description}; {named.size}"),
            ("kind", named.kind),
            ("source", named.source),
            ("here", "yes" if available else f"not yet: lnfgen preprocess {name} --download"),
            ("cite", named.citation),
            ("licence", named.licence),
        ]
        yield (
            {key: value for key, value in vars(named).items() if key != "files"}
            | {"available": available},
            rows,
        )


def _show_figures(json: bool) -> None:
    from lnfgen.inference.wishes import OTHERS, numbers
    from lnfgen.music.parts import ROLES

    rows: list[tuple[str, str, str, float | None]] = []
    for kind, others in OTHERS.items():
        rows += [(name, kind, words, None) for name, words in others.items()]
        of_all = numbers(kind)
        for name, figure in numbers(kind, ROLES).items():
            rows.append((name, kind if name in of_all else "a band", figure.label, figure.unit / 2))
    if json:
        console.result_json(
            {
                "figures": [
                    dict(zip(("name", "of", "is", "within"), row, strict=True)) for row in rows
                ]
            }
        )
    else:
        cells = [(*words, "" if within is None else f"{within:g}") for *words, within in rows]
        console.result_table(
            "", cells, ["figure", "of", "what it is", "within"], optional=("within", "of")
        )


def _show_runs(folders: list[Path], json: bool) -> None:
    from lnfgen.runs.listing import overview

    rows = overview(folders)
    if json:
        console.result_json({"runs": rows})
    elif rows:
        columns = ["run", "dataset", "model, backbone", "valid ELBO", "changed", "state"]
        console.result_table(
            "", map(_cells, rows), columns, optional=("changed", "model, backbone", "dataset")
        )
    else:
        console.note(
            "no runs under runs/ yet; train one: lnfgen train; the models in the box: lnfgen list --models"
        )


def _cells(row: dict[str, Any]) -> list[str]:
    state = row["state"]
    if state == "damaged":
        # without the advice, which is the same for all
        state += f": {row['problem'].split(';')[0]}"
    elif state == "interrupted" and row["step"] >= row["total_steps"]:
        state += f" after its {row['total_steps']:,} updates"  # while it was calibrated
    elif state != "finished":
        state += f" at update {row['step']:,} of {row['total_steps']:,}"
    elbo = row["best_valid_elbo"]
    return [
        row["run"],
        row["dataset"] or "-",
        ", ".join(dict.fromkeys(row[key] for key in ("model", "backbone") if row[key])) or "-",
        # nats (a step) or bits (a character)
        "-" if elbo is None else f"{elbo:.3f} {row['unit'].split('_')[0]}",
        row["changed"][:16].replace("T", " "),
        state,
    ]
