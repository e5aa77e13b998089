"""`lnfgen compare`: compare sampled music with a split, or any music with other music."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lnfgen.cli import console, options
from lnfgen.conventions import MUSIC_COUNT, SplitName
from lnfgen.errors import LnfgenError
from lnfgen.files import write_bytes
from lnfgen.wording import counted

if TYPE_CHECKING:
    from lnfgen.music.comparison import MusicComparison


# Each argument is an option that a person has.
def command(  # noqa: PLR0913
    first: Annotated[
        Path | None,
        typer.Argument(
            metavar="RUN|MUSIC",
            help="Run or model; or a file, folder or dataset of music.",
            show_default=options.USUAL_RUN,
        ),
    ] = None,
    second: Annotated[
        str | None,
        typer.Argument(
            metavar="DATASET|MUSIC",
            help="Music to compare it with.",
            show_default="the run's dataset",
        ),
    ] = None,
    split: Annotated[SplitName, typer.Option(help="Split of a dataset.")] = "test",
    count: Annotated[
        int | None,
        typer.Option(min=1, help="Pieces to sample from a run.", show_default=str(MUSIC_COUNT)),
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(help=options.TEMPERATURE, show_default="1")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the distributions into this .png, .svg or .pdf.")
    ] = None,
    seed: options.FixedSeed = 0,
    json: options.Json = False,
    quiet: options.Quiet = False,
    device: options.Device = "auto",
) -> None:
    """Compare music that a run samples with a split of its dataset, or any music with other music.

    Both sides are cut into passages of 32 quarters or less. The table has a row for each figure,
    for instance the length of notes: its median on both sides, its 5 and 95 % quantiles, and the
    share of the first side's passages that lie inside the quantiles of the second. Music with
    parts, such as drums and a bass, also has figures of each part.

    A second table has the ends of whole pieces: the share that closes on a held triad, on the
    tonic, by a cadence, and in the key in which it began.

    AUC measures how well a classifier tells the two sides apart by these figures: 0.5 is not at
    all, 1 is always. A stronger classifier, with other figures, tells more.
    """
    from lnfgen.plots.canvas import require_picture
    from lnfgen.runs.naming import find

    if plot is not None:
        require_picture(plot)
    if first is None or find(first, "run", "dataset", "files").kind == "run":
        result = _of_run(
            first,
            second,
            device,
            split=split,
            seed=seed,
            count=MUSIC_COUNT if count is None else count,
            temperature=1.0 if temperature is None else temperature,
        )
    else:
        for_runs = {
            "count": count is not None,
            "temperature": temperature is not None,
            "device": device != "auto",
        }
        for name, is_given in for_runs.items():
            if is_given:
                raise LnfgenError(
                    f"found --{name}, but {first} is no run to sample from; "
                    "name a run, or leave it out"
                )
        result = _of_music(first, second, split=split, seed=seed)
    if json:
        console.result_json({**result.comparison.to_json(), **result.facts})
    else:
        result.show()
    if plot is not None:
        result.draw(plot)


@dataclass(frozen=True)
class _Result:
    """A comparison, and the names of both sides."""

    comparison: "MusicComparison"
    samples: str
    reference: str
    facts: dict[str, Any]  # what was compared, for JSON

    @property
    def title(self) -> str:
        return f"{self.samples} beside {self.reference}"

    def show(self) -> None:
        """Print three tables."""
        columns = (
            "figure",
            f"{self.reference}: median",
            "5 to 95 %",
            f"{self.samples}: median",
            "5 to 95 %",
            "inside",
        )
        console.result_table(self.title, _rows(self.comparison), columns)
        console.result("")
        ends = ("share of the pieces", self.reference, self.samples)
        console.result_table("", _ends(self.comparison), ends)
        console.result("")
        console.result_table("", _summary(self.comparison, self.samples, self.reference))

    def draw(self, path: Path) -> None:
        """Draw the distributions of the figures."""
        from lnfgen.plots.distributions import figure_distributions

        title = f"{self.title}, AUC {_number(self.comparison.auc)}"
        picture = figure_distributions(
            self.comparison, title, self.samples, self.reference, path.suffix.lower()
        )
        write_bytes(path, picture)
        console.note(f"drawn: {path}")


# The keywords are options of the command.
def _of_run(  # noqa: PLR0913
    path: Path | None,
    dataset_name: str | None,
    device: str,
    *,
    split: SplitName,
    seed: int,
    count: int,
    temperature: float,
) -> _Result:
    """Compare samples of a run with a dataset, by default its own."""
    from lnfgen.api import load
    from lnfgen.cli.sources import resolve_run
    from lnfgen.runs.evaluation_data import scored_dataset

    run = resolve_run(path)
    with console.jobs() as progress:
        dataset = scored_dataset(run, dataset_name, progress)
        model = load(run.path, device)
        comparison = model.compare(
            dataset,
            split=split,
            seed=seed,
            count=count,
            temperature=temperature,
            progress=progress,
        )
    facts = {
        "split": split,
        "seed": seed,
        "count": count,
        "temperature": temperature,
        "model": run.config.model.name,
        "dataset": dataset.name,
        "run": run.name,
    }
    return _Result(comparison, "samples", f"{dataset.name}, {split}", facts)


def _of_music(samples: Path, reference: str | None, *, split: SplitName, seed: int) -> _Result:
    """Compare some music with other music."""
    from lnfgen.api import compare

    if reference is None:
        raise LnfgenError(
            f"{samples} is no run; expected a run, or two sets of music: "
            f"lnfgen compare {samples} OTHER"
        )
    with console.jobs() as progress:
        comparison = compare(samples, reference, split=split, seed=seed, progress=progress)
    facts = {"split": split, "seed": seed, "samples": str(samples), "reference": reference}
    name = samples.name or str(samples)
    return _Result(comparison, name, Path(reference).name or reference, facts)


def _rows(comparison: "MusicComparison") -> Iterator[tuple[str, ...]]:
    for row in comparison.figures.values():
        inside = "-" if math.isnan(row.inside) else f"{100 * row.inside:.0f} %"
        yield (row.label, *_spread(row.reference), *_spread(row.samples), inside)


def _ends(comparison: "MusicComparison") -> Iterator[tuple[str, str, str]]:
    for row in comparison.ends.values():
        yield row.label, _number(row.reference), _number(row.samples)


def _spread(values: Any) -> tuple[str, str]:
    """The median of values [N] and their 5 and 95 % quantiles, in words."""
    from lnfgen.music.figure_rows import spread

    low, middle, high = spread(values)
    if math.isnan(middle):
        return _number(middle), "-"
    return _number(middle), f"{_number(low)} to {_number(high)}"


def _summary(
    comparison: "MusicComparison", samples: str, reference: str
) -> Iterator[tuple[str, str]]:
    scale = "0.5: a classifier cannot tell the two apart; 1: it always can"
    if math.isnan(comparison.auc):
        scale = "not known: it needs more pieces on each side"
    low, high = comparison.auc_interval
    interval = f", {_number(low)} to {_number(high)} with other pieces"
    if math.isnan(low):
        interval = ""
    yield "AUC", f"{_number(comparison.auc)}{interval} ({scale})"
    if not math.isnan(comparison.train_auc):
        beside = f"beside {reference}"
        yield "AUC of train", f"{_number(comparison.train_auc)} {beside}, by the same figures"
    ours = f"{samples} {_number(comparison.samples_variety)}"
    theirs = f"{reference} {_number(comparison.reference_variety)}"
    yield "variety", f"{ours}, {theirs} (mean distance between two passages)"
    longer = f"{100 * comparison.copy_rate:.0f} % of {samples} have a longer copy than 95 % of"
    most = f"{_number(comparison.most_copied)} quarters in a row"
    yield "most copied", f"{most}; {longer} {reference}"
    songs = counted(comparison.samples_songs, "song")
    ours = f"{samples} {comparison.samples_windows} from {songs}"
    songs = counted(comparison.reference_songs, "song")
    theirs = f"{reference} {comparison.reference_windows} from {songs}"
    yield "passages", f"of {comparison.window_quarters:g} quarters: {ours}; {theirs}"


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"
