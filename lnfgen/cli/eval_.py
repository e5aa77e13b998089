"""`lnfgen eval`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from lnfgen.cli import console
from lnfgen.cli.options import Device, Json, Quiet, Solver, choose_solver, solver_facts


def command(
    run: Annotated[Path | None, typer.Argument(help="Run folder.  [default: the newest under runs/]")] = None,
    dataset: Annotated[str | None, typer.Argument(help="Dataset.  [default: the one it was trained on]")] = None,
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
    from lnfgen.cli.sources import dataset_of, resolve_dataset, resolve_run

    path = resolve_run(run)

    from lnfgen.data.marginal import Marginal
    from lnfgen.evaluation import per_unit, score
    from lnfgen.memory import keep_freed_memory
    from lnfgen.models import emission_name
    from lnfgen.trained import TrainedModel

    keep_freed_memory()
    trained = TrainedModel(path, device)
    choose_solver(trained.model, solver)
    scored = dataset_of(trained.run) if dataset is None else resolve_dataset(dataset)
    chosen, train = scored.split(split), list(scored.split("train"))
    sequences = list(chosen)
    if scored.encoding != trained.encoding:  # the model's own symbols, for the marginal's too
        sequences, train = (
            [trained.encoding.encode(scored.encoding.decode(x)) for x in part] for part in (sequences, train)
        )
    with console.live(f"scoring {split}", len(sequences)) as bar:
        figures = score(trained.model, sequences, trained.encoding.unit, num_samples=samples, progress=bar.update)
    import torch

    marginal = Marginal(trained.encoding, train)
    lengths = torch.tensor([len(x) for x in sequences])
    log_p = sum(map(marginal.log_prob, sequences)) + float(trained.model.length.log_prob(lengths).sum())
    values: dict[str, Any] = {
        **({"nll": figures.nll} if nll else {}),
        "elbo": figures.elbo,
        "reconstruction": figures.reconstruction,
        "kl": figures.kl,
        "unit": trained.encoding.unit,
        "marginal_nll": -log_p * per_unit(trained.encoding.unit) / (figures.steps + figures.sequences),
        **(
            {"sounding_nll": figures.sounding_nll}
            if nll and figures.sounding_nll is not None and trained.encoding.has_onsets
            else {}
        ),
        "samples": figures.samples,
        "split": split,
        "sequences": figures.sequences,
        "steps": figures.steps,
        "dropped": chosen.dropped,
        **solver_facts(trained.model),
        "model": trained.run.config.name,
        "emission": emission_name(trained.run.config.model, trained.model.observation),
        "dataset": scored.name,
        "run": str(path),
    }
    if json:
        console.result_json(values)
    else:
        shown = ((name, f"{value:.4f}" if isinstance(value, float) else value) for name, value in values.items())
        console.result_table(f"{trained.run.config.name} on {scored.name}, {split}", shown)
