"""Samples of whole models at toy sizes: as likely as they score, and decided by what they should.

They must depend on the seed, the length and the temperature, and not on how many are drawn.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor
from toy_config import run_config
from toy_models import every_sequence, key_values, noise_like, sample_batch, toy

from lnfgen.config import NAMED_MODELS
from lnfgen.data.encoding import Encoding
from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.data.text_encoding import TextEncoding
from lnfgen.errors import LnfgenError
from lnfgen.formats.text import UNKNOWN
from lnfgen.inference import sampling
from lnfgen.inference.sampling import sample_pieces
from lnfgen.models.build import build_model
from lnfgen.models.latent_flow import LatentFlow
from lnfgen.models.length import LengthModel
from lnfgen.models.observation import Frames, Observation, Symbols
from lnfgen.models.sequence_model import SequenceModel
from lnfgen.music.parts import Part
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.nn.masking import tempered
from lnfgen.training.recipes import Corpus

pytestmark = pytest.mark.contract
MODELS = sorted(NAMED_MODELS)
OF_MUSIC = [name for name in MODELS if not name.endswith("-codes")]
DRAWS = 20_000


def near(found: Tensor, expected: Tensor, draws: int) -> bool:
    """If shares of so many draws are within four standard errors of what is expected."""
    error = (expected * (1 - expected) / draws).sqrt()
    return bool(((found - expected).abs() <= 4 * error + 1e-9).all())


# A step.


@pytest.mark.parametrize("temperature", [1.0, 2.0, 0.5])
def test_symbols_are_drawn_as_often_as_they_are_likely(temperature: float) -> None:
    symbols = Symbols(4)
    logits = torch.tensor([0.3, -1.0, 2.0, -30.0])
    uniform = symbols.uniform(1, DRAWS, torch.Generator().manual_seed(0))[0]
    drawn = symbols.sample(tempered(logits, temperature).expand(DRAWS, -1), uniform)
    found = torch.bincount(drawn, minlength=4) / DRAWS
    assert near(found, torch.softmax(logits / temperature, -1), DRAWS)
    cold = symbols.sample(tempered(logits, 0.0).expand(DRAWS, -1), uniform)
    assert (cold == 2).all()


@pytest.mark.parametrize("draw", [0.0, 1 - 2**-24])
def test_symbols_without_probability_are_never_drawn(draw: float) -> None:
    symbols = Symbols(4)
    uniform = torch.full((2, 1), draw)
    logits = torch.tensor([[-1e9, 0.3, 0.1, -1e9], [-1e9, -1e9, 5.0, -1e9]])
    assert set(symbols.sample(logits, uniform).tolist()) <= {1, 2}
    assert symbols.sample(tempered(logits, 0.0), uniform).tolist() == [1, 2]


@pytest.mark.parametrize("has_onsets", [False, True])
def test_keys_are_drawn_as_often_as_they_are_likely(has_onsets: bool) -> None:
    frames = Frames(2, has_onsets)
    logits = torch.tensor([0.3, -1.0, 0.7, -0.2][: frames.num_logits])
    uniform = frames.uniform(1, DRAWS, torch.Generator().manual_seed(0))[0]
    drawn = frames.sample(logits.expand(DRAWS, -1), uniform)
    assert drawn.dtype == torch.uint8
    for frame in every_sequence(frames, 1)[:, 0]:
        expected = frames.log_prob(logits[None, None], frame[None, None]).exp()[0, 0]
        found = (drawn == frame).flatten(1).all(-1).double().mean()
        assert near(found, expected, DRAWS)
    cold = frames.sample(tempered(logits, 0.0).expand(100, -1), uniform[:100])
    assert (cold == torch.tensor([3 if has_onsets else 1, 0])).all()


# Sequences.


@torch.no_grad()
@pytest.mark.parametrize("steps", [1, 4])
def test_sampling_then_scoring_is_finite(model: SequenceModel, steps: int) -> None:
    observation = model.observation
    x = sample_batch(model, [steps], [torch.Generator().manual_seed(steps)], 1.0)[0]
    found = set(x.flatten().tolist())
    if isinstance(observation, Symbols):
        assert x.shape == (steps,)
        assert found <= set(range(4))
    else:
        assert x.shape == (steps, observation.parts, 3)
        assert found <= set(key_values(observation))
    terms = model(x[None], torch.tensor([steps]), noise_like(model, 2, 1, steps))
    assert torch.isfinite(terms.reconstruction).all()
    assert torch.isfinite(terms.kl).all()


def are_equal(model: SequenceModel, seeds: Sequence[int], temperature: float) -> bool:
    """If the samples of two seeds are the same."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    with torch.no_grad():
        first, second = sample_batch(model, [5, 5], generators, temperature)
    return torch.equal(first, second)


