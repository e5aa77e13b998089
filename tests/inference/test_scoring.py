"""Scores, the marginal floor, and samples: the figures that a person reads, against direct
computations."""

import dataclasses
import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from toy_models import ODD_SIZES, usual_output

from lnfgen.config import NAMED_MODELS
from lnfgen.conventions import stream_seed
from lnfgen.data.encoding import Encoding
from lnfgen.formats.text import UNKNOWN
from lnfgen.inference import sampling
from lnfgen.inference import scoring as evaluation
from lnfgen.inference.sampling import sample_pieces
from lnfgen.inference.scoring import marginal, per_unit, score
from lnfgen.models.build import build_model
from lnfgen.models.length import LengthModel
from lnfgen.models.observation import Frames, Symbols
from lnfgen.models.sequence_model import SequenceModel, Terms
from lnfgen.music.pianoroll import PianoRoll

OBSERVATIONS = {
    "symbols": Symbols(4),
    "frames": Frames(3, has_onsets=False),
    "onsets": Frames(3, has_onsets=True),
}

MODELS = sorted(NAMED_MODELS)
OF_MUSIC = [name for name in MODELS if not name.endswith("-codes")]


def sequences_of(observation: Symbols | Frames, lengths: list[int]) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    if isinstance(observation, Symbols):
        return [
            rng.integers(observation.num_symbols, size=length).astype(np.int32)
            for length in lengths
        ]
    values = np.array([0, 0, 1, 3] if observation.has_onsets else [0, 1], dtype=np.uint8)
    return [rng.choice(values, (length, observation.num_pitches)) for length in lengths]


LENGTHS = [5, 1, 9, 5, 2, 30]


def toy(
    name: str, observation: Symbols | Frames, scale: float = 0.4, lengths: Sequence[int] = LENGTHS
) -> SequenceModel:
    torch.manual_seed(0)
    config = dataclasses.replace(
        ODD_SIZES, **NAMED_MODELS[name], emission=usual_output(observation)
    )
    model = build_model(config, observation, LengthModel.fit(torch.tensor(lengths)))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(scale * torch.randn_like(parameter))
        for parameter in model.positions.parameters():
            parameter.mul_(0.5)  # they are more than what a toy reads beside them
    return model.double().eval()


# Streams.
# -------------------------------------------------------------------------------------------------------------


def test_streams_are_distinct():
    seeds = {stream_seed(seed, index) for seed in range(50) for index in range(50)}
    assert len(seeds) == 2500
    assert all(0 <= seed < 2**63 for seed in seeds)


# Scores.
# --------------------------------------------------------------------------------------------------------------


def figures(value: evaluation.Score) -> list[float]:
    return [value.elbo, value.reconstruction, value.kl, value.nll, value.sounding_nll or 0.0]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (name, kind)
        for kind in sorted(OBSERVATIONS)
        for name in (MODELS if kind == "symbols" else OF_MUSIC)
    ],
)
@torch.no_grad()
def test_score_is_the_direct_computation(name, kind):
    """Each sequence on its own, each sample on its own, with the definition's sums."""
    observation = OBSERVATIONS[kind]
    model, sequences, samples = toy(name, observation), sequences_of(observation, LENGTHS), 3
    elbo = kl = reconstruction = log_p = log_p_sounding = 0.0
    for index, x in enumerate(sequences):
        generator = torch.Generator().manual_seed(stream_seed(3, index))
        weights, sounding = [], []
        for _ in range(1 if model.exact else samples):
            noise = model.draw_noise(1, 1, len(x), generator)
            terms = model(torch.from_numpy(x)[None], torch.tensor([len(x)]), noise)
            weights.append(float(terms.reconstruction - terms.kl))
            sounding.append(0.0 if terms.sounding is None else float(terms.sounding - terms.kl))
            kl += float(terms.kl) / (1 if model.exact else samples)
            reconstruction += float(terms.reconstruction) / (1 if model.exact else samples)
        length = float(model.length.log_prob(torch.tensor([len(x)])))
        elbo += np.mean(weights) + length
        log_p += np.logaddexp.reduce(weights) - math.log(len(weights)) + length
        log_p_sounding += np.logaddexp.reduce(sounding) - math.log(len(sounding)) + length
    count = sum(LENGTHS) + len(LENGTHS)
    found = score(model, sequences, "nats_per_step", num_samples=samples, seed=3)
    assert found.elbo == pytest.approx(-elbo / count, rel=1e-10)
    assert found.nll == pytest.approx(-log_p / count, rel=1e-10)
    assert found.kl == pytest.approx(kl / count, rel=1e-10, abs=1e-12)
    assert found.reconstruction == pytest.approx(-reconstruction / count, rel=1e-10)
    assert found.samples == (1 if model.exact else samples)
    assert not model.exact or (found.kl == 0 and found.nll == found.elbo)
    assert found.elbo == pytest.approx(found.reconstruction + found.kl + found.length, rel=1e-10)
    assert (found.sequences, found.steps) == (len(LENGTHS), sum(LENGTHS))
    assert (found.sounding_nll is not None) == (kind == "onsets")
    if kind == "onsets":
        assert found.sounding_nll == pytest.approx(-log_p_sounding / count, rel=1e-10)
        assert found.sounding_nll < found.nll


