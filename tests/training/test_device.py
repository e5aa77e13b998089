"""A device computes what the CPU computes: values, gradients, scores and samples.

The bodies run twice: with `cpu` in place of a GPU, which checks the tests themselves, and marked
`cuda` with a GPU.
"""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from toy_models import LENGTHS, SIZES, noise_like, random_x, randomise, sample_batch
from toy_training import Session, after

from lnfgen.config import NAMED_MODELS
from lnfgen.data.batches import Batch
from lnfgen.data.dataset import Dataset
from lnfgen.inference.scoring import score
from lnfgen.models.build import build_model
from lnfgen.models.length import LengthModel
from lnfgen.models.observation import Frames, Observation, Symbols
from lnfgen.models.sequence_model import SequenceModel
from lnfgen.nn.backbones import BACKBONES
from lnfgen.training.objective import accumulate_gradients
from lnfgen.transforms import TRANSFORMS

CUDA = pytest.param("cuda", marks=pytest.mark.cuda)
EVERYWHERE = pytest.mark.parametrize(
    "device", [pytest.param("cpu", marks=pytest.mark.slow), CUDA], indirect=True
)
"""For tests of every model and output, which take long."""
OUTPUTS: dict[str, Observation] = {
    "categorical": Symbols(6),
    "bernoulli": Frames(7, has_onsets=False),
    "nade": Frames(7, has_onsets=True),
    "autoregressive": Frames(7, has_onsets=True),
    "band": Frames(5, has_onsets=True, parts=2),
}
"""What is modelled by the emission of this name; a band by the autoregressive one."""
NETWORKS = [("lstm", "lstm")]
for _name in NAMED_MODELS:
    if _name != "lstm":
        NETWORKS += [(_name, backbone) for backbone in BACKBONES]
OF_MUSIC = [(name, backbone) for name, backbone in NETWORKS if not name.endswith("codes")]
CASES = [(name, backbone, "categorical") for name, backbone in NETWORKS]
for _output in ("bernoulli", "nade", "autoregressive"):
    CASES += [(name, backbone, _output) for name, backbone in OF_MUSIC]
CASES += [("lstm", "lstm", "band"), ("af-scf", "scan", "band")]
TOLERANCES = {"float32": {"rtol": 2e-4, "atol": 2e-4}, "bfloat16": {"rtol": 3e-2, "atol": 3e-2}}
"""How far a device may be from the CPU in float32. Sums run in another order there, and trained
flows multiply round-off; bfloat16 has 8 bits."""


@pytest.fixture(params=["cpu", CUDA])
def device(request: pytest.FixtureRequest) -> torch.device:
    return torch.device(request.param)


@contextmanager
def exact_products() -> Iterator[None]:
    """Without TF32, which has 10 bits; torch's default for convolutions and cuDNN is to use it."""
    allowed = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = allowed


def model_of(name: str, backbone: str, output: str, **changes: Any) -> SequenceModel:
    torch.manual_seed(0)
    emission = "autoregressive" if output == "band" else output
    choice = {"backbone": backbone, "emission": emission, "dropout": 0.0, **changes}
    config = dataclasses.replace(SIZES, **(choice | NAMED_MODELS[name]))
    return randomise(build_model(config, OUTPUTS[output], LengthModel.fit(LENGTHS)), 0.3)