def test_seed_decides_a_sample_and_temperature_zero_needs_none(model: SequenceModel) -> None:
    assert are_equal(model, (1, 1), 1.0)
    assert not are_equal(model, (1, 2), 4.0)  # at 1, a toy may be sure of a symbol
    assert are_equal(model, (1, 2), 0.0)


@torch.no_grad()
def test_a_batch_is_the_samples_of_its_generators(model: SequenceModel) -> None:
    """Whatever their lengths and their company: none of these draws hangs on the last bits."""
    lengths = [3, 1, 4]
    generators = [torch.Generator().manual_seed(seed) for seed in range(3)]
    together = sample_batch(model, lengths, generators, 1.0)
    for seed, (length, x) in enumerate(zip(lengths, together, strict=True)):
        alone = sample_batch(model, [length], [torch.Generator().manual_seed(seed)], 1.0)
        assert torch.equal(x, alone[0])


EXACT = [
    (Symbols(3), "categorical"),
    (Frames(2, False), "nade"),
    (Frames(2, True), "autoregressive"),
]


@pytest.mark.parametrize(("toy_observation", "toy_emission"), EXACT)
@torch.no_grad()
def test_baseline_samples_follow_its_own_probabilities(
    toy_observation: Observation, toy_emission: str
) -> None:
    """The loop that draws and the parallel pass that scores are the same distribution."""
    model = toy("lstm", toy_observation, emission=toy_emission)
    draws = 1500
    generators = [torch.Generator().manual_seed(seed) for seed in range(draws)]
    drawn = torch.stack(sample_batch(model, [2] * draws, generators, 1.0))
    x = every_sequence(toy_observation, 2)
    lengths = torch.full((len(x),), 2)
    expected = model(x, lengths, None).reconstruction[0].exp()
    found = (drawn[:, None] == x).flatten(2).all(-1).double().mean(0)
    assert near(found, expected.double(), draws)


@pytest.mark.slow
@pytest.mark.parametrize("latent_name", sorted(set(NAMED_MODELS) - {"lstm"}))
@torch.inference_mode()
def test_512_long_sequences_are_finite(latent_name: str) -> None:
    """Of fresh weights, at the tiny preset's sizes, drawn and scored: 288 steps."""
    torch.manual_seed(0)
    config = run_config(latent_name, "tiny", corpus=Corpus("text"))
    model = build_model(config.model, Symbols(50), LengthModel()).eval()
    assert isinstance(model, LatentFlow)
    count = 512
    steps = 288
    lengths = torch.full((count,), steps)
    positions = model.positions(lengths, steps)
    z = model.prior.draw(positions, lengths, torch.randn(count, steps, model.noise_size))
    assert torch.isfinite(z).all()
    assert torch.isfinite(model.prior.log_prob(z, positions, lengths)).all()
    for rows in torch.arange(count).split(64):
        x = torch.randint(50, (len(rows), steps))
        assert torch.isfinite(model.emission(z[rows], lengths[rows], positions[rows], x)).all()


# Pieces.

MUSIC = MusicEncoding(has_onsets=True, num_pitches=3, tempo_bpm=90.0)
TEXT = TextEncoding((UNKNOWN, "a", "b", "c"))
BAND = MusicEncoding(num_pitches=3, parts=(Part("bass"), Part("melody")))


def model_and_encoding(name: str) -> tuple[SequenceModel, Encoding]:
    """A toy of music, or of text where the model makes text alone."""
    if name in OF_MUSIC:
        return toy(name, Frames(3, has_onsets=True)), MUSIC
    return toy(name, Symbols(4)), TEXT


def samples(name: str, **asked: Any) -> list[PianoRoll | str]:
    model, encoding = model_and_encoding(name)
    return list(sample_pieces(model, encoding, **asked))


def num_different(pieces: Sequence[PianoRoll | str]) -> int:
    found = set()
    for piece in pieces:
        found.add(piece if isinstance(piece, str) else piece.sounding.tobytes())
    return len(found)