@pytest.mark.parametrize("name", MODELS)
def test_score_does_not_depend_on_chunks_or_batches(name, monkeypatch):
    observation = OBSERVATIONS["onsets" if name in OF_MUSIC else "symbols"]
    model, sequences = toy(name, observation), sequences_of(observation, LENGTHS)
    whole = figures(score(model, sequences, "nats_per_step", num_samples=7))
    for max_steps in (1, 64, 200):
        monkeypatch.setattr(evaluation, "MAX_PASS_STEPS", max_steps)
        assert figures(score(model, sequences, "nats_per_step", num_samples=7)) == pytest.approx(
            whole, rel=1e-12
        )


def test_a_pass_over_text_of_many_symbols_is_short(monkeypatch):
    observation = Symbols(3000)
    model, sequences = toy("af-scf", observation), sequences_of(observation, [30, 40, 50, 60])
    whole = figures(score(model, sequences, "bits_per_char", num_samples=6))
    sizes = []

    def log_prob(self, logits, *rest):
        sizes.append(logits.numel())
        return own(self, logits, *rest)

    own = Symbols.log_prob
    monkeypatch.setattr(Symbols, "log_prob", log_prob)
    monkeypatch.setattr(evaluation, "MAX_PASS_LOGITS", 200 * 3000)
    assert figures(score(model, sequences, "bits_per_char", num_samples=6)) == pytest.approx(
        whole, rel=1e-12
    )
    assert max(sizes) <= 200 * 3000


@pytest.mark.parametrize("name", ["af-scf", "lstm"])
@pytest.mark.parametrize("kind", sorted(OBSERVATIONS))
def test_the_nll_of_each_adds_up_to_that_of_all(name, kind):
    model, unit = toy(name, OBSERVATIONS[kind]), "bits_per_char"
    sequences = sequences_of(OBSERVATIONS[kind], LENGTHS)
    told = []
    together = score(
        model, sequences, unit, num_samples=5, seed=3, progress=lambda *args: told.append(args)
    )
    lengths = np.array(LENGTHS) + 1
    assert float(np.array(together.each) @ lengths / lengths.sum()) == pytest.approx(
        together.nll, rel=1e-12
    )
    first = score(model, sequences[:1], unit, num_samples=5, seed=3)
    assert together.each[0] == pytest.approx(first.nll, rel=1e-9)
    assert told[-1] == ("scoring", len(sequences), len(sequences))


def test_a_cost_of_nothing_has_no_minus(monkeypatch):
    model = toy("af-scf", OBSERVATIONS["symbols"])
    nothing = torch.zeros(1, len(LENGTHS))
    monkeypatch.setattr(model, "terms", lambda *_: Terms(nothing, None, nothing))
    found = score(
        model, sequences_of(OBSERVATIONS["symbols"], LENGTHS), "bits_per_char", num_samples=1
    )
    assert f"{found.reconstruction:.3f}" == "0.000"


def test_nll_of_one_sample_is_the_elbo_and_more_samples_do_not_raise_it():
    observation = OBSERVATIONS["symbols"]
    model, sequences = toy("af-scf", observation), sequences_of(observation, [6] * 40)
    one = score(model, sequences, "nats_per_step", num_samples=1)
    assert one.nll == pytest.approx(one.elbo, rel=1e-12)
    several = {k: [score(model, sequences, "nats_per_step", num_samples=k, seed=s).nll for s in range(5)]
               for k in (1, 4, 16, 64)}  # fmt: skip
    for fewer, more in itertools.pairwise((1, 4, 16, 64)):
        noise = math.hypot(np.std(several[fewer]), np.std(several[more])) / math.sqrt(5)
        assert np.mean(several[more]) <= np.mean(several[fewer]) + 3 * noise
    assert np.mean(several[64]) < np.mean(several[1])


def test_units():
    assert per_unit("nats_per_step") == 1
    assert per_unit("bits_per_char") == pytest.approx(1 / math.log(2))
    model, sequences = toy("lstm", Symbols(4)), sequences_of(Symbols(4), LENGTHS)
    nats, bits = (score(model, sequences, unit) for unit in ("nats_per_step", "bits_per_char"))
    assert bits.nll * math.log(2) == pytest.approx(nats.nll)


