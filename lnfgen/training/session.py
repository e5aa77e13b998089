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
from lnfgen.runs.dataset import dataset_of
from lnfgen.runs.folder import RunFolder
from lnfgen.runs.model import new_model
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
    def begin(
        cls, config: Config, dataset: Dataset, *, device: str = "auto", out: str | Path | None = None
    ) -> TrainingSession:
        """A session of a new run, in the folder `out`, which is `runs/DATASET-MODEL-NNN` if it is not given.

        Raises:
            LnfgenError: if the device is not there, the model does not fit the dataset, or `out` holds something.
        """
        target = prepare_machine(device)
        model = new_model(config, dataset)
        path = new_run_path(dataset.name, config.name) if out is None else Path(out)
        return cls(RunFolder.create(path, config, dataset), dataset, model, target)

    @classmethod
    def resume(cls, run: str | Path | None = None, *, device: str = "auto") -> TrainingSession:
        """A session that goes on where the run stopped. The run is the newest one under `runs/` if it is not given.

        Raises:
            LnfgenError: if the device is not there, or the run or its dataset is missing, damaged or changed.
        """
        folder = RunFolder(newest_run(resumable=True) if run is None else Path(run))
        target = prepare_machine(device)
        tensors, values = folder.load_state()
        session = cls(folder, dataset_of(folder), folder.model_like(tensors["weights"]), target)
        session.trainer.restore(tensors, values)
        session._recorder.lines = [line for line in folder.metrics() if line["step"] <= session.trainer.step]
        return session

    def train(self, watcher: Reporter, interrupted: Callable[[], bool] = lambda: False) -> bool:
        """Train to the end of the run, and tell `watcher` how it goes.

        The state is saved and the result is False if `interrupted()`, asked before each update, says so.
        """
        self._recorder.watcher = watcher
        return self.trainer.run(interrupted)


class _Recorder:
    """Writes each validation to `metrics.jsonl`, and passes on all that the trainer tells."""

    def __init__(self, run: RunFolder) -> None:
        self.run = run
        self.lines: list[dict[str, Any]] = []
        self.watcher: Reporter | None = None

    def step(self, metrics: dict[str, float]) -> None:
        if self.watcher is not None:
            self.watcher.step(metrics)

    def validated(self, metrics: dict[str, Any]) -> None:
        self.lines.append({name: round(v, 6) if isinstance(v, float) else v for name, v in metrics.items()})
        self.run.write_metrics(self.lines)
        if self.watcher is not None:
            self.watcher.validated(metrics)

    def note(self, message: str) -> None:
        if self.watcher is not None:
            self.watcher.note(message)
