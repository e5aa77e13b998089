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
from lnfgen.data.batches import Batch, Register, collate, ended_early, shuffled_epochs, transposed
from lnfgen.data.dataset import Dataset, Split
from lnfgen.data.encoding import Encoded
from lnfgen.device import AdamW
from lnfgen.errors import LnfgenWarning, RunError
from lnfgen.flows.codebook import Codebook
from lnfgen.inference.scoring import marginal_nll, per_unit, score
from lnfgen.models.sequence_model import SequenceModel
from lnfgen.runs.checkpoint import State
from lnfgen.training.calibration import Round
from lnfgen.training.objective import accumulate_gradients
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
# the most that a validation scores; thousands of lines would take longer than the updates
VALIDATION_SEQUENCES = 320
WEIGHT_DECAY = 0.05  # of matrices of weights, by AdamW (`_decay_groups`)
MAX_GRAD_NORM = 5.0  # gradients are clipped to this
# after so many updates in a row that are not finite, the rate is multiplied by this
LOWER_AFTER, LOWERED = 5, 0.5
# training gives up after so many in a row whose loss or gradient is not finite
MAX_SKIPPED_UPDATES = 20

# up to a validation; steps count end symbols too
SUMS = ("reconstruction", "kl", "length", "steps", "seconds")


class Listener(Protocol):
    """Takes the reports of a training session, which itself prints nothing."""

    def step(self, metrics: dict[str, float]) -> None:
        """After each update: its number, the epoch, the KL weight, and means since the last
        validation."""

    def validated(self, metrics: dict[str, Any]) -> None:
        """After each validation: a line of `metrics.jsonl`."""

    def calibrated(self, of_round: Round) -> None:
        """After each round of calibration."""


