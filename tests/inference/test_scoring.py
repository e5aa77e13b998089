"""Scores and the marginal floor, against direct computations."""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from toy_models import ODD_SIZES, key_values, usual_output

from lnfgen.config import NAMED_MODELS
from lnfgen.conventions import stream_seed
from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.data.text_encoding import TextEncoding
from lnfgen.errors import LnfgenError
from lnfgen.formats.text import UNKNOWN
from lnfgen.inference import scoring
from lnfgen.inference.scoring import marginal_nll, per_unit, score
from lnfgen.models.build import build_model
from lnfgen.models.length import LengthModel
from lnfgen.models.observation import Frames, Observation, Symbols
from lnfgen.models.sequence_model import SequenceModel, Terms

OBSERVATIONS: dict[str, Observation] = {
    "symbols": Symbols(4),
    "frames": Frames(3, has_onsets=False),
    "onsets": Frames(3, has_onsets=True),
    "band": Frames(3, has_onsets=True, parts=2),
}
SYMBOLS = OBSERVATIONS["symbols"]

MODELS = sorted(NAMED_MODELS)
OF_MUSIC = [name for name in MODELS if not name.endswith("-codes")]
LENGTHS = [5, 1, 9, 5, 2, 30]


def sequences_of(observation: Observation, lengths: Sequence[int] = LENGTHS) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    sequences = []
    for length in lengths:
        if isinstance(observation, Symbols):
            sequences.append(rng.integers(observation.num_symbols, size=length).astype(np.int32))
        else:
            values = np.array([0, *key_values(observation)], dtype=np.uint8)
            shape = (length, observation.parts, observation.num_pitches)
            sequences.append(rng.choice(values, shape))
    return sequences


def toy(name: str, observation: Observation, lengths: Sequence[int] = LENGTHS) -> SequenceModel:
    torch.manual_seed(0)
    values: dict[str, Any] = {**NAMED_MODELS[name], "emission": usual_output(observation)}
    config = dataclasses.replace(ODD_SIZES, **values)
    model = build_model(config, observation, LengthModel.fit(torch.tensor(lengths)))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.4 * torch.randn_like(parameter))
        for parameter in model.positions.parameters():
            parameter.mul_(0.5)  # they are more than what a toy reads beside them
    return model.double().eval()


# Scores.


def figures(value: scoring.Score) -> list[float]:
    return [value.elbo, value.reconstruction, value.kl, value.nll, value.sounding_nll or 0.0]


def terms_of_each(
    model: SequenceModel, sequences: Sequence[np.ndarray], num_samples: int, seed: int
) -> list[list[Terms]]:
    """The terms of each sample of each sequence, computed on their own."""
    terms = []
    for index, x in enumerate(sequences):
        generator = torch.Generator().manual_seed(stream_seed(seed, index))
        own = []
        for _ in range(num_samples):
            noise = model.draw_noise(1, 1, len(x), generator)
            own.append(model(torch.from_numpy(x)[None], torch.tensor([len(x)]), noise))
        terms.append(own)
    return terms


def mean_of(name: str, terms: list[list[Terms]]) -> float:
    """A term, as a mean over the samples of each sequence, summed over the sequences."""
    return sum(np.mean([float(getattr(sample, name)) for sample in own]) for own in terms)


def log_mean_exp(values: Sequence[Tensor]) -> float:
    weights = [float(value) for value in values]
    return float(np.logaddexp.reduce(weights)) - math.log(len(weights))


CASES = [(name, "symbols") for name in MODELS]
for kind in ("frames", "onsets", "band"):
    CASES += [(name, kind) for name in OF_MUSIC]


