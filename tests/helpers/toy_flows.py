"""Flows across time at toy sizes, with large random weights, and what they map."""

import dataclasses
import itertools
from collections.abc import Callable

import torch
from torch import Tensor
from toy_config import model_config
from toy_models import randomise

from lnfgen.config import FEATURES, TIMES, ModelConfig
from lnfgen.errors import ConfigError
from lnfgen.flows.blockwise import BlockwiseFlow
from lnfgen.flows.temporal import TemporalFlow
from lnfgen.models.build import build_prior
from lnfgen.nn.positions import POSITION_SIZE

N = 2
T = 4
D = 3
F = POSITION_SIZE
HIDDEN = 6
NUM_CODES = 5
BLOCK = 2  # of T steps
SIZES = model_config(
    num_flow_layers=2,
    conditioner_size=HIDDEN,
    latent_size=D,
    hidden_size=HIDDEN,
    num_layers=2,
    dropout=0.0,
)


def cells(sizes: ModelConfig) -> list[ModelConfig]:
    """Every way through time with every way across the features that goes with it."""
    found = []
    for time, features in itertools.product(TIMES, FEATURES):
        try:
            found.append(dataclasses.replace(sizes, time=time, features=features))
        except ConfigError:
            continue
    return found


def temporal_flow(
    time: str, features: str, transform: str = "nlsq", **changes: object
) -> TemporalFlow:
    """A flow with fresh weights, whose blocks are short if it has blocks."""
    config = dataclasses.replace(
        SIZES, time=time, features=features, transform=transform, **changes
    )  # type: ignore[arg-type]
    flow = build_prior(config, NUM_CODES)
    if isinstance(flow, BlockwiseFlow):
        flow.passes = BLOCK
    return flow


def random_flow(*point: str, scale: float = 0.5, **changes: object) -> TemporalFlow:
    """`temporal_flow` with random weights, in float64."""
    return randomise(temporal_flow(*point, **changes), scale).double().eval()


def inputs(
    count: int = N, seed: int = 1, num_steps: int = T, features: int = D
) -> tuple[Tensor, Tensor]:
    """x `[count, T, D]` and positions `[count, T, F]`.

    Positions are small numbers, as there are more of them than of anything.
    """
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, num_steps, features, generator=generator, dtype=torch.float64)
    positions = torch.randn(count, num_steps, F, generator=generator, dtype=torch.float64)
    return x, 0.3 * positions


def full(positions: Tensor) -> Tensor:
    """The lengths of sequences without padding."""
    return torch.full((len(positions),), positions.shape[1])


def jacobian_of(method: Callable, x: Tensor, positions: Tensor) -> Tensor:
    """The Jacobian of a flow at one sequence x `[1, T, D]`: `[T, D, T, D]`."""

    def moved(at: Tensor) -> Tensor:
        y, _ = method(at, positions, full(positions))
        return y[0]

    return torch.autograd.functional.jacobian(moved, x)[:, :, 0]
