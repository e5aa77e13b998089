"""A training session: a run folder with the trainer that fills it. It begins a new run or goes on with one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch

from lnfgen.config import Config
from lnfgen.conventions import Progress, no_progress
from lnfgen.data.dataset import Dataset
from lnfgen.device import prepare_machine
from lnfgen.errors import ConfigError, RunError
from lnfgen.files import require_writable
from lnfgen.locks import training_lock
from lnfgen.models import SequenceModel
from lnfgen.runs.checkpoint import (
    State,
    load_model,
    load_state,
    model_with,
    new_model,
    save_calibrated,
    save_model,
    save_state,
    write_state,
)
from lnfgen.runs.dataset import dataset_of
from lnfgen.runs.facts import is_calibrated
from lnfgen.runs.folder import RunFolder
from lnfgen.runs.naming import create_numbered
from lnfgen.training import distributed
from lnfgen.training.calibration import Round, calibrate, require_rules
from lnfgen.training.compiled import require_compiler
from lnfgen.training.faults import explained
from lnfgen.training.schedules import lengthened
from lnfgen.training.trainer import Reporter, Trainer
from lnfgen.wording import counted


class Watcher(Reporter, Protocol):
    """Is told how a run goes, of the steps after its updates too."""

    def calibrated(self, of_round: Round) -> None: ...


class TrainingSession:
    """A run with its dataset and trainer. `train` trains it to its end and writes all that a run folder keeps."""

    run: RunFolder
    _read: tuple[int, int]  # which `last/` it goes on from

    def __init__(
        self, config: Config, dataset: Dataset, model: SequenceModel, device: torch.device, compiled: bool
    ) -> None:
        distributed.require_same(dataset.fingerprint)
        require_rules(model, config.training.calibration_pieces)
        self.dataset = dataset
        self.device = device
        self._notes: list[str] = []  # what happened before there was a watcher
        self._recorder = _Recorder(self)
        self.trainer = Trainer(
            model,
            dataset,
            config.training,
            device,
            self._recorder,
            save_kept=distributed.on_main(lambda weights: save_model(self.run, weights)),
            save_last=distributed.on_main(lambda trainer: save_state(self.run, *_state(trainer))),
            compiled=compiled,
        )

    @classmethod
    def begin(
        cls, config: Config, dataset: Dataset, device: str, out: str | Path | None, *, compiled: bool = False
    ) -> TrainingSession:
        """A session of a new run, in the folder `out` (None: `runs/DATASET-MODEL-NNN`), `compiled` as in `Trainer`.

        The folder appears with its settings and a first state in it, so that a run can be resumed whenever it is ended.

        Raises:
            LnfgenError: if the device or its compiler is missing, the model does not fit the dataset, or `out` is not
                free.
        """
        config = distributed.from_main(lambda: config)  # the seed, where each process has drawn one
        target = _target(device, config, compiled)
        session = cls(config, dataset, new_model(config, dataset), target, compiled)

        def create(path: Path) -> RunFolder:
            return RunFolder.create(
                path, config, dataset, lambda folder: write_state(folder / "last", config, _state(session.trainer))
            )

        session.run = distributed.from_main(
            lambda: create_numbered(dataset.name, config.name, create) if out is None else create(Path(out))
        )
        session._read = _identity(session.run)
        return session

    @classmethod
    def resume(
        cls,
        folder: RunFolder,
        device: str,
        dataset: str | Path | Dataset | None = None,
        *,
        max_steps: int | None = None,
        epochs: int | None = None,
        compiled: bool = False,
        building: Progress = no_progress,
    ) -> TrainingSession:
        """A session that goes on where a run stopped.

        `max_steps` or `epochs` give the run another length. Then the KL weight rises at the same updates as before, and
        where it is 1 it stays so; validations are spread over the new length; the learning rate stays as it has decayed
        by validations, but a cooldown (`training.cooldown_start`) is moved to the new end, so the rate rises again; and
        the patience with validations that do not improve starts anew, also where it had ended the run. The run's
        `config.json` then says all that.

        Args:
            dataset: a copy of the run's dataset, if it is not where it was. The run then remembers the new place.
            compiled: as in `Trainer`; the run may have begun without.
            building: is told of a dataset being made.

        Raises:
            LnfgenError: if the device or its compiler is missing, the run or its dataset is missing, damaged or
                changed, or the run has more updates already.
        """
        notes: list[str] = []

        def read() -> tuple[State, tuple[int, int]]:
            with training_lock(folder.path):  # if another process trains the run, reading it would tidy its files away
                require_writable(folder.path, folder.path / "last")
                return load_state(folder, notes.append), _identity(folder)

        (tensors, values), identity = distributed.from_main(read)
        advice = f"lnfgen train DATASET --resume --out {folder.path}"
        opened = distributed.after_main(lambda: dataset_of(folder, dataset, advice=advice, progress=building))
        config = folder.config
        if other_length := (max_steps is not None or epochs is not None):
            training = lengthened(config.training, len(opened.split("train")), max_steps, epochs)
            config = dataclasses.replace(config, training=training)
            values = {**values, "stale": 0}
        target = _target(device, config, compiled)
        model = model_with(folder, tensors["weights"], folder.path / "last" / "weights.safetensors")
        session = cls(config, opened, model, target, compiled)
        session.run, session._read, session._notes = folder, identity, notes
        session.trainer.restore(tensors, values)
        session._recorder.lines = [line for line in folder.metrics() if line["step"] <= session.trainer.step]
        if other_length and session.trainer.step > session.trainer.total_steps:
            raise ConfigError(
                f"{folder.path} has {counted(session.trainer.step, 'update')} already, more than the "
                f"{session.trainer.total_steps:,} asked for; expected a greater --max-steps or --epochs"
            )
        with session._locked():
            if config != folder.config or str(opened.path.resolve()) != folder.dataset["path"]:
                distributed.on_main(folder.update)(config, opened)
            if other_length:
                distributed.on_main(save_state)(folder, tensors, values)
        return session

    def train(self, watcher: Watcher, interrupted: Callable[[], bool] = lambda: False) -> bool:
        """Train to the end of the run, then calibrate its model if its settings say so, and tell `watcher`.

        `interrupted()` is asked before each update. If it says yes, the state is saved and the result is False.

        Raises:
            RunError: if another process trains the same run, or has done so since this one read it; if updates are
                not finite, many in a row; or if memory is too small. `last/` is then a whole state.
            OutputError: if the run cannot be written, as on a full disk. `last/` is then a whole state.
        """
        self._recorder.watcher = watcher
        while self._notes:
            watcher.note(self._notes.pop(0))
        if self.trainer.finished:
            watcher.note(
                f"{self.run.path} has made its {counted(self.trainer.step, 'update')}; to train it further: "
                f"lnfgen train --resume --out {self.run.path} --max-steps N"
            )
        batch_size = self.run.config.training.batch_size
        with self._locked(), explained(self.run.path, self.device, batch_size):
            trained = self.trainer.run(lambda: distributed.any_process(interrupted()))
            return trained and self._calibrate(interrupted)

    def _calibrate(self, interrupted: Callable[[], bool]) -> bool:
        """Calibrate the rules of the run's model, unless they are. False if `interrupted()` ended it.

        Of several processes that train together, the first one does so.
        """
        training = self.run.config.training
        pieces = training.pieces_a_round(self.trainer.step)
        if not pieces or not distributed.is_main() or is_calibrated(self.run.path):
            return True
        model, sequences = load_model(self.run, self.device), (torch.tensor(x) for x in self.dataset.split("train"))
        told = self._recorder.watcher.calibrated
        done = calibrate(model, self.run.encoding, sequences, pieces, training.seed, told, interrupted)
        if done:
            save_calibrated(self.run, model.state_dict())
        return done

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock of the run, whose `last/` must be the one that this session goes on from.

        Of several processes that train together, the first one holds it.
        """
        if not distributed.is_main():
            yield
            return
        with training_lock(self.run.path):
            if _identity(self.run) != self._read:
                raise RunError(f"another process has trained {self.run.path} meanwhile; start this command again")
            try:
                yield
            finally:
                self._read = _identity(self.run)


