"""`lnfgen train`."""

import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from lnfgen.cli import console
from lnfgen.cli.options import Device, Quiet, Seed, fresh_seed
from lnfgen.config import NAMED_MODELS, TRANSFORMS
from lnfgen.conventions import UNIT_WORDS
from lnfgen.errors import LnfgenError
from lnfgen.training.recipes import PRESETS, assignments
from lnfgen.wording import counted

if TYPE_CHECKING:
    from lnfgen.training.calibration import Round

MEASURED = 10  # updates whose time is measured, to say how long the run will take


def command(
    datasets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="DATASET",
            help="Dataset, its name, or a file or folder to make one of.",
            show_default="chorales",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help=", ".join(NAMED_MODELS) + ".", show_default="af-scf; af-codes for text"),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help=f"Size of the model and length of the training: {', '.join(PRESETS)}.",
            show_default="small",
        ),
    ] = None,
    transform: Annotated[
        str | None,
        typer.Option(
            help=f"Elementwise transform: {', '.join(TRANSFORMS)}.",
            show_default="nlsq; with codes none",
        ),
    ] = None,
    emission: Annotated[
        str | None,
        typer.Option(
            help="Output: bernoulli (independent keys), nade (given the lower keys), past (given other keys and the "
            "frames before); of a text categorical.",
            show_default="by the data: past where notes have onsets, bernoulli where not",
        ),
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option(
            help="Network through time: lstm; or, parallel over the steps, scan (music) and conv-scan (text).",
            show_default="scan for music; for text conv-scan, or lstm for af-af, iaf-scf and coupling",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="JSON file with keys of config.json, or a run whose settings to take."),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Length of the training in passes over the data.")
    ] = None,
    max_steps: Annotated[
        int | None, typer.Option(min=1, help="Length of the training in updates.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the run.", show_default="runs/DATASET-MODEL-NNN")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Set a key of config.json: training.learning_rate=1e-3. Repeatable.",
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on with the run in --out, or the newest; --max-steps or --epochs may give it another length.",
        ),
    ] = False,
    seed: Seed = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Train a model and print the run folder. Ctrl-C and SIGTERM save; --resume goes on.

    The preset and the kind of data choose a recipe. --model, --transform, --emission and --backbone
    replace some of its keys, and those that depend on them. If several options give one key, --set
    counts, or else --config.
    """
    from lnfgen.api import open_session
    from lnfgen.cli.sources import tell_sizes

    if datasets and len(datasets) > 1:
        advice = "make one dataset: lnfgen preprocess FILES --out NAME; then: lnfgen train NAME"
        raise LnfgenError(f"found {len(datasets)} datasets or files; expected one; {advice}")
    dataset = datasets[0] if datasets else None
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
            seed=seed,
            out=out,
            resume=resume,
            device=device,
            building=building,
            set=assignments(settings) if settings else None,
            usual_seed=fresh_seed(),
        )
    tell_sizes(session.dataset, *([dataset] if dataset else []))
    trainer, run, name = session.trainer, session.run, session.dataset.name
    parameters = sum(parameter.numel() for parameter in trainer.model.parameters())
    work = f"{counted(trainer.total_steps, 'update')} of {counted(run.config.training.batch_size, 'sequence')}"
    console.note(
        f"{run.config.model.name}, {parameters:,} parameters, on {name}: {work} on {session.device}, "
        f"seed {run.config.training.seed}, into {run.path}"
    )
    console.note(f"figures are costs in {UNIT_WORDS[trainer.unit]}: lower is better")
    if trainer.validated_on is None:
        console.warn(
            f"{name} has no valid split: the last weights are kept, and the rate does not decay"
        )
    with console.jobs() as progress, _interruptible() as received:
        show = partial(progress, "training", total=trainer.total_steps)
        show(trainer.step)
        finished = session.train(_Display(show, trainer.total_steps), lambda: bool(received))
    if not finished:
        console.note(
            f"saved at update {trainer.step:,}; go on with: lnfgen train --resume --out {run.path}"
        )
        _end(received[0])
    console.result(str(run.path))


class _Display:
    """Shows on the terminal how a run goes."""

    def __init__(self, show: Callable[..., None], total: int) -> None:
        self.show = show
        self.total = total
        # an update after which the clock was read, and its time
        self.first: tuple[int, float] | None = None
        self.validations = 0

    def step(self, metrics: dict[str, float]) -> None:
        step, now = int(metrics["step"]), time.perf_counter()
        self.first = self.first or (step, now)  # the first update is slow, and does not count
        if step - self.first[0] == MEASURED:
            each = (now - self.first[1]) / MEASURED
            minutes = round((self.total - step) * each / 60)
            takes = f"about {counted(minutes, 'minute')}" if minutes else "under a minute"
            console.note(f"{takes} on this machine, at {each:.2g} seconds an update")
        parts = (f"{metrics[name]:.2f}" for name in ("reconstruction", "kl", "length"))
        pace = f"epoch {metrics['epoch']:.0f}  {metrics['steps_per_second']:.0f} steps/s"
        elbo = f"ELBO {metrics['elbo']:.2f} = {' + '.join(parts)}"
        self.show(step, status=f"{elbo}  weight {metrics['kl_weight']:.2f}  {pace}")

    def validated(self, metrics: dict[str, Any]) -> None:
        if self.validations % 10 == 0:
            console.note(
                f"{'update':>8} {'epoch':>7} {'weight':>6} {'train ELBO':>10} {'valid ELBO':>10} "
                "= reconstruction + KL + length"
            )
        self.validations += 1
        valid = ""
        if "valid_elbo" in metrics:
            parts = (
                f"{metrics[f'valid_{name}']:.3f}" for name in ("reconstruction", "kl", "length")
            )
            valid = f"{metrics['valid_elbo']:10.3f} = {' + '.join(parts)}"
        skipped = f"  {metrics['skipped_updates']} skipped" if metrics["skipped_updates"] else ""
        console.note(
            f"{metrics['step']:8,} {metrics['epoch']:7.1f} {metrics['kl_weight']:6.2f} {metrics['train_elbo']:10.3f}"
            f" {valid}{'  kept' if metrics.get('kept') else ''}{skipped}"
        )

    def calibrated(self, of_round: "Round") -> None:
        if of_round.number == 1:
            console.note("calibrating: samples are moved to the figures of the train split")
        auc = "not known" if math.isnan(of_round.auc) else f"{of_round.auc:.2f}"
        console.note(
            f"round {of_round.number} of {of_round.rounds}: samples are told from train by an AUC of {auc}"
        )


@contextmanager
def _interruptible() -> Iterator[list[int]]:
    """Yield a list of the signals received to end the run. The first asks to save and stop; a
    second stops at once."""
    received: list[int] = []

    def receive(number: int, frame: object) -> None:
        received.append(number)
        if len(received) > 1:
            _end(number)
        try:
            console.note(
                "stopping after this update; a second signal, such as Ctrl-C, stops at once"
            )
        # it came while a line was written, and a stream cannot be entered a second time
        except RuntimeError:
            pass
        except OSError:  # the terminal is gone, and messages before the save must not fail
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())

    # SIGHUP comes when the terminal is closed. It stays ignored under nohup.
    before = {
        number: signal.getsignal(number)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    for number, handler in before.items():
        if number == signal.SIGINT or handler is not signal.SIG_IGN:
            signal.signal(number, receive)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(number: int) -> NoReturn:
    """End the command as after that signal."""
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(128 + number)
