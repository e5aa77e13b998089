"""The training loop, read from top to bottom."""

import math
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn

from lnfgen.config import TrainingConfig
from lnfgen.data.batches import Batch, collate, shuffled_batches, transposed
from lnfgen.data.storage import Dataset, Split
from lnfgen.errors import ConfigError, RunError
from lnfgen.evaluation import per_unit, score
from lnfgen.models import SequenceModel
from lnfgen.streams import stream_seed
from lnfgen.training.objective import accumulate_gradients, passes_for
from lnfgen.training.saved import moments_like, require_like
from lnfgen.training.schedules import WARMUP_STEPS, Plateau, annealed_kl_weight, averaged_model, cooled_share

VALIDATIONS = 50
"""The most validations in a run: enough to see a plateau, and few enough to cost little time."""

MIN_INTERVAL = 50
"""The fewest updates between validations where an epoch is shorter."""

MAX_SKIPPED_UPDATES = 20
"""Training gives up after so many updates in a row whose loss or gradient is not finite."""


class Reporter(Protocol):
    """Is told how a run goes. The loop itself prints nothing."""

    def step(self, metrics: dict[str, float]) -> None: ...

    def validated(self, metrics: dict[str, Any]) -> None: ...

    def note(self, message: str) -> None: ...


class Trainer:
    """Trains a model on a dataset's train split, and chooses the best weights by its valid split.

    `save_best(state)` is called with the weights to keep, and `save_last(self)` after each validation and at the end.
    `state_tensors` and `state_values` give all that a resumed run needs besides its configuration and dataset.
    """

    def __init__(
        self,
        model: SequenceModel,
        dataset: Dataset,
        config: TrainingConfig,
        device: torch.device,
        reporter: Reporter,
        save_best: Callable[[dict[str, Tensor]], None],
        save_last: Callable[["Trainer"], None],
    ) -> None:
        if config.transpose and dataset.encoding.kind != "music":
            raise ConfigError(f"training.transpose: found {config.transpose} for text, which has no keys; expected 0")
        self.model = model.to(device)
        self.config = config
        self.device = device
        self.train_split = dataset.split("train")
        self.valid_split: Split | None = dataset.split("valid") if "valid" in dataset.split_names else None
        self.unit = dataset.encoding.unit
        self.reporter, self.save_best, self.save_last = reporter, save_best, save_last

        self.steps_per_epoch = math.ceil(len(self.train_split) / config.batch_size)
        self.total_steps = config.total_steps(len(self.train_split))
        self.interval = max(math.ceil(self.total_steps / VALIDATIONS), min(self.steps_per_epoch, MIN_INTERVAL))

        self.parameters = list(model.parameters())
        self.fused = device.type in ("cpu", "cuda")  # a fused optimizer reads weights and moments only once
        self.optimizer = torch.optim.AdamW(
            _decay_groups(model, config.weight_decay), lr=config.learning_rate, fused=self.fused
        )
        self.average = averaged_model(model, config.ema_decay)
        self.plateau = Plateau(config.patience, config.learning_rate_decay)
        self.noise_generator = torch.Generator(device).manual_seed(config.seed)
        self.step = 0
        self.skipped = 0  # updates in a row that were left out
        self.sums = _Sums()

    def run(self, interrupted: Callable[[], bool] = lambda: False) -> bool:
        """Train to the end of the run, or until validation no longer improves. False if `interrupted()` ended it."""
        shuffled = -1
        batches: Sequence[list[int]] = []
        while not self.finished and not interrupted():
            epoch, position = divmod(self.step, self.steps_per_epoch)
            if epoch != shuffled:  # the order follows from the seed and the epoch, so that a resumed run has the same
                seed = (self.config.seed << 20) + epoch
                shuffled, batches = epoch, shuffled_batches(self.train_split.lengths, self.config.batch_size, seed)
            indices = batches[position]
            sequences = [self.train_split[i] for i in indices]
            if self.config.transpose:
                seed = (self.config.seed << 40) + self.step
                sequences = transposed(sequences, self.config.transpose, seed)
            self._update(collate(sequences, indices).to(self.device), epoch)
            if self.step % self.interval == 0 or self.step == self.total_steps:
                self._validate()
        self._finish()
        return self.finished

    @property
    def finished(self) -> bool:
        """Whether no update is left to make: the run has its length, or validation no longer improves."""
        return self.step >= self.total_steps or self.plateau.exhausted

    @cached_property
    def length_log_probs(self) -> dict[int, float]:
        """log p(T) of each T in train, which training does not change. A resumed run restores it before this."""
        distinct = np.flatnonzero(np.bincount(self.train_split.lengths))
        return dict(
            zip(distinct.tolist(), self.model.length.log_prob(torch.from_numpy(distinct)).tolist(), strict=True)
        )

    @property
    def kl_weight(self) -> float:
        """The KL weight of the coming update."""
        if self.model.exact:
            return 1.0
        return annealed_kl_weight(self.step, self.total_steps, self.config.kl_warmup_start, self.config.kl_warmup_end)

    def _update(self, batch: Batch, epoch: int) -> None:
        started, kl_weight = time.perf_counter(), self.kl_weight
        share = cooled_share(self.step, self.total_steps, self.config.cooldown_start)
        rate = self.config.learning_rate * self.plateau.rate * share * min(1.0, (self.step + 1) / WARMUP_STEPS)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.model.train()
        num_samples, precision = self.config.num_samples, self.config.precision
        noise = self.model.draw_noise(num_samples, batch.x.shape[0], batch.x.shape[1], self.noise_generator)
        self.optimizer.zero_grad(set_to_none=True)
        num_passes = passes_for(num_samples, batch, precision)
        objective = accumulate_gradients(
            self.model,
            batch,
            noise,
            kl_weight,
            num_passes=num_passes,
            precision=precision,
            free_bits=self.config.free_bits,
        )
        norm = nn.utils.clip_grad_norm_(self.parameters, self.config.max_grad_norm)
        self.step += 1
        # All figures are read at once, because a GPU has to finish its work before each reading.
        figures = [objective.loss, norm, objective.reconstruction.sum(), objective.kl.sum()]
        loss, norm_value, reconstruction, kl = torch.stack(figures).tolist()
        if not (math.isfinite(loss) and math.isfinite(norm_value)):
            self._skip(loss)
            return
        self.skipped = 0
        self.optimizer.step()
        self.average.update_parameters(self.model)
        length = sum(self.length_log_probs[int(self.train_split.lengths[index])] for index in batch.indices)
        self.sums.add(batch, reconstruction, kl, length, time.perf_counter() - started)
        self.reporter.step({"step": self.step, "epoch": epoch, "kl_weight": kl_weight, **self.sums.means(self.unit)})

    def _skip(self, loss: float) -> None:
        self.skipped += 1
        self.reporter.note(f"step {self.step}: loss {loss} or its gradient is not finite; update skipped")
        if self.skipped >= MAX_SKIPPED_UPDATES:
            raise RunError(
                f"{self.skipped} updates in a row had a loss that is not finite; "
                f"expected a smaller learning rate: --set training.learning_rate={self.config.learning_rate / 4:.2g}"
            )

    def _validate(self) -> None:
        metrics: dict[str, Any] = {
            "step": self.step,
            "epoch": round(self.step / self.steps_per_epoch, 3),
            "kl_weight": self.kl_weight,
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            **{f"train_{name}": value for name, value in self.sums.means(self.unit).items()},
        }
        self.sums = _Sums()
        # Costs can be compared, and the rate may decay, only once the KL has its full weight.
        choosing = metrics["kl_weight"] == 1.0
        if self.valid_split is not None:
            metrics |= self._valid_scores(self.valid_split)
            choosing = metrics["best"] = bool(choosing and self.plateau.update(metrics["valid_elbo"]))
        if choosing:
            self.save_best(self.average.module.state_dict())
        self.reporter.validated(metrics)
        self.save_last(self)

    def _valid_scores(self, split: Split) -> dict[str, float]:
        """Scores of the averaged weights, with one sample of z for each sequence and the same noise every time."""
        model = cast(SequenceModel, self.average.module)
        seed, precision = self.config.seed, self.config.precision
        found = score(model, split, self.unit, num_samples=1, seed=seed, precision=precision)
        return {"valid_elbo": found.elbo, "valid_reconstruction": found.reconstruction, "valid_kl": found.kl}

    def _finish(self) -> None:
        if self.valid_split is None or math.isinf(self.plateau.best):  # no weights were chosen by validation
            self.save_best(self.average.module.state_dict())
            if self.kl_weight < 1.0:
                self.reporter.note(
                    f"the run ended at KL weight {self.kl_weight:.2f}, before 1: its last weights are kept as the model"
                )
        self.save_last(self)

    def state_tensors(self) -> dict[str, dict[str, Tensor]]:
        """Tensors by file: the weights, their average, the optimizer's moments, the random states."""
        moments: dict[str, Tensor] = {}
        for name, parameter in self.model.named_parameters():
            for key, value in self.optimizer.state.get(parameter, {}).items():
                moments[f"{name}/{key}"] = value
        random = {"noise": self.noise_generator.get_state(), "dropout": torch.get_rng_state()}
        if self.device.type == "cuda":
            random["dropout_cuda"] = torch.cuda.get_rng_state(self.device)
        return {
            "weights": dict(self.model.state_dict()),
            "average": dict(self.average.module.named_parameters()),
            "optimizer": moments,
            "random": random,
        }

    def state_values(self) -> dict[str, Any]:
        """All other state, as JSON can hold it."""
        return {
            "step": self.step,
            "device": self.device.type,
            "skipped": self.skipped,
            "average_updates": int(self.average.n_averaged) - 1,
            "best": None if math.isinf(self.plateau.best) else self.plateau.best,
            "stale": self.plateau.stale,
            "rate": self.plateau.rate,
            "sums": self.sums.values,
        }

    def restore(self, tensors: dict[str, dict[str, Tensor]], values: dict[str, Any]) -> None:
        """Go on where `state_tensors` and `state_values` were taken.

        Raises:
            RunError: if they are not of this model, or incomplete.
        """
        try:
            require_like(self.state_values(), values)
            self.model.load_state_dict(tensors["weights"])
            parameters = dict(self.model.named_parameters())
            buffers = {name: value for name, value in tensors["weights"].items() if name not in parameters}
            self.average.module.load_state_dict(buffers | tensors["average"])
            self.average.n_averaged.fill_(values["average_updates"] + 1)
            require_like(moments_like(parameters, tensors["optimizer"]), tensors["optimizer"])
            for key, value in tensors["optimizer"].items():
                name, _, moment = key.rpartition("/")
                # Unless it is fused, AdamW keeps its count of updates on the CPU.
                stays = moment == "step" and not self.fused
                self.optimizer.state[parameters[name]][moment] = value if stays else value.to(self.device)
            self.step, self.skipped = values["step"], values["skipped"]
            torch.set_rng_state(tensors["random"]["dropout"])
            if values["device"] == self.device.type:
                self.noise_generator.set_state(tensors["random"]["noise"])
                if self.device.type == "cuda":
                    torch.cuda.set_rng_state(tensors["random"]["dropout_cuda"], self.device)
            else:  # another kind of device has random states of another form, so the noise is fresh
                self.noise_generator.manual_seed(stream_seed(self.config.seed, self.step))
            self.plateau.best = math.inf if values["best"] is None else values["best"]
            self.plateau.stale, self.plateau.rate = values["stale"], values["rate"]
            self.sums = _Sums(dict(values["sums"]))
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise RunError(
                f"the state in last/ does not fit config.json ({' '.join(str(error).split()):.120}); "
                "restore either, or start a new run"
            ) from error


class _Sums:
    """Sums since the last validation. Their means are costs per time step, with an end symbol counted."""

    def __init__(self, values: dict[str, float] | None = None) -> None:
        self.values = values or dict.fromkeys(("reconstruction", "kl", "length", "steps", "sequences", "seconds"), 0.0)

    def add(self, batch: Batch, reconstruction: float, kl: float, length: float, seconds: float) -> None:
        sequences = len(batch.indices)
        steps = float(batch.lengths.sum()) + sequences
        added = (reconstruction, kl, length, steps, sequences, seconds)
        for name, value in zip(self.values, added, strict=True):
            self.values[name] += value

    def means(self, unit: str) -> dict[str, float]:
        scale = per_unit(unit) / max(self.values["steps"], 1.0)
        reconstruction, kl = -self.values["reconstruction"] * scale, self.values["kl"] * scale
        return {
            "elbo": reconstruction + kl - self.values["length"] * scale,
            "reconstruction": reconstruction,
            "kl": kl,
            "steps_per_second": self.values["steps"] / max(self.values["seconds"], 1e-9),
        }


def _decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Only matrices decay; biases and other vectors keep the scale that they need."""
    matrices = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    others = [parameter for parameter in model.parameters() if parameter.dim() <= 1]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
