"""A training session: a run folder with the trainer that fills it. It begins a new run or goes on with one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from lnfgen.compute import prepare_machine
from lnfgen.config import Config
from lnfgen.data.storage import Dataset
from lnfgen.models import SequenceModel
from lnfgen.runs.folder import RunFolder, dataset_of, new_model
from lnfgen.runs.lock import training_lock
from lnfgen.runs.naming import new_run_path, newest_run
from lnfgen.training.trainer import Reporter, Trainer


class TrainingSession:
    """A run with its dataset and trainer. `train` trains it to its end and writes all that a run folder keeps."""

    def __init__(self, run: RunFolder, dataset: Dataset, model: SequenceModel, device: torch.device) -> None:
        self.run = run
        self.dataset = dataset
        self.device = device
        self._recorder = _Recorder(run)
        self.trainer = Trainer(
            model,
            dataset,
            run.config.training,
            device,
            self._recorder,
            save_best=run.save_model,
            save_last=lambda trainer: run.save_state(trainer.state_tensors(), trainer.state_values()),
        )

    @classmethod
    def begin(cls, config: Config, dataset: Dataset, device: str, out: str | Path | None) -> TrainingSession:
        """A session of a new run, in the folder `out` (None: `runs/DATASET-MODEL-NNN`).

        Raises:
            LnfgenError: if the device is missing, the model does not fit the dataset, or `out` is not free.
        """
        target = prepare_machine(device, config.model.hidden_size)
        model = new_model(config, dataset)
        path = new_run_path(dataset.name, config.name) if out is None else Path(out)
        return cls(RunFolder.create(path, config, dataset), dataset, model, target)

    @classmethod
    def resume(cls, run: str | Path | None, device: str) -> TrainingSession:
        """A session that goes on where a run stopped (None: the newest run under `runs/`).

        Raises:
            LnfgenError: if the device is missing, or the run or its dataset is missing, damaged or changed.
        """
        folder = RunFolder(newest_run(resumable=True) if run is None else Path(run))
        target = prepare_machine(device, folder.config.model.hidden_size)
        tensors, values = folder.load_state()
        session = cls(folder, dataset_of(folder), folder.model_like(tensors["weights"]), target)
        session.trainer.restore(tensors, values)
        session._recorder.lines = [line for line in folder.metrics() if line["step"] <= session.trainer.step]
        return session

    def train(self, watcher: Reporter, interrupted: Callable[[], bool] = lambda: False) -> bool:
        """Train to the end of the run, and tell `watcher` how it goes.

        `interrupted()` is asked before each update. If it says yes, the state is saved and the result is False.

        Raises:
            RunError: if another process trains the same run.
        """
        self._recorder.watcher = watcher
        with training_lock(self.run.path):
            return self.trainer.run(interrupted)


class _Recorder:
    """Writes each validation to `metrics.jsonl`, and passes all reports on to the watcher."""

    watcher: Reporter

    def __init__(self, run: RunFolder) -> None:
        self.run = run
        self.lines: list[dict[str, Any]] = []

    def step(self, metrics: dict[str, float]) -> None:
        self.watcher.step(metrics)

    def validated(self, metrics: dict[str, Any]) -> None:
        self.lines.append({name: round(v, 6) if isinstance(v, float) else v for name, v in metrics.items()})
        self.run.write_metrics(self.lines)
        self.watcher.validated(metrics)

    def note(self, message: str) -> None:
        self.watcher.note(message)
