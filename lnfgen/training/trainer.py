"""The training loop, read from top to bottom."""

import math
import time
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from lnfgen.config import TrainingConfig
from lnfgen.data.batches import Batch, collate, shuffled_batches
from lnfgen.data.storage import Dataset, Split
from lnfgen.errors import RunError
from lnfgen.evaluation import per_unit, score
from lnfgen.models import SequenceModel
from lnfgen.streams import stream_seed
from lnfgen.training.objective import accumulate_gradients, passes_for
from lnfgen.training.schedules import WARMUP_STEPS, Plateau, WeightAverage, kl_weight

VALIDATIONS = 50
"""Validations in a run, at most: enough to see a plateau, few enough not to be felt on a small validation split."""

MIN_INTERVAL = 50
"""Updates between validations, at least, where an epoch is shorter."""

VALID_SAMPLES = 1
"""Samples of z for each sequence's ELBO: it is unbiased with one, and the noise is the same at every validation."""

MAX_SKIPPED_UPDATES = 20
"""Consecutive updates with a loss or gradient that is not finite before training gives up: one is skipped, and said."""


class Reporter(Protocol):
    """Who is told how a run goes; the loop itself prints nothing."""

    def step(self, metrics: dict[str, float]) -> None: ...

    def validated(self, metrics: dict[str, Any]) -> None: ...

    def note(self, message: str) -> None: ...


