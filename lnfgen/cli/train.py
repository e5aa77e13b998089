"""`lnfgen train`."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lnfgen.cli import console
from lnfgen.cli.options import Device, Quiet, Seed, drawn_seed
from lnfgen.config import NAMED_MODELS
from lnfgen.conventions import UNIT_WORDS
from lnfgen.transforms import TRANSFORMS

if TYPE_CHECKING:
    from lnfgen.training.session import TrainingSession


def command(
    dataset: Annotated[
        str | None,
        typer.Argument(help="Dataset folder, named dataset, or files to make one of.", show_default="chorales"),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help=", ".join(NAMED_MODELS) + ".", show_default="that of --config, or af-scf"),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="Sizes and length of the run: tiny, small or paper.", show_default="that of --config, or small"
        ),
    ] = None,
    transform: Annotated[str | None, typer.Option(help=f"Elementwise transform: {', '.join(TRANSFORMS)}.")] = None,
    emission: Annotated[
        str | None,
        typer.Option(help="Output: bernoulli (independent keys), nade (each key given the lower ones) or categorical."),
    ] = None,
    backbone: Annotated[
        str | None, typer.Option(help="Network through time: lstm, or scan, which is parallel over the steps.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="JSON file with keys of config.json to set.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Length of the run in passes over the data.")] = None,
    max_steps: Annotated[int | None, typer.Option(min=1, help="Length of the run in updates.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Sequences of an update.")] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder.", show_default="runs/DATASET-MODEL-NNN")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out, or the newest.")] = False,
    seed: Seed = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Train a model and print the run folder. Ctrl-C saves; --resume goes on."""
    from lnfgen.verbs import open_session

    if seed is None and config is None and not resume:  # a file may set the seed
        seed = drawn_seed(None)
    with console.jobs() as building:
        session = open_session(
            dataset,
            model,
            preset,
            transform=transform,
            emission=emission,
            backbone=backbone,
            config=config,
            epochs=epochs,
            max_steps=max_steps,
            batch_size=batch_size,
            seed=seed,
            out=out,
            resume=resume,
            device=device,
            building=building,
        )
    _train(session)


def _train(session: "TrainingSession") -> None:
    trainer, run, name = session.trainer, session.run, session.dataset.name
    parameters = sum(parameter.numel() for parameter in trainer.model.parameters())
    console.note(
        f"{run.config.name} ({run.config.preset}), {parameters:,} parameters, on {name}: "
        f"{trainer.total_steps:,} updates of {run.config.training.batch_size} sequences on {session.device}, "
        f"into {run.path}"
    )
    console.note(f"figures are costs in {UNIT_WORDS[trainer.unit]}: lower is better")
    if trainer.valid_split is None:
        console.warn(f"{name} has no valid split: the last weights are kept, and the rate does not decay")
    with console.live("training", trainer.total_steps, trainer.step) as bar, _interruptible() as interrupted:
        finished = session.train(_Display(bar), interrupted)
    if not finished:
        console.note(f"saved at update {trainer.step:,}; go on with: lnfgen train --resume --out {run.path}")
        raise KeyboardInterrupt
    console.result(str(run.path))


class _Display:
    """Shows on the terminal how a run goes."""

    def __init__(self, bar: console.Live) -> None:
        self.bar = bar
        self.validations = 0

    def step(self, metrics: dict[str, float]) -> None:
        self.bar.update(
            int(metrics["step"]),
            f"ELBO {metrics['elbo']:.2f} = {metrics['reconstruction']:.2f} + KL {metrics['kl']:.2f}"
            f"  weight {metrics['kl_weight']:.2f}  epoch {metrics['epoch']:.0f}"
            f"  {metrics['steps_per_second']:,.0f} steps/s",
        )

    def validated(self, metrics: dict[str, Any]) -> None:
        if self.validations % 10 == 0:
            console.note(
                f"{'update':>8} {'epoch':>7} {'weight':>6} {'train ELBO':>10} {'valid ELBO':>10} = reconstruction + KL"
            )
        self.validations += 1
        valid = ""
        if "valid_elbo" in metrics:
            parts = f"{metrics['valid_reconstruction']:.3f} + {metrics['valid_kl']:.3f}"
            valid = f"{metrics['valid_elbo']:10.3f} = {parts}"
        console.note(
            f"{metrics['step']:8,} {metrics['epoch']:7.1f} {metrics['kl_weight']:6.2f} {metrics['train_elbo']:10.3f}"
            f" {valid}{'  best' if metrics.get('best') else ''}"
        )

    def note(self, message: str) -> None:
        console.warn(message)


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """The first Ctrl-C asks the loop to save and stop; a second one stops at once."""
    asked = False

    def ask(signum: int, frame: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        console.note("stopping after this update; press Ctrl-C again to stop at once")

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)
