"""The conditional prior: it begins as the prior and is fitted to q(z | x). Whatever its weights, `fill` is right."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from test_particles import check, fitting_toy
from toy_dataset import write_dataset
from toy_models import MODELS, OUTPUTS, SIZES, noise_like, random_x, randomise, toy
from toy_training import Listener, after

from lnfgen.config import NAMED_MODELS, Config, ModelConfig, TrainingConfig
from lnfgen.data.dataset import Dataset
from lnfgen.data.encoding import Encoding
from lnfgen.errors import ConfigError, RunError
from lnfgen.models import LatentFlow, Symbols, add_conditional
from lnfgen.models.conditional import ConditionalPrior
from lnfgen.models.observation import Known, Observation
from lnfgen.runs.checkpoint import load_model
from lnfgen.runs.folder import RunFolder
from lnfgen.runs.listing import overview
from lnfgen.training.masks import drawn_known
from lnfgen.training.matching import Matched
from lnfgen.training.recipes import Corpus, run_config
from lnfgen.training.session import TrainingSession

LATENT = [name for name in MODELS if name != "lstm"]


def config_of(name: str) -> ModelConfig:
    name, _, backbone = name.partition("/")
    return dataclasses.replace(SIZES, **NAMED_MODELS[name], backbone=backbone or "lstm")  # type: ignore[arg-type]


def half_known(observation: Observation, x: torch.Tensor) -> Known:
    return drawn_known(observation, x, [x.shape[1]] * len(x), np.random.default_rng(1))


@pytest.mark.contract
@pytest.mark.parametrize("output", ["symbols", "onsets"])
@pytest.mark.parametrize("name", LATENT)
@torch.no_grad()
def test_it_begins_as_the_prior_and_listens_to_all_that_is_known(name: str, output: str) -> None:
    observation, emission = OUTPUTS[output]
    model = toy(name, observation, emission=emission)
    assert isinstance(model, LatentFlow)
    conditional = add_conditional(model, config_of(name)).eval()
    x, lengths = random_x(observation, 3, 5), torch.full((3,), 5)
    z, positions = torch.randn(3, 5, model.latent), model.positions(lengths, 5)

    def told(known: Known) -> torch.Tensor:
        return conditional.context(known, lengths, positions)

    known = half_known(observation, x)
    prior = model.prior.log_prob(z, positions, lengths)
    torch.testing.assert_close(conditional.flow.log_prob(z, told(known), lengths), prior)

    randomise(conditional)
    density = conditional.flow.log_prob(z, told(known), lengths)
    assert (density - prior).abs().max() > 0.1
    other = known._replace(values=random_x(observation, 3, 5, seed=9) if output == "symbols" else ~known.values)
    hidden = Known(torch.where(known.mask, known.values, other.values), known.mask)
    # what is hidden says nothing
    torch.testing.assert_close(conditional.flow.log_prob(z, told(hidden), lengths), density)
    assert (conditional.flow.log_prob(z, told(other), lengths) - density).abs().max() > 1e-3


@pytest.mark.contract
@pytest.mark.parametrize(("name", "output"), [("af-scf", "symbols"), ("iaf-scf", "frames")])
def test_filling_is_right_whatever_the_weights_are(name: str, output: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights of particles correct for draws of z that come from elsewhere than the prior."""
    monkeypatch.setattr("lnfgen.models.latent_filling.SWEEPS", 2)
    model = fitting_toy(name, output)
    config = dataclasses.replace(config_of(name), latent_size=2, copy_attention=False)
    randomise(add_conditional(model, config), 0.2)
    check(model, draws=1000, particles=32)


@pytest.mark.parametrize("output", ["symbols", "onsets", "frames"])
def test_masks_hide_some_of_each_kind(output: str) -> None:
    observation, _ = OUTPUTS[output]
    rng, shares, whole_steps = np.random.default_rng(0), [], 0
    for seed in range(40):
        x = random_x(observation, 4, 12, seed)
        known = drawn_known(observation, x, [12, 7, 1, 12], rng)
        assert known.mask.shape == known.values.shape == observation.known(x, known.mask).values.shape
        assert not known.mask[1, 7:].any()  # what is after the end is not known
        if known.mask.dim() == 3 and output == "onsets":
            assert (known.mask[..., :3] == known.mask[..., 3:]).all()  # a key is known with its onset
        shares.append(known.mask[0].double().mean().item())
        whole_steps += bool(known.mask[0].flatten(1).all(1).any()) if known.mask.dim() == 3 else 0
    assert min(shares) == 0
    assert max(shares) > 0.8
    assert 0.2 < np.mean(shares) < 0.8
    assert output == "symbols" or whole_steps > 5


