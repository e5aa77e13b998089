"""A training session: a run folder with the trainer that fills it.

A session begins a new run or goes on with one.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from lnfgen.config import CALIBRATION_PIECES, Config
from lnfgen.conventions import Progress, no_progress
from lnfgen.data.dataset import Dataset
from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.device import prepare_machine
from lnfgen.errors import ConfigError, LnfgenWarning, OutputError, RunError, is_out_of_memory
from lnfgen.files import require_writable, try_lock
from lnfgen.models.sequence_model import SequenceModel
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.runs.checkpoint import (
    load_model,
    load_state,
    model_with,
    new_model,
    save_model,
    save_state,
    write_state,
)
from lnfgen.runs.evaluation_data import dataset_of
from lnfgen.runs.folder import RunFolder
from lnfgen.runs.listing import is_calibrated
from lnfgen.runs.naming import create_numbered
from lnfgen.training.calibration import MOST_PASSAGES, SHORT, calibrate
from lnfgen.training.schedules import lengthened
from lnfgen.training.trainer import Listener, Trainer
from lnfgen.wording import counted

STEP_OF_A_ROUND = 2.5
"""A time step of a round of calibration is drawn and then learned from. That takes about so many
times as long as a time step of an update on a CPU."""


class TrainingSession:
    """A run with its dataset and trainer.

    `train` trains it to its end and writes all that a run folder keeps.
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
            save_model=lambda weights: save_model(self.run, weights),
            save_state=lambda trainer: save_state(self.run, *trainer.state()),
            save_metrics=lambda lines: self.run.write_metrics(lines),
        )

    @classmethod
    def begin(
        cls, config: Config, dataset: Dataset, device: str, out: str | Path | None
    ) -> TrainingSession:
        """A session of a new run, in the folder `out` (None: `runs/DATASET-MODEL-NNN`).

        The folder appears with its settings and a first state in it, so that a run can be resumed
        whenever it is ended.
        """
        session = cls(config, dataset, new_model(config, dataset), device)

        def write_first_state(folder: Path) -> None:
            write_state(folder / "last", config, session.trainer.state())

        def create(path: Path) -> RunFolder:
            return RunFolder.create(path, config, dataset, write_first_state)

        if out is None:
            session.run = create_numbered(dataset.name, config.model.name, create)
        else:
            session.run = create(Path(out))
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
            LnfgenError: if the run or its dataset is missing, damaged or changed, or has more
            updates already.
        """
        # If another process trains the run, reading it would delete its files.
        with _locked(folder):
            require_writable(folder.path, folder.path / "last")
            tensors, values = load_state(folder)
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
        trainer = session.trainer
        trainer.restore(tensors, values)
        trainer.validations = [line for line in folder.metrics() if line["step"] <= trainer.step]
        if other_length:
            _require_later_end(folder, trainer)
        with _locked(folder):
            if config != folder.config or str(opened.path.resolve()) != folder.dataset["path"]:
                folder.update(config, opened)
            if other_length:
                save_state(folder, tensors, values)
        return session

    def train(self, listener: Listener, interrupted: Callable[[], bool] = lambda: False) -> bool:
        """Train to the end of the run, then calibrate its model if its settings say so.

        `interrupted()` is asked before each update. If it says yes, the state is saved and the
        result is False.

        Raises:
            RunError: if another process trains the run, many updates in a row are not finite, or
            memory is too small. OutputError: if the run cannot be written, as on a full disk. In
            all cases `last/` is a whole state.
        """
        if self.trainer.finished:
            warnings.warn(
                f"{self.run.path} has made its {counted(self.trainer.step, 'update')}; "
                f"to train it further: lnfgen train --resume --out {self.run.path} --max-steps N",
                LnfgenWarning,
                stacklevel=2,
            )
        with _locked(self.run), self._explained():
            if not self.trainer.run(listener, interrupted):
                return False
            return self._calibrate(listener, interrupted)

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
        steps_of_round = float(CALIBRATION_PIECES * short_steps)
        if not encoding.parts:  # then a round has as many pieces of the usual length, too
            steps_of_round += CALIBRATION_PIECES * usual_steps
        steps_of_update = training.batch_size * usual_steps
        return rounds * STEP_OF_A_ROUND * steps_of_round / steps_of_update

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
        pieces = islice(self.dataset.pieces("train"), MOST_PASSAGES)
        train = [piece for piece in pieces if isinstance(piece, PianoRoll)]
        done = calibrate(
            model, encoding, train, rounds, training.seed, listener.calibrated, interrupted
        )
        if done:
            save_model(self.run, model.state_dict(), calibrated=True)
        return done

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
    """Hold the lock of a run, or raise a `RunError` if another process trains it."""
    with try_lock(run.path) as free:
        if free is False:
            raise RunError(
                f"{run.path} is being trained by another process; wait until that ends, or stop it"
            )
        yield
