"""Training: schedules, and the loop on a tiny dataset."""

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
from toy_training import CPU, SIZES, TRAINING, Session, after, make_dataset

from lnfgen.config import NAMED_MODELS, Config
from lnfgen.data.batches import collate, shuffled_batches
from lnfgen.data.encoding import Encoding
from lnfgen.errors import LnfgenWarning
from lnfgen.formats.text import UNKNOWN
from lnfgen.inference.scoring import score
from lnfgen.models.build import build_model
from lnfgen.models.length import LengthModel
from lnfgen.models.observation import Symbols
from lnfgen.music.parts import NUM_KEYS
from lnfgen.runs.checkpoint import new_model
from lnfgen.training.schedules import (
    DECAYS_BEFORE_STOP,
    MIN_KL_WEIGHT,
    PLATEAU_DECAY,
    AveragedModel,
    Plateau,
    annealed_kl_weight,
    cooled_share,
)
from lnfgen.training.trainer import (
    VALIDATION_SEQUENCES,
    Trainer,
    _decay_groups,
)

# Schedules.
# -----------------------------------------------------------------------------------------------------------


def test_kl_weight_rises_from_about_zero_to_one():
    weights = [annealed_kl_weight(step, 100, 0.2, 0.6) for step in range(101)]
    assert weights[:21] == [MIN_KL_WEIGHT] * 21
    assert weights[40] == pytest.approx(0.5)
    assert weights[60:] == [1.0] * 41
    assert weights == sorted(weights)
    assert annealed_kl_weight(0, 100, 0.0, 0.0) == 1.0
    assert annealed_kl_weight(99, 100, 1.0, 1.0) == MIN_KL_WEIGHT
    assert annealed_kl_weight(100, 100, 0.5, 1.0) == 1.0


def test_the_learning_rate_cools_down_to_zero_at_the_end():
    shares = [cooled_share(step, 100, 0.6) for step in range(101)]
    assert set(shares[:61]) == {1.0}
    assert shares[80] == pytest.approx(0.5)
    assert shares[100] == 0
    assert all(cooled_share(step, 100, 1.0) == 1 for step in range(101))


def test_plateau_decays_and_then_stops():
    plateau = Plateau(patience=2)
    assert plateau.update(5.0)
    assert plateau.update(4.0)
    assert [plateau.update(cost) for cost in (4.0, 4.1)] == [False, False]
    assert plateau.rate == pytest.approx(PLATEAU_DECAY)
    assert plateau.update(3.0)
    assert plateau.stale == 0
    for _ in range(DECAYS_BEFORE_STOP * 2):
        assert not plateau.exhausted
        assert not plateau.update(math.nan)
    assert plateau.exhausted
    assert plateau.rate == pytest.approx(PLATEAU_DECAY ** (1 + DECAYS_BEFORE_STOP))
    assert plateau.best == 3.0


def test_weight_average_tends_to_the_weights_and_forgets_its_start():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    averaged = AveragedModel(model, decay=0.9)
    expected = {name: value.detach().double() for name, value in model.named_parameters()}
    for count in range(1, 300):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.copy_(torch.randn(parameter.shape) if count < 100 else torch.ones(()))
        averaged.update(model)
        decay = min(0.9, count / (count + 9))  # the first update has a weight of nine tenths
        for name, value in model.named_parameters():
            expected[name] = decay * expected[name] + (1 - decay) * value.detach().double()
        for name, value in averaged.module.named_parameters():
            torch.testing.assert_close(
                value.detach().double(), expected[name], rtol=1e-6, atol=1e-6
            )
    assert all(torch.allclose(value, torch.ones(())) for value in averaged.module.parameters())
    assert averaged.module.state_dict().keys() == model.state_dict().keys()


# The loop.
# ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(NAMED_MODELS))
def test_it_learns(dataset, name):
    # these begin with the lowest costs of all
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
    first, last = session.listener.validations[0], session.listener.validations[-1]
    assert last["valid_elbo"] < 0.8 * first["valid_elbo"]
    assert last["kl_weight"] == 1
    assert session.trainer.step == updates
    assert len(session.kept) == sum(
        bool(metrics["kept"]) for metrics in session.listener.validations
    )
    # What was kept is the averaged weights at the lowest validation cost.
    costs = [
        metrics["valid_elbo"]
        for metrics in session.listener.validations
        if metrics["kl_weight"] == 1
    ]
    assert session.trainer.plateau.best == min(costs)
    assert all(
        math.isfinite(value) for metrics in session.listener.steps for value in metrics.values()
    )