def test_score_uses_no_dropout_and_tells_its_progress():
    model, sequences = toy("af-scf", Symbols(4)), sequences_of(Symbols(4), LENGTHS)
    told: list[tuple[str, int, int]] = []
    model.train()
    first = score(
        model, sequences, "nats_per_step", num_samples=2, progress=lambda *args: told.append(args)
    )
    assert not model.training
    assert told[-1] == ("scoring", len(LENGTHS), len(LENGTHS))
    assert told == sorted(told)
    assert score(model, sequences, "nats_per_step", num_samples=2) == first


# The floor.
# -----------------------------------------------------------------------------------------------------------


def test_marginal_of_text_against_a_hand_count():
    encoding = Encoding("text", vocabulary=(UNKNOWN, "a", "b"))
    log_prob = marginal(encoding, [np.array([1, 1, 2], np.int32), np.array([1], np.int32)])
    # Counts 0, 3, 1 and one half each: 0.5, 3.5, 1.5 of 5.5.
    assert log_prob(np.array([2, 0, 1])) == pytest.approx(math.log(1.5 * 0.5 * 3.5 / 5.5**3))


def test_marginal_of_music_against_a_hand_count():
    encoding = Encoding("music", has_onsets=True, num_pitches=2)
    train = [np.array([[3, 0], [1, 0]], np.uint8), np.array([[3, 0]], np.uint8)]
    log_prob = marginal(encoding, train)
    # Key 0 sounds in 3 of 3 frames, struck in 2 of these; key 1 never.
    on, struck, other = 3.5 / 4, 2.5 / 4, 0.5 / 4
    assert log_prob(np.array([[1, 0]], np.uint8)) == pytest.approx(
        math.log(on * (1 - struck) * (1 - other))
    )
    expected = math.log((1 - on) * other * 0.5) + math.log(on * struck * (1 - other))
    assert log_prob(np.array([[0, 3], [3, 0]], np.uint8)) == pytest.approx(expected)


def test_marginal_probabilities_of_all_frames_sum_to_one():
    rng = np.random.default_rng(0)
    for has_onsets, values in ((True, (0, 1, 3)), (False, (0, 1))):
        encoding = Encoding("music", has_onsets=has_onsets, num_pitches=2)
        log_prob = marginal(encoding, [rng.choice(np.array(values, np.uint8), (20, 2))])
        frames = [np.array([frame], np.uint8) for frame in itertools.product(values, repeat=2)]
        assert sum(math.exp(log_prob(frame)) for frame in frames) == pytest.approx(1)


# Samples.
# -------------------------------------------------------------------------------------------------------------


def equal(one: list, other: list) -> bool:
    return len(one) == len(other) and all(a == b for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(
    ("name", "length"), [*((name, None) for name in MODELS), ("af-scf", 7), ("lstm", 7)]
)
def test_samples_do_not_depend_on_how_many(name, length, monkeypatch):
    """Not in a bit; if a block is whole, and if it is halved because its pieces are long."""
    if name in OF_MUSIC:
        encoding, observation = (
            Encoding("music", has_onsets=True, num_pitches=3),
            OBSERVATIONS["onsets"],
        )
    else:
        encoding, observation = (
            Encoding("text", vocabulary=(UNKNOWN, "a", "b", "c")),
            OBSERVATIONS["symbols"],
        )
    model = toy(name, observation, lengths=[5, 1, 6, 5, 2]).float()
    twenty = list(sample_pieces(model, encoding, count=20, length=length, seed=4))
    assert (
        len({piece if isinstance(piece, str) else piece.sounding.tobytes() for piece in twenty}) > 5
    )
    for limit, counts in ((sampling.MAX_BLOCK_STEPS, (9, 17)), (60, (9, 20))):
        monkeypatch.setattr(sampling, "MAX_BLOCK_STEPS", limit)
        for count in counts:
            assert equal(
                list(sample_pieces(model, encoding, count=count, length=length, seed=4)),
                twenty[:count],
            )
        # None of these draws hangs on the last bits.
        assert equal(
            list(sample_pieces(model, encoding, count=1, length=length, seed=4)), twenty[:1]
        )


def test_samples_are_pieces_that_seed_length_and_temperature_decide():
    encoding = Encoding("music", has_onsets=True, num_pitches=3, tempo_bpm=90.0)
    model = toy("af-scf", Frames(3, has_onsets=True)).float()
    three = list(sample_pieces(model, encoding, count=3, seed=4))
    assert all(isinstance(piece, PianoRoll) and piece.tempo_bpm == 90 for piece in three)
    assert not equal(list(sample_pieces(model, encoding, count=3, seed=5)), three)
    assert [piece.num_steps for piece in sample_pieces(model, encoding, count=2, length=11)] == [
        11,
        11,
    ]
    cold = [list(sample_pieces(model, encoding, length=8, temperature=0.0, seed=s)) for s in (1, 2)]
    assert equal(*cold)
