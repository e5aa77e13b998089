"""The training loop, read from top to bottom."""

import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn

from lnfgen.config import TrainingConfig
from lnfgen.conventions import stream_seed
from lnfgen.data.augmentation import Register, transposed_at_random
from lnfgen.data.batches import Batch, collate, shuffled_epochs
from lnfgen.data.dataset import Dataset, Split
from lnfgen.data.encoding import EncodedPieces
from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.device.replacements import AdamW
from lnfgen.errors import LnfgenWarning, RunError
from lnfgen.inference.scoring import marginal_nll, per_unit, score
from lnfgen.models.sequence_model import SequenceModel
from lnfgen.runs.checkpoint import State
from lnfgen.training.calibration import Round
from lnfgen.training.objective import accumulate_gradients
from lnfgen.training.optimizer import WEIGHT_DECAY, optimizer_groups
from lnfgen.training.schedules import (
    WARMUP_STEPS,
    AveragedModel,
    Plateau,
    annealed_kl_weight,
    cooled_share,
)
from lnfgen.training.verdict import cost_of_drones, verdict

VALIDATIONS = 50  # the most in a run: enough to see a plateau, and few enough to cost little time
MIN_INTERVAL = 50  # the fewest updates between validations where an epoch is shorter
# The most that a validation scores. Thousands of lines would take longer than the updates.
VALIDATION_SEQUENCES = 320
MAX_GRAD_NORM = 5.0  # gradients are clipped to this
LOWER_AFTER = 5  # after so many updates in a row that are not finite, the learning rate is lowered
LOWERED = 0.5  # the factor by which it is lowered
# Training gives up after so many in a row whose loss or gradient is not finite.
MAX_SKIPPED_UPDATES = 20

# What is summed up to a validation; steps count end symbols too.
SUMS = ("reconstruction", "kl", "length", "steps", "seconds")


class Listener(Protocol):
    """Takes the reports of a training session, which itself prints nothing."""

    def step(self, metrics: dict[str, float]) -> None:
        """After each update: its number, epoch, KL weight, and means since the last validation."""

    def validated(self, metrics: dict[str, Any]) -> None:
        """After each validation: a line of `metrics.jsonl`."""

    def calibrated(self, of_round: Round) -> None:
        """After each round of calibration."""