def objective(
    model: SequenceModel, device: torch.device, precision: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss and the gradient of all weights, on the host."""
    model.to(device).zero_grad()
    x = random_x(model.observation, len(LENGTHS), 5)
    noise = noise_like(model, 2, len(LENGTHS), 5)
    batch = Batch(x, LENGTHS, [0, 1, 2]).to(device)
    if noise is not None:
        noise = noise.to(device)
    found = accumulate_gradients(model, batch, noise, 0.7, precision=precision)
    gradients = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
    return found.loss.detach().cpu(), torch.cat(gradients).cpu()


@EVERYWHERE
@pytest.mark.parametrize(("name", "backbone", "emission"), CASES)
def test_loss_and_gradient_are_those_of_the_cpu(
    name: str, backbone: str, emission: str, device: torch.device
) -> None:
    with exact_products():
        expected, gradient = objective(
            model_of(name, backbone, emission), torch.device("cpu"), "float32"
        )
        for precision, tolerance in TOLERANCES.items():
            loss, found = objective(model_of(name, backbone, emission), device, precision)
            torch.testing.assert_close(loss, expected, **tolerance)
            least = 0.9999 if precision == "float32" else 0.97
            assert torch.cosine_similarity(found, gradient, 0) > least


@EVERYWHERE
@pytest.mark.parametrize("precision", TOLERANCES)
@pytest.mark.parametrize(("name", "backbone"), OF_MUSIC)
def test_scores_are_those_of_the_cpu(
    name: str, backbone: str, precision: str, device: torch.device
) -> None:
    model = model_of(name, backbone, "autoregressive")
    sequences: list[np.ndarray] = []
    for length in (20, 2, 30):
        sequences.append(random_x(model.observation, 1, length, length)[0].numpy())
    with exact_products():
        expected = score(model, sequences, "nats_per_step", num_samples=3)
        found = score(
            model.to(device), sequences, "nats_per_step", num_samples=3, precision=precision
        )
    for name in ("nll", "elbo", "kl", "sounding_nll"):
        value = torch.tensor(getattr(found, name))
        of_cpu = torch.tensor(getattr(expected, name))
        torch.testing.assert_close(value, of_cpu, **TOLERANCES[precision])


@EVERYWHERE
@pytest.mark.parametrize(("name", "backbone", "emission"), CASES)
def test_samples_are_those_of_the_cpu(
    name: str, backbone: str, emission: str, device: torch.device
) -> None:
    """Round-off decides a step the other way now and then, and all steps after it.

    With few steps it hardly ever does.
    """
    lengths = [6, 4, 3, 1]
    model = model_of(name, backbone, emission).eval()

    def drawn() -> list[np.ndarray]:
        generators = [torch.Generator().manual_seed(seed) for seed in range(len(lengths))]
        with torch.inference_mode():
            return [x.numpy() for x in sample_batch(model, lengths, generators, 1.0)]

    with exact_products():
        expected = drawn()
        model.to(device)
        found = drawn()
    same = sum(np.array_equal(*pair) for pair in zip(found, expected, strict=True))
    assert same >= len(lengths) - 1


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_the_flow_maps_as_on_the_cpu(transform: str, device: torch.device) -> None:
    model = model_of("af-af", "scan", "categorical", transform=transform).eval()
    eps = torch.randn(3, 9, SIZES.latent_size, generator=torch.Generator().manual_seed(1))
    lengths = torch.tensor([9, 9, 9])

    def mapped(where: torch.device) -> list[torch.Tensor]:
        model.to(where)
        with torch.no_grad():
            positions = model.positions(lengths.to(where), 9)
            z, ladj = model.prior(eps.to(where), positions, lengths.to(where))
            back, other = model.prior.inverse(z, positions, lengths.to(where))
        torch.testing.assert_close(back, eps.to(where), rtol=0, atol=1e-3)
        torch.testing.assert_close(ladj + other, torch.zeros_like(ladj), rtol=0, atol=1e-2)
        return [z.cpu(), ladj.cpu()]

    with exact_products():
        expected = mapped(torch.device("cpu"))
        torch.testing.assert_close(mapped(device), expected, rtol=2e-3, atol=2e-3)


def test_a_run_goes_on_from_the_state_that_it_left(device: torch.device, dataset: Dataset) -> None:
    first = Session(dataset, device=device)
    second = Session(dataset, device=device)
    first.run(after(2))
    tensors, values = first.trainer.state()
    for part, kept in tensors.items():
        tensors[part] = {key: value.cpu().clone() for key, value in kept.items()}
    second.trainer.restore(tensors, values)
    for session in (first, second):
        torch.manual_seed(5)
        session.run(after(1))
    assert second.trainer.step == 3
    expected = first.trainer.model.state_dict()
    torch.testing.assert_close(second.trainer.model.state_dict(), expected, rtol=1e-5, atol=1e-6)
