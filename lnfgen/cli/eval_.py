"""`lnfgen eval`."""

from typing import Annotated, Any

import typer

from lnfgen.cli import console
from lnfgen.cli.options import Device, Json, Quiet, Run, Solver, choose_solver, solver_facts


def command(
    run: Run = None,
    dataset: Annotated[str | None, typer.Argument(help="Dataset.", show_default="the one it was trained on")] = None,
    nll: Annotated[bool, typer.Option("--nll", help="Also the importance-sampled NLL.")] = False,
    samples: Annotated[int, typer.Option(min=1, help="Samples K of the latent for each sequence.")] = 50,
    split: Annotated[str, typer.Option(help="train, valid or test.")] = "test",
    solver: Solver = "loop",
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Score a run on a split: NLL, ELBO and its parts, log p(T) included, over T + 1.

    All figures are costs in nats per time step (music) or bits per character (text): lower is better.
    """
    from lnfgen.cli.sources import resolve_dataset, resolve_run, resolve_run_dataset

    path = resolve_run(run)

    from lnfgen.evaluation import marginal_nll, reencoded, score
    from lnfgen.runs.trained import TrainedModel

    trained = TrainedModel(path, device)
    model, encoding = trained.model, trained.encoding
    choose_solver(model, solver)
    if dataset is None:
        scored = resolve_run_dataset(trained.run, None, f"lnfgen eval {path} DATASET")
    else:
        scored = resolve_dataset(dataset)
    chosen = scored.split(split)
    # The marginal is fitted in the model's encoding too, so that both figures are of the same symbols.
    sequences, train = (reencoded(part, scored.encoding, encoding) for part in (chosen, scored.split("train")))
    with console.live(f"scoring {split}", len(sequences)) as bar:
        figures = score(model, sequences, encoding.unit, num_samples=samples, progress=bar.update)
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
        **trained.run.config.model.facts(encoding.kind),
        "dataset": scored.name,
        "run": str(path),
    }
    if json:
        console.result_json(values)
    else:
        known = {name: value for name, value in values.items() if value is not None}
        shown = ((name, f"{value:.4f}" if isinstance(value, float) else value) for name, value in known.items())
        console.result_table(f"{trained.run.config.name} on {scored.name}, {split}", shown)
