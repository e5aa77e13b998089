"""`lnfgen eval --fill`: how well gaps in the pieces of a split are filled."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from lnfgen.cli import console

if TYPE_CHECKING:
    from lnfgen.inference.filling_scores import FillingScore, Range


def report(
    run: Path | None,
    dataset: str | None,
    *,
    split: str,
    count: int | None,
    samples: int,
    particles: int,
    seed: int,
    device: str,
    json: bool,
) -> None:
    """Score and fill the first `count` pieces of the split, by default all, and print the result."""
    from lnfgen.cli.sources import resolve_run, resolve_scored_dataset

    folder = resolve_run(run)

    from lnfgen.inference.filling_scores import score_filling
    from lnfgen.inference.gaps import GAPS
    from lnfgen.runs.trained import TrainedModel

    trained = TrainedModel(folder, device)
    scored = resolve_scored_dataset(folder, dataset, f"lnfgen eval --fill {folder.name} DATASET")
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
        facts |= {"dataset": scored.name, "run": folder.name}
        console.result_json({"gaps": {gap: score.to_json() for gap, score in scores.items()}, **facts})
        return
    unit = "nats a hidden step" if trained.encoding.kind == "music" else "bits a hidden character"
    columns = ("hidden", unit, "of it alone", "gain", "by the prior", "by the marginal", "right", "pieces")
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
    alone = "-" if score.alone_nll is None else _ends(score.alone_nll)
    figures = (f"{value:.3f}" for value in (score.prior_nll, score.marginal_nll))
    right = f"{100 * score.agreement:.0f} %"
    return (_ends(score.nll), alone, _share(score.gain), *figures, right, str(score.pieces))


def _ends(value: Range) -> str:
    low, high = (f"{end:.3f}" for end in value)
    return low if low == high else f"{low} to {high}"


def _share(gain: Range | None) -> str:
    return "-" if gain is None else f"{100 * gain.low:.1f} to {100 * gain.high:.1f} %"


def _remarks(scores: dict[str, FillingScore]) -> Iterator[tuple[str, str]]:
    text = any(score.measure == "accuracy" for score in scores.values())
    yield "right", "characters that are right" if text else "F-measure of the hidden cells that sound"
    if any(score.gain for score in scores.values()):
        yield "gain", "by so much the melody lowers the NLL of the voices below it"
    yield "to", "a lower and an upper estimate; they get closer with more --particles"


def _figures(scores: dict[str, FillingScore]) -> Iterator[tuple[str, ...]]:
    from lnfgen.music.comparison import spread

    compared = [score.music for score in scores.values() if score.music is not None]
    for name, first in compared[0].figures.items():
        rows = [music.figures[name] for music in compared]
        drawn = (f"{spread(row.samples)[1]:.2f}, {100 * row.inside:.0f} %" for row in rows)
        yield (first.label, f"{spread(first.reference)[1]:.2f}", *drawn)