class Trainer:
    """Trains a model on a dataset's train split, and chooses the best weights by its valid split,
    or keeps the last.

    Three functions write what it has made after each validation and at the end: `save_model` the
    weights to keep, `save_state` the `state`, and `save_metrics` the figures of all validations.
    """

    def __init__(
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
        self.validated_on = (
            validation_sample(dataset.split("valid")) if "valid" in dataset.split_names else None
        )
        self.encoding, self.unit = dataset.encoding, dataset.encoding.unit
        self.save_model, self.save_state, self.save_metrics = save_model, save_state, save_metrics

        self.steps_per_epoch = math.ceil(len(self.train_split) / config.batch_size)
        self.total_steps = config.total_steps(len(self.train_split))
        self.interval = max(
            math.ceil(self.total_steps / VALIDATIONS), min(self.steps_per_epoch, MIN_INTERVAL)
        )

        self.parameters = list(model.parameters())
        # A fused optimizer reads weights and moments only once.
        self.optimizer = AdamW(
            _decay_groups(model, WEIGHT_DECAY), lr=config.learning_rate, fused=True
        )
        self.average = AveragedModel(model, config.ema_decay)
        self.plateau = Plateau(config.patience)
        self.noise_generator = torch.Generator(device).manual_seed(config.seed)
        self.step = 0
        self.skipped = 0  # updates in a row that were left out
        self.skipped_in_all = 0
        self.sums = dict.fromkeys(SUMS, 0.0)  # since the last validation
        self.validations: list[dict[str, Any]] = []  # the lines of `metrics.jsonl`

    def run(self, listener: Listener, interrupted: Callable[[], bool] = lambda: False) -> bool:
        """Train to the end of the run, or until validation no longer improves. False if
        `interrupted()` ended it."""
        batches = self._batches()
        while not self.finished and not interrupted():
            self._update(next(batches), listener)
            if self.step % self.interval == 0 or self.step == self.total_steps:
                self._validate(listener)
        self._finish()
        return self.finished

    def _batches(self) -> Iterator[Batch]:
        """The batches of the updates that are left to make."""
        split, config, seed, encoding = (
            self.train_split,
            self.config,
            self.config.seed,
            self.encoding,
        )
        # The order follows from the seed and the epoch, so that a resumed run has the same.
        order = shuffled_epochs(
            split.lengths, config.batch_size, lambda epoch: (seed << 20) + epoch, self.step
        )
        for step, indices in zip(range(self.step, self.total_steps), order, strict=False):
            sequences = [split[i] for i in indices]
            if encoding.kind == "music" and encoding.has_onsets and not encoding.parts:
                sequences = ended_early(sequences, stream_seed(seed, step))
            if config.transpose:
                sequences = transposed(
                    sequences, config.transpose, self.register, (seed << 40) + step, encoding.roles
                )
            yield collate(sequences, indices, split.metres)

    @cached_property
    def register(self) -> Register:
        """Where the pieces of train lie among the keys."""
        return Register.of(self.train_split, self.encoding.roles)

    @property
    def finished(self) -> bool:
        """True if no update is left to make: the run has its length, or validation no longer
        improves."""
        return self.step >= self.total_steps or self.plateau.exhausted

    @cached_property
    def length_log_probs(self) -> dict[int, float]:
        """log p(T) of each T in train. Training does not change it; a resumed run has restored p(T)
        by then."""
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
        share = cooled_share(self.step, self.total_steps, self.config.cooldown_start)
        return (
            self.config.learning_rate
            * self.plateau.rate
            * share
            * min(1.0, (self.step + 1) / WARMUP_STEPS)
        )

    def _update(self, batch: Batch, listener: Listener) -> None:
        started, kl_weight, epoch = (
            time.perf_counter(),
            self.kl_weight,
            self.step // self.steps_per_epoch,
        )
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate
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
        # p(T) is that of pieces that do not end early
        whole = self.train_split.lengths[batch.indices]
        length = sum(self.length_log_probs[num_steps] for num_steps in whole.tolist())
        steps, seconds = (
            float(batch.lengths.sum() + len(batch.indices)),
            time.perf_counter() - started,
        )
        for name, value in zip(SUMS, (reconstruction, kl, length, steps, seconds), strict=True):
            self.sums[name] += value
        listener.step(
            {
                "step": self.step,
                "epoch": epoch,
                "kl_weight": kl_weight,
                **_means(self.sums, self.unit),
            }
        )

    def _skip(self, loss: float, norm: float) -> None:
        """Leave an update out. If that goes on, lower the learning rate, and at last give up."""
        self.skipped += 1
        self.skipped_in_all += 1
        found = f"update {self.step} has the loss {loss:.4g} and a gradient of the norm {norm:.4g}"
        if self.skipped >= MAX_SKIPPED_UPDATES:
            raise RunError(
                f"{found}, for the {self.skipped}th time in a row; last/ keeps the state before, but --resume would "
                "end in the same way; start a new run with a smaller learning rate: --set "
                f"training.learning_rate={self.config.learning_rate / 4:.2g}"
            )
        if self.skipped % LOWER_AFTER == 0:
            self.plateau.rate *= LOWERED
            found += f"; the learning rate is {LOWERED:g} of what it was"
        warnings.warn(f"{found}; update skipped", LnfgenWarning, stacklevel=2)

    def _validate(self, listener: Listener) -> None:
        metrics: dict[str, Any] = {
            "step": self.step,
            "epoch": round(self.step / self.steps_per_epoch, 3),
            "kl_weight": self._kl_weight_at(self.step - 1),
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            "skipped_updates": self.skipped_in_all,
            **{f"train_{name}": value for name, value in _means(self.sums, self.unit).items()},
        }
        self.sums = dict.fromkeys(SUMS, 0.0)
        # Costs can be compared, and the rate may decay, only once the KL has its full weight.
        choosing = metrics["kl_weight"] == 1.0
        if self.validated_on is not None:
            metrics |= self._valid_scores(self.validated_on)
            improved = bool(choosing and self.plateau.update(metrics["valid_elbo"]))
            choosing = metrics["kept"] = improved or (choosing and self.config.keep == "last")
        self.validations.append(
            {name: round(v, 6) if isinstance(v, float) else v for name, v in metrics.items()}
        )
        if choosing:
            self.save_model(self.average.module.state_dict())
        self.save_metrics(self.validations)
        if not self.skipped:  # otherwise the state from before the trouble is kept
            self.save_state(self)
        listener.validated(metrics)

    def _valid_scores(self, sequences: Sequence[np.ndarray]) -> dict[str, float]:
        """Scores of the averaged weights, with one sample of z for each sequence and the same noise
        every time."""
        model = cast(SequenceModel, self.average.module)
        config = self.config
        found = score(
            model, sequences, self.unit, num_samples=1, seed=config.seed, precision=config.precision
        )
        return {
            f"valid_{name}": getattr(found, name)
            for name in ("elbo", "reconstruction", "kl", "length")
        }

    def _finish(self) -> None:
        weight = self._kl_weight_at(max(0, self.step - 1))
        kept = not math.isinf(self.plateau.best)  # the best weights
        if self.validated_on is None:
            kept = self.finished and weight == 1.0  # those after the last update
        if not kept and weight < 1.0:
            found = f"the run ended at KL weight {weight:.2f}, before 1: its last weights are kept as the model"
            warnings.warn(found, LnfgenWarning, stacklevel=2)
        if not kept:
            self.save_model(self.average.module.state_dict())
        self.save_state(self)
        if self.finished and self.validated_on is not None:
            train, valid = self.train_split, self.validated_on
            floor = marginal_nll(self.model, self.encoding, train, valid)
            if self.encoding.kind == "music":
                floor = min(floor, cost_of_drones(train, valid))
            costs = [line["valid_elbo"] for line in self.validations if line["kl_weight"] == 1.0]
            if said := verdict(costs, floor):
                warnings.warn(said, LnfgenWarning, stacklevel=3)

    def state(self) -> State:
        """All that a resumed run needs beside its configuration and dataset: tensors by file, and
        other values."""
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
        values = {
            "step": self.step,
            "device": self.device.type,
            "skipped": self.skipped,
            "skipped_in_all": self.skipped_in_all,
            "average_updates": self.average.updates,
            "best": None if math.isinf(self.plateau.best) else self.plateau.best,
            "stale": self.plateau.stale,
            "rate": self.plateau.rate,
            "sums": self.sums,
        }
        return tensors, values

    def restore(self, tensors: dict[str, dict[str, Tensor]], values: dict[str, Any]) -> None:
        """Go on where `state` was taken, or raise a `RunError` if it is not of this model, or
        incomplete."""
        try:
            self.model.load_state_dict(tensors["weights"])
            self.average.module.load_state_dict(tensors["average"])
            self.average.updates = values["average_updates"]
            parameters = dict(self.model.named_parameters())
            for key, value in tensors["optimizer"].items():
                name, _, moment = key.rpartition("/")
                self.optimizer.state[parameters[name]][moment] = value.to(self.device)
            self.step, self.skipped = values["step"], values["skipped"]
            self.skipped_in_all = values["skipped_in_all"]
            torch.set_rng_state(tensors["random"]["dropout"])
            if values["device"] == self.device.type:
                self.noise_generator.set_state(tensors["random"]["noise"])
                if self.device.type == "cuda":
                    torch.cuda.set_rng_state(tensors["random"]["dropout_cuda"], self.device)
            else:  # another kind of device has random states of another form, so the noise is fresh
                self.noise_generator.manual_seed(stream_seed(self.config.seed, self.step))
            self.plateau.best = math.inf if values["best"] is None else values["best"]
            self.plateau.stale, self.plateau.rate = values["stale"], values["rate"]
            self.sums = {name: values["sums"][name] for name in SUMS}
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise RunError(
                f"the state in last/ does not fit config.json ({' '.join(str(error).split()):.120}); "
                "restore either, or start a new run"
            ) from error


def validation_sample(valid: Split) -> Sequence[np.ndarray]:
    """The sequences that the validations of all runs score: the split, or a fixed choice of
    `VALIDATION_SEQUENCES`."""
    if len(valid) <= VALIDATION_SEQUENCES:
        return valid
    drawn = np.random.default_rng(0).choice(len(valid), VALIDATION_SEQUENCES, replace=False)
    drawn.sort()
    return Encoded(
        (valid[index] for index in drawn), None if valid.metres is None else valid.metres[drawn]
    )


def _means(sums: dict[str, float], unit: str) -> dict[str, float]:
    """The sums since the last validation as costs per time step, with an end symbol counted, and
    the speed."""
    scale = per_unit(unit) / max(sums["steps"], 1.0)
    log_p, kl, log_p_length = (sums[name] * scale for name in ("reconstruction", "kl", "length"))
    reconstruction, length = 0.0 - log_p, 0.0 - log_p_length  # a cost of 0 is not -0.0
    return {
        "elbo": reconstruction + kl + length,
        "reconstruction": reconstruction,
        "kl": kl,
        "length": length,
        "steps_per_second": sums["steps"] / max(sums["seconds"], 1e-9),
    }


def _decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Only matrices decay, but not those that say where z lies: codes that are drawn to zero lie
    upon each other."""
    placed = [module for module in model.modules() if isinstance(module, Codebook)]
    places = {parameter for module in placed for parameter in module.parameters()}
    decays = {p: p.dim() > 1 and p not in places for p in model.parameters()}
    matrices = [parameter for parameter, decay in decays.items() if decay]
    others = [parameter for parameter, decay in decays.items() if not decay]
    return [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