TEXT = Encoding("text", vocabulary=("\ufffd", *"abcdefg"))


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Words of which each character follows from the one before, so that a known one says much of its neighbours."""
    rng = np.random.default_rng(0)
    words = [((np.arange(10) + start) % 8).astype(np.int32) for start in rng.integers(0, 8, 60)]
    splits = {"train": words, "valid": words[:6]}
    return write_dataset(tmp_path / "data", name="toy", encoding=TEXT, splits=splits, dropped={})


class Matches(Listener):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Matched] = []

    def matched(self, found: Matched) -> None:
        self.found.append(found)


def session(dataset: Dataset, out: Path, name: str = "af-scf", steps: int = 12) -> TrainingSession:
    training = TrainingConfig(max_steps=6, batch_size=6, seed=3, filling_steps=steps)
    return TrainingSession.begin(Config("tiny", config_of(name), training), dataset, "cpu", out)


def test_it_comes_near_to_the_posterior_and_leaves_the_model_as_it_is(dataset: Dataset, tmp_path: Path) -> None:
    whole = session(dataset, tmp_path / "run", steps=120)
    matches = Matches()
    assert whole.train(matches)
    assert [found.step for found in matches.found] == [30, 60, 90, 120]
    first, last = matches.found[0], matches.found[-1]
    assert last.of_conditional < 0.7 * last.of_prior
    assert first.of_prior == pytest.approx(last.of_prior, rel=0.1)
    model = load_model(whole.run, torch.device("cpu"))
    assert isinstance(model, LatentFlow)
    assert isinstance(model.conditional, ConditionalPrior)
    for name, weights in whole.trainer.average.module.state_dict().items():
        assert torch.equal(model.state_dict()[name], weights)
    noise = noise_like(model, 2, 3, 10)
    x, lengths = random_x(Symbols(8), 3, 10), torch.full((3,), 10)
    with torch.no_grad():
        found, expected = (one(x, lengths, noise) for one in (model, whole.trainer.average.module.eval()))
    assert torch.equal(found.kl, expected.kl)


def test_a_run_that_is_ended_while_it_is_fitted_goes_on_to_the_same_model(dataset: Dataset, tmp_path: Path) -> None:
    whole = session(dataset, tmp_path / "whole")
    assert whole.train(Matches())
    expected = (whole.run.path / "model.safetensors").read_bytes()
    assert overview([whole.run.path])[0]["state"] == "finished"

    ended = session(dataset, tmp_path / "ended")
    assert not ended.train(Matches(), after(11))  # 6 updates, and some of those that fit
    assert (ended.run.path / "model.safetensors").read_bytes() != expected
    assert overview([ended.run.path])[0]["state"] == "interrupted"
    resumed = TrainingSession.resume(RunFolder(tmp_path / "ended"), "cpu")
    assert resumed.train(Matches())
    assert (ended.run.path / "model.safetensors").read_bytes() == expected

    assert TrainingSession.resume(RunFolder(tmp_path / "whole"), "cpu").train(again := Matches())
    assert not again.found


def test_a_finished_run_without_a_valid_split_is_not_fitted_again(tmp_path: Path) -> None:
    words = [np.arange(1, 6, dtype=np.int32)] * 6
    alone = write_dataset(tmp_path / "alone", name="toy", encoding=TEXT, splits={"train": words}, dropped={})
    run = session(alone, tmp_path / "run", steps=2)
    assert run.train(first := Matches())
    before = (run.run.path / "model.safetensors").read_bytes()
    assert TrainingSession.resume(RunFolder(tmp_path / "run"), "cpu").train(again := Matches())
    assert (bool(first.found), bool(again.found)) == (True, False)
    assert (run.run.path / "model.safetensors").read_bytes() == before


def test_a_fit_that_is_not_finite_leaves_the_model_as_it_is(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lnfgen.training.matching.LEARNING_RATE", math.inf)
    run = session(dataset, tmp_path / "run")
    with pytest.raises(RunError, match=r"NaN or infinite.* training.filling_steps"):
        run.train(Matches())
    assert load_model(run.run, torch.device("cpu")).conditional is None


def test_a_trained_run_can_be_fitted_later(dataset: Dataset, tmp_path: Path) -> None:
    run = session(dataset, tmp_path / "run", steps=0)
    assert run.train(Matches())
    before = (run.run.path / "model.safetensors").read_bytes()
    config = run.run.path / "config.json"
    config.write_text(config.read_text().replace('"filling_steps": 0', '"filling_steps": 4'))
    assert TrainingSession.resume(RunFolder(tmp_path / "run"), "cpu").train(matches := Matches())
    assert matches.found[-1].step == 4
    assert (run.run.path / "model.safetensors").read_bytes() != before


def test_a_model_without_a_latent_is_refused_and_by_default_not_asked(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"filling_steps: found 12.* expected 0"):
        session(dataset, tmp_path / "run", "lstm")
    assert not (tmp_path / "run").exists()
    text = Corpus("text", num_sequences=1000)
    assert run_config("lstm", "tiny", corpus=text).training.filling_steps == 0
    assert run_config("af-scf", "tiny", corpus=text, max_steps=30).training.filling_steps == 10
    assert run_config("af-scf", "tiny", corpus=Corpus("music")).training.filling_steps == 0
