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
from lnfgen.transforms import TRANSFORMS

if TYPE_CHECKING:
    from lnfgen.checkpoint import RunFolder
    from lnfgen.config import Config
    from lnfgen.data.storage import Dataset


def command(
    dataset: Annotated[
        str | None, typer.Argument(help="Dataset folder, named dataset, or files to make one of.  [default: chorales]")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help=", ".join(NAMED_MODELS) + ".  [default: that of --config, or af-scf]")
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(help="Sizes and length of the run: tiny, small or paper.  [default: that of --config, or small]"),
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
    batch_size: Annotated[int | None, typer.Option(min=1, help="Sequences an update.")] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder.  [default: runs/DATASET-MODEL-NNN]")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out, or the newest.")] = False,
    seed: Seed = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Train a model and print the run folder. Ctrl-C saves; --resume goes on."""
    from lnfgen.config import choose_config, read_config
    from lnfgen.errors import ConfigError
    from lnfgen.files import require_free_folder
    from lnfgen.runs import new_run_path

    if resume:
        given = [dataset, model, preset, transform, emission, backbone, config, epochs, max_steps, batch_size, seed]
        if any(value is not None for value in given):
            raise ConfigError("--resume goes on with the run's own settings; found others beside it; leave them out")
        _resume(out, device)
        return

    settings = choose_config(model, preset, backbone, {} if config is None else read_config(config), str(config))
    if epochs is not None or max_steps is not None:  # either alone is the whole length of the run
        settings = settings.override({"training": {"epochs": epochs, "max_steps": max_steps}})
    if transform is not None:
        if settings.model.baseline:
            raise ConfigError(f"--transform {transform}: {settings.name} has no flow to transform; leave it out")
        settings = settings.override({"model": {"transform": transform}})
    if emission is not None:
        settings = settings.override({"model": {"emission": emission}})
    if backbone is not None:
        settings = settings.override({"model": {"backbone": backbone}})
    if batch_size is not None:
        settings = settings.override({"training": {"batch_size": batch_size}})
    if seed is not None or config is None:
        settings = settings.override({"training": {"seed": drawn_seed(seed)}})
    if out is not None:
        require_free_folder(out)

    from lnfgen.cli.sources import resolve_dataset

    opened = resolve_dataset(dataset)

    # Only now: loading torch starts threads, and reading many files forks processes.
    from lnfgen.checkpoint import RunFolder, new_model, resolve_device

    target = resolve_device(device)
    fresh = new_model(settings, opened)
    run = RunFolder.create(out or new_run_path(opened.name, settings.name), settings, opened)
    _train(run, settings, opened, fresh, target, None)


def _resume(out: Path | None, device: str) -> None:
    from lnfgen.checkpoint import RunFolder, resolve_device
    from lnfgen.cli.sources import dataset_of
    from lnfgen.runs import newest_run

    run = RunFolder(out or newest_run(resumable=True))
    target = resolve_device(device)
    state = run.load_state()
    _train(run, run.config, dataset_of(run), run.model_like(state[0]["weights"]), target, state)


def _train(run: "RunFolder", config: "Config", dataset: "Dataset", model: Any, device: Any, state: Any) -> None:
    from lnfgen.memory import keep_freed_memory
    from lnfgen.training.trainer import Trainer

    keep_freed_memory()
    trainer = Trainer(
        model,
        dataset,
        config.training,
        device,
        reporter := _Reporter(run, dataset.encoding.unit),
        save_best=run.save_model,
        save_last=lambda trainer: run.save_state(trainer.state_tensors(), trainer.state_values()),
    )
    done = 0
    if state is not None:
        trainer.restore(*state)
        done = trainer.step
        reporter.lines = [line for line in run.metrics() if line["step"] <= done]
    parameters = sum(parameter.numel() for parameter in model.parameters())
    console.note(
        f"{config.name} ({config.preset}), {parameters:,} parameters, on {dataset.name}: "
        f"{trainer.total_steps:,} updates of {config.training.batch_size} sequences on {device}, into {run.path}"
    )
    if trainer.valid_split is None:
        console.warn(f"{dataset.name} has no valid split: the last weights are kept, and the rate does not decay")
    with console.live("training", trainer.total_steps, done) as bar, _interruptible() as interrupted:
        reporter.bar = bar
        finished = trainer.run(interrupted)
    if not finished:
        console.note(f"saved at update {trainer.step:,}; go on with: lnfgen train --resume --out {run.path}")
        raise KeyboardInterrupt
    console.result(str(run.path))


class _Reporter:
    """Shows a run on the terminal and keeps `metrics.jsonl`."""

    def __init__(self, run: "RunFolder", unit: str) -> None:
        self.run = run
        self.unit = unit
        self.lines: list[dict[str, Any]] = []
        self.bar: console.Live | None = None

    def step(self, metrics: dict[str, float]) -> None:
        if self.bar is not None:
            self.bar.update(
                int(metrics["step"]),
                f"epoch {metrics['epoch']:.0f}  ELBO {metrics['elbo']:.2f} = {metrics['reconstruction']:.2f}"
                f" + KL {metrics['kl']:.2f}  weight {metrics['kl_weight']:.2f}"
                f"  {metrics['steps_per_second']:,.0f} steps/s",
            )

    def validated(self, metrics: dict[str, Any]) -> None:
        self.lines.append({name: round(v, 6) if isinstance(v, float) else v for name, v in metrics.items()})
        self.run.write_metrics(self.lines)
        if len(self.lines) % 10 == 1:
            console.note(
                f"{'update':>8} {'epoch':>7} {'weight':>6} {'train ELBO':>10} {'valid ELBO':>10}"
                f" = reconstruction + KL  [{self.unit}]"
            )
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
