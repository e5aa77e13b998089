"""`lnfgen eval --music`: how far sampled music is from a split, or any music from other music."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lnfgen.cli import console
from lnfgen.conventions import MUSIC_COUNT
from lnfgen.errors import LnfgenError
from lnfgen.wording import counted

if TYPE_CHECKING:
    from lnfgen.music.comparison import MusicComparison

    Compared = tuple[MusicComparison, tuple[str, str], dict[str, Any]]
    """The figures, the names of both sides, and what --json tells beside the figures."""


def report(
    first: Path | None,
    second: str | None,
    *,
    split: str,
    count: int | None,
    temperature: float | None,
    seed: int,
    device: str,
    plot: Path | None,
    json: bool,
) -> None:
    """Compare, print the result, and draw it if `plot` is given.

    Args:
        first: a run, the usual one if it is None; or music. A path goes before the name of a model in the box.
        second: a dataset to compare the run with; or other music.
    """
    from lnfgen.files import write_bytes
    from lnfgen.plots.canvas import require_picture
    from lnfgen.pretrained import boxed_folder
    from lnfgen.runs.naming import is_run

    if plot is not None:
        require_picture(plot)
    if first is None or is_run(first) or (not first.exists() and boxed_folder(first)):
        asked = {"count": count or MUSIC_COUNT, "temperature": 1.0 if temperature is None else temperature}
        comparison, names, facts = _of_run(first, second, {**asked, "seed": seed, "split": split}, device)
    else:
        of_runs = {"--count": count is not None, "--temperature": temperature is not None}
        of_runs |= {"--device": device != "auto"}
        if found := [option for option, is_given in of_runs.items() if is_given]:
            raise LnfgenError(f"found {found[0]}, but {first} is no run to sample from; name a run, or leave it out")
        comparison, names, facts = _of_music(first, second, split, seed)
    title = f"{names[0]} beside {names[1]}"
    if json:
        console.result_json({**comparison.to_json(), **facts})
    else:
        columns = ("figure", f"{names[1]}: median", "5 to 95 %", f"{names[0]}: median", "5 to 95 %", "inside")
        console.result_table(title, _rows(comparison), columns)
        console.result("")
        console.result_table("", _summary(comparison, *names))
    if plot is not None:
        from lnfgen.plots.distributions import figure_distributions

        title += f", AUC {_number(comparison.auc)}"
        write_bytes(plot, figure_distributions(comparison, title, *names, plot.suffix.lower()))
        console.note(f"drawn: {plot}")


def _of_run(run: Path | None, dataset: str | None, asked: dict[str, Any], device: str) -> Compared:
    """Samples of a run beside a split of a dataset, by default its own."""
    from lnfgen.cli.sources import resolve_run, resolve_scored_dataset

    folder = resolve_run(run)

    from lnfgen.runs.trained import TrainedModel

    trained = TrainedModel(folder, device)
    compared = resolve_scored_dataset(folder, dataset, f"lnfgen eval --music {folder.name} DATASET")
    with console.jobs() as progress:
        comparison = trained.compare_music(compared, **asked, progress=progress)
    facts = {**asked, "model": folder.config.name, "dataset": compared.name, "run": folder.name}
    return comparison, ("samples", f"{compared.name}, {asked['split']}"), facts


def _of_music(first: Path, second: str | None, split: str, seed: int) -> Compared:
    """Any music beside other music."""
    from lnfgen.data.pieces import open_both
    from lnfgen.music.comparison import compare_pieces

    if second is None:
        raise LnfgenError(
            f"{first} is not a run; expected a run, or music and other music to compare it with: "
            f"lnfgen eval --music {first} OTHER"
        )
    with console.jobs() as progress:
        samples, reference = open_both(first, second, split, progress)
        comparison = compare_pieces(samples.pieces, reference.pieces, reference.train, seed=seed, progress=progress)
    for music in (samples, reference):
        if music.left_out:
            console.warn(music.left_out)
    names = (first.name or str(first), Path(second).name or second)
    return comparison, names, {"samples": str(first), "reference": second, "split": split, "seed": seed}


def _rows(comparison: MusicComparison) -> Iterator[tuple[str, ...]]:
    from lnfgen.music.comparison import spread

    for row in comparison.figures.values():
        cells = [row.label]
        for values in (row.reference, row.samples):
            low, middle, high = spread(values)
            cells += [_number(middle), "-" if math.isnan(middle) else f"{_number(low)} to {_number(high)}"]
        yield (*cells, "-" if math.isnan(row.inside) else f"{100 * row.inside:.0f} %")


def _summary(comparison: MusicComparison, samples: str, reference: str) -> Iterator[tuple[str, str]]:
    scale = "0.5: a classifier cannot tell the two apart; 1: it always can"
    if math.isnan(comparison.auc):
        scale = "not known: cross-validation needs more pieces on each side"
    yield "AUC", f"{_number(comparison.auc)} ({scale})"
    varieties = (_number(comparison.samples_variety), _number(comparison.reference_variety))
    yield "variety", f"{samples} {varieties[0]}, {reference} {varieties[1]} (mean distance between two passages)"
    yield "most copied", f"{_number(comparison.most_copied)} quarters in a row"
    sides = (
        (samples, comparison.samples_windows, comparison.samples_pieces),
        (reference, comparison.reference_windows, comparison.reference_pieces),
    )
    counts = "; ".join(f"{name} {passages} from {counted(pieces, 'piece')}" for name, passages, pieces in sides)
    yield "passages", f"of {comparison.window_quarters:g} quarters: {counts}"


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"
