"""`lnfgen train`."""

import json
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
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
from lnfgen.training.recipes import PRESETS, USUAL_PRESET, Corpus, Recipe, choose_recipe
from lnfgen.training.run_settings import assignments
from lnfgen.wording import counted

if TYPE_CHECKING:
    from lnfgen.training.calibration import Round
    from lnfgen.training.session import TrainingSession

MEASURED = 10  # updates whose time is measured, to say how long the run will take


def command(  # noqa: PLR0913 - an argument for each option
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
            show_default=USUAL_PRESET,
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
            help="Output: bernoulli (independent keys), nade (given the lower keys), "
            "past (given other keys and the frames before); of a text categorical.",
            show_default="by the data: past where notes have onsets, bernoulli where not",
        ),
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option(
            help="Network through time: lstm; "
            "or, parallel over the steps, scan (music) and conv-scan (text).",
            show_default="scan for music; "
            "for text conv-scan, or lstm for af-af, iaf-scf and coupling",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="JSON or TOML file with keys of config.json, or a run whose settings to take."
        ),
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
            help="Go on with the run in --out, or the newest; "
            "--max-steps or --epochs may give it another length.",
        ),
    ] = False,
    seed: Seed = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Train a model and print the run folder. Ctrl-C and SIGTERM save; --resume goes on.

    The preset and the kind of data choose a recipe, which `lnfgen list --recipe` prints. --model,
    --transform, --emission and --backbone replace some of its keys, and those that depend on them.
    If several options give one key, --set counts, or else --config.
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
    with session:
        sources = [dataset] if dataset else []
        tell_sizes(session.dataset, *sources)
        if not resume:
            corpus = Corpus.of(session.dataset)
            recipe = choose_recipe(corpus, preset or USUAL_PRESET, model, emission, backbone)
            console.note(_recipe_line(recipe, recipe.differences(session.run.config)))
        _introduce(session)
        _train(session)
    console.result(str(session.run.path))


def _recipe_line(recipe: Recipe, differences: Mapping[str, Any]) -> str:
    """Which files the settings of a run are from, and which keys differ from them, in a line."""
    files = f"recipe {recipe.name}.toml, preset {recipe.preset}"
    if recipe.overrides:
        overrides = ", ".join(f"{name}.toml" for name in recipe.overrides)
        files = f"{files}, with {overrides}"
    if not differences:
        return files
    changed: list[str] = []
    for key, value in differences.items():
        text = value if isinstance(value, str) else json.dumps(value)
        changed.append(f"{key}={text}")
    return f"{files}; other than there: {', '.join(changed)}"


def _introduce(session: "TrainingSession") -> None:
    """Say what will be trained, on what and where."""
    trainer = session.trainer
    training = session.run.config.training
    parameters = sum(parameter.numel() for parameter in trainer.model.parameters())
    updates = counted(trainer.total_steps, "update")
    sequences = counted(training.batch_size, "sequence")
    console.note(
        f"{session.run.config.model.name}, {parameters:,} parameters, on {session.dataset.name}: "
        f"{updates} of {sequences} on {session.device}, "
        f"seed {training.seed}, into {session.run.path}"
    )
    console.note(f"figures are costs in {UNIT_WORDS[trainer.unit]}: lower is better")
    if trainer.validated_on is None:
        console.warn(
            f"{session.dataset.name} has no valid split: "
            "the last weights are kept, and the rate does not decay"
        )


def _train(session: "TrainingSession") -> None:
    """Train a session to its end. A signal saves it and ends the command."""
    trainer = session.trainer
    with console.jobs() as progress, _interruptible() as received:
        show = partial(progress, "training", total=trainer.total_steps)
        show(trainer.step)
        display = _Display(show, trainer.total_steps, session.calibration_in_updates())
        finished = session.train(display, lambda: bool(received))
    if not finished:
        console.note(
            f"saved at update {trainer.step:,}; "
            f"go on with: lnfgen train --resume --out {session.run.path}"
        )
        _end(received[0])


