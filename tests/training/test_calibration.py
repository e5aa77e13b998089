"""Calibration: after training, rules and the weight of copies are moved towards the parallels and repeats of train."""

from pathlib import Path
from typing import Any

import pytest
import torch
from toy_config import model_config, run_config
from toy_dataset import write_dataset
from toy_training import Listener

import lnfgen
from lnfgen.config import CALIBRATION_ROUNDS
from lnfgen.data.dataset import Dataset
from lnfgen.data.encoding import Encoding
from lnfgen.models.build import build_model
from lnfgen.models.length import LengthModel
from lnfgen.models.observation import Frames
from lnfgen.models.sequence_model import SequenceModel
from lnfgen.models.voice_leading import PARALLEL
from lnfgen.models.voices import VoiceHead
from lnfgen.runs.checkpoint import save_model
from lnfgen.runs.folder import RunFolder
from lnfgen.runs.listing import is_calibrated, overview
from lnfgen.training import calibration
from lnfgen.training.recipes import Corpus
from lnfgen.training.session import TrainingSession

KEYS = 14
ENCODING = Encoding("music", has_onsets=True, num_pitches=KEYS, lowest_pitch=60)
SIZES = {"hidden_size": 16, "embedding_size": 8, "latent_size": 4, "num_layers": 1, "num_flow_layers": 1}


def chords(*keys: tuple[int, ...]) -> torch.Tensor:
    """A sequence `[T, KEYS]` of chords that are struck."""
    x = torch.zeros(len(keys), KEYS, dtype=torch.uint8)
    for step, chord in enumerate(keys):
        x[step, list(chord)] = 3
    return x


def test_rules_are_counted_where_as_many_keys_change() -> None:
    head = VoiceHead(Frames(KEYS, True), 5, 16, 0.0, copies=False)
    x = chords((0, 7), (2, 9), (2, 9), (4, 11), (4, 9), (4, 7, 11), (4, 6, 11), (4,))
    changes, (bottom, inner) = head.applied_rules(x > 0)
    assert changes == 4  # up by 2 twice, one voice down, and the inner voice down
    assert int(bottom.sum()) == 4
    assert int(bottom[0, 2, 7, PARALLEL]) == 2  # of two keys, the highest one a fifth above: a step in parallel
    assert int(bottom[..., PARALLEL:].sum()) == 2
    assert int(inner.sum()) == 2  # one inner voice, beside the lowest and the highest one
    assert not inner[..., PARALLEL:].any()
    assert head.applied_rules(x[:1] > 0)[0] == 0


def fifths(parallel: bool) -> list[torch.Tensor]:
    """Two voices a fifth apart that move together, or in contrary motion."""
    moves = [(2, 9), (4, 11), (2, 9), (3, 10)] if parallel else [(2, 9), (3, 8), (2, 9), (1, 10)]
    return [chords(*(moves * 2))] * 4


@pytest.mark.parametrize("parallel", [False, True])
def test_rules_move_towards_what_the_train_split_has(parallel: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    model = toy_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    drawn = [ENCODING.decode(x.numpy()) for x in fifths(not parallel)]
    monkeypatch.setattr(calibration, "sample_pieces", lambda *_, count, seed: drawn)
    rounds: list[calibration.Round] = []
    assert calibration.calibrate(model, ENCODING, fifths(parallel), 4, 1, rounds.append)
    once = 1 / 7  # each piece has seven chord changes, and parallels in all of them count once
    assert rounds[-1][:4] == (CALIBRATION_ROUNDS, 4, 0.0 if parallel else once, once if parallel else 0.0)
    moved = {name: value - before[name] for name, value in model.state_dict().items()}
    rules = moved.pop("emission.head.bottom_to_top.rules")
    fifth, others = rules[0, 2, 7, PARALLEL:], rules.clone()
    others[0, 2, 7, PARALLEL:] = 0
    assert fifth.min() >= 0 if parallel else fifth.max() <= 0
    assert fifth.any()
    assert not others.any()
    assert not any(value.any() for value in moved.values())


def test_rules_stay_where_samples_have_what_the_train_split_has(monkeypatch: pytest.MonkeyPatch) -> None:
    model = toy_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    drawn = [ENCODING.decode(x.numpy()) for x in fifths(True)]
    monkeypatch.setattr(calibration, "sample_pieces", lambda *_, count, seed: drawn * 3)
    assert calibration.calibrate(model, ENCODING, fifths(True), 4, 1, lambda _: None)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("again", [False, True])
def test_copies_weigh_more_where_melodies_come_again_too_rarely(again: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    model = toy_model(copy_attention=True)
    head = next(module for module in model.modules() if isinstance(module, VoiceHead))
    before = head.gate.from_attended.bias.detach().clone()
    scale = [chords(*((key,) for key in range(12)))] * 4
    repeated = [chords(*((key,) for key in (0, 2, 4, 5) * 3))] * 4
    drawn = [ENCODING.decode(x.numpy()) for x in (scale[:3] + repeated[:1] if again else repeated)]
    monkeypatch.setattr(calibration, "sample_pieces", lambda *_, count, seed: drawn)
    rounds: list[calibration.Round] = []
    train = repeated if again else scale[:3] + repeated[:1]
    assert calibration.calibrate(model, ENCODING, train, 4, 1, rounds.append)
    rate = 5 / 9  # of nine stretches of four notes, four are new
    assert (rounds[0].repeats_in_train, rounds[0].repeats_in_samples) == pytest.approx(
        (rate, rate / 4) if again else (rate / 4, rate)
    )
    moved = head.gate.from_attended.bias - before
    assert (moved[:-1] > 1).all() if again else (moved[:-1] < -1).all()
    assert moved[-1] == 0, "the weight of the start of the piece stays"


def toy_model(**settings: Any) -> SequenceModel:
    config = model_config(**SIZES, backbone="scan", emission="past", **settings)
    return build_model(config, Frames(KEYS, True), LengthModel.fit(torch.tensor([8])))


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    for module in (lnfgen.config, calibration):
        monkeypatch.setattr(module, "CALIBRATION_ROUNDS", 2)
    train = [x.numpy() for x in fifths(True)]
    splits = {"train": train, "valid": train[:1]}
    return write_dataset(tmp_path / "data", name="toy", encoding=ENCODING, splits=splits, dropped={})


def session(dataset: Dataset, out: Path, emission: str = "past", max_steps: int = 4) -> TrainingSession:
    values = {f"model.{key}": value for key, value in SIZES.items()}
    values |= {"training.calibration_pieces": 2, "training.max_steps": max_steps, "training.batch_size": 2}
    config = run_config("af-scf", "tiny", corpus=Corpus("music", has_onsets=True), emission=emission, set=values)
    return TrainingSession.begin(config, dataset, "cpu", out)


def test_a_run_that_is_ended_while_it_is_calibrated_goes_on_to_the_same_model(dataset: Dataset, tmp_path: Path) -> None:
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


def test_a_run_of_few_updates_is_not_calibrated(dataset: Dataset, tmp_path: Path) -> None:
    short = session(dataset, tmp_path / "run", max_steps=1)
    assert short.train(listener := Listener())
    assert not listener.rounds
    assert overview([short.run.path])[0]["state"] == "finished"


def test_other_weights_are_calibrated_anew(dataset: Dataset, tmp_path: Path) -> None:
    begun = session(dataset, tmp_path / "run")
    assert begun.train(Listener())
    save_model(begun.run, begun.trainer.average.module.state_dict())
    assert not is_calibrated(begun.run.path)