@pytest.mark.parametrize(("name", "kind"), CASES)
@torch.no_grad()
def test_score_is_the_direct_computation(name: str, kind: str) -> None:
    """Each sequence on its own, each sample on its own, with the definition's sums."""
    observation = OBSERVATIONS[kind]
    model = toy(name, observation)
    sequences = sequences_of(observation)
    num_samples = 1 if model.exact else 3
    terms = terms_of_each(model, sequences, num_samples, seed=3)
    log_p_length = float(model.length.log_prob(torch.tensor(LENGTHS)).sum())
    log_p = log_p_length
    log_p_sounding = log_p_length
    for own in terms:
        log_p += log_mean_exp([sample.reconstruction - sample.kl for sample in own])
        if own[0].sounding is not None:
            log_p_sounding += log_mean_exp([sample.sounding - sample.kl for sample in own])
    reconstruction = mean_of("reconstruction", terms)
    kl = mean_of("kl", terms)

    found = score(model, sequences, "nats_per_step", num_samples=3, seed=3)
    count = sum(LENGTHS) + len(LENGTHS)
    elbo = reconstruction - kl + log_p_length
    assert found.elbo == pytest.approx(-elbo / count, rel=1e-10)
    assert found.nll == pytest.approx(-log_p / count, rel=1e-10)
    assert found.kl == pytest.approx(kl / count, rel=1e-10, abs=1e-12)
    assert found.reconstruction == pytest.approx(-reconstruction / count, rel=1e-10)
    assert found.elbo == pytest.approx(found.reconstruction + found.kl + found.length, rel=1e-10)
    assert found.samples == num_samples
    assert (found.sequences, found.steps) == (len(LENGTHS), sum(LENGTHS))
    if terms[0][0].sounding is None:
        assert found.sounding_nll is None
    else:
        assert found.sounding_nll == pytest.approx(-log_p_sounding / count, rel=1e-10)
        assert found.sounding_nll < found.nll


@pytest.mark.parametrize("name", ["lstm"])
def test_the_elbo_of_an_exact_model_is_its_nll(name: str) -> None:
    found = score(toy(name, SYMBOLS), sequences_of(SYMBOLS), "nats_per_step")
    assert (found.kl, found.nll, found.samples) == (0, found.elbo, 1)


