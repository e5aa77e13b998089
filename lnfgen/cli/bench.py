"""`lnfgen bench`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lnfgen.bench.rows import Row, grouped, variant_name
from lnfgen.cli import console
from lnfgen.cli.options import Device, Json, Quiet
from lnfgen.errors import LnfgenError
from lnfgen.nn.backbones import BACKBONES  # names alone: it does not load torch
from lnfgen.wording import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from lnfgen.bench.plan import Plan, Variant
    from lnfgen.models import SequenceModel


def command(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(help="Trained runs or models of `lnfgen models` to sample from."),
    ] = None,
    preset: Annotated[str, typer.Option(help="Sizes of the models: tiny, small or paper.")] = "paper",
    backbone: Annotated[
        str | None,
        typer.Option(help="Models on this backbone alone: " + ", ".join(BACKBONES) + ".", show_default="all of them"),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick", help="Music without onsets alone, two lengths, no ragged batches: ends within a minute."
        ),
    ] = False,
    budget: Annotated[
        float | None,
        typer.Option(
            min=1,
            metavar="SECONDS",
            help="Leave out what would take longer. The default is 1500, so that equal and ragged batches both fit "
            "on two slow cores, or 45 with --quick.",
        ),
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw time against length: .png, .svg or .pdf.")] = None,
    passes: Annotated[
        bool, typer.Option("--passes", help="Instead, find how many steps a pass of training should have.")
    ] = False,
    device: Device = "cpu",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure how fast every model samples and trains on this machine, on every backbone, with random weights.

    Models are those that train would begin: their output on music with onsets is another one than on music without.

    Each model is timed in turn with the LSTM baseline, whose speed is 1, and with a large matrix product. A model's
    operations are those of the matrix products that it needs, without padding and repetitions.

    Training is measured on two kinds of batch: all lengths equal to T, and ragged ones from T/2 to T.

    Models of each kind of data compute on as many threads as train would take for it.

    Give runs to see how fast trained models sample: a flow with fresh weights needs fewer sweeps.
    """
    from lnfgen.cli.sources import resolve_run

    _require_possible(preset, backbone, plot)
    of_speed = {"a run": runs, "--backbone": backbone, "--quick": quick, "--budget": budget, "--plot": plot}
    if passes and (found := [what for what, value in of_speed.items() if value]):
        raise LnfgenError(f"found {found[0]} beside --passes, which measures two models of text alone; leave one out")
    folders = [resolve_run(run) for run in runs or []]

    from lnfgen.bench.calls import fresh_config, trained_models
    from lnfgen.bench.measure import measure
    from lnfgen.bench.plan import BASELINE
    from lnfgen.device import prepare_machine

    plan = _plan(preset, backbone, quick, budget)
    target = prepare_machine(device, fresh_config(BASELINE, preset, "text").model.hidden_size, "categorical")
    if passes:
        _show_passes(preset, target, as_json)
        return
    trained = trained_models(folders, target)
    _require_measured(plan, trained)
    with console.live("measuring", 1) as bar:
        figures = measure(plan, lambda done, total, what: bar.update(done, what, total), trained, target)
    if figures["busy"]:
        console.warn(
            f"the machine is busy: load {figures['load']:g} on {counted(figures['cores'], 'core')} as measuring began; "
            "ratios hold roughly, seconds and rates do not"
        )
    if as_json:
        console.result_json(figures)
    else:
        _show(figures)
    _show_left_out(figures["left_out"], len(plan.variants))
    if plot is not None:
        _draw(plot, figures)


def _require_possible(preset: str, backbone: str | None, plot: Path | None) -> None:
    """Check, before anything is measured, that the names are known and the picture can be written."""
    from lnfgen.plots.canvas import require_picture
    from lnfgen.training.recipes import PRESETS

    if preset not in PRESETS:
        raise LnfgenError(f"--preset: found {preset!r}, expected one of {', '.join(PRESETS)}")
    if backbone is not None and backbone not in BACKBONES:
        raise LnfgenError(f"--backbone: found {backbone!r}, expected one of {', '.join(BACKBONES)}")
    if plot is not None:
        require_picture(plot)


def _plan(preset: str, backbone: str | None, quick: bool, budget: float | None) -> Plan:
    from lnfgen.bench.plan import Plan, quick_plan, variants_on

    plan = quick_plan(preset) if quick else Plan(preset)
    if budget is not None:
        plan = dataclasses.replace(plan, budget=budget)
    if backbone is not None:
        plan = dataclasses.replace(plan, variants=variants_on([backbone]))
    return plan


def _require_measured(plan: Plan, trained: Mapping[Variant, SequenceModel]) -> None:
    """Raise an `LnfgenError` if a run is of a kind of data that the plan leaves out, as that of --quick may."""
    from lnfgen.bench.plan import kind_of

    kinds = list(dict.fromkeys(case["kind"] for case in plan.sampling))
    for variant, model in trained.items():
        if (kind := kind_of(model.observation)) not in kinds:
            raise LnfgenError(
                f"{variant.model} is a run on {kind}, and --quick measures {', '.join(kinds)} alone, without onsets; "
                "leave --quick out"
            )