class _Display:
    """Shows on the terminal how a run goes.

    `total` counts its updates. `calibration` is the time of the calibration that follows, in
    updates that would take as long.
    """

    def __init__(self, show: Callable[..., None], total: int, calibration: float = 0.0) -> None:
        self.show = show
        self.total = total
        self.calibration = calibration
        # An update after which the clock was read, and its time.
        self.first: tuple[int, float] | None = None
        self.validations = 0

    def step(self, metrics: dict[str, float]) -> None:
        step = int(metrics["step"])
        now = time.perf_counter()
        if self.first is None:
            self.first = (step, now)  # the first update is slow, and does not count
        measured_from, began = self.first
        if step - measured_from == MEASURED:
            console.note(self._foretold(step, (now - began) / MEASURED))
        parts = _sum_of(metrics, "", "{:.2f}")
        elbo = f"ELBO {metrics['elbo']:.2f} = {parts}"
        pace = f"epoch {metrics['epoch']:.0f}  {metrics['steps_per_second']:.0f} steps/s"
        self.show(step, status=f"{elbo}  weight {metrics['kl_weight']:.2f}  {pace}")

    def _foretold(self, step: int, seconds_of_update: float) -> str:
        """How long the rest of the run will take, in words."""
        training = (self.total - step) * seconds_of_update
        calibration = self.calibration * seconds_of_update
        minutes = round((training + calibration) / 60)
        takes = f"about {counted(minutes, 'minute')}" if minutes else "under a minute"
        foretold = f"{takes} on this machine, at {seconds_of_update:.2g} seconds an update"
        minutes_of_calibration = round(calibration / 60)
        if minutes_of_calibration:
            foretold = f"{foretold}; {minutes_of_calibration:,} of them for calibration"
        return foretold

    def validated(self, metrics: dict[str, Any]) -> None:
        if self.validations % 10 == 0:
            console.note(
                f"{'update':>8} {'epoch':>7} {'weight':>6} {'train ELBO':>10} {'valid ELBO':>10} "
                "= reconstruction + KL + length"
            )
        self.validations += 1
        valid = ""
        if "valid_elbo" in metrics:
            parts = _sum_of(metrics, "valid_", "{:.3f}")
            valid = f"{metrics['valid_elbo']:10.3f} = {parts}"
        kept = "  kept" if metrics.get("kept") else ""
        skipped = ""
        if metrics["skipped_updates"]:
            skipped = f"  {metrics['skipped_updates']} skipped"
        console.note(
            f"{metrics['step']:8,} {metrics['epoch']:7.1f} {metrics['kl_weight']:6.2f} "
            f"{metrics['train_elbo']:10.3f} {valid}{kept}{skipped}"
        )

    def calibrated(self, of_round: "Round") -> None:
        if of_round.number == 1:
            console.note("calibrating: samples are moved to the figures of the train split")
        auc = "not known" if math.isnan(of_round.auc) else f"{of_round.auc:.2f}"
        console.note(
            f"round {of_round.number} of {of_round.rounds}: "
            f"a classifier tells samples from train with an AUC of {auc}"
        )


def _sum_of(metrics: Mapping[str, float], prefix: str, form: str) -> str:
    """The terms of an ELBO as a sum, as in `2.31 + 0.12 + 0.05`."""
    names = ("reconstruction", "kl", "length")
    return " + ".join(form.format(metrics[prefix + name]) for name in names)


@contextmanager
def _interruptible() -> Iterator[list[int]]:
    """Yield a list of the signals received to end the run.

    The first one asks to save and stop; a second one stops at once.
    """
    received: list[int] = []

    def receive(number: int, frame: object) -> None:
        received.append(number)
        if len(received) > 1:
            _end(number)
        try:
            console.note(
                "stopping after this update; a second signal, such as Ctrl-C, stops at once"
            )
        # It came while a line was written, and a stream cannot be entered a second time.
        except RuntimeError:
            pass
        except OSError:  # the terminal is gone, and messages before the save must not fail
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())

    # SIGHUP comes when the terminal is closed. It stays ignored under nohup.
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
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
