"""The training loop on a tiny dataset."""

import copy
import dataclasses
import math
import sys
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from toy_dataset import write_dataset
from toy_music import song_of_band
from toy_training import CPU, SIZES, TRAINING, Session, after, assert_equal, make_dataset

from lnfgen.config import NAMED_MODELS, Config
from lnfgen.data.batches import collate, shuffled_batches
from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.data.text_encoding import TextEncoding
from lnfgen.errors import LnfgenWarning
from lnfgen.formats.text import UNKNOWN
from lnfgen.inference.scoring import score
from lnfgen.music.parts import NUM_KEYS
from lnfgen.runs.checkpoint import new_model
from lnfgen.training.schedules import DECAYS_BEFORE_STOP, PLATEAU_DECAY
from lnfgen.training.trainer import VALIDATION_SEQUENCES, Trainer


@pytest.mark.parametrize("name", sorted(NAMED_MODELS))
def test_it_learns(dataset, name):
    # These begin with the lowest costs of all.
    updates = 60 if name == "lstm" or "codes" in name else 24
    session = Session(
        dataset,
        name,
        max_steps=updates,
        kl_warmup_start=0.0,
        kl_warmup_end=0.1,
        learning_rate=1.5e-2,
    )
    assert session.run()
    validations = session.listener.validations
    assert validations[-1]["valid_elbo"] < 0.8 * validations[0]["valid_elbo"]
    assert validations[-1]["kl_weight"] == 1
    assert session.trainer.step == updates
    assert len(session.kept) == sum(metrics["kept"] for metrics in validations)
    # What was kept is the averaged weights at the lowest validation cost.
    costs = [line["valid_elbo"] for line in validations if line["kl_weight"] == 1]
    assert session.trainer.plateau.best == min(costs)
    for metrics in session.listener.steps:
        assert np.isfinite(list(metrics.values())).all()


@pytest.mark.parametrize("name", sorted(NAMED_MODELS))
def test_the_objective_is_the_weighted_elbo_by_the_step(dataset, name, monkeypatch):
    """The gradient of one update, against the definition's.

    The loss of each sequence is divided by its T + 1.
    """
    monkeypatch.setattr("lnfgen.training.trainer.MAX_GRAD_NORM", 1e9)
    monkeypatch.setattr("lnfgen.flows.blockwise.IN_TRAINING", (3,))
    session = Session(dataset, name, kl_warmup_start=0.0, kl_warmup_end=0.9)
    trainer = session.trainer
    model = trainer.model
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        elif isinstance(module, torch.nn.LSTM):
            module.dropout = 0.0
    trainer.step = 9  # KL weight 1/3
    assert trainer.kl_weight == pytest.approx(1.0 if name == "lstm" else 1 / 3)
    (indices, *_) = shuffled_batches(trainer.train_split.lengths, 4, seed=1)
    batch = collate([trainer.train_split[i] for i in indices], indices)
    assert len(set(batch.lengths.tolist())) > 1
    generator = torch.Generator().manual_seed(TRAINING.seed)
    noise = model.draw_noise(1, *batch.x.shape, generator)
    loss = torch.zeros(())
    for b, length in enumerate(batch.lengths.tolist()):
        own = None if noise is None else noise[:, b : b + 1, :length]
        terms = model(batch.x[b : b + 1, :length], batch.lengths[b : b + 1], own)
        weighted_elbo = (terms.reconstruction - trainer.kl_weight * terms.kl)[0, 0]
        loss = loss - weighted_elbo / (length + 1) / len(indices)
    expected = torch.autograd.grad(loss, trainer.parameters)
    trainer._update(batch, session.listener)
    for parameter, gradient in zip(trainer.parameters, expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-6)


def test_validation_scores_the_average_and_leaves_the_weights(dataset):
    session = Session(dataset, max_steps=5)
    session.run()
    trainer = session.trainer
    model = trainer.model
    before = copy.deepcopy(model.state_dict())
    average = trainer.state()[0]["average"]
    assert not all(torch.equal(before[key], value) for key, value in average.items())
    found = trainer._valid_scores(trainer.validated_on)
    assert_equal(model.state_dict(), before)
    assert found == trainer._valid_scores(trainer.validated_on)  # the same noise each time
    model.load_state_dict(average)
    sequences = list(dataset.split("valid"))
    scores = score(model, sequences, "bits_per_char", num_samples=1, seed=TRAINING.seed)
    assert found["valid_elbo"] == scores.elbo


