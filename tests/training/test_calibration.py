"""Calibration: after training, the output is moved towards the figures of train."""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toy_bands import TWO, band_encoding
from toy_config import model_config, run_config
from toy_dataset import write_dataset
from toy_models import randomise
from toy_training import Listener

import lnfgen
from lnfgen.data.dataset import Dataset
from lnfgen.data.encoding import Encoding
from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.inference.sampling import DrawnSequence, PieceOutline, sample_pieces
from lnfgen.models.build import build_model
from lnfgen.models.length import LengthModel
from lnfgen.models.observation import Frames
from lnfgen.models.sequence_model import SequenceModel
from lnfgen.music.lines import median_pitch
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.repertoire import Repertoire
from lnfgen.nn.parameter_groups import RATES, SHARPNESS, parameter_groups
from lnfgen.runs.checkpoint import save_model
from lnfgen.runs.folder import RunFolder
from lnfgen.runs.listing import is_calibrated, overview
from lnfgen.training import calibration
from lnfgen.training.note_lengths import FIRST_CASE, held_notes
from lnfgen.training.recipes import Corpus
from lnfgen.training.rewards import Rewards
from lnfgen.training.session import TrainingSession

KEYS = 14
ENCODING = MusicEncoding(num_pitches=KEYS, lowest_pitch=60)
SIZES = {
    "hidden_size": 16,
    "embedding_size": 8,
    "latent_size": 4,
    "num_layers": 1,
    "num_flow_layers": 1,
}


def chords(*keys: tuple[int, ...]) -> torch.Tensor:
    """A sequence `[T, 1, KEYS]` of chords that are struck."""
    x = torch.zeros(len(keys), 1, KEYS, dtype=torch.uint8)
    for step, chord in enumerate(keys):
        x[step, 0, list(chord)] = 3
    return x


def roll(*keys: tuple[int, ...]) -> PianoRoll:
    return ENCODING.decode(chords(*keys).numpy())


def toy_model(length: int = 8, parts: int = 1, **others: Any) -> SequenceModel:
    torch.manual_seed(1)
    config = model_config(**SIZES, backbone="scan", emission="autoregressive", **others)
    frames = Frames(KEYS, True, parts=parts)
    return build_model(config, frames, LengthModel.fit(torch.tensor([length])))


def samples_of(model: SequenceModel, encoding: Encoding, **options: Any) -> list[PianoRoll]:
    pieces = sample_pieces(model, encoding, **options)
    return [piece for piece in pieces if isinstance(piece, PianoRoll)]


def drawn_as(model: SequenceModel, *sequences: torch.Tensor) -> list[DrawnSequence]:
    """Sequences with the noise that they may have been drawn from."""
    generator = torch.Generator().manual_seed(1)
    drawn = []
    for x in sequences:
        noise = torch.randn(len(x), model.noise_size, generator=generator)
        drawn.append(DrawnSequence(PieceOutline((4, 4), len(x), False, generator), x, noise))
    return drawn


