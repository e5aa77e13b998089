"""The sequential direction of flows across time, in a loop and by sweeps: how many sweeps, how exact, how long.

    python examples/solvers.py runs/chorales-af-scf-001 runs/chorales-iaf-scf-001 --steps 60 288 1000

prints a table for each run's prior: `af` flows are sampled, `iaf` flows score what they sampled. "off" is how far
mapping back misses where one started, and "gradient" how far the gradient with respect to the input is from the loop's,
relative to it. One sequence, float32.
"""

import argparse
import statistics
import time

import torch
from torch import Tensor

import lnfgen
from lnfgen.flows.solver import SOLVERS
from lnfgen.models.latent_flow import LatentFlow


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", help="run folders of latent flow models")
    parser.add_argument("--steps", nargs="+", type=int, default=[60, 288, 1000], help="lengths T")
    parser.add_argument("--repeats", type=int, default=3, help="calls whose median time is given")
    options = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    print("| run | T | direction | solver | most sweeps | off | gradient | ms |")
    print("|---|---|---|---|---|---|---|---|")
    for run in options.runs:
        trained = lnfgen.load(run, "cpu")
        if not isinstance(trained.model, LatentFlow) or trained.model.prior.solver is None:
            raise SystemExit(f"{run}: {trained.run.config.name} has no direction that goes step by step")
        for steps in options.steps:
            table(f"{run} | {steps}", trained.model, steps, options.repeats)


def table(label: str, model: LatentFlow, steps: int, repeats: int) -> None:
    """A row for each solver of the sequential direction."""
    prior, lengths = model.prior, torch.tensor([steps])
    assert prior.solver is not None
    positions = model.positions_of(lengths, steps, None).detach()
    start = torch.randn(1, steps, model.latent, generator=torch.Generator().manual_seed(0))
    name, direction, other = (
        ("score", prior.inverse, prior.forward) if prior.loops_to_score else ("sample", prior.forward, prior.inverse)
    )
    if prior.loops_to_score:
        start = other(start, positions, lengths)[0].detach()
    loop_gradient: Tensor | None = None
    for method in SOLVERS:
        prior.solver.method, prior.solver.most_sweeps = method, 0
        seconds = []
        with torch.inference_mode():
            for _ in range(repeats + 1):
                began = time.perf_counter()
                value, _ = direction(start, positions, lengths)
                seconds.append(time.perf_counter() - began)
            off = float((other(value, positions, lengths)[0] - start).abs().max())
        at = start.clone().requires_grad_()
        value, ladj = direction(at, positions, lengths)
        (gradient,) = torch.autograd.grad(value.sin().sum() + ladj.sum(), at)
        loop_gradient = gradient if loop_gradient is None else loop_gradient
        apart = float((gradient - loop_gradient).norm() / loop_gradient.norm())
        print(
            f"| {label} | {name} | {method} | {prior.solver.most_sweeps or ''} | {off:.0e} | {apart:.0e} |"
            f" {1e3 * statistics.median(seconds[1:]):.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