@pytest.mark.parametrize("name", sorted(NAMED_MODELS))
def test_the_objective_is_the_weighted_elbo_by_the_step(dataset, name, monkeypatch):
    """The gradient of one update, against the definition's: each sequence's loss divided by its T +
    1."""
    monkeypatch.setattr("lnfgen.training.trainer.MAX_GRAD_NORM", 1e9)
    monkeypatch.setattr("lnfgen.flows.blockwise.IN_TRAINING", (3,))
    session = Session(dataset, name, kl_warmup_start=0.0, kl_warmup_end=0.9)
    trainer, model = session.trainer, session.trainer.model
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout | torch.nn.LSTM):
            module.p = module.dropout = 0.0  # type: ignore[assignment]
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
        loss = loss - (terms.reconstruction - trainer.kl_weight * terms.kl)[0, 0] / (
            length + 1
        ) / len(indices)
    expected = torch.autograd.grad(loss, trainer.parameters)
    trainer._update(batch, session.listener)
    for parameter, gradient in zip(trainer.parameters, expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-6)


def test_validation_scores_the_average_and_leaves_the_weights(dataset):
    session = Session(dataset, max_steps=5)
    session.run()
    trainer, model = session.trainer, session.trainer.model
    before = {key: value.detach().clone() for key, value in model.state_dict().items()}
    average = trainer.state()[0]["average"]
    assert not all(torch.equal(before[key], value) for key, value in average.items())
    found = trainer._valid_scores(trainer.validated_on)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert found == trainer._valid_scores(trainer.validated_on)  # the same noise each time
    model.load_state_dict(average)
    sequences = list(dataset.split("valid"))
    assert (
        found["valid_elbo"]
        == score(model, sequences, "bits_per_char", num_samples=1, seed=TRAINING.seed).elbo
    )


def test_validations_score_a_fixed_part_of_a_large_split(tmp_path):
    encoding = Encoding("text", vocabulary=(UNKNOWN, "a", "b"))
    valid = [
        np.resize(np.array([1, 1, 2], np.int32), 2 + i) for i in range(VALIDATION_SEQUENCES + 80)
    ]
    splits = {"train": valid[:12], "valid": valid}
    dataset = write_dataset(
        tmp_path / "d", name="toy", encoding=encoding, splits=splits, dropped={}
    )
    one, other = (Session(dataset, seed=seed) for seed in (1, 2))
    lengths = [len(sequence) for sequence in one.trainer.validated_on]
    assert len(set(lengths)) == len(lengths) == VALIDATION_SEQUENCES
    assert min(lengths) < 20
    assert max(lengths) > VALIDATION_SEQUENCES  # from all of the split, not its beginning
    assert lengths == [len(sequence) for sequence in other.trainer.validated_on]
    one.trainer._validate(one.listener)
    model, drawn = one.trainer.average.module, list(one.trainer.validated_on)
    expected = score(model, drawn, "bits_per_char", num_samples=1, seed=1).elbo
    assert one.listener.validations[-1]["valid_elbo"] == expected


def test_epochs_and_steps_whichever_ends_first(dataset):
    # 12 sequences in batches of 4
    assert Session(dataset, max_steps=None, epochs=2).trainer.total_steps == 6
    assert Session(dataset, max_steps=5, epochs=2).trainer.total_steps == 5
    assert Session(dataset, max_steps=50, epochs=2).trainer.total_steps == 6


def test_only_the_whole_objective_chooses(dataset):
    session = Session(dataset)
    session.run()
    assert any(metrics["kl_weight"] < 1 for metrics in session.listener.validations)
    assert all(
        metrics["kl_weight"] == 1 for metrics in session.listener.validations if metrics["kept"]
    )