def test_validations_score_a_fixed_part_of_a_large_split(tmp_path):
    encoding = TextEncoding((UNKNOWN, "a", "b"))
    lengths = range(2, VALIDATION_SEQUENCES + 82)
    valid = [np.resize(np.array([1, 1, 2], np.int32), length) for length in lengths]
    splits = {"train": valid[:12], "valid": valid}
    dataset = write_dataset(
        tmp_path / "d", name="toy", encoding=encoding, splits=splits, dropped={}
    )
    one = Session(dataset, seed=1)
    other = Session(dataset, seed=2)
    lengths = [len(sequence) for sequence in one.trainer.validated_on]
    assert len(set(lengths)) == len(lengths) == VALIDATION_SEQUENCES
    assert min(lengths) < 20
    assert max(lengths) > VALIDATION_SEQUENCES  # from all of the split, not its beginning
    assert lengths == [len(sequence) for sequence in other.trainer.validated_on]
    one.trainer._validate(one.listener)
    drawn = list(one.trainer.validated_on)
    scores = score(one.trainer.average.module, drawn, "bits_per_char", num_samples=1, seed=1)
    assert one.listener.validations[-1]["valid_elbo"] == scores.elbo


def test_epochs_and_steps_whichever_ends_first(dataset):
    # 12 sequences in batches of 4
    assert Session(dataset, max_steps=None, epochs=2).trainer.total_steps == 6
    assert Session(dataset, max_steps=5, epochs=2).trainer.total_steps == 5
    assert Session(dataset, max_steps=50, epochs=2).trainer.total_steps == 6


def test_only_the_whole_objective_chooses(dataset):
    session = Session(dataset)
    session.run()
    weights = {metrics["kl_weight"] for metrics in session.listener.validations}
    assert min(weights) < 1
    kept = {line["kl_weight"] for line in session.listener.validations if line["kept"]}
    assert kept == {1}


def test_same_seed_same_weights_other_seed_others(dataset):
    def final(seed: int) -> torch.Tensor:
        session = Session(dataset, max_steps=4, seed=seed)
        session.run()
        return torch.cat([value.flatten() for value in session.tensors("weights").values()])

    assert torch.equal(final(1), final(1))
    assert not torch.equal(final(1), final(2))


def break_loss(session: Session, broken: Callable[[int], bool]) -> None:
    """Make the loss NaN at the training updates that `broken` names, counted from 0."""
    model = session.trainer.model
    real = model.reconstruction

    def reconstruction(*args):
        whole, sounding = real(*args)
        if model.training and broken(session.trainer.step):
            whole = whole * math.nan
        return whole, sounding

    model.reconstruction = reconstruction


def test_a_run_loads_neither_the_compiler_of_torch_nor_sympy(dataset, monkeypatch):
    """It needs neither, and together they take as long to load as the rest of torch."""
    for name in ("torch._dynamo", "torch.fx.experimental.symbolic_shapes", "sympy"):
        monkeypatch.setitem(sys.modules, name, None)  # to import it is an error
    assert Session(dataset, max_steps=2).run()


def test_an_update_that_is_not_finite_is_skipped_and_said(dataset):
    session = Session(dataset, max_steps=12)
    break_loss(session, lambda step: step in (2, 3, 7))
    with pytest.warns(LnfgenWarning, match="skipped") as notes:
        assert session.run()
    assert sum("skipped" in str(note.message) for note in notes) == 3
    assert session.trainer.step == 12
    assert session.trainer.state()[1]["average_updates"] == 9
    assert session.listener.validations[-1]["skipped_updates"] == 3
    assert session.trainer.plateau.rate == 1
    for value in session.tensors("weights").values():
        assert torch.isfinite(value).all()
    assert np.isfinite(list(session.listener.validations[-1].values())).all()


