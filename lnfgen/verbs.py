"""The commands `preprocess` and `train` as Python functions. torch is loaded by `train` alone."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lnfgen.conventions import Kind
from lnfgen.data import named
from lnfgen.data.options import Options
from lnfgen.data.parallel import Progress, no_progress
from lnfgen.data.preprocess import prepare, source_name
from lnfgen.data.resolve import resolve
from lnfgen.data.storage import Dataset
from lnfgen.errors import ConfigError, DatasetError, LnfgenError
from lnfgen.files import require_free_folder
from lnfgen.music.tracks import ALL
from lnfgen.training.settings import RunSettings, run_config

if TYPE_CHECKING:
    from typing import Unpack

    from lnfgen.runs.trained import TrainedModel
    from lnfgen.training.session import TrainingSession

Source = str | Path
TrainingProgress = Callable[[int, int, dict[str, float]], None]
"""Takes the updates made, the updates of the whole run, and figures: the ELBO, its parts, the KL weight, the speed."""


def preprocess(
    sources: Source | Sequence[Source],
    out: Source | None = None,
    *,
    kind: Kind | None = None,
    max_length: int | None = None,
    chunks: bool = False,
    split: tuple[float, float, float] = (0.8, 0.1, 0.1),
    seed: int = 0,
    steps_per_quarter: int = 4,
    drums: bool = False,
    strict: bool = False,
    tracks: str = ALL,
    download: bool = False,
    progress: Progress = no_progress,
) -> Dataset:
    """Make a dataset folder from music, texts, benchmark files or a named dataset, and open it.

        >>> tunes = lnfgen.preprocess("my-midi-folder", out="tunes")
        >>> print(len(tunes.split("train")), tunes.manifest["skipped"])

    Args:
        sources: files and folders, or the name of one dataset, which the options of `Options` do not change.
        out: the folder to write, which must be new or empty. By default it is named after the first source.
        kind, max_length, chunks, split, seed, steps_per_quarter, drums, strict, tracks: see
            `lnfgen.data.options.Options`.
        download: fetch the files of a named dataset if they are not here yet.
        progress: called with what is being done, how many files are done, and of how many.

    Raises:
        LnfgenError: if a source is missing, nothing is readable, an option is out of range, or `out` is not free.
    """
    given = [sources] if isinstance(sources, str | Path) else list(sources)
    options = Options(kind, max_length, chunks, split, seed, steps_per_quarter, drums, strict, tracks)
    return make_dataset(given, out, options, download, progress)


def make_dataset(
    sources: Sequence[Source], out: Source | None, options: Options, download: bool, progress: Progress
) -> Dataset:
    """What `preprocess` does, for Python and for the command."""
    if not sources:
        raise DatasetError("found no sources; expected files, folders or the name of a dataset")
    name = dataset_name(sources)
    if download and name is None:
        raise LnfgenError(f"--download goes with a dataset's name; found the path {sources[0]}")
    paths = [Path(source) for source in sources]
    target = Path(out or name or source_name(paths[0]))
    if out is None and name is None and target.resolve() in [path.resolve() for path in paths]:
        target = Path(f"{target}-dataset")  # the source itself has that name
    require_free_folder(target)
    if name is not None:
        return named.build(name, progress, download=download).write(target)
    return prepare(paths, options, progress).write(target)


def dataset_name(sources: Sequence[Source]) -> str | None:
    """The named dataset that the sources are; None if they are files and folders.

    Raises:
        DatasetError: if a source does not exist, and is no dataset's name that stands alone.
    """
    missing = [str(source) for source in sources if not Path(source).exists()]
    if not missing:
        return None
    if len(sources) == 1:
        return named.find(missing[0]).name
    hint = "; a named dataset stands alone" if missing[0] in named.NAMED else "; expected files or folders"
    raise DatasetError(f"{missing[0]} does not exist{hint}")


def train(
    dataset: Source | Dataset | None = None,
    model: str | None = None,
    preset: str | None = None,
    *,
    out: Source | None = None,
    resume: bool = False,
    device: str = "auto",
    progress: TrainingProgress | None = None,
    **settings: Unpack[RunSettings],
) -> TrainedModel:
    """Train a model, or go on with a run, and load it.

        >>> model = lnfgen.train("tunes", preset="tiny", seed=1)
        >>> pieces = model.sample(count=2)

    Ctrl-C loses the updates since the last validation. `resume=True` goes on from there.

    Args:
        dataset: an open dataset, a dataset folder, a named dataset, or files to make one of; the chorales by default.
        model: the name of a model; that of `config`, or af-scf, by default.
        preset: sizes and length of the run: tiny, small or paper; that of `config`, or small, by default.
        out: the run folder, which must be new or empty; `runs/DATASET-MODEL-NNN` by default.
        resume: go on with the run in `out`, or the newest run under `runs/`, with the run's own settings.
        device: auto, cpu, cuda, cuda:N or mps.
        progress: called after each update.
        settings: transform, emission, backbone, config (a JSON file or a dictionary with keys of `config.json`),
            epochs, max_steps, batch_size and seed, as the options of `lnfgen train`. Without a seed it is 0.

    Raises:
        LnfgenError: if a setting, the dataset, the run or the device cannot be used.
    """
    session = open_session(dataset, model, preset, out=out, resume=resume, device=device, **settings)
    session.train(_Watcher(session.trainer.total_steps, progress))

    from lnfgen.runs.trained import load

    return load(session.run.path, device)


def open_session(
    dataset: Source | Dataset | None,
    model: str | None,
    preset: str | None,
    *,
    out: Source | None,
    resume: bool,
    device: str,
    building: Progress = no_progress,
    **settings: Unpack[RunSettings],
) -> TrainingSession:
    """The session that `train` asks for, for Python and for the command. `building` is told of a dataset being made."""
    if resume:
        if any(value is not None for value in (dataset, model, preset, *settings.values())):
            raise ConfigError("--resume goes on with the run's own settings; found others beside it; leave them out")
        from lnfgen.training.session import TrainingSession

        return TrainingSession.resume(out, device)
    config = run_config(model, preset, **settings)
    if out is not None:
        require_free_folder(Path(out))
    opened = dataset if isinstance(dataset, Dataset) else resolve(dataset, building)

    # torch is loaded only now, because that takes seconds, and what is wrong with the files is said before.
    from lnfgen.training.session import TrainingSession

    return TrainingSession.begin(config, opened, device, out)


class _Watcher:
    """Tells a progress function of each update. Notes of the trainer become warnings."""

    def __init__(self, total: int, progress: TrainingProgress | None) -> None:
        self.total = total
        self.progress = progress

    def step(self, metrics: dict[str, float]) -> None:
        if self.progress is not None:
            self.progress(int(metrics["step"]), self.total, metrics)

    def validated(self, metrics: dict[str, Any]) -> None: ...

    def note(self, message: str) -> None:
        warnings.warn(message, stacklevel=2)
