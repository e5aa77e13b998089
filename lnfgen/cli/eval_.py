"""`lnfgen eval`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from lnfgen.cli import console
from lnfgen.cli.options import Device, Json, Quiet, Solver, choose_solver, solver_facts
from lnfgen.errors import LnfgenError


def command(
    run: Annotated[
        Path | None,
        typer.Argument(
            help="Run folder; with --music also a file or folder of music, or a dataset.",
            show_default="the newest under runs/",
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Argument(
            help="Dataset; beside music instead of a run, other music.", show_default="the one it was trained on"
        ),
    ] = None,
    nll: Annotated[bool, typer.Option("--nll", help="Also the importance-sampled NLL.")] = False,
    samples: Annotated[int, typer.Option(min=1, help="Samples K of the latent for each sequence.")] = 50,
    split: Annotated[str, typer.Option(help="train, valid or test.")] = "test",
    music: Annotated[
        bool, typer.Option("--music", help="Figures of sampled music beside those of the split, not a score.")
    ] = False,
    count: Annotated[
        int | None, typer.Option(min=1, help="With --music: pieces to sample.", show_default="200")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(min=0.0, help="With --music: of the samples.", show_default="1")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="With --music: a .png, .svg or .pdf of the distributions.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Random seed of all that is drawn.")] = 0,
    solver: Solver = "loop",
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Score a run on a split: NLL, ELBO and its parts, log p(T) included, over T + 1.

    All figures are costs in nats per time step (music) or bits per character (text): lower is better.

    With --music, how far sampled music is from the split: figures such as the length of notes, of both side by side.

    Of each figure there are the median, the 5 and 95 % quantiles, and the share of samples inside them on the split.

    AUC says how well a classifier tells the two apart by the figures: 0.5 is not at all, 1 is always.

    With --music A B, the same of any two sets of music. Both sides are cut into passages of 32 quarters or less.
    """
    if music:
        if nll:
            raise LnfgenError("found --nll beside --music; expected one of them; run eval twice")

        from lnfgen.cli.eval_music import report

        report(
            run,
            dataset,
            split=split,
            count=count,
            temperature=temperature,
            seed=seed,
            solver=solver,
            device=device,
            plot=plot,
            json=json,
        )
        return
    for name, value in (("--count", count), ("--temperature", temperature), ("--plot", plot)):
        if value is not None:
            raise LnfgenError(f"found {name}, which goes with --music alone; add --music or leave it out")

    from lnfgen.cli.sources import resolve_dataset, resolve_run

    path = resolve_run(run)

    from lnfgen.evaluation import marginal_nll, reencoded, score
    from lnfgen.models import emission_name
    from lnfgen.runs.folder import dataset_of
    from lnfgen.runs.trained import TrainedModel

    trained = TrainedModel(path, device)
    model, encoding = trained.model, trained.encoding
    choose_solver(model, solver)
    scored = dataset_of(trained.run) if dataset is None else resolve_dataset(dataset)
    chosen = scored.split(split)
    # The marginal is fitted in the model's encoding too, so that both figures are of the same symbols.
    sequences, train = (reencoded(part, scored.encoding, encoding) for part in (chosen, scored.split("train")))
    with console.live(f"scoring {split}", len(sequences)) as bar:
        figures = score(model, sequences, encoding.unit, num_samples=samples, seed=seed, progress=bar.update)
    values: dict[str, Any] = {
        **({"nll": figures.nll} if nll else {}),
        "elbo": figures.elbo,
        "reconstruction": figures.reconstruction,
        "kl": figures.kl,
        "unit": encoding.unit,
        "marginal_nll": marginal_nll(model, encoding, train, sequences),
        **({"sounding_nll": figures.sounding_nll} if nll and figures.sounding_nll is not None else {}),
        "samples": figures.samples,
        "split": split,
        "sequences": figures.sequences,
        "steps": figures.steps,
        "dropped": chosen.dropped,
        **solver_facts(model),
        "model": trained.run.config.name,
        "emission": emission_name(trained.run.config.model, model.observation),
        "dataset": scored.name,
        "run": str(path),
    }
    if json:
        console.result_json(values)
    else:
        shown = ((name, f"{value:.4f}" if isinstance(value, float) else value) for name, value in values.items())
        console.result_table(f"{trained.run.config.name} on {scored.name}, {split}", shown)
