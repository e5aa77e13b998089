"""The sequential direction of flows across time, in a loop and by sweeps: how many sweeps, how exact, how long.

    python examples/solvers.py runs/chorales-af-scf-001 runs/chorales-iaf-scf-001 --steps 60 288 1000

prints a table for each run's prior as trained and with fresh weights: `af` flows are sampled, `iaf` flows score what
they sampled; a `coupling`, parallel both ways, does both. "off" is how far mapping back misses where one started, and
"gradient" how far the gradient with respect to the input is from the loop's, relative to it. One sequence, float32.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from lnfgen.flows.causal import SOLVERS, Report
from torch import Tensor

import lnfgen
from lnfgen.flows.temporal import AutoregressiveFlow, TemporalFlow
from lnfgen.models import build_prior
from lnfgen.models.latent_flow import LatentFlow

Direction = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", help="run folders of latent flow models")
    parser.add_argument("--steps", nargs="+", type=int, default=[60, 288, 1000], help="lengths T")
    parser.add_argument("--repeats", type=int, default=3, help="calls whose median time is given")
    options = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    print("| run | weights | T | direction | solver | sweeps (windows, most) | looped | off | gradient | ms |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for run in options.runs:
        trained = lnfgen.load(run, "cpu")
        if not isinstance(trained.model, LatentFlow):
            raise SystemExit(f"{run}: {trained.run.config.name} has no flow")
        torch.manual_seed(0)
        fresh = build_prior(trained.run.config.model).eval()
        for weights, prior in (("trained", trained.model.prior), ("fresh", fresh)):
            for steps in options.steps:
                lengths = torch.tensor([steps])
                positions = trained.model.positions(lengths, steps).detach()
                eps = torch.randn(1, steps, trained.model.latent, generator=torch.Generator().manual_seed(0))
                table(f"{run} | {weights} | {steps}", prior, eps, positions, lengths, options.repeats)


def table(label: str, prior: TemporalFlow, eps: Tensor, positions: Tensor, lengths: Tensor, repeats: int) -> None:
    """A row for each solver of the sequential direction, or, without one, a row for each direction."""
    generates = isinstance(prior, AutoregressiveFlow) or prior.solver is None
    with torch.inference_mode():
        start = eps if generates else prior.forward(eps, positions, lengths)[0]
    if prior.solver is None:
        ahead, back = (prior.forward, "sample"), (prior.inverse, "score")
        for (direction, name), (other, _) in ((ahead, back), (back, ahead)):
            value, _, milliseconds = timed(direction, start, positions, lengths, repeats)
            off = distance(other, value, start, positions, lengths)
            print(f"| {label} | {name} | | | | {off:.0e} | | {milliseconds:.0f} |", flush=True)
        return
    direction, other = (prior.forward, prior.inverse) if generates else (prior.inverse, prior.forward)
    reference = None
    for method in reversed(SOLVERS):
        prior.solver.method = method
        value, report, milliseconds = timed(direction, start, positions, lengths, repeats)
        off = distance(other, value, start, positions, lengths)
        prior.solver.report = Report()
        gradient = input_gradient(direction, start, positions, lengths)
        reference = gradient if reference is None else reference
        apart = float((gradient - reference).norm() / reference.norm())
        sweeps = f"{report.sweeps} ({report.windows}, {report.most_sweeps})" if report.windows else ""
        print(
            f"| {label} | {'sample' if generates else 'score'} | {method} | {sweeps} | {report.looped_steps or ''} |"
            f" {off:.0e} | {apart:.0e} | {milliseconds:.0f} |",
            flush=True,
        )


def timed(
    direction: Direction, start: Tensor, positions: Tensor, lengths: Tensor, repeats: int
) -> tuple[Tensor, Report, float]:
    """The value, what solving it took, and the median time of some calls after a first one."""
    prior = direction.__self__  # type: ignore[attr-defined]
    seconds = []
    with torch.inference_mode():
        for _ in range(repeats + 1):
            report = Report()
            if prior.solver is not None:
                prior.solver.report = report
            began = time.perf_counter()
            value, _ = direction(start, positions, lengths)
            seconds.append(time.perf_counter() - began)
    return value.clone(), report, 1e3 * statistics.median(seconds[1:])


@torch.no_grad()
def distance(back: Direction, value: Tensor, start: Tensor, positions: Tensor, lengths: Tensor) -> float:
    return float((back(value, positions, lengths)[0] - start).abs().max())


def input_gradient(direction: Direction, start: Tensor, positions: Tensor, lengths: Tensor) -> Tensor:
    at = start.clone().requires_grad_()
    value, ladj = direction(at, positions, lengths)
    (gradient,) = torch.autograd.grad(value.sin().sum() + ladj.sum(), at)
    return gradient


if __name__ == "__main__":
    main()