class Trainer:
    """Trains a model on a dataset's train split, and keeps the best weights or the last.

    The best are chosen by the valid split.

    Three functions write what it has made after each validation and at the end: `save_model` the
    weights to keep, `save_state` the `state`, and `save_metrics` the figures of all validations.
    """

    def __init__(  # noqa: PLR0913 - three of them are functions that write
        self,
        model: SequenceModel,
        dataset: Dataset,
        config: TrainingConfig,
        device: torch.device,
        *,
        save_model: Callable[[dict[str, Tensor]], None],
        save_state: Callable[["Trainer"], None],
        save_metrics: Callable[[list[dict[str, Any]]], None],
    ) -> None:
        self.model = model.to(device)
        self.config = config
        self.device = device
        self.train_split = dataset.split("train")
        self.validated_on: Sequence[np.ndarray] | None = None
        if "valid" in dataset.split_names:
            self.validated_on = validation_sample(dataset.split("valid"))
        self.encoding = dataset.encoding
        self.unit = dataset.encoding.unit
        self.save_model = save_model
        self.save_state = save_state
        self.save_metrics = save_metrics

        self.steps_per_epoch = math.ceil(len(self.train_split) / config.batch_size)
        self.total_steps = config.total_steps(len(self.train_split))
        self.interval = max(
            math.ceil(self.total_steps / VALIDATIONS), min(self.steps_per_epoch, MIN_INTERVAL)
        )

        self.parameters = list(model.parameters())
        # A fused optimizer reads weights and moments only once.
        groups = optimizer_groups(model, WEIGHT_DECAY)
        self.optimizer = AdamW(groups, lr=config.learning_rate, fused=True)
        self.average = AveragedModel(model, config.ema_decay)
        self.plateau = Plateau(config.patience)
        self.noise_generator = torch.Generator(device).manual_seed(config.seed)
        self.step = 0
        self.skipped = 0  # updates in a row that were left out
        self.skipped_in_all = 0
        self.sums = dict.fromkeys(SUMS, 0.0)  # since the last validation
        self.validations: list[dict[str, Any]] = []  # the lines of `metrics.jsonl`

    def run(self, listener: Listener, interrupted: Callable[[], bool] = lambda: False) -> bool:
        """Train to the end of the run, or until validation no longer improves.

        The result is False if `interrupted()` ended it.
        """
        batches = self._batches()
        while not self.finished and not interrupted():
            self._update(next(batches), listener)
            if self.step % self.interval == 0 or self.step == self.total_steps:
                self._validate(listener)
        self._finish()
        return self.finished

    def _batches(self) -> Iterator[Batch]:
        """The batches of the updates that are left to make."""
        split = self.train_split
        config = self.config
        seed = config.seed
        roles = self.encoding.roles
        # The order follows from the seed and the epoch, so that a resumed run has the same.
        order = shuffled_epochs(
            split.lengths, config.batch_size, lambda epoch: (seed << 20) + epoch, self.step
        )
        for step, indices in zip(range(self.step, self.total_steps), order, strict=False):
            sequences = [split[i] for i in indices]
            if config.transpose:
                own_seed = (seed << 40) + step
                sequences = transposed_at_random(
                    sequences, config.transpose, self.register, own_seed, roles
                )
            homes = self.encoding.homes(sequences) if self.model.positions.reads_home else None
            yield collate(sequences, indices, split.bar_shapes, homes)

    @cached_property
    def register(self) -> Register:
        """Where the pieces of train lie among the keys."""
        return Register.of(self.train_split, self.encoding.roles)

    @property
    def finished(self) -> bool:
        """True if no update is left: the run has its length, or validation no longer improves."""
        return self.step >= self.total_steps or self.plateau.exhausted

    @cached_property
    def length_log_probs(self) -> dict[int, float]:
        """log p(T) of each T in train.

        Training does not change it, and a resumed run has restored p(T) by then.
        """
        distinct = np.flatnonzero(np.bincount(self.train_split.lengths))
        log_probs = self.model.length.log_prob(torch.from_numpy(distinct))
        return dict(zip(distinct.tolist(), log_probs.tolist(), strict=True))

    @property
    def kl_weight(self) -> float:
        """The KL weight of the coming update."""
        return self._kl_weight_at(self.step)

    def _kl_weight_at(self, step: int) -> float:
        if self.model.exact:
            return 1.0
        return annealed_kl_weight(
            step, self.total_steps, self.config.kl_warmup_start, self.config.kl_warmup_end
        )

    @property
    def learning_rate(self) -> float:
        """The learning rate of the coming update."""
        cooled = cooled_share(self.step, self.total_steps, self.config.cooldown_start)
        warm = min(1.0, (self.step + 1) / WARMUP_STEPS)
        return self.config.learning_rate * self.plateau.rate * cooled * warm

    def _update(self, batch: Batch, listener: Listener) -> None:
        started = time.perf_counter()
        kl_weight = self.kl_weight
        epoch = self.step // self.steps_per_epoch
        self._set_rates(self.learning_rate)
        self.model.train()
        noise = self.model.draw_noise(1, batch.x.shape[0], batch.x.shape[1], self.noise_generator)
        self.optimizer.zero_grad(set_to_none=True)
        objective = accumulate_gradients(
            self.model,
            batch.to(self.device),
            noise,
            kl_weight,
            precision=self.config.precision,
            free_bits=self.config.free_bits,
        )
        norm = nn.utils.clip_grad_norm_(self.parameters, MAX_GRAD_NORM)
        self.step += 1
        # All figures are read at once, because a GPU has to finish its work before each reading.
        figures = torch.stack(
            [objective.loss, objective.reconstruction.sum(), objective.kl.sum(), norm]
        )
        loss, reconstruction, kl, norm_value = figures.tolist()
        if not (math.isfinite(loss) and math.isfinite(norm_value)):
            self._skip(loss, norm_value)
            return
        self.skipped = 0
        self.optimizer.step()
        self.average.update(self.model)
        self.sums["reconstruction"] += reconstruction
        self.sums["kl"] += kl
        self.sums["length"] += self._length_log_prob(batch)
        self.sums["steps"] += float(batch.lengths.sum() + len(batch.indices))
        self.sums["seconds"] += time.perf_counter() - started
        means = _means(self.sums, self.unit)
        listener.step({"step": self.step, "epoch": epoch, "kl_weight": kl_weight, **means})

    def _set_rates(self, rate: float) -> None:
        """Give each group of parameters its multiple of the learning rate."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]

    def _length_log_prob(self, batch: Batch) -> float:
        """The sum of log p(T) and log p(home) over the pieces of a batch, as they are in train."""
        log_prob = sum(self.length_log_probs[num_steps] for num_steps in batch.lengths.tolist())
        own_homes = self.train_split.homes
        if self.model.homes is None or own_homes is None:
            return log_prob
        of_pieces = torch.from_numpy(own_homes[batch.indices])
        return log_prob + float(self.model.homes.log_prob(of_pieces).sum())

    def _skip(self, loss: float, norm: float) -> None:
        """Leave an update out. If that goes on, lower the learning rate, and at last give up."""
        self.skipped += 1
        self.skipped_in_all += 1
        found = f"update {self.step} has the loss {loss:.4g} and a gradient of the norm {norm:.4g}"
        if self.skipped >= MAX_SKIPPED_UPDATES:
            raise RunError(
                f"{found}, for the {self.skipped}th time in a row; "
                "last/ keeps the state before, but --resume would end in the same way; "
                "start a new run with a smaller learning rate: "
                f"--set training.learning_rate={self.config.learning_rate / 4:.2g}"
            )
        if self.skipped % LOWER_AFTER == 0:
            self.plateau.rate *= LOWERED
            found += f"; the learning rate is {LOWERED:g} of what it was"
        warnings.warn(f"{found}; update skipped", LnfgenWarning, stacklevel=2)

    def _validate(self, listener: Listener) -> None:
        first = self.optimizer.param_groups[0]
        metrics: dict[str, Any] = {
            "step": self.step,
            "epoch": round(self.step / self.steps_per_epoch, 3),
            "kl_weight": self._kl_weight_at(self.step - 1),
            "learning_rate": first["lr"] / first["factor"],
            "skipped_updates": self.skipped_in_all,
        }
        for name, value in _means(self.sums, self.unit).items():
            metrics[f"train_{name}"] = value
        self.sums = dict.fromkeys(SUMS, 0.0)
        # Costs can be compared, and the rate may decay, only once the KL has its full weight.
        choosing = metrics["kl_weight"] == 1.0
        if self.validated_on is not None:
            metrics |= self._valid_scores(self.validated_on)
            improved = bool(choosing and self.plateau.update(metrics["valid_elbo"]))
            keeps_last = choosing and self.config.keep == "last"
            choosing = improved or keeps_last
            metrics["kept"] = choosing
        self.validations.append(_rounded(metrics))
        if choosing:
            self.save_model(self.average.module.state_dict())
        self.save_metrics(self.validations)
        if not self.skipped:  # otherwise the state from before the trouble is kept
            self.save_state(self)
        listener.validated(metrics)

    def _valid_scores(self, sequences: Sequence[np.ndarray]) -> dict[str, float]:
        """Scores of the averaged weights.

        Each sequence has one sample of z, from the same noise every time.
        """
        model = cast(SequenceModel, self.average.module)
        config = self.config
        found = score(
            model, sequences, self.unit, num_samples=1, seed=config.seed, precision=config.precision
        )
        return {
            "valid_elbo": found.elbo,
            "valid_reconstruction": found.reconstruction,
            "valid_kl": found.kl,
            "valid_length": found.length,
        }

    def _finish(self) -> None:
        """End the run: save its state, and say what the validations show.

        The last weights are kept if no better ones are.
        """
        weight = self._kl_weight_at(max(0, self.step - 1))
        kept = not math.isinf(self.plateau.best)  # the best weights
        if self.validated_on is None:
            kept = self.finished and weight == 1.0  # those after the last update
        if not kept and weight < 1.0:
            found = (
                f"the run ended at KL weight {weight:.2f}, before 1: "
                "its last weights are kept as the model"
            )
            warnings.warn(found, LnfgenWarning, stacklevel=2)
        if not kept:
            self.save_model(self.average.module.state_dict())
        self.save_state(self)
        if self.finished and self.validated_on is not None:
            found = self._verdict(self.validated_on)
            if found:
                warnings.warn(found, LnfgenWarning, stacklevel=3)

    def _verdict(self, valid: Sequence[np.ndarray]) -> str:
        """What the validations that count say about the model, in a line; empty if all is well."""
        floor = marginal_nll(self.model, self.encoding, self.train_split, valid)
        if isinstance(self.encoding, MusicEncoding):
            floor = min(floor, cost_of_drones(self.train_split, valid))
        costs = [line["valid_elbo"] for line in self.validations if line["kl_weight"] == 1.0]
        return verdict(costs, floor)

    def state(self) -> State:
        """All that a resumed run needs beside its configuration and its dataset.

        These are tensors by file, and other values.
        """
        moments: dict[str, Tensor] = {}
        for name, parameter in self.model.named_parameters():
            for key, value in self.optimizer.state.get(parameter, {}).items():
                moments[f"{name}/{key}"] = value
        random = {"noise": self.noise_generator.get_state(), "dropout": torch.get_rng_state()}
        if self.device.type == "cuda":
            random["dropout_cuda"] = torch.cuda.get_rng_state(self.device)
        tensors = {
            "weights": dict(self.model.state_dict()),
            "average": dict(self.average.module.state_dict()),
            "optimizer": moments,
            "random": random,
        }
        best: float | None = self.plateau.best
        if math.isinf(self.plateau.best):
            best = None  # JSON has no infinity
        values = {
            "step": self.step,
            "device": self.device.type,
            "skipped": self.skipped,
            "skipped_in_all": self.skipped_in_all,
            "average_updates": self.average.updates,
            "best": best,
            "stale": self.plateau.stale,
            "rate": self.plateau.rate,
            "sums": self.sums,
        }
        return tensors, values

    def restore(self, tensors: dict[str, dict[str, Tensor]], values: dict[str, Any]) -> None:
        """Go on where `state` was taken.

        Raises:
            RunError: if the state is not of this model, or incomplete.
        """
        try:
            self.model.load_state_dict(tensors["weights"])
            self.average.module.load_state_dict(tensors["average"])
            self.average.updates = values["average_updates"]
            parameters = dict(self.model.named_parameters())
            for key, value in tensors["optimizer"].items():
                name, _, moment = key.rpartition("/")
                self.optimizer.state[parameters[name]][moment] = value.to(self.device)
            self.step = values["step"]
            self.skipped = values["skipped"]
            self.skipped_in_all = values["skipped_in_all"]
            torch.set_rng_state(tensors["random"]["dropout"])
            if values["device"] == self.device.type:
                self.noise_generator.set_state(tensors["random"]["noise"])
                if self.device.type == "cuda":
                    torch.cuda.set_rng_state(tensors["random"]["dropout_cuda"], self.device)
            else:  # another kind of device has random states of another form, so the noise is fresh
                self.noise_generator.manual_seed(stream_seed(self.config.seed, self.step))
            best = values["best"]
            self.plateau.best = math.inf if best is None else best
            self.plateau.stale = values["stale"]
            self.plateau.rate = values["rate"]
            self.sums = {name: values["sums"][name] for name in SUMS}
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise RunError(
                f"the state in last/ does not fit config.json ({reason:.120}); "
                "restore either, or start a new run"
            ) from error


def validation_sample(valid: Split) -> Sequence[np.ndarray]:
    """The sequences that the validations of all runs score.

    They are the split, or a fixed choice of `VALIDATION_SEQUENCES`.
    """
    if len(valid) <= VALIDATION_SEQUENCES:
        return valid
    drawn = np.random.default_rng(0).choice(len(valid), VALIDATION_SEQUENCES, replace=False)
    drawn.sort()
    bar_shapes = None
    if valid.bar_shapes is not None:
        bar_shapes = valid.bar_shapes[drawn]
    homes = None
    if valid.homes is not None:
        homes = valid.homes[drawn]
    return EncodedPieces((valid[index] for index in drawn), bar_shapes, homes)


def _means(sums: dict[str, float], unit: str) -> dict[str, float]:
    """The sums since the last validation as costs per time step, and the speed.

    The end symbol of a sequence counts as a step.
    """
    scale = per_unit(unit) / max(sums["steps"], 1.0)
    # Subtracted from 0, so that a cost of 0 is not -0.0.
    reconstruction = 0.0 - sums["reconstruction"] * scale
    kl = sums["kl"] * scale
    length = 0.0 - sums["length"] * scale
    return {
        "elbo": reconstruction + kl + length,
        "reconstruction": reconstruction,
        "kl": kl,
        "length": length,
        "steps_per_second": sums["steps"] / max(sums["seconds"], 1e-9),
    }


def _rounded(metrics: dict[str, Any]) -> dict[str, Any]:
    """The figures of a validation as `metrics.jsonl` has them."""
    rounded = dict(metrics)
    for name, value in metrics.items():
        if isinstance(value, float):
            rounded[name] = round(value, 6)
    return rounded