def _draw(plot: Path, figures: Row) -> None:
    from lnfgen.files import write_bytes
    from lnfgen.plots.speed import sampling_curves, time_against_length

    panels = sampling_curves(figures["sampling"])
    if not panels:
        raise LnfgenError(f"--plot {plot}: no model was sampled at two lengths; allow more time with --budget")
    write_bytes(plot, time_against_length(panels, f"sampling one sequence, {_about(figures)}", plot.suffix.lower()))
    console.note(f"wrote {plot}")


def _show_passes(preset: str, device: torch.device, as_json: bool) -> None:
    from lnfgen.bench.passes import measure_passes

    rows = measure_passes(preset, device)
    if as_json:
        console.result_json({"device": str(device), "passes": rows})
        return
    table = [
        (
            variant_name(row),
            row["pass_steps"],
            _seconds(row["seconds"]),
            f"{row['steps_per_second']:,.0f}",
            "" if row["megabytes"] is None else f"{row['megabytes']:,.0f}",
        )
        for row in rows
    ]
    columns = ["model", "steps of a pass", "s/update", "steps/s", "MB"]
    console.result_table(
        f"gradients of an update on text by the size of its passes, preset {preset}, on {device}", table, columns
    )


def _about(figures: Row) -> str:
    return (
        f"preset {figures['preset']}, lnfgen {figures['lnfgen']}, torch {figures['torch']}, "
        f"{figures['processor']}, threads: {_threads(figures)}"
    )


def _threads(figures: Row) -> str:
    """How many threads the models took, by the kind of data where that differs."""
    rows = figures["sampling"] + figures["training"]
    kinds = {
        threads: ", ".join(kind for (kind,), _ in grouped(group, "kind"))
        for (threads,), group in grouped(rows, "threads")
    }
    if len(kinds) < 2:
        return str(next(iter(kinds), figures["threads"]))
    return "; ".join(f"{threads} for {of}" for threads, of in kinds.items())


def _show(figures: Row) -> None:
    machine = ("device", "processor", "cores", "threads", "load", "system")
    facts = (*machine, "python", "torch", "lnfgen", "preset", "seconds")
    said = {**figures, "threads": _threads(figures)}
    console.result_table("", [(name, said[name]) for name in facts])
    rates = figures["products"]
    shapes = list(next(iter(rates.values())))
    rows = [(shape, *(f"{rates[precision][shape]:.0f}" for precision in rates)) for shape in shapes]
    console.result("")
    console.result_table("matrix products, GFLOP/s", rows, ["shape", *rates])
    for (kind, batch), group in grouped(figures["sampling"], "kind", "batch"):
        _show_sampling(kind, batch, group)
    for (kind, *sizes), group in grouped(figures["training"], "kind", "batch", "length", "samples", "precision"):
        _show_training("training on {}, B {}, T {}, K {}, {} (LSTM = 1; share of product)".format(kind, *sizes), group)


def _show_training(title: str, rows: list[Row]) -> None:
    """A row for each model with equal lengths, and one below it with ragged lengths."""
    table = [
        (
            variant_name(row),
            row["lengths"],
            _seconds(row["seconds"]),
            _spread([row]),
            f"{row['speed_to_lstm']:.3g}",
            f"{row['steps_per_second']:,.0f}",
            f"{row['gflop_per_second']:.3g}",
            f"{row['share_of_product']:.0%}",
        )
        for _, group in grouped(rows, "model", "backbone")
        for row in group
    ]
    columns = ["model", "lengths", "s/update", "spread", "speed", "steps/s", "GFLOP/s", "share"]
    console.result("")
    console.result_table(title, table, columns)


def _show_sampling(kind: str, batch: int, rows: list[Row]) -> None:
    """A row for each model, a column for each length. The rates are those of the longest that was measured."""
    lengths = sorted({row["length"] for row in rows})
    table = []
    for _, group in grouped(rows, "model", "backbone"):
        by_length = {row["length"]: row for row in group}
        longest = group[-1]
        table.append(
            (
                variant_name(longest),
                *(_seconds(by_length[t]["seconds"]) if t in by_length else "" for t in lengths),
                _spread(group),
                longest["length"],
                f"{longest['speed_to_lstm']:.3g}",
                f"{longest['share_of_product']:.1%}",
            )
        )
    what = "a sequence" if batch == 1 else f"{batch} sequences at once"
    console.result("")
    console.result_table(
        f"seconds to sample {what} of {kind} (LSTM = 1)",
        table,
        ["model", *(f"T {t}" for t in lengths), "spread", "at T", "speed", "of product"],
    )


def _show_left_out(rows: list[Row], num_models: int) -> None:
    keys = ("task", "kind", "length", "batch", "lengths", "precision")
    for (task, kind, length, batch, lengths, precision), group in grouped(rows, *keys):
        names = [variant_name(row) + (f" ({row['seconds']:.2g} s a call)" if row["seconds"] else "") for row in group]
        which = "every model" if len(group) >= num_models else "; ".join(names)
        case = f"{task} {kind}, T {length}, B {batch}" + (f", lengths {lengths}, {precision}" if precision else "")
        console.note(f"left out, no time left: {case}: {which}")


def _seconds(seconds: float) -> str:
    return f"{seconds:.3g}" if seconds < 100 else f"{seconds:.0f}"


def _spread(rows: list[Row]) -> str:
    """How far the rounds are from their median, at most."""
    return f"±{max((row['seconds_max'] - row['seconds_min']) / row['seconds'] for row in rows) / 2:.0%}"