class Trainer:
    """Trains a model on a dataset's train split, choosing by its valid split.

    `save_best(state)` is called with the weights to keep, `save_last(self)` after each validation and at the end.
    All state that a resumed run needs is in `state_tensors` and `state_values`.
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
        self.model = model.to(device)
        self.config = config
        self.device = device
        self.train_split = dataset.split("train")
        has_valid = "valid" in dataset.split_names
        self.valid_split: Split | None = dataset.split("valid") if has_valid else None
        self.unit = dataset.encoding.unit
        self.reporter, self.save_best, self.save_last = reporter, save_best, save_last

        self.steps_per_epoch = math.ceil(len(self.train_split) / config.batch_size)
        limits = [config.max_steps, config.epochs and config.epochs * self.steps_per_epoch]
        self.total_steps = min(limit for limit in limits if limit is not None)
        self.length_log_probs = _log_probs(model, self.train_split.lengths)
        self.interval = max(math.ceil(self.total_steps / VALIDATIONS), min(self.steps_per_epoch, MIN_INTERVAL))

        self.parameters = list(model.parameters())
        self.fused = device.type in ("cpu", "cuda")  # one pass over weights and moments in place of ten
        self.optimizer = torch.optim.AdamW(
            _decay_groups(model, config.weight_decay), lr=config.learning_rate, fused=self.fused
        )
        self.average = WeightAverage(model, config.ema_decay)
        self.plateau = Plateau(config.patience, config.learning_rate_decay)
        self.noise = torch.Generator(device).manual_seed(config.seed)
        self.step = 0
        self.skipped = 0  # consecutive updates left out
        self.sums = _Sums()
        self._shuffled: tuple[int, list[list[int]]] = (-1, [])

    def run(self, interrupted: Callable[[], bool] = lambda: False) -> bool:
        """Train until the run's length is reached, validation stalls, or `interrupted()`; False if it was
        interrupted."""
        while self.step < self.total_steps and not self.plateau.exhausted:
            if interrupted():
                self._finish()
                return False
            epoch, position = divmod(self.step, self.steps_per_epoch)
            indices = self._batches(epoch)[position]
            batch = collate([self.train_split[i] for i in indices], indices).to(self.device)
            self._update(batch, epoch)
            if self.step % self.interval == 0 or self.step == self.total_steps:
                self._validate()
        self._finish()
        return True

    def _batches(self, epoch: int) -> list[list[int]]:
        """An epoch's batches follow from the seed and its number alone, so that a resumed run finds them again."""
        if self._shuffled[0] != epoch:
            seed = (self.config.seed << 20) + epoch
            self._shuffled = epoch, shuffled_batches(self.train_split.lengths, self.config.batch_size, seed)
        return self._shuffled[1]

    @property
    def weight(self) -> float:
        """The KL weight of the coming update."""
        if self.model.exact:
            return 1.0
        return kl_weight(self.step, self.total_steps, self.config.kl_warmup_start, self.config.kl_warmup_end)

    def _update(self, batch: Batch, epoch: int) -> None:
        started = time.perf_counter()
        weight = self.weight
        rate = self.config.learning_rate * self.plateau.rate * min(1.0, (self.step + 1) / WARMUP_STEPS)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.model.train()
        num_samples = self.config.num_samples
        noise = self.model.noise(num_samples, batch.x.shape[0], batch.x.shape[1], self.noise)
        self.optimizer.zero_grad(set_to_none=True)
        # log p(T) has no weights to train; it is in the figures alone.
        objective = accumulate_gradients(
            self.model,
            batch,
            noise,
            weight,
            num_passes=passes_for(num_samples, batch, self.config.precision),
            precision=self.config.precision,
        )
        norm = nn.utils.clip_grad_norm_(self.parameters, self.config.max_grad_norm)
        self.step += 1
        # One transfer, for a device that would wait at each.
        figures = [objective.loss, norm, objective.reconstruction.sum(), objective.kl.sum()]
        loss, norm_value, reconstruction, kl = torch.stack(figures).tolist()
        if not (math.isfinite(loss) and math.isfinite(norm_value)):
            self._skip(loss)
            return
        self.skipped = 0
        self.optimizer.step()
        self.average.update(self.model)
        length = sum(self.length_log_probs[index] for index in batch.indices)
        self.sums.add(batch, reconstruction, kl, length, time.perf_counter() - started)
        self.reporter.step({"step": self.step, "epoch": epoch, "kl_weight": weight, **self.sums.means(self.unit)})

    def _skip(self, loss: float) -> None:
        self.skipped += 1
        self.reporter.note(f"step {self.step}: loss {loss} or its gradient is not finite; update skipped")
        if self.skipped >= MAX_SKIPPED_UPDATES:
            raise RunError(
                f"{self.skipped} updates in a row had a loss that is not finite; expected a smaller learning rate: "
                'set {"training": {"learning_rate": ...}} in --config'
            )

    def _validate(self) -> None:
        metrics: dict[str, Any] = {
            "step": self.step,
            "epoch": round(self.step / self.steps_per_epoch, 3),
            "kl_weight": self.weight,
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            **{f"train_{name}": value for name, value in self.sums.means(self.unit).items()},
        }
        self.sums = _Sums()
        # The choice among checkpoints, and the rate's decay, only mean something once the whole objective is in force.
        whole = metrics["kl_weight"] == 1.0
        if self.valid_split is None:
            if whole:
                self.save_best(self.average.state(self.model))
        else:
            metrics |= {f"valid_{name}": value for name, value in self._valid_scores().items()}
            metrics["best"] = bool(whole and self.plateau.update(metrics["valid_elbo"]))
            if metrics["best"]:
                self.save_best(self.average.state(self.model))
        self.reporter.validated(metrics)
        self.save_last(self)

    def _valid_scores(self) -> dict[str, float]:
        assert self.valid_split is not None
        own = {name: value.detach().clone() for name, value in self.model.named_parameters()}
        self.model.load_state_dict(self.average.state(self.model))
        try:
            figures = score(
                self.model,
                list(self.valid_split),
                self.unit,
                num_samples=VALID_SAMPLES,
                seed=self.config.seed,
                precision=self.config.precision,
            )
            return {"elbo": figures.elbo, "reconstruction": figures.reconstruction, "kl": figures.kl}
        finally:
            self.model.load_state_dict({**self.model.state_dict(), **own})

    def _finish(self) -> None:
        if self.valid_split is None or self.plateau.best == float("inf"):  # nothing to choose by, or nothing chosen yet
            self.save_best(self.average.state(self.model))
            if self.weight < 1.0:
                self.reporter.note(
                    f"the run ended at KL weight {self.weight:.2f}, before 1: its last weights are kept as the model"
                )
        self.save_last(self)

    # What a resume needs, besides the run's configuration and dataset. ------------------------------------------------

    def state_tensors(self) -> dict[str, dict[str, Tensor]]:
        """Tensors by file: the weights, their average, the optimizer's moments, the random states."""
        moments: dict[str, Tensor] = {}
        for name, parameter in self.model.named_parameters():
            for key, value in self.optimizer.state.get(parameter, {}).items():
                moments[f"{name}/{key}"] = value
        random = {"noise": self.noise.get_state(), "dropout": torch.get_rng_state()}
        if self.device.type == "cuda":
            random["dropout_cuda"] = torch.cuda.get_rng_state(self.device)
        return {
            "weights": dict(self.model.state_dict()),
            "average": dict(self.average.weights),
            "optimizer": moments,
            "random": random,
        }

    def state_values(self) -> dict[str, Any]:
        """The rest, fit for JSON."""
        return {
            "step": self.step,
            "device": self.device.type,
            "skipped": self.skipped,
            "average_updates": self.average.updates,
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
            self._restore(tensors, values)
        except (KeyError, RuntimeError, TypeError, AttributeError) as error:
            raise RunError(
                "the state in last/ does not fit config.json: a key is missing or of another size; "
                "restore either, or start a new run"
            ) from error

    def _restore(self, tensors: dict[str, dict[str, Tensor]], values: dict[str, Any]) -> None:
        self.model.load_state_dict(tensors["weights"])
        for name, value in self.average.weights.items():
            value.copy_(tensors["average"][name])
        parameters = dict(self.model.named_parameters())
        for key, value in tensors["optimizer"].items():
            name, _, moment = key.rpartition("/")
            # Unless it is fused, AdamW counts its updates in a tensor that stays on the CPU.
            stays = moment == "step" and not self.fused
            self.optimizer.state[parameters[name]][moment] = value if stays else value.to(self.device)
        self.step, self.skipped = values["step"], values["skipped"]
        torch.set_rng_state(tensors["random"]["dropout"])
        if values["device"] == self.device.type:
            self.noise.set_state(tensors["random"]["noise"])
            if self.device.type == "cuda":
                torch.cuda.set_rng_state(tensors["random"]["dropout_cuda"], self.device)
        else:  # the states of another kind of device have another form: the run goes on with fresh noise
            self.noise.manual_seed(stream_seed(self.config.seed, self.step))
        self.average.updates = values["average_updates"]
        self.plateau.best = float("inf") if values["best"] is None else values["best"]
        self.plateau.stale, self.plateau.rate = values["stale"], values["rate"]
        self.sums = _Sums(dict(values["sums"]))


class _Sums:
    """Running sums since the last validation, and their means per time step, as costs (an end symbol counted)."""

    def __init__(self, values: dict[str, float] | None = None) -> None:
        self.values = values or dict.fromkeys(("reconstruction", "kl", "length", "steps", "sequences", "seconds"), 0.0)

    def add(self, batch: Batch, reconstruction: float, kl: float, length: float, seconds: float) -> None:
        steps = float(batch.lengths.sum()) + len(batch.indices)
        added = (reconstruction, kl, length, steps, len(batch.indices), seconds)
        for name, value in zip(self.values, added, strict=True):
            self.values[name] += value

    def means(self, unit: str) -> dict[str, float]:
        steps = max(self.values["steps"], 1.0)
        scale = per_unit(unit) / steps
        reconstruction, kl = -self.values["reconstruction"] * scale, self.values["kl"] * scale
        return {
            "elbo": reconstruction + kl - self.values["length"] * scale,
            "reconstruction": reconstruction,
            "kl": kl,
            "steps_per_second": self.values["steps"] / max(self.values["seconds"], 1e-9),
        }


def _log_probs(model: SequenceModel, lengths: np.ndarray) -> list[float]:
    """log p(T) of each sequence, computed once a length rather than at every update."""
    distinct, inverse = np.unique(lengths, return_inverse=True)
    return model.length.log_prob(torch.from_numpy(distinct))[torch.from_numpy(inverse)].tolist()


def _decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay on matrices; biases and other vectors keep the scale that they need."""
    matrices = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() <= 1]
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