@pytest.mark.parametrize(
    ("name", "length"), [*((name, None) for name in MODELS), ("af-scf", 7), ("lstm", 7)]
)
def test_samples_do_not_depend_on_how_many(
    name: str, length: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in a bit; if a block is whole, and if it is halved because its pieces are long."""
    twenty = samples(name, count=20, length=length, seed=4)
    assert num_different(twenty) > 5
    for limit, counts in ((sampling.MAX_BLOCK_STEPS, (9, 17)), (60, (9, 20))):
        monkeypatch.setattr(sampling, "MAX_BLOCK_STEPS", limit)
        # None of these draws hangs on the last bits, so that one alone is the same.
        for count in (1, *counts):
            assert samples(name, count=count, length=length, seed=4) == twenty[:count]


def test_samples_are_pieces_that_seed_length_and_temperature_decide() -> None:
    three = samples("af-scf", count=3, seed=4)
    for piece in three:
        assert isinstance(piece, PianoRoll)
        assert piece.tempo_bpm == 90
    assert samples("af-scf", count=3, seed=5) != three
    for piece in samples("af-scf", count=2, length=11):
        assert isinstance(piece, PianoRoll)
        assert piece.num_steps == 11
    cold = samples("af-scf", length=8, temperature=0.0, seed=1)
    assert samples("af-scf", length=8, temperature=0.0, seed=2) == cold


def test_lengths_of_bands_count_time_steps() -> None:
    model = toy("lstm", Frames(3, True, parts=2))
    for asked, num_steps in (({"length": 7}, 7), ({"bars": 2}, 32)):
        (piece,) = sample_pieces(model, BAND, **asked)
        assert isinstance(piece, PianoRoll)
        assert piece.sounding.shape == (num_steps, 2, 88)


def test_a_band_without_a_note_is_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever comes first: here the first two draws of each piece are silent."""
    model = toy("lstm", Frames(3, True, parts=2))
    drawn: list[int] = []
    draw = sampling.drawn_pieces

    def silent_at_first(*args: Any) -> Iterator[PianoRoll | str]:
        for piece in draw(*args):
            drawn.append(1)
            assert isinstance(piece, PianoRoll)
            is_late = len(drawn) > sampling.FIRST_ROWS and len(drawn) % 2 == 0
            yield piece if is_late else BAND.blank(4, None)

    monkeypatch.setattr(sampling, "drawn_pieces", silent_at_first)
    for piece in sample_pieces(model, BAND, count=2, length=16):
        assert isinstance(piece, PianoRoll)
        assert piece.sounding.any()
    monkeypatch.setattr(sampling, "drawn_pieces", lambda *args: [BAND.blank(4, None)])
    (nothing,) = sample_pieces(model, BAND, length=16)
    assert isinstance(nothing, PianoRoll)
    assert not nothing.sounding.any()  # after `MOST_SILENT` draws


REFUSED = [
    ({"count": 0}, "0 pieces"),
    ({"seed": -1}, "a seed of -1"),
    ({"temperature": math.nan}, "a temperature of nan"),
    ({"temperature": -1.0}, "a temperature of -1"),
    ({"length": 0}, "a length of 0 steps"),
    ({"length": 4, "bars": 1}, "leave one out"),
]


@pytest.mark.parametrize(("asked", "said"), REFUSED)
def test_odd_numbers_are_refused(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(LnfgenError, match=said):
        samples("lstm", **asked)


def test_a_text_has_no_bars() -> None:
    with pytest.raises(LnfgenError, match="for text, which has none"):
        list(sample_pieces(toy("lstm", Symbols(4)), TEXT, bars=2))


@pytest.mark.parametrize("name", ["lstm", "af-scf"])
def test_who_listens_hears_of_each_step_and_can_end_the_work(name: str) -> None:
    encoding = MusicEncoding(lowest_pitch=60, num_pitches=3)
    model = toy(name, Frames(3, has_onsets=True), emission="autoregressive")
    heard: list[tuple[str, int, int]] = []

    def progress(what: str, done: int, total: int) -> None:
        heard.append((what, done, total))
        if done == 5:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        list(sample_pieces(model, encoding, length=9, seed=1, progress=progress))
    assert heard == [("drawing", step, 9) for step in range(1, 6)]
