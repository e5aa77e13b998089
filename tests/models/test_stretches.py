"""Long sequences are computed in stretches of time, with the same values, gradients and masks."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from toy_models import noise_like, random_x, toy

from lnfgen.data.batches import Batch
from lnfgen.device.replacements import Dropout
from lnfgen.models import stretches
from lnfgen.models.observation import Frames
from lnfgen.models.sequence_model import SequenceModel
from lnfgen.models.stretches import in_stretches
from lnfgen.training.objective import accumulate_gradients

HELPERS = Path(__file__).parents[1] / "helpers"
STEPS = 23
MOST_BYTES = {"score": 1_000_000_000, "train": 3_000_000_000}


def model_of(parts: int) -> SequenceModel:
    """A model whose output reads the past, without dropout and noise in training."""
    frames = Frames(5, has_onsets=True, parts=parts)
    model = toy("af-scf/scan", frames, emission="autoregressive", dropout=0.0, note_noise=0.0)
    return model.double().train()


def batch_of(model: SequenceModel) -> Batch:
    x = random_x(model.observation, 3, STEPS)
    return Batch(x, torch.tensor([STEPS, STEPS - 4, 9]), [0, 1, 2])


def loss_and_gradients(model: SequenceModel) -> tuple[torch.Tensor, list[torch.Tensor]]:
    noise = noise_like(model, 2, 3, STEPS)
    assert noise is not None
    model.zero_grad(set_to_none=True)
    objective = accumulate_gradients(model, batch_of(model), noise.double(), 1.0)
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    return objective.loss, gradients


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("most", [pytest.param(1, marks=pytest.mark.slow), 500, 3000])
def test_an_update_in_passes_and_stretches_is_that_of_the_whole_batch(parts, most, monkeypatch):
    model = model_of(parts)
    loss, gradients = loss_and_gradients(model)
    monkeypatch.setattr(stretches, "MAX_NUMBERS_WITH_GRADIENT", most)
    found, own = loss_and_gradients(model)
    torch.testing.assert_close(found, loss, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(own, gradients, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("parts", [1, 2])
def test_a_score_in_stretches_is_that_of_the_whole_sequence(parts, monkeypatch):
    model = model_of(parts).eval()
    batch = batch_of(model)
    noise = noise_like(model, 2, 3, STEPS)
    with torch.inference_mode():
        whole = model(batch.x, batch.lengths, noise.double())
        monkeypatch.setattr(stretches, "MAX_NUMBERS", 1000)
        found = model(batch.x, batch.lengths, noise.double())
    torch.testing.assert_close(found, whole, rtol=1e-12, atol=1e-12)


def test_the_backward_pass_has_the_masks_of_the_forward_pass(monkeypatch):
    dropout = Dropout(0.5)
    weight = torch.randn(4, 4, dtype=torch.double, requires_grad=True)
    x = torch.randn(1, 20, 4, dtype=torch.double)

    def stretch(x, start, stop, state):
        y = dropout(torch.tanh(x @ weight)) + (0 if state is None else state)
        return y, y[:, -1:]

    def gradient() -> torch.Tensor:
        torch.manual_seed(0)
        weight.grad = None
        in_stretches(stretch, x, 4)[0].square().sum().backward()
        assert weight.grad is not None
        return weight.grad

    monkeypatch.setattr(stretches, "MAX_NUMBERS_WITH_GRADIENT", 20)
    found = gradient()
    monkeypatch.setattr(stretches, "checkpoint", lambda call, *args, **_: call(*args))
    torch.testing.assert_close(found, gradient())


PROGRAM = """
import sys

import numpy as np
import torch

from lnfgen.data.batches import collate
from lnfgen.device.memory import KILOBYTE, _number_after
from lnfgen.inference.scoring import score
from lnfgen.models.build import build_model
from lnfgen.models.length import LengthModel
from lnfgen.models.observation import Frames
from lnfgen.training.objective import accumulate_gradients
from lnfgen.training.recipes import Corpus
from toy_config import run_config

aim = sys.argv[1]
steps = int(sys.argv[2])
torch.manual_seed(0)
frames = Frames(49, has_onsets=True, parts=4)
config = run_config(preset="tiny", corpus=Corpus("music", has_onsets=True, num_parts=4), seed=0)
values = {**config.model.__dict__, "reads_time_signature": False}
model = build_model(type(config.model)(**values), frames, LengthModel.fit(torch.tensor([steps])))
x = (np.random.default_rng(0).random((steps, 4, 49)) < 0.04).astype(np.uint8)
if aim == "score":
    score(model, [x], "nats_per_step", num_samples=5)
else:
    noise = model.draw_noise(1, 1, steps, torch.Generator().manual_seed(0))
    accumulate_gradients(model.train(), collate([x], [0]), noise, 1.0)
# `ru_maxrss` begins with the peak of the process that started this one.
print(KILOBYTE * _number_after("VmHWM:", "/proc/self/status"))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc/self/status")
@pytest.mark.parametrize(("aim", "steps"), [("score", 3000), ("train", 3000)])
def test_memory_does_not_grow_with_the_length(aim, steps):
    program = f"import sys; sys.path.insert(0, {str(HELPERS)!r})\n{PROGRAM}"
    command = [sys.executable, "-c", program, aim, str(steps)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < MOST_BYTES[aim]