def test_same_seed_same_weights_other_seed_others(dataset):
    def final(seed: int) -> torch.Tensor:
        session = Session(dataset, max_steps=4, seed=seed)
        session.run()
        return torch.cat([value.flatten() for value in session.tensors("weights").values()])

    assert torch.equal(final(1), final(1))
    assert not torch.equal(final(1), final(2))


def break_loss(session: Session, broken: Callable[[int], bool]) -> None:
    """Make the loss NaN at the training updates that `broken` names, counted from 0."""
    model, real = session.trainer.model, session.trainer.model.reconstruction

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
    assert all(torch.isfinite(value).all() for value in session.tensors("weights").values())
    assert all(math.isfinite(value) for value in session.listener.validations[-1].values())


def test_bands_are_trained_on_whole_in_other_keys_with_the_same_drums(tmp_path, monkeypatch):
    songs = [song_of_band(seed) for seed in range(4)]
    encoding = Encoding("music", num_pitches=NUM_KEYS, parts=songs[0].parts, steps_per_quarter=16)
    sequences = [encoding.encode(song) for song in songs]
    dataset = write_dataset(
        tmp_path / "bands", name="bands", encoding=encoding, splits={"train": sequences}
    )
    config = Config(
        dataclasses.replace(SIZES, emission="past", note_noise=0.0),
        dataclasses.replace(TRAINING, max_steps=6, transpose=4),
    )

    ignored = dict.fromkeys(("save_model", "save_state", "save_metrics"), lambda *_: None)
    trainer = Trainer(new_model(config, dataset), dataset, config.training, CPU, **ignored)
    # a song does not end at a close
    monkeypatch.setattr("lnfgen.training.trainer.ended_early", None)
    moved = 0
    for batch in trainer._batches():
        for x, length, index in zip(
            batch.x.numpy(), batch.lengths.tolist(), batch.indices, strict=True
        ):
            assert length == len(sequences[index])
            assert np.array_equal(x[::4], sequences[index][::4])
            moved += not np.array_equal(x, sequences[index])
    assert moved > 3


def test_a_skipped_update_changes_no_weight(dataset):
    session = Session(dataset, max_steps=1)
    before = {key: value.clone() for key, value in session.tensors("weights").items()}
    parameter = session.trainer.parameters[0]
    # the loss is finite, its gradient is not
    parameter.register_hook(lambda gradient: gradient * math.inf)
    session.run()
    assert session.trainer.skipped == 1
    assert all(torch.equal(value, before[key]) for key, value in session.tensors("weights").items())


def test_weights_decay_and_codes_keep_their_place():
    config = dataclasses.replace(SIZES, **NAMED_MODELS["af-codes"])
    model = build_model(config, Symbols(5), LengthModel.fit(torch.tensor([5])))
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    torch.optim.AdamW(_decay_groups(model, weight_decay=5.0), lr=0.1).step()
    for name, parameter in model.named_parameters():
        decays = parameter.dim() > 1 and "codebook" not in name
        torch.testing.assert_close(parameter.detach(), before[name] * (0.5 if decays else 1.0))


def test_a_run_that_stops_improving_ends_early(dataset, monkeypatch):
    session = Session(dataset, max_steps=150, patience=2, kl_warmup_start=0.0, kl_warmup_end=0.0)
    same = {"valid_elbo": 1.0, "valid_reconstruction": 1.0, "valid_kl": 0.0}
    monkeypatch.setattr(session.trainer, "_valid_scores", lambda split: same)
    assert session.run()
    assert len(session.listener.validations) == 1 + DECAYS_BEFORE_STOP * 2
    assert len(session.kept) == 1
    assert session.trainer.plateau.rate == pytest.approx(PLATEAU_DECAY**DECAYS_BEFORE_STOP)


def assert_the_average_is_kept(session: Session) -> None:
    average = session.tensors("average")
    assert all(torch.equal(session.kept[-1][key], value) for key, value in average.items())


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
    assert not any("valid_elbo" in metrics for metrics in session.listener.validations)
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
    encoding = Encoding("text", vocabulary=(UNKNOWN, "a"))
    sequence = np.array([1], np.int32)
    dataset = write_dataset(
        tmp_path / "d", name="one", encoding=encoding, splits={"train": [sequence]}, dropped={}
    )
    session = Session(dataset, max_steps=3)
    assert session.run()
    assert session.kept
