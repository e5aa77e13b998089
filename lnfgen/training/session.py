"""A training session: a run folder with the trainer that fills it.

A session begins a new run or goes on with one. It alone writes into the folder until it ends.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

from torch import Tensor

from lnfgen.config import Config
from lnfgen.conventions import Progress, no_progress
from lnfgen.data.dataset import Dataset
from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.device.preparation import prepare_machine
from lnfgen.errors import ConfigError, LnfgenWarning, OutputError, RunError, is_out_of_memory
from lnfgen.files import require_writable, try_lock
from lnfgen.models.sequence_model import SequenceModel
from lnfgen.music.form import LONG_BARS
from lnfgen.runs.checkpoint import (
    Saved,
    State,
    load_model,
    load_state,
    model_with,
    new_model,
    save_model,
    save_state,
    saved_in,
    write_state,
)
from lnfgen.runs.evaluation_data import dataset_of
from lnfgen.runs.folder import RunFolder
from lnfgen.runs.listing import is_calibrated
from lnfgen.runs.naming import create_numbered
from lnfgen.training.calibration import ROUNDS_PER_MATCH, SHORT, calibrate, pieces_of_round
from lnfgen.training.rewards import MOST_PASSAGES
from lnfgen.training.schedules import lengthened
from lnfgen.training.trainer import Listener, Trainer
from lnfgen.wording import counted

STEP_OF_A_ROUND = 2.5
"""A time step of a round of calibration is drawn and then learned from. That takes about so many
times as long as a time step of an update on a CPU."""

STEP_OF_A_DRAW = 1.0
"""That of a draw by which the lengths of notes are matched, from which nothing is learned."""


class TrainingSession:
    """A run with its dataset and trainer.

    `train` trains it to its end and writes all that a run folder keeps. From `begin` or `resume`
    on the session holds the lock of the folder, so that no other process writes there. The end of
    `train` releases it, and so does `close`, or the end of a `with` block:

        with TrainingSession.resume(run, "cpu") as session:
            print(session.trainer.step)
    """

    run: RunFolder

    def __init__(self, config: Config, dataset: Dataset, model: SequenceModel, device: str) -> None:
        self.dataset = dataset
        self.device = prepare_machine(device, config.model.hidden_size, config.model.emission)
        self.trainer = Trainer(
            model,
            dataset,
            config.training,
            self.device,
            save_model=self._save_model,
            save_state=lambda trainer: self._save_state(trainer.state()),
            save_metrics=self._save_metrics,
        )
        self._lock = ExitStack()
        self._saved: Saved | None = None  # the state that this session read or wrote last
        self._is_closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the lock of the run. This session can then train no more."""
        self._is_closed = True
        self._lock.close()

    @classmethod
    def begin(
        cls, config: Config, dataset: Dataset, device: str, out: str | Path | None
    ) -> TrainingSession:
        """A session of a new run, in the folder `out` (None: `runs/DATASET-MODEL-NNN`).

        The folder appears with its settings and a first state in it, so that a run can be resumed
        whenever it is ended.

        Raises:
            OutputError: if the folder cannot be written, or is not empty.
            RunError: if another process goes on with the run as soon as it appears.
        """
        session = cls(config, dataset, new_model(config, dataset), device)

        def write_first_state(folder: Path) -> None:
            session._saved = write_state(folder / "last", config, session.trainer.state())

        def create(path: Path) -> RunFolder:
            return RunFolder.create(path, config, dataset, write_first_state)

        if out is None:
            session.run = create_numbered(dataset.name, config.model.name, create)
        else:
            session.run = create(Path(out))
        with ExitStack() as lock:
            lock.enter_context(_locked(session.run))
            session._require_own_state()
            session._lock = lock.pop_all()
        return session

    @classmethod
    def resume(  # noqa: PLR0913 - a length is given in one of two ways
        cls,
        folder: RunFolder,
        device: str,
        dataset: str | Path | Dataset | None = None,
        *,
        max_steps: int | None = None,
        epochs: int | None = None,
        building: Progress = no_progress,
    ) -> TrainingSession:
        """A session that goes on where a run stopped.

        The run is locked before anything of it is read, so that nothing read becomes stale.
        `max_steps` or `epochs` give the run another length, which `config.json` then has:

        - The KL weight rises at the same updates as before. If it is 1, it stays 1.
        - Validations are spread over the new length.
        - The learning rate stays as it has decayed by validations. A cooldown
          (`training.cooldown_start`) moves to the new end, so the rate rises again.
        - The patience with validations that do not improve starts anew, even if it had ended the
          run.

        Args:
            dataset: a copy of the run's dataset, if it is not where it was. The run then remembers
                the new place.

        Raises:
            LnfgenError: if the run or its dataset is missing, damaged or changed, has more updates
            already, or is being trained.
        """
        with ExitStack() as lock:
            lock.enter_context(_locked(folder))
            # Another process may have given the run another length before it let go of the lock.
            locked = RunFolder(folder.path)
            session = cls._resumed(locked, device, dataset, max_steps, epochs, building)
            session._lock = lock.pop_all()
        return session

    @classmethod
    def _resumed(  # noqa: PLR0913 - the arguments of `resume`
        cls,
        folder: RunFolder,
        device: str,
        dataset: str | Path | Dataset | None,
        max_steps: int | None,
        epochs: int | None,
        building: Progress,
    ) -> TrainingSession:
        """The session that `resume` gives, of a run whose lock is held."""
        require_writable(folder.path, folder.path / "last")
        tensors, values = load_state(folder)
        saved = saved_in(folder)
        advice = f"name a copy: lnfgen train DATASET --resume --out {folder.path}"
        opened = dataset_of(folder, dataset, advice=advice, progress=building)
        config = folder.config
        other_length = max_steps is not None or epochs is not None
        if other_length:
            training = lengthened(config.training, len(opened.split("train")), max_steps, epochs)
            config = dataclasses.replace(config, training=training)
            values = {**values, "stale": 0}
        model = model_with(folder, tensors["weights"], folder.path / "last" / "weights.safetensors")
        session = cls(config, opened, model, device)
        session.run = folder
        session._saved = saved
        trainer = session.trainer
        trainer.restore(tensors, values)
        trainer.validations = [line for line in folder.metrics() if line["step"] <= trainer.step]
        if other_length:
            _require_later_end(folder, trainer)
        session._require_own_state()
        if config != folder.config or str(opened.path.resolve()) != folder.dataset["path"]:
            folder.update(config, opened)
        if other_length:
            session._save_state((tensors, values))
        return session

    def train(self, listener: Listener, interrupted: Callable[[], bool] = lambda: False) -> bool:
        """Train to the end of the run, then calibrate its model if its settings say so.

        `interrupted()` is asked before each update. If it says yes, the state is saved and the
        result is False. The session is closed at the end.

        Raises:
            RunError: if the session is closed, many updates in a row are not finite, memory is too
            small, or another process has trained the run on a file system without locks.
            OutputError: if the run cannot be written, as on a full disk. In all cases `last/` is a
            whole state.
        """
        if self._is_closed:
            raise RunError(
                f"the session of {self.run.path} is closed, so another process may train the run; "
                "go on with a new session: TrainingSession.resume"
            )
        with self, self._explained():
            self._warn_if_finished()
            if not self.trainer.run(listener, interrupted):
                return False
            return self._calibrate(listener, interrupted)

    def _warn_if_finished(self) -> None:
        if self.trainer.finished:
            warnings.warn(
                f"{self.run.path} has made its {counted(self.trainer.step, 'update')}; "
                f"to train it further: lnfgen train --resume --out {self.run.path} --max-steps N",
                LnfgenWarning,
                stacklevel=3,
            )

    def calibration_in_updates(self) -> float:
        """How many updates would take as long as the calibration after the last one.

        It is 0 if there is none.
        """
        training = self.run.config.training
        rounds = training.rounds_after(self.trainer.total_steps)
        encoding = self.dataset.encoding
        if not rounds or not isinstance(encoding, MusicEncoding):
            return 0.0
        usual_steps = float(self.dataset.split("train").lengths.mean())
        short_steps = encoding.steps_of_bars(SHORT, encoding.time_signature)
        other_steps = usual_steps
        if encoding.parts:
            other_steps = encoding.steps_of_bars(LONG_BARS, encoding.time_signature)
        steps_of_round = pieces_of_round(encoding) / 2 * (short_steps + other_steps)
        steps_of_update = training.batch_size * usual_steps
        per_step = rounds * STEP_OF_A_ROUND
        if encoding.parts:
            per_step += rounds // ROUNDS_PER_MATCH * STEP_OF_A_DRAW
        return per_step * steps_of_round / steps_of_update

    def _calibrate(self, listener: Listener, interrupted: Callable[[], bool]) -> bool:
        """Calibrate the run's model, unless it is. False if `interrupted()` ended it."""
        training = self.run.config.training
        rounds = training.rounds_after(self.trainer.step)
        if not rounds or is_calibrated(self.run.path):
            return True
        encoding = self.run.encoding
        assert isinstance(encoding, MusicEncoding)  # settings for texts have no rounds
        model = load_model(self.run, self.device)
        # A person's files are in random order.
        train = self.dataset.repertoire("train", MOST_PASSAGES)
        done = calibrate(
            model,
            encoding,
            train,
            rounds,
            training.seed,
            listener.calibrated,
            interrupted,
            temperature=self.run.config.model.usual_temperature,
        )
        if done:
            self._save_model(model.state_dict(), calibrated=True)
        return done

    def _save_model(self, weights: dict[str, Tensor], *, calibrated: bool = False) -> None:
        self._require_own_state()
        save_model(self.run, weights, calibrated=calibrated)

    def _save_metrics(self, lines: list[dict[str, Any]]) -> None:
        self._require_own_state()
        self.run.write_metrics(lines)

    def _save_state(self, state: State) -> None:
        self._require_own_state()
        self._saved = save_state(self.run, *state)

    def _require_own_state(self) -> None:
        """Refuse to write into a run whose state another process has replaced.

        The lock prevents that where the file system has locks, and many network drives have none.
        """
        found = saved_in(self.run)
        if found is None or found == self._saved:
            return
        raise RunError(
            f"another process has trained {self.run.path} meanwhile, and saved it at update "
            f"{found.step:,}; expected one process for each run; this one has written nothing over "
            f"it; go on from there: lnfgen train --resume --out {self.run.path}"
        )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn an error that ends the run into one line, which says what helps and how to go on."""
        resume = f"lnfgen train --resume --out {self.run.path}"
        try:
            yield
        except OutputError as error:
            raise OutputError(
                f"{error}; the state before is whole, so then go on: {resume}"
            ) from error
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            batch_size = self.run.config.training.batch_size
            raise RunError(
                f"out of memory on {self.device} with batches of {batch_size}; "
                f"if other programs hold it, end them and go on: {resume}; "
                "else start a new run with a smaller --set training.batch_size=N "
                "(half the batch needs about half the memory), "
                "--set training.precision=bfloat16, a smaller --preset, "
                "or shorter pieces (preprocess --max-length)"
            ) from error


def _require_later_end(folder: RunFolder, trainer: Trainer) -> None:
    """Refuse a length that a run has passed."""
    if trainer.step > trainer.total_steps:
        raise ConfigError(
            f"{folder.path} has {counted(trainer.step, 'update')} already, more than the "
            f"{trainer.total_steps:,} asked for; expected a greater --max-steps or --epochs"
        )


@contextmanager
def _locked(run: RunFolder) -> Iterator[None]:
    """Hold the lock of a run, or raise a `RunError` if another session holds it."""
    with try_lock(run.path) as free:
        if free is False:
            raise RunError(
                f"{run.path} is being trained by another process; wait until that ends, or stop "
                "it; in Python, close its session"
            )
        yield