@pytest.mark.parametrize("name", MODELS)
def test_score_does_not_depend_on_chunks_or_batches(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    observation = OBSERVATIONS["onsets" if name in OF_MUSIC else "symbols"]
    model = toy(name, observation)
    sequences = sequences_of(observation)
    whole = figures(score(model, sequences, "nats_per_step", num_samples=7))
    for most in (1, 3000, 9000):
        monkeypatch.setattr(scoring, "MAX_PASS_NUMBERS", most)
        found = figures(score(model, sequences, "nats_per_step", num_samples=7))
        assert found == pytest.approx(whole, rel=1e-12)


def test_a_pass_over_text_of_many_symbols_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    observation = Symbols(3000)
    model = toy("af-scf", observation)
    sequences = sequences_of(observation, [30, 40, 50, 60])
    whole = figures(score(model, sequences, "bits_per_char", num_samples=6))
    sizes = []
    own = Symbols.log_prob

    def log_prob(self: Symbols, logits: Tensor, *others: Any) -> Tensor:
        sizes.append(logits.numel())
        return own(self, logits, *others)

    most = 200 * 3000
    monkeypatch.setattr(Symbols, "log_prob", log_prob)
    monkeypatch.setattr(scoring, "MAX_PASS_NUMBERS", most)
    found = figures(score(model, sequences, "bits_per_char", num_samples=6))
    assert found == pytest.approx(whole, rel=1e-12)
    assert max(sizes) <= most


@pytest.mark.parametrize("name", ["af-scf", "lstm"])
@pytest.mark.parametrize("kind", sorted(OBSERVATIONS))
def test_the_nll_of_each_adds_up_to_that_of_all(name: str, kind: str) -> None:
    model = toy(name, OBSERVATIONS[kind])
    sequences = sequences_of(OBSERVATIONS[kind])
    together = score(model, sequences, "bits_per_char", num_samples=5, seed=3)
    counts = np.array(LENGTHS) + 1
    mean = float(np.array(together.each) @ counts / counts.sum())
    assert mean == pytest.approx(together.nll, rel=1e-12)
    first = score(model, sequences[:1], "bits_per_char", num_samples=5, seed=3)
    assert together.each[0] == pytest.approx(first.nll, rel=1e-9)


def test_a_cost_of_nothing_has_no_minus(monkeypatch: pytest.MonkeyPatch) -> None:
    model = toy("af-scf", SYMBOLS)
    nothing = torch.zeros(1, len(LENGTHS))
    monkeypatch.setattr(model, "terms", lambda *_: Terms(nothing, None, nothing))
    found = score(model, sequences_of(SYMBOLS), "bits_per_char", num_samples=1)
    assert f"{found.reconstruction:.3f}" == "0.000"


def test_nll_of_one_sample_is_the_elbo_and_more_samples_do_not_raise_it() -> None:
    model = toy("af-scf", SYMBOLS)
    sequences = sequences_of(SYMBOLS, [6] * 40)
    one = score(model, sequences, "nats_per_step", num_samples=1)
    assert one.nll == pytest.approx(one.elbo, rel=1e-12)
    means = []
    errors = []
    for num_samples in (1, 4, 16, 64):
        nlls = []
        for seed in range(5):
            found = score(model, sequences, "nats_per_step", num_samples=num_samples, seed=seed)
            nlls.append(found.nll)
        means.append(np.mean(nlls))
        errors.append(np.std(nlls) / math.sqrt(5))
    for fewer, more in itertools.pairwise(range(4)):
        assert means[more] <= means[fewer] + 3 * math.hypot(errors[fewer], errors[more])
    assert means[-1] < means[0]


def test_units() -> None:
    assert per_unit("nats_per_step") == 1
    assert per_unit("bits_per_char") == pytest.approx(1 / math.log(2))
    model = toy("lstm", SYMBOLS)
    sequences = sequences_of(SYMBOLS)
    nats = score(model, sequences, "nats_per_step")
    bits = score(model, sequences, "bits_per_char")
    assert bits.nll * math.log(2) == pytest.approx(nats.nll)


def test_score_uses_no_dropout_and_counts_what_is_done() -> None:
    model = toy("af-scf", SYMBOLS)
    sequences = sequences_of(SYMBOLS)
    done: list[tuple[str, int, int]] = []
    model.train()
    first = score(
        model, sequences, "nats_per_step", num_samples=2, progress=lambda *args: done.append(args)
    )
    assert not model.training
    assert done[-1] == ("scoring", len(LENGTHS), len(LENGTHS))
    assert done == sorted(done)
    assert score(model, sequences, "nats_per_step", num_samples=2) == first


def test_odd_numbers_are_refused() -> None:
    model = toy("lstm", SYMBOLS)
    for wrong in ({"num_samples": 0}, {"seed": -1}):
        with pytest.raises(LnfgenError, match="expected at least 1, and a seed from 0"):
            score(model, sequences_of(SYMBOLS), "nats_per_step", **wrong)  # type: ignore[arg-type]


# The floor.


def test_the_marginal_of_text_against_a_hand_count() -> None:
    encoding = TextEncoding((UNKNOWN, "a", "b"))
    train = [np.array([1, 1, 2], np.int32), np.array([1], np.int32)]
    log_prob = encoding.fit_marginal(train)
    # Counts 0, 3, 1 and one half each: 0.5, 3.5, 1.5 of 5.5.
    expected = math.log(1.5 * 0.5 * 3.5 / 5.5**3)
    x = np.array([2, 0, 1])
    assert log_prob(x) == pytest.approx(expected)
    model = toy("lstm", Symbols(3), lengths=[3])
    log_p_length = float(model.length.log_prob(torch.tensor([3])))
    bits = -(expected + log_p_length) / 4 / math.log(2)
    assert marginal_nll(model, encoding, train, [x]) == pytest.approx(bits)


def test_the_marginal_of_music_against_a_hand_count() -> None:
    encoding = MusicEncoding(has_onsets=True, num_pitches=2)
    train = [np.array([[[3, 0]], [[1, 0]]], np.uint8), np.array([[[3, 0]]], np.uint8)]
    log_prob = encoding.fit_marginal(train)
    # Key 0 sounds in 3 of 3 frames, struck in 2 of these; key 1 never.
    on = 3.5 / 4
    struck = 2.5 / 4
    other = 0.5 / 4
    held = math.log(on * (1 - struck) * (1 - other))
    assert log_prob(np.array([[[1, 0]]], np.uint8)) == pytest.approx(held)
    expected = math.log((1 - on) * other * 0.5) + math.log(on * struck * (1 - other))
    assert log_prob(np.array([[[0, 3]], [[3, 0]]], np.uint8)) == pytest.approx(expected)
