"""How exact the transforms are, as a table: `python tests/helpers/accuracy.py [CASES]`.

CASES is how many there are in float32 for each (default 10^6). For each registered transform: the
worst round trip v -> z -> v, in units of round-off of the terms that its formula adds up, over 10^5
extreme cases in float64 and over CASES standard ones in float32; the worst log-determinant against
autograd, either direction, in the same float64 cases; and how many values, log-determinants and
gradients of either direction were not finite, in all of them.
"""

import argparse
import time

import torch
from rich.console import Console
from rich.table import Table
from transform_cases import extreme, non_finite, standard, ulps

from lnfgen.transforms import TRANSFORMS

EXTREME = 100_000
PIECE = 50_000  # cases at a time: what a processor's cache holds
DIRECTIONS = ("forward", "inverse")


def log_determinant_error(
    name: str, direction: str, x: torch.Tensor, parameters: torch.Tensor
) -> float:
    x = x.clone().requires_grad_()
    y, ladj = getattr(TRANSFORMS[name](), direction)(x, parameters)
    (slope,) = torch.autograd.grad(y.sum(), x)
    return float((ladj.detach() - slope.log()).abs().max())


def measure(name: str, cases: int) -> tuple[str, ...]:
    started = time.perf_counter()
    transform = TRANSFORMS[name]()

    v, parameters = extreme(name, EXTREME, torch.float64)
    with torch.no_grad():
        z, _ = transform.forward(v, parameters)
    worst_double = float(ulps(name, v, z, parameters).max())
    log_det = max(log_determinant_error(name, direction, v, parameters) for direction in DIRECTIONS)
    bad = sum(non_finite(name, direction, v, parameters) for direction in DIRECTIONS)
    v, parameters = extreme(name, EXTREME, torch.float32)
    bad += sum(non_finite(name, direction, v, parameters) for direction in DIRECTIONS)

    worst_single = 0.0
    for seed in range(-(-cases // PIECE)):
        v, parameters = standard(name, PIECE, seed)
        bad += sum(non_finite(name, direction, v, parameters) for direction in DIRECTIONS)
        with torch.no_grad():
            z, _ = transform.forward(v, parameters)
        worst_single = max(worst_single, float(ulps(name, v, z, parameters).max()))
    seconds = f"{time.perf_counter() - started:.0f}"
    exact = (f"{worst_double:.2f}", f"{worst_single:.2f}", f"{log_det:.1e}")
    return (name, *exact, str(bad), seconds)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cases", nargs="?", type=lambda text: int(float(text)), default=1_000_000)
    cases = parser.parse_args().cases
    table = Table(
        title=f"{EXTREME:.0e} extreme cases in float64, {cases:.0e} standard ones in float32"
    )
    table.add_column("transform")
    for heading in ("float64, ulp", "float32, ulp", "log-det", "non-finite", "seconds"):
        table.add_column(heading, justify="right")
    console = Console()
    for name in sorted(TRANSFORMS):
        row = measure(name, cases)
        console.print("  ".join(row), style="dim")  # as it comes: 10^8 cases take hours
        table.add_row(*row)
    console.print(table)


if __name__ == "__main__":
    main()
