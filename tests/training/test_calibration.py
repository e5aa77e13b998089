"""Calibration: after training, the output is moved towards the figures of train."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toy_bands import TWO, band_encoding
from toy_config import model_config, run_config
from toy_dataset import write_dataset
from toy_training import Listener

import lnfgen
from lnfgen.data.dataset import Dataset
from lnfgen.data.encoding import Encoding
from lnfgen.inference.sampling import Drawn, Row, sample_pieces
from lnfgen.models.build import build_model
from lnfgen.models.length import LengthModel
from lnfgen.models.observation import Frames
from lnfgen.models.sequence_model import SequenceModel
from lnfgen.music.figures import median_pitch, music_figures
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.runs.checkpoint import save_model
from lnfgen.runs.folder import RunFolder
from lnfgen.runs.listing import is_calibrated, overview
from lnfgen.training import calibration
from lnfgen.training.recipes import Corpus
from lnfgen.training.session import TrainingSession

KEYS = 14
ENCODING = Encoding("music", has_onsets=True, num_pitches=KEYS, lowest_pitch=60)
FIGURES = [*music_figures(1).values()]
ALONE = np.ones((3, 1))  # three figures of music without parts
SIZES = {
    "hidden_size": 16,
    "embedding_size": 8,
    "latent_size": 4,
    "num_layers": 1,
    "num_flow_layers": 1,
}


def chords(*keys: tuple[int, ...]) -> torch.Tensor:
    """A sequence `[T, KEYS]` of chords that are struck."""
    x = torch.zeros(len(keys), KEYS, dtype=torch.uint8)
    for step, chord in enumerate(keys):
        x[step, list(chord)] = 3
    return x


def roll(*keys: tuple[int, ...]) -> PianoRoll:
    piece = ENCODING.decode(chords(*keys).numpy())
    assert isinstance(piece, PianoRoll)
    return piece


def test_passages_are_windows_and_the_end_of_a_piece_and_only_the_end_has_its_figure() -> None:
    # 31 steps: bars begin at 0 and 16
    piece = roll(*[(key,) for key in range(13)] * 2, *[(0, 4, 7)] * 5)
    found = list(calibration._passages(3, piece, 12, FIGURES))
    assert [(one.piece, one.start) for one in found] == [(3, 0), (3, 16), (3, 19)]
    assert [math.isnan(one.figures[-1]) for one in found] == [True, True, False]
    assert not list(calibration._passages(3, piece, 32, FIGURES))


def test_rewards_are_the_logarithm_of_the_ratio_of_two_densities() -> None:
    rng = np.random.default_rng(1)
    samples, reference = rng.normal(0, 1, (300, 3)), rng.normal([1, 0, 0], 1, (300, 3))
    samples[::7, 1] = math.nan  # a passage without a value is like the mean
    rewards = calibration._rewards(samples, samples, reference, ALONE)[:, 0]
    assert abs(rewards.mean()) < 1e-2
    assert np.polyfit(samples[:, 0], rewards, 1)[0] == pytest.approx(1, abs=0.25)
    far = np.array([[1e9, 0, 0], [-1e9, 0, 0], [0, 0, 0]])
    # What lies beyond all true passages is no better for being on their side.
    *strange, usual = calibration._rewards(far, samples, reference, ALONE)[:, 0].tolist()
    assert strange[0] == strange[1] < usual
    assert sum(strange) + usual == pytest.approx(0)


def test_a_figure_of_a_part_rewards_this_part_alone() -> None:
    roles = ("drums", "bass", "melody")
    of_parts = calibration._of_parts([*music_figures(1, roles).values()], roles)
    own = dict(zip([*music_figures(1, roles), "end"], of_parts.tolist(), strict=True))
    assert own["drums_repeat_rate"] == [1, 0, 0]
    assert own["bass_polyphony"] == [0, 1, 0]
    assert own["melody_bar_rate"] == own["melody_notes_per_bar"] == [0, 0, 1]
    assert own["chord_rate"] == own["end"] == [0, 1, 1]  # drums have no chords
    rng = np.random.default_rng(1)
    samples = rng.normal(0, 1, (1000, len(own)))
    reference = samples.copy()
    reference[:, list(own).index("bass_polyphony")] += 1
    rewards = calibration._rewards(samples, samples, reference, of_parts)
    assert rewards[:, 1].std() > 0.5
    assert rewards[:, [0, 2]].std() < 0.2


def drawn_as(model: SequenceModel, *sequences: torch.Tensor) -> list[Drawn]:
    """Sequences with the noise that they may have been drawn from."""
    generator = torch.Generator().manual_seed(1)
    rows = [Row((4, 4), len(x), False, generator) for x in sequences]
    noises = [torch.randn(len(x), model.noise_size, generator=generator) for x in sequences]
    return [Drawn(*each) for each in zip(rows, sequences, noises, strict=True)]


def test_a_round_of_long_pieces_is_drawn_in_parts_and_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in (("CALIBRATION_PIECES", 12), ("SHORT", 1)):
        monkeypatch.setattr(calibration, name, value)
    model, sizes = toy_model(length=24).eval(), []
    whole = calibration._drawn(model, ENCODING, 1)
    generate = model.generate

    def counted(lengths: list[int], *others: Any) -> list[torch.Tensor]:
        sizes.append(len(lengths) * max(lengths))
        return generate(lengths, *others)

    monkeypatch.setattr(model, "generate", counted)
    monkeypatch.setattr(calibration, "DRAWN_STEPS", 200)
    parts = calibration._drawn(model, ENCODING, 1)
    assert len(sizes) > 1
    assert max(sizes) <= 200
    for one, other in zip(parts, whole, strict=True):
        assert torch.equal(one.x, other.x)  # none of these draws hangs on the last bits
        assert one.noise is not None
        assert other.noise is not None
        assert torch.equal(one.noise, other.noise)


def test_an_update_makes_credited_steps_likelier_and_moves_the_output_alone() -> None:
    model = toy_model().eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    drawn = drawn_as(model, chords((0, 7), (2, 9), (4, 11)), chords((1, 8), (3, 10), (5, 12)))
    x, lengths = torch.stack([one.x for one in drawn]), torch.tensor([3, 3])
    noise = torch.stack([one.noise for one in drawn if one.noise is not None])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    log_probs = []
    for _ in range(2):
        with torch.no_grad():
            logits = model.drawn_logits(x, lengths, noise, None)
            log_probs.append(model.observation.log_prob(logits, x).sum(-1))
        calibration._update(model, ENCODING, optimizer, drawn, [torch.ones(3), -torch.ones(3)])
    change = log_probs[1] - log_probs[0]
    assert change[0] > 0 > change[1]
    moved = {
        name for name, value in model.state_dict().items() if not torch.equal(value, before[name])
    }
    assert moved
    assert all(name.startswith("emission.") for name in moved)


def test_credit_lies_on_a_passage_and_half_of_it_before(monkeypatch: pytest.MonkeyPatch) -> None:
    model, given = toy_model(), []
    notes = [(key,) for key in range(13)] * 2
    piece, encoding = replace(roll(*notes), upbeat=2), replace(ENCODING, fills_upbeats=True)
    drawn = drawn_as(model, chords(*[()] * 14, *notes))  # silence fills the bar of the upbeat
    monkeypatch.setattr(calibration, "_drawn", lambda *_: drawn)
    monkeypatch.setattr(
        calibration, "_rewards", lambda figures, *_: np.arange(1.0, len(figures) + 1)[:, None]
    )
    monkeypatch.setattr(calibration, "_update", lambda *given_to: given.extend(given_to[4]))
    monkeypatch.setattr(calibration, "window_steps", lambda _: 16)
    assert calibration.calibrate(model, encoding, [piece], 1, 1, lambda _: None)
    expected = np.zeros(14 + 26)
    for reward, start in ((1, 14 + 2), (2, 14 + 10)):  # the first bar, and the last 16 steps
        expected[start : start + 16] += reward
        expected[start - 16 : start] += reward / 2
    assert given[0].tolist() == expected.tolist()


def test_samples_come_nearer_to_the_figures_of_train(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train are those samples of a model whose top line is lowest."""
    for name, value in (("CALIBRATION_PIECES", 8), ("LEARNING_RATE", 1e-2), ("SHORT", 1)):
        monkeypatch.setattr(calibration, name, value)
    model = toy_model(length=16)
    rounds: list[calibration.Round] = []

    def drawn(seed: int) -> list[PianoRoll]:
        pieces = sample_pieces(model, ENCODING, count=48, seed=seed)
        return sorted((piece for piece in pieces if isinstance(piece, PianoRoll)), key=top_pitch)

    train, before = drawn(1)[:12], drawn(2)
    assert calibration.calibrate(model, ENCODING, train, 6, 1, rounds.append)
    assert [(one.number, one.rounds) for one in rounds] == [(number, 6) for number in range(1, 7)]
    aim, first, last = (
        np.mean([top_pitch(piece) for piece in pieces]) for pieces in (train, before, drawn(2))
    )
    assert abs(last - aim) < 0.6 * abs(first - aim)


