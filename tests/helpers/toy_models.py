"""Whole models at toy sizes, and data for them."""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from toy_config import model_config

from lnfgen.config import NAMED_MODELS
from lnfgen.models.autoregressive import AutoregressiveHead
from lnfgen.models.build import build_model
from lnfgen.models.length import LengthModel
from lnfgen.models.observation import Frames, Observation, Symbols
from lnfgen.models.sequence_model import SequenceModel
from lnfgen.models.time_signatures import TimeSignatures

Module = TypeVar("Module", bound=nn.Module)

SIZES = model_config(
    num_flow_layers=2,
    conditioner_size=5,
    latent_size=4,
    hidden_size=6,
    num_layers=2,
    embedding_size=5,
    dropout=0.3,
    copy_attention=True,
)
ODD_SIZES = dataclasses.replace(SIZES, latent_size=3, num_layers=1)
"""The same with an odd number of latent features, whose halves differ, and one layer."""

LENGTHS = torch.tensor([5, 2, 4])
# To choose it for each toy anew would take a fifth of the time to make one.
KERNEL = LengthModel.fit(LENGTHS).kernel
MODELS = [*sorted(NAMED_MODELS), "af-scf/scan", "af-scf/conv-scan"]
OUTPUTS: dict[str, tuple[Observation, str]] = {
    "symbols": (Symbols(4), "categorical"),
    "frames": (Frames(3, has_onsets=False), "bernoulli"),
    "onsets": (Frames(3, has_onsets=True), "bernoulli"),
    "nade-frames": (Frames(3, has_onsets=False), "nade"),
    "nade-onsets": (Frames(3, has_onsets=True), "nade"),
    "autoregressive-onsets": (Frames(3, has_onsets=True), "autoregressive"),
    "autoregressive-band": (Frames(3, has_onsets=True, parts=2), "autoregressive"),
}
ON_OTHER_OUTPUTS = ("lstm", "af-scf", "af-scf/scan", "af-scf/conv-scan")


def _has_output(name: str, kind: str) -> bool:
    """Codes are of symbols alone."""
    return kind == "symbols" or not name.endswith("codes")


def _is_often(name: str, kind: str) -> bool:
    """An output knows a prior by z alone, so most pairs with other priors can wait.

    A backbone is in both of them.
    """
    return kind in ("symbols", "autoregressive-onsets") or name in ON_OTHER_OUTPUTS


PAIRS: list[tuple[str, str]] = []
"""Each output with each model that has it."""

for _kind in sorted(OUTPUTS):
    PAIRS += [(_kind, name) for name in MODELS if _has_output(name, _kind)]

OFTEN = [(kind, name) for kind, name in PAIRS if _is_often(name, kind)]
"""The pairs that are tested each time."""


def randomise(module: Module, scale: float = 0.5, seed: int = 0) -> Module:
    """Make all weights large, because weights near 0 would hide a missing path.

    The result is the module itself.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))
    return module


def usual_output(observation: Observation) -> str:
    return "categorical" if isinstance(observation, Symbols) else "bernoulli"


def toy(
    name: str,
    observation: Observation,
    time_signatures: TimeSignatures | None = None,
    **changes: object,
) -> SequenceModel:
    """A model with large random weights; it reads time signatures, if there are some."""
    torch.manual_seed(0)
    name, _, backbone = name.partition("/")
    usual = {
        "emission": usual_output(observation),
        "backbone": backbone or "lstm",
        "reads_time_signature": time_signatures is not None,
    }
    values = usual | NAMED_MODELS[name] | changes
    config = dataclasses.replace(SIZES, **values)  # type: ignore[arg-type]
    model = build_model(config, observation, LengthModel.fit(LENGTHS, KERNEL), time_signatures)
    randomise(model)
    for module in model.modules():
        # Its layers add up, and logits of some hundreds say nothing of the rest.
        if isinstance(module, AutoregressiveHead):
            randomise(module, 0.2)
    randomise(model.positions, 0.2)  # They are more than what a toy reads beside them.
    return model.eval()


def key_values(frames: Frames) -> list[int]:
    """The values of a key: silent, held and struck, or without onsets silent and sounding."""
    if frames.has_onsets:
        return [0, 1, 3]
    return [0, 1]


def random_x(observation: Observation, batch: int, steps: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    if isinstance(observation, Symbols):
        shape = (batch, steps)
        return torch.randint(observation.num_symbols, shape, generator=generator, dtype=torch.int32)
    values = torch.tensor(key_values(observation), dtype=torch.uint8)
    shape = (batch, steps, observation.parts, observation.num_pitches)
    return values[torch.randint(len(values), shape, generator=generator)]


def sample_batch(
    model: SequenceModel,
    lengths: Sequence[int],
    generators: Sequence[torch.Generator],
    temperature: float,
    bar_shapes: Tensor | None = None,
) -> list[Tensor]:
    """Sequences on the CPU, each with its own length and generator."""
    numbers = model.random_numbers(lengths, generators)
    return model.generate(lengths, *numbers, temperature, bar_shapes)


def noise_like(
    model: SequenceModel, samples: int, batch: int, steps: int, seed: int = 0
) -> Tensor | None:
    return model.draw_noise(samples, batch, steps, torch.Generator().manual_seed(seed))


def every_sequence(observation: Observation, steps: int) -> Tensor:
    if isinstance(observation, Symbols):
        return torch.tensor(list(itertools.product(range(observation.num_symbols), repeat=steps)))
    values = key_values(observation)
    frame = (observation.parts, observation.num_pitches)
    flat = list(itertools.product(values, repeat=steps * math.prod(frame)))
    return torch.tensor(flat, dtype=torch.uint8).unflatten(1, (steps, *frame))


def probabilities_that_sum_to_1(model: SequenceModel, steps: int, samples: int) -> Tensor:
    """p(x | T) of every x of so many steps, by importance sampling, if they sum to 1.

    The posterior must cover the prior, so that the weights vary little.
    """
    x = every_sequence(model.observation, steps)
    noise = noise_like(model, samples, len(x), steps)
    assert noise is not None
    terms = model(x, torch.full((len(x),), steps), noise.double())
    weights = (terms.reconstruction - terms.kl).exp()  # [K, all x], each of mean p(x | T)
    error = float((weights.var(0) / samples).sum().sqrt())
    assert error < 0.03
    assert abs(float(weights.mean(0).sum()) - 1) < 4 * error
    return weights.mean(0)
