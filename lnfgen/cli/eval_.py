"""`lnfgen eval`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lnfgen.cli import console, options
from lnfgen.config import PRECISIONS
from lnfgen.conventions import MUSIC_COUNT, NLL_SAMPLES
from lnfgen.errors import LnfgenError, RunError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np

    from lnfgen.data.material import Material
    from lnfgen.inference.scoring import Score
    from lnfgen.runs.trained import TrainedModel


def command(
    run: Annotated[
        Path | None,
        typer.Argument(
            help="Run folder, or a model of `lnfgen models`; with --music also a file or folder of music.",
            show_default=options.USUAL_RUN,
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Argument(
            help="Dataset, or a file to score whole; beside music instead of a run, other music.",
            show_default="the one it was trained on",
        ),
    ] = None,
    nll: Annotated[bool, typer.Option("--nll", help="Also the importance-sampled NLL.")] = False,
    samples: Annotated[
        int | None,
        typer.Option(min=1, help="Samples K of the latent for each sequence.", show_default=str(NLL_SAMPLES)),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="train, valid or test.", show_default="test, or all of a file")
    ] = None,
    music: Annotated[
        bool, typer.Option("--music", help="Figures of sampled music beside those of the split, not a score.")
    ] = False,
    count: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="With --music: pieces to sample.",
            show_default=str(MUSIC_COUNT),
        ),
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(min=0.0, help="With --music: of the samples.", show_default="1")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="With --music: a .png, .svg or .pdf of the distributions.")] = None,
    seed: Annotated[int, typer.Option(callback=options.checked_seed, help="Random seed of all that is drawn.")] = 0,
    precision: options.Precision = None,
    device: options.Device = "auto",
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Score a run on a split or on a file of yours: NLL, ELBO and its parts.

    All figures are costs in nats per time step (music) or bits per character (text): lower is better. They
    include the cost of the length T of each sequence, and are divided by the sum of T + 1.

    A file is scored whole, brought onto the model's grid and range of pitches; with --split it is made into a dataset,
    as train would. Files and folders are read as those of the run's dataset were: on the same grid, with the same
    --tracks, --drums, --chunks and --max-length.

    With --music, how far sampled music is from the split: figures such as the length of notes, of both side by side.

    Of each figure there are the median, the 5 and 95 % quantiles, and the share of samples inside them on the split.

    AUC says how well a classifier tells the two apart by the figures: 0.5 is not at all, 1 is always.

    With --music A B, the same of any two sets of music. Both sides are cut into passages of 32 quarters or less.
    """
    modes = [name for name, chosen in (("--nll", nll), ("--music", music)) if chosen]
    if len(modes) > 1:
        raise LnfgenError(f"found {modes[0]} beside {modes[1]}; expected one of them; run eval twice")
    if precision not in (None, *PRECISIONS):
        raise LnfgenError(f"--precision: found {precision!r}, expected float32 or bfloat16")
    for option, value, fits, where in (
        ("--precision", precision, not music, "scores alone; --music computes in float32"),
        ("--samples", samples, not music, "scores alone"),
        ("--count", count, music, "--music alone"),
        ("--temperature", temperature, music, "--music alone"),
        ("--plot", plot, music, "--music alone"),
    ):
        if value is not None and not fits:
            raise LnfgenError(f"found {option}, which goes with {where}; leave it out")
    samples = samples or NLL_SAMPLES
    shared: dict[str, Any] = {"split": split or "test", "seed": seed, "device": device, "json": json}
    if music:
        from lnfgen.cli.eval_music import report as report_music

        report_music(run, dataset, count=count, temperature=temperature, plot=plot, **shared)
        return

    from lnfgen.cli.sources import resolve_run

    folder = resolve_run(run)

    from lnfgen.inference.scoring import marginal_nll, score
    from lnfgen.runs.trained import TrainedModel

    trained = TrainedModel(folder, device)
    model, encoding = trained.model, trained.encoding
    material, train = _material(trained, dataset, split)
    if material.tracks:
        console.note(f"{material.name}: {material.tracks}")
    if material.changes:
        console.warn(f"{material.name}: {material.changes}")
    with console.live(f"scoring {material.split}", len(material.sequences)) as bar:
        figures = score(
            model,
            material.sequences,
            encoding.unit,
            num_samples=samples,
            seed=seed,
            precision=precision or "float32",
            progress=bar.update,
        )
    marginal = None if train is None else marginal_nll(model, encoding, train, material.sequences)
    values = _values(trained, material, figures, nll, marginal)
    if json:
        console.result_json(values)
    else:
        known = {name: value for name, value in values.items() if value is not None}
        shown = ((name, f"{value:.4f}" if isinstance(value, float) else value) for name, value in known.items())
        what = material.name if material.split == "all" else f"{material.name}, {material.split}"
        console.result_table(f"{trained.run.config.name} on {what}", shown)


def _values(
    trained: TrainedModel, material: Material, figures: Score, nll: bool, marginal: float | None
) -> dict[str, Any]:
    """The figures and what they are of, as `--json` has them."""
    unit = trained.encoding.unit
    return {
        **({"nll": figures.nll} if nll else {}),
        "elbo": figures.elbo,
        "reconstruction": figures.reconstruction,
        "kl": figures.kl,
        "length": figures.length,
        "unit": unit,
        "marginal_nll": marginal,
        **({"sounding_nll": figures.sounding_nll} if nll and figures.sounding_nll is not None else {}),
        "samples": figures.samples,
        "split": material.split,
        "sequences": figures.sequences,
        "steps": figures.steps,
        "dropped": material.dropped,
        **trained.run.config.model.facts(),
        "dataset": material.name,
        "run": trained.run.name,
    }


def _material(
    trained: TrainedModel, source: str | None, split: str | None
) -> tuple[Material, Iterable[np.ndarray] | None]:
    """What to score, and the train split that the marginal is fitted on, in the model's encoding.

    Of music files, those tracks are read that the run's dataset has. A file has no train split of its own. For the
    marginal, that of the run's dataset stands in, if it is still there.
    """
    from lnfgen.cli.sources import resolve_run_dataset, resolve_scored_dataset
    from lnfgen.data.benchmarks import SUFFIXES
    from lnfgen.data.material import split_of, whole_file
    from lnfgen.runs.dataset import reading_options

    run, encoding = trained.run, trained.encoding
    advice = f"lnfgen eval {run.name} DATASET"
    if split is None and source is not None and Path(source).is_file() and Path(source).suffix.lower() not in SUFFIXES:
        material = whole_file(Path(source), encoding, reading_options(run))
        try:
            return material, split_of(resolve_run_dataset(run, None, advice), "train", encoding).sequences
        except RunError as error:
            console.note(f"no marginal_nll: {error}")
            return material, None
    dataset = resolve_scored_dataset(run, source, advice)
    return split_of(dataset, split or "test", encoding), split_of(dataset, "train", encoding).sequences