def weights(model: SequenceModel) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def moves(model: SequenceModel, before: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """How far each weight has moved."""
    return {name: (value - before[name]).abs() for name, value in model.state_dict().items()}


def ignored(of_round: calibration.Round) -> None:
    """Takes the reports of rounds where a test does not look at them."""


# Rounds.
# --------------------------------------------------------------------------------------------------


def test_every_second_piece_is_short_and_they_come_by_their_lengths(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(calibration, "CALIBRATION_PIECES", 3)
    monkeypatch.setattr(calibration, "SHORT", 1)
    monkeypatch.setattr(calibration, "LONG_BARS", 2)
    lengths = [one.row.length for one in calibration._draw(toy_model(5).eval(), ENCODING, 1, 1.0)]
    assert lengths == sorted(lengths)
    assert lengths.count(16) >= 3
    assert len(set(lengths)) > 1
    songs = calibration._draw(
        toy_model(5, parts=2).eval(), band_encoding(TWO, num_keys=KEYS), 1, 1.0
    )
    assert [len(one.x) for one in songs] == [16, 32, 32]


def test_a_round_of_long_pieces_is_drawn_in_several_blocks_and_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(calibration, "CALIBRATION_PIECES", 12)
    monkeypatch.setattr(calibration, "SHORT", 1)
    monkeypatch.setattr(calibration, "LONG_BARS", 2)
    model = toy_model(length=24).eval()
    whole = calibration._draw(model, ENCODING, 1, 1.0)
    sizes: list[int] = []
    generate = model.generate

    def counted(lengths: list[int], *others: Any) -> list[torch.Tensor]:
        sizes.append(len(lengths) * max(lengths))
        return generate(lengths, *others)

    monkeypatch.setattr(model, "generate", counted)
    monkeypatch.setattr(calibration, "DRAWN_STEPS", 200)
    in_blocks = calibration._draw(model, ENCODING, 1, 1.0)
    assert len(sizes) > 1
    assert max(sizes) <= 200
    for one, other in zip(in_blocks, whole, strict=True):
        assert torch.equal(one.x, other.x)  # none of these draws hangs on the last bits
        assert one.noise is not None
        assert other.noise is not None
        assert torch.equal(one.noise, other.noise)


def test_an_update_makes_credited_steps_likelier_and_moves_the_output_alone() -> None:
    model = toy_model().eval()
    before = weights(model)
    drawn = drawn_as(model, chords((0, 7), (2, 9), (4, 11)), chords((1, 8), (3, 10), (5, 12)))
    x = torch.stack([one.x for one in drawn])
    noise = torch.stack([one.noise for one in drawn if one.noise is not None])
    lengths = torch.tensor([3, 3])

    @torch.no_grad()
    def log_prob() -> torch.Tensor:
        logits = model.drawn_logits(x, lengths, noise, 1.0, None)
        return model.observation.log_prob(logits, x).sum(-1)

    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    at_first = log_prob()
    credits = [torch.ones(3, 1), -torch.ones(3, 1)]
    calibration._update(model, copy.deepcopy(model), ENCODING, optimizer, drawn, credits, 1.0)
    change = log_prob() - at_first
    assert change[0] > 0 > change[1]
    moved = {name for name, move in moves(model, before).items() if move.any()}
    assert moved
    assert all(name.startswith("emission.") for name in moved)


def test_without_credits_a_model_goes_back_to_its_anchor() -> None:
    """What it draws becomes less likely by as much as it was likelier than by the anchor."""
    anchor = toy_model().eval()
    model = copy.deepcopy(anchor)
    randomise(model.output_head, 0.3, seed=4)
    frames = model.observation
    generator = torch.Generator().manual_seed(2)
    x = 3 * (torch.rand(8, 3, 1, KEYS, generator=generator) < 0.2).to(torch.uint8)
    drawn = drawn_as(model, *x)
    noise = torch.stack([one.noise for one in drawn if one.noise is not None])
    lengths = torch.full((8,), 3)

    @torch.no_grad()
    def distance() -> float:
        own = frames.log_prob(model.drawn_logits(x, lengths, noise, 1.0, None), x)
        others = frames.log_prob(anchor.drawn_logits(x, lengths, noise, 1.0, None), x)
        return float((own - others).abs().mean())

    at_first = distance()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(30):
        calibration._update(model, anchor, ENCODING, optimizer, drawn, [torch.zeros(3, 1)] * 8, 1.0)
    assert distance() < 0.8 * at_first


def test_the_credit_of_a_part_makes_its_frames_likelier() -> None:
    encoding = band_encoding(TWO, num_keys=KEYS)
    model = toy_model(parts=2).eval()
    generator = torch.Generator().manual_seed(2)
    x = 3 * (torch.rand(3, 2, KEYS, generator=generator) < 0.2).to(torch.uint8)
    drawn = drawn_as(model, x)
    noise = drawn[0].noise
    assert noise is not None

    @torch.no_grad()
    def log_prob_of_parts() -> torch.Tensor:
        logits = model.drawn_logits(x[None], torch.tensor([3]), noise[None], 1.0, None)
        assert isinstance(model.observation, Frames)
        return model.observation.part_log_probs(logits, x[None])[0].sum(0)

    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    at_first = log_prob_of_parts()
    anchor = copy.deepcopy(model)
    credits = [torch.tensor([[1.0, -1.0]] * 3)]
    calibration._update(model, anchor, encoding, optimizer, drawn, credits, 1.0)
    change = log_prob_of_parts() - at_first
    assert change[0] > 0 > change[1]


def mean_of(figure: Callable[[PianoRoll], float], pieces: Sequence[PianoRoll]) -> float:
    return float(np.mean([figure(piece) for piece in pieces]))


def top_pitch(piece: PianoRoll) -> float:
    return median_pitch(piece, True)


@pytest.mark.slow
def test_samples_come_nearer_to_the_figures_of_train(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train are those samples of a model whose top line is lowest."""
    for name, value in (
        ("CALIBRATION_PIECES", 8),
        ("LEARNING_RATE", 2e-2),
        ("SHORT", 1),
        ("LONG_BARS", 2),
    ):
        monkeypatch.setattr(calibration, name, value)
    model = toy_model(length=16)
    train = sorted(samples_of(model, ENCODING, count=96, seed=1), key=top_pitch)[:24]
    aim = mean_of(top_pitch, train)
    before = mean_of(top_pitch, samples_of(model, ENCODING, count=48, seed=2))
    rounds: list[calibration.Round] = []
    assert calibration.calibrate(model, ENCODING, Repertoire.of(train), 6, 1, rounds.append)
    assert [(one.number, one.rounds) for one in rounds] == [(number, 6) for number in range(1, 7)]
    after = mean_of(top_pitch, samples_of(model, ENCODING, count=48, seed=2))
    assert abs(after - aim) < 0.6 * abs(before - aim)


def bass_notes(song: PianoRoll) -> int:
    return song.part(0).num_notes


@pytest.mark.slow
def test_samples_of_a_band_come_nearer_to_songs_whose_bass_plays_little(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in (
        ("CALIBRATION_PIECES", 16),
        ("LEARNING_RATE_OF_BANDS", 1e-2),
        ("SHORT", 1),
        ("LONG_BARS", 2),
    ):
        monkeypatch.setattr(calibration, name, value)
    encoding = band_encoding(TWO, num_keys=KEYS)
    model = toy_model(length=16, parts=2)
    drawn = samples_of(model, encoding, count=48, bars=1, seed=1)
    train = sorted(drawn, key=bass_notes)[:16]
    aim = mean_of(bass_notes, train)
    before = mean_of(bass_notes, samples_of(model, encoding, count=48, bars=1, seed=2))
    assert calibration.calibrate(model, encoding, Repertoire.of(train), 12, 1, ignored)
    after = mean_of(bass_notes, samples_of(model, encoding, count=48, bars=1, seed=2))
    assert abs(after - aim) < 0.6 * abs(before - aim)


def test_a_model_is_of_no_use_if_its_calibration_was_ended() -> None:
    model = toy_model()
    train = [roll(*[(1,)] * 32)]
    assert not calibration.calibrate(
        model, ENCODING, Repertoire.of(train), 2, 1, ignored, lambda: True
    )


def test_each_group_of_weights_moves_at_a_rate_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first step of Adam is the learning rate, whatever the gradient is."""
    monkeypatch.setattr(calibration, "CALIBRATION_PIECES", 8)
    monkeypatch.setattr(calibration, "SHORT", 1)
    monkeypatch.setattr(calibration, "LONG_BARS", 2)
    encoding = band_encoding(TWO, num_keys=KEYS)
    model = toy_model(length=16, parts=2, copy_attention=True)
    train = samples_of(model, encoding, count=8, bars=1, seed=1)
    before = [parameter.detach().clone() for parameter in model.parameters()]

    def equal_rewards(figures: np.ndarray, *_: object) -> Rewards:
        nothing = np.zeros((len(figures), 2))
        return Rewards(np.ones((len(figures), 2)), nothing, nothing)

    monkeypatch.setattr(calibration, "rewards_of", equal_rewards)
    assert calibration.calibrate(model, encoding, Repertoire.of(train), 1, 1, ignored)
    moved = {}
    for parameter, old in zip(model.parameters(), before, strict=True):
        moved[parameter] = parameter.detach() - old
    for name, parameters in parameter_groups(model).items():
        rate = calibration.LEARNING_RATE_OF_BANDS * RATES[name]
        if name == SHARPNESS:
            rate = calibration.SHARPNESS_RATE
        furthest = max(float(moved[parameter].abs().max()) for parameter in parameters)
        assert furthest == pytest.approx(rate, rel=1e-2)


# The drums.
# --------------------------------------------------------------------------------------------------

FOUR = band_encoding(num_keys=KEYS)


def song(num_bars: int, num_patterns: int) -> torch.Tensor:
    """A song `[T, 4, KEYS]` of so many bars, whose drums have so many patterns in turn."""
    x = torch.zeros(16 * num_bars, 4, KEYS, dtype=torch.uint8)
    for bar in range(num_bars):
        x[16 * bar, 0, bar % num_patterns] = 3
    return x


@pytest.mark.parametrize(
    ("patterns", "raises"),
    [((8, 8, 2), 2), ((2,), 0), ((4,), 0), ((8,) * 4, 4)],
    ids=["unsteady twice", "steadier", "as steady", "unsteady for ever"],
)
def test_drums_are_made_steadier_until_as_many_bars_come_again_as_in_train(
    patterns: tuple[int, ...], raises: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = toy_model(parts=4, copy_attention=True)
    before = weights(model)
    [of_copies] = [name for name in before if name.endswith("gate.sharpness")]
    draws = iter(patterns)
    monkeypatch.setattr(calibration, "_draw", lambda *_: drawn_as(model, song(8, next(draws))))
    train = [FOUR.decode(song(16, 4).numpy())]
    assert calibration.calibrate(model, FOUR, Repertoire.of(train), 0, 1, ignored)
    moved = moves(model, before)
    expected = torch.zeros(4)
    expected[0] = raises * calibration.STEADIER
    torch.testing.assert_close(moved.pop(of_copies), expected)
    assert not any(move.any() for move in moved.values())


@pytest.mark.parametrize("copies", [False, True])
def test_without_drums_or_copies_nothing_is_made_steadier(
    copies: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "_draw", None)
    if copies:
        model = toy_model(parts=2, copy_attention=True)
        encoding = band_encoding(TWO, num_keys=KEYS)
        train = [encoding.decode(np.zeros((128, 2, KEYS), np.uint8))]
    else:
        model = toy_model(parts=4)
        encoding = FOUR
        train = [encoding.decode(song(8, 2).numpy())]
    assert calibration.calibrate(model, encoding, Repertoire.of(train), 0, 1, ignored)


def test_silent_drums_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    model = toy_model(parts=4, copy_attention=True)
    before = weights(model)
    silent = torch.zeros_like(song(8, 1))
    monkeypatch.setattr(calibration, "_draw", lambda *_: drawn_as(model, silent))
    train = [FOUR.decode(song(8, 2).numpy())]
    assert calibration.calibrate(model, FOUR, Repertoire.of(train), 0, 1, ignored)
    assert not any(move.any() for move in moves(model, before).values())


# Lengths of notes.
# --------------------------------------------------------------------------------------------------


def held_bass(num_bars: int, steps: int) -> torch.Tensor:
    """A song `[T, 4, KEYS]` of so many bars, whose bass has notes of so many steps."""
    x = song(num_bars, num_patterns=1)
    x[:, 1, 0] = 1
    x[::steps, 1, 0] = 3
    return x


def test_notes_that_are_held_for_too_long_become_likelier_to_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = toy_model(parts=4, copy_attention=True)
    before = weights(model)
    draws = [held_bass(40, steps=64)] * 4
    monkeypatch.setattr(calibration, "_draw", lambda *_: drawn_as(model, *draws))
    train = [FOUR.decode(held_bass(40, steps=20).numpy())] * 4
    rounds = 2 * calibration.ROUNDS_PER_MATCH
    assert calibration._match_note_lengths(model, FOUR, train, rounds, 1, lambda: False, 1.0)
    [held] = held_notes(model)
    changed = {name for name, move in moves(model, before).items() if move.any()}
    assert len(changed) == 1
    # Notes of train end after 20 steps, in the case of 16 to 31 steps.
    assert held.added[1].argmin() == FIRST_CASE
    assert held.added[1, FIRST_CASE] < -1
    assert not held.added[[0, 2, 3]].any()


# Runs.
# --------------------------------------------------------------------------------------------------


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    for module in (lnfgen.config, calibration):
        monkeypatch.setattr(module, "CALIBRATION_PIECES", 1)
    monkeypatch.setattr(calibration, "SHORT", 1)
    monkeypatch.setattr(calibration, "LONG_BARS", 2)
    # Two voices a fifth apart that move together.
    fifths = chords(*([(2, 9), (4, 11), (2, 9), (3, 10)] * 4))
    train = [fifths.numpy()] * 4
    splits = {"train": train, "valid": train[:1]}
    return write_dataset(
        tmp_path / "data", name="toy", encoding=ENCODING, splits=splits, dropped={}
    )


def session(
    dataset: Dataset, out: Path, emission: str = "autoregressive", max_steps: int = 4
) -> TrainingSession:
    values = {f"model.{key}": value for key, value in SIZES.items()}
    values |= {
        "training.calibration_rounds": 2,
        "training.max_steps": max_steps,
        "training.batch_size": 2,
    }
    config = run_config(
        "af-scf", "tiny", corpus=Corpus("music", has_onsets=True), emission=emission, set=values
    )
    return TrainingSession.begin(config, dataset, "cpu", out)


def test_a_run_that_is_ended_while_it_is_calibrated_goes_on_to_the_same_model(
    dataset: Dataset, tmp_path: Path
) -> None:
    whole = session(dataset, tmp_path / "whole")
    listener = Listener()
    assert whole.train(listener)
    assert [one.number for one in listener.rounds] == [1, 2]
    expected = (tmp_path / "whole" / "model.safetensors").read_bytes()
    assert is_calibrated(whole.run.path)
    assert overview([whole.run.path])[0]["state"] == "finished"

    ended = session(dataset, tmp_path / "ended")
    noisy = Listener()
    assert not ended.train(noisy, lambda: bool(noisy.rounds))
    assert not is_calibrated(ended.run.path)
    assert overview([ended.run.path])[0]["state"] == "interrupted"
    assert (tmp_path / "ended" / "model.safetensors").read_bytes() != expected
    resumed = TrainingSession.resume(RunFolder(tmp_path / "ended"), "cpu")
    assert resumed.train(Listener())
    assert (tmp_path / "ended" / "model.safetensors").read_bytes() == expected

    again = TrainingSession.resume(RunFolder(tmp_path / "whole"), "cpu")
    later = Listener()
    assert again.train(later)
    assert not later.rounds
    assert (tmp_path / "whole" / "model.safetensors").read_bytes() == expected


def test_a_run_of_few_updates_is_not_calibrated(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lnfgen.config, "CALIBRATION_PIECES", 3)  # more than it has seen
    short = session(dataset, tmp_path / "run", max_steps=1)
    listener = Listener()
    assert short.train(listener)
    assert not listener.rounds
    assert overview([short.run.path])[0]["state"] == "finished"


def test_other_weights_are_calibrated_anew(dataset: Dataset, tmp_path: Path) -> None:
    begun = session(dataset, tmp_path / "run")
    assert begun.train(Listener())
    save_model(begun.run, begun.trainer.average.module.state_dict())
    assert not is_calibrated(begun.run.path)