def test_samples_of_a_band_come_nearer_to_songs_whose_bass_plays_little(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in (("CALIBRATION_PIECES", 16), ("OF_BANDS", 1e-2), ("SHORT", 1)):
        monkeypatch.setattr(calibration, name, value)
    encoding, model = band_encoding(TWO, num_keys=KEYS), toy_model(length=32, parts=2)

    def drawn(seed: int) -> list[PianoRoll]:
        songs = sample_pieces(model, encoding, count=48, bars=1, seed=seed)
        return sorted((song for song in songs if isinstance(song, PianoRoll)), key=bass_notes)

    train, before = drawn(1)[:16], drawn(2)
    assert calibration.calibrate(model, encoding, train, 12, 1, lambda _: None)
    aim, first, last = (
        np.mean([bass_notes(song) for song in songs]) for songs in (train, before, drawn(2))
    )
    assert abs(last - aim) < 0.6 * abs(first - aim)


@pytest.mark.parametrize(("window", "expected"), [(32, 16), (10, 6), (2, 2)])
def test_passages_of_a_band_are_half_as_long_in_whole_steps(
    window: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[int] = []
    monkeypatch.setattr(calibration, "window_steps", lambda _: window)
    monkeypatch.setattr(
        calibration,
        "_passages",
        lambda place, piece, num_steps, chosen: given.append(num_steps) or [],
    )
    encoding, model = band_encoding(TWO, num_keys=KEYS), toy_model(length=32, parts=2)
    songs = [
        song
        for song in sample_pieces(model, encoding, count=1, bars=1, seed=1)
        if isinstance(song, PianoRoll)
    ]
    assert calibration.calibrate(model, encoding, songs, 0, 1, lambda _: None)
    assert given == [expected]


def test_the_sharpness_of_copies_moves_at_a_rate_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first step of Adam is the learning rate, whatever the gradient is."""
    for name, value in (("CALIBRATION_PIECES", 8), ("SHORT", 1)):
        monkeypatch.setattr(calibration, name, value)
    encoding, model = (
        band_encoding(TWO, num_keys=KEYS),
        toy_model(length=32, parts=2, copy_attention=True),
    )
    before = {name: value.clone() for name, value in model.state_dict().items()}
    songs = sample_pieces(model, encoding, count=8, bars=1, seed=1)
    train = [song for song in songs if isinstance(song, PianoRoll)]
    monkeypatch.setattr(calibration, "_rewards", lambda figures, *_: np.ones((len(figures), 2)))
    assert calibration.calibrate(model, encoding, train, 1, 1, lambda _: None)
    moved = {
        name: float((value - before[name]).abs().max())
        for name, value in model.state_dict().items()
    }
    [sharpness] = [moved.pop(name) for name in [*moved] if name.endswith("sharpness")]
    assert sharpness == pytest.approx(calibration.SHARPNESS_RATE, rel=1e-3)
    assert max(moved.values()) == pytest.approx(calibration.OF_BANDS, rel=1e-2)


def test_drums_are_steadier_after_the_last_round() -> None:
    encoding, model = (
        band_encoding(num_keys=KEYS),
        toy_model(length=32, parts=4, copy_attention=True),
    )
    before = {name: value.clone() for name, value in model.state_dict().items()}
    songs = [
        song
        for song in sample_pieces(model, encoding, count=1, bars=1, seed=1)
        if isinstance(song, PianoRoll)
    ]
    assert songs[0].roles[0] == "drums"
    assert calibration.calibrate(model, encoding, songs, 0, 1, lambda _: None)
    moved = {name: value - before[name] for name, value in model.state_dict().items()}
    [sharpness] = [moved.pop(name) for name in [*moved] if name.endswith("sharpness")]
    assert sharpness.tolist() == [calibration.STEADIER, 0, 0, 0]
    assert not any(change.any() for change in moved.values())


def bass_notes(song: PianoRoll) -> int:
    return int(song.part(0).struck().sum())


def top_pitch(piece: PianoRoll) -> float:
    return median_pitch(piece, True)


def fifths() -> list[torch.Tensor]:
    """Two voices a fifth apart that move together."""
    return [chords(*([(2, 9), (4, 11), (2, 9), (3, 10)] * 4))] * 4


def toy_model(length: int = 8, parts: int = 1, **others: Any) -> SequenceModel:
    torch.manual_seed(1)
    config = model_config(**SIZES, backbone="scan", emission="past", **others)
    return build_model(
        config, Frames(KEYS, True, parts=parts), LengthModel.fit(torch.tensor([length]))
    )


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    for module in (lnfgen.config, calibration):
        monkeypatch.setattr(module, "CALIBRATION_PIECES", 1)
    monkeypatch.setattr(calibration, "SHORT", 1)
    train = [x.numpy() for x in fifths()]
    splits = {"train": train, "valid": train[:1]}
    return write_dataset(
        tmp_path / "data", name="toy", encoding=ENCODING, splits=splits, dropped={}
    )


def session(
    dataset: Dataset, out: Path, emission: str = "past", max_steps: int = 4
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
    assert again.train(later := Listener())
    assert not later.rounds
    assert (tmp_path / "whole" / "model.safetensors").read_bytes() == expected


def test_a_run_of_few_updates_is_not_calibrated(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lnfgen.config, "CALIBRATION_PIECES", 3)  # more than it has seen
    short = session(dataset, tmp_path / "run", max_steps=1)
    assert short.train(listener := Listener())
    assert not listener.rounds
    assert overview([short.run.path])[0]["state"] == "finished"


def test_other_weights_are_calibrated_anew(dataset: Dataset, tmp_path: Path) -> None:
    begun = session(dataset, tmp_path / "run")
    assert begun.train(Listener())
    save_model(begun.run, begun.trainer.average.module.state_dict())
    assert not is_calibrated(begun.run.path)