def test_bands_are_trained_on_whole_in_other_keys_with_the_same_drums(tmp_path):
    songs = [song_of_band(seed) for seed in range(4)]
    encoding = MusicEncoding(num_pitches=NUM_KEYS, parts=songs[0].parts)
    sequences = [encoding.encode(song) for song in songs]
    dataset = write_dataset(
        tmp_path / "bands", name="bands", encoding=encoding, splits={"train": sequences}
    )
    sizes = dataclasses.replace(SIZES, emission="autoregressive", note_noise=0.0)
    config = Config(sizes, dataclasses.replace(TRAINING, max_steps=6, transpose=4))
    ignored = dict.fromkeys(("save_model", "save_state", "save_metrics"), lambda *_: None)
    trainer = Trainer(new_model(config, dataset), dataset, config.training, CPU, **ignored)
    moved = 0
    for batch in trainer._batches():
        rows = zip(batch.x.numpy(), batch.lengths.tolist(), batch.indices, strict=True)
        for x, length, index in rows:
            assert length == len(sequences[index])
            assert np.array_equal(x[:, 0], sequences[index][:, 0])
            moved += not np.array_equal(x, sequences[index])
    assert moved > 3


def test_a_skipped_update_changes_no_weight(dataset):
    session = Session(dataset, max_steps=1)
    before = copy.deepcopy(session.tensors("weights"))
    parameter = session.trainer.parameters[0]
    # The loss is finite, its gradient is not.
    parameter.register_hook(lambda gradient: gradient * math.inf)
    session.run()
    assert session.trainer.skipped == 1
    assert_equal(session.tensors("weights"), before)


def test_a_run_that_stops_improving_ends_early(dataset, monkeypatch):
    session = Session(dataset, max_steps=150, patience=2, kl_warmup_start=0.0, kl_warmup_end=0.0)
    same = {"valid_elbo": 1.0, "valid_reconstruction": 1.0, "valid_kl": 0.0}
    monkeypatch.setattr(session.trainer, "_valid_scores", lambda split: same)
    assert session.run()
    assert len(session.listener.validations) == 1 + DECAYS_BEFORE_STOP * 2
    assert len(session.kept) == 1
    assert session.trainer.plateau.rate == pytest.approx(PLATEAU_DECAY**DECAYS_BEFORE_STOP)


def assert_the_average_is_kept(session: Session) -> None:
    assert_equal(session.kept[-1], session.tensors("average"))


def test_the_last_weights_are_kept_if_that_is_asked_for(dataset, monkeypatch):
    session = Session(dataset, max_steps=30, keep="last", kl_warmup_start=0.0, kl_warmup_end=0.0)
    same = {"valid_elbo": 1.0, "valid_reconstruction": 1.0, "valid_kl": 0.0}
    monkeypatch.setattr(session.trainer, "_valid_scores", lambda split: same)
    assert session.run()
    assert len(session.kept) == len(session.listener.validations) > 1
    assert all(metrics["kept"] for metrics in session.listener.validations)
    assert_the_average_is_kept(session)


def test_ended_before_the_whole_objective_keeps_its_last_weights_and_says_so(dataset):
    session = Session(dataset)
    with pytest.warns(LnfgenWarning, match="KL weight") as notes:
        assert not session.run(after(8))
    assert len(notes) == len(session.kept) == 1
    assert_the_average_is_kept(session)


@pytest.mark.parametrize("updates", [8, 16, 17, None])
def test_without_a_valid_split_the_last_weights_are_the_model(tmp_path, updates):
    """At the end, and where the run is interrupted before any validation."""
    session = Session(make_dataset(tmp_path / "d", num_valid=0))
    if updates is None:
        assert session.run()
        assert session.listener.validations
    else:
        session.trainer.interval = 1000
        assert not session.run(after(updates))
    for metrics in session.listener.validations:
        assert "valid_elbo" not in metrics
    assert_the_average_is_kept(session)


def test_a_run_that_ends_before_its_first_update_says_nothing_of_the_kl_weight(tmp_path):
    for end, notes in ((0.0, 0), (0.5, 1)):
        session = Session(make_dataset(tmp_path / str(end)), kl_warmup_start=0.0, kl_warmup_end=end)
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            assert not session.run(lambda: True)
        assert len(found) == notes
        assert session.kept


def test_a_single_training_sequence(tmp_path):
    encoding = TextEncoding((UNKNOWN, "a"))
    sequence = np.array([1], np.int32)
    dataset = write_dataset(
        tmp_path / "d", name="one", encoding=encoding, splits={"train": [sequence]}, dropped={}
    )
    session = Session(dataset, max_steps=3)
    assert session.run()
    assert session.kept