class _Recorder:
    """Writes each validation to `metrics.jsonl`, and passes all that the trainer reports on to the watcher."""

    watcher: Watcher

    def __init__(self, session: TrainingSession) -> None:
        self.session = session
        self.lines: list[dict[str, Any]] = []

    def step(self, metrics: dict[str, float]) -> None:
        self.watcher.step(metrics)

    def validated(self, metrics: dict[str, Any]) -> None:
        self.lines.append({name: round(v, 6) if isinstance(v, float) else v for name, v in metrics.items()})
        distributed.on_main(self.session.run.write_metrics)(self.lines)
        self.watcher.validated(metrics)

    def note(self, message: str) -> None:
        self.watcher.note(message)


def _target(device: str, config: Config, compiled: bool) -> torch.device:
    """The device that a run trains on, for which torch must be able to compile if it is to."""
    target = prepare_machine(device, config.model.hidden_size, config.model.emission)
    if compiled:
        require_compiler(target)
    return target


def _state(trainer: Trainer) -> State:
    return trainer.state_tensors(), trainer.state_values()


def _identity(run: RunFolder) -> tuple[int, int]:
    """What tells one `last/` from the next: each save writes a new folder. A save that failed may leave none."""
    try:
        last = (run.path / "last").stat()
    except FileNotFoundError:
        return 0, 0
    return last.st_ino, last.st_mtime_ns
