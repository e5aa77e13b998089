"""`lnfgen eval --fill`: how well gaps in the pieces of a split are filled."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from lnfgen.cli import console
from lnfgen.cli.options import choose_solver

if TYPE_CHECKING:
    from lnfgen.filling_scores import FillingScore


def report(
    run: Path | None,
    dataset: str | None,
    *,
    split: str,
    count: int | None,
    samples: int,
    particles: int,
    seed: int,
    solver: str,
    device: str,
    json: bool,
) -> None:
    """Score and fill the first `count` pieces of the split, by default all, and print the result."""
    from lnfgen.cli.sources import resolve_run, resolve_scored_dataset

    folder = resolve_run(run)

    from lnfgen.filling_scores import score_filling
    from lnfgen.gaps import GAPS
    from lnfgen.runs.trained import TrainedModel

    trained = TrainedModel(folder, device)
    choose_solver(trained.model, solver)
    scored = resolve_scored_dataset(folder, dataset, f"lnfgen eval --fill {folder.path} DATASET")
    asked = {"samples": samples, "particles": particles, "seed": seed}
    with console.jobs() as progress:
        scores = score_filling(
            trained.model,
            trained.encoding,
            list(islice(scored.pieces(split), count)),
            list(scored.pieces("train")),
            num_samples=samples,
            particles=particles,
            seed=seed,
            progress=progress,
        )
    if json:
        facts = {"unit": trained.encoding.unit, **asked, "split": split, "model": trained.run.config.name}
        facts |= {"dataset": scored.name, "run": str(folder.path)}
        console.result_json({"gaps": {gap: score.to_json() for gap, score in scores.items()}, **facts})
        return
    unit = "nats a hidden step" if trained.encoding.kind == "music" else "bits a hidden character"
    columns = ("hidden", unit, "of it alone", "by the prior", "by the marginal", "right", "pieces")
    rows = [(gap.replace("_", " "), *_cells(score)) for gap, score in scores.items()]
    console.result_table(f"{trained.run.config.name} fills {scored.name}, {split}", rows, columns)
    console.result("")
    meanings = GAPS[trained.encoding.kind]
    console.result_table("", [*((gap.replace("_", " "), meanings[gap]) for gap in scores), *_remarks(scores)])
    if any(score.music for score in scores.values()):
        console.result("")
        names = [gap.replace("_", " ") for gap in scores]
        console.result_table("", _figures(scores), ("figure: median, inside", "true", *names))


def _cells(score: FillingScore) -> tuple[str, ...]:
    alone = "-" if score.alone_nll is None else f"{score.alone_nll:.3f} ({-100 * (score.gain or 0):+.0f} %)"
    figures = (f"{value:.3f}" for value in (score.prior_nll, score.marginal_nll))
    doubt = "" if score.reliable else "?"
    right = f"{100 * score.agreement:.0f} %"
    return (f"{score.nll:.3f}{doubt}", alone if alone == "-" else alone + doubt, *figures, right, str(score.pieces))


def _remarks(scores: dict[str, FillingScore]) -> Iterator[tuple[str, str]]:
    text = any(score.measure == "accuracy" for score in scores.values())
    yield "right", "characters that are right" if text else "F-measure of the hidden cells that sound"
    spread = ", ".join(f"{gap.replace('_', ' ')} {score.seen_deviation:.1f}" for gap, score in scores.items())
    yield "noise", f"standard deviation of log p(seen) of a piece, nats: {spread}"
    if not all(score.reliable for score in scores.values()):
        yield "?", "cannot be relied on: the particles are too few to estimate p(seen); ask for more by --particles"


def _figures(scores: dict[str, FillingScore]) -> Iterator[tuple[str, ...]]:
    from lnfgen.comparison import spread

    compared = [score.music for score in scores.values() if score.music is not None]
    for name, first in compared[0].figures.items():
        rows = [music.figures[name] for music in compared]
        drawn = (f"{spread(row.samples)[1]:.2f}, {100 * row.inside:.0f} %" for row in rows)
        yield (first.label, f"{spread(first.reference)[1]:.2f}", *drawn)
