"""The commands `preprocess` and `train` as Python functions. torch is loaded inside `train` alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lnfgen.conventions import Kind
from lnfgen.data import named
from lnfgen.data.options import Options
from lnfgen.data.parallel import Progress, no_progress
from lnfgen.data.preprocess import prepare, source_name
from lnfgen.data.storage import Dataset
from lnfgen.errors import ConfigError, DatasetError, LnfgenError
from lnfgen.files import require_free_folder
from lnfgen.training.settings import run_config

if TYPE_CHECKING:
    from lnfgen.runs.trained import TrainedModel

Source = str | Path
TrainingProgress = Callable[[int, int, dict[str, float]], None]
"""`(updates made, updates of the whole run, figures since the last validation)`; the figures are the ELBO and its
parts, the KL weight, the epoch and the speed."""


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
    download: bool = False,
    progress: Progress = no_progress,
) -> Dataset:
    """Make a dataset folder from music, texts, benchmark files or a named dataset, and open it.

        >>> tunes = lnfgen.preprocess("my-midi-folder", out="tunes")
        >>> print(len(tunes.split("train")), tunes.manifest["skipped"])

    Args:
        sources: a file or folder, or several; or the name of one dataset, for which the options below up to `strict`
            have no effect.
        out: the folder to write, which must be new or empty. By default it is named after the first source.
        kind: "music" or "text"; by default the suffixes of the files decide.
        max_length: music is cut at bar lines to this many steps (by default 256); lines of text with more characters
            than this are dropped (by default 288; 640 for tunes in ABC notation).
        chunks: cut text in contiguous chunks in place of lines.
        split: shares of train, valid and test, where the files name no splits.
        seed: decides that split.
        steps_per_quarter: the grid that MIDI files and scores are laid on.
        drums: keep MIDI's drum channel, as pitches.
        strict: raise an error at the first unreadable file; by default it is left out.
        download: fetch a named dataset that is not here yet.
        progress: called with what is being done, how many files are done, and of how many.

    Raises:
        LnfgenError: if a source is missing, nothing is readable, an option is out of range, or `out` holds something.
    """
    given = [sources] if isinstance(sources, str | Path) else list(sources)
    if not given:
        raise DatasetError("found no sources; expected files, folders or the name of a dataset")
    paths = [Path(source) for source in given]
    name = dataset_name(given)
    if download and name is None:
        raise LnfgenError(f"--download goes with a dataset's name; found the path {given[0]}")
    target = Path(out) if out is not None else _default_out(paths, name)
    require_free_folder(target)
    options = Options(kind, max_length, chunks, split, seed, steps_per_quarter, drums, strict)
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


def _default_out(paths: list[Path], name: str | None) -> Path:
    if name is not None:
        return Path(name)
    source = source_name(paths[0])
    # A source folder that lies in the current one has that name already.
    return Path(f"{source}-dataset" if Path(source).resolve() in [path.resolve() for path in paths] else source)


def train(
    dataset: Source | Dataset | None = None,
    model: str | None = None,
    preset: str | None = None,
    *,
    transform: str | None = None,
    emission: str | None = None,
    backbone: str | None = None,
    config: Source | dict[str, Any] | None = None,
    epochs: int | None = None,
    max_steps: int | None = None,
    batch_size: int | None = None,
    seed: int | None = None,
    out: Source | None = None,
    resume: bool = False,
    device: str = "auto",
    progress: TrainingProgress | None = None,
) -> TrainedModel:
    """Train a model, or go on with a run, and load it.

        >>> model = lnfgen.train("tunes", preset="tiny", seed=1)
        >>> pieces = model.sample(count=2)

    While it runs, Ctrl-C loses the updates since the last validation; `resume=True` goes on from there.

    Args:
        dataset: an open dataset, a dataset folder, a named dataset, or files to make one of; the chorales by default.
        model: the name of a model; that of `config`, or af-scf, by default.
        preset: the sizes of the model and the length of the run: tiny, small or paper; by default that of `config`, or
            small.
        transform, emission, backbone: as the options of `lnfgen train`.
        config: a JSON file or a dictionary with keys of `config.json` to set.
        epochs, max_steps: the length of the run in passes over the data or in updates.
        batch_size: sequences of an update.
        seed: decides the weights, the noise and the order of the data; the seed of `config` (0) if it is not given.
        out: the run folder, which must be new or empty; `runs/DATASET-MODEL-NNN` by default.
        resume: go on with the run in `out`, or with the newest run under `runs/`, with the run's own settings.
        device: auto, cpu, cuda, cuda:N or mps.
        progress: called after each update with the updates made, the updates of the whole run, and figures.

    Raises:
        LnfgenError: if a setting, the dataset, the run or the device cannot be used.
    """
    choices = {"model": model, "preset": preset, "transform": transform, "emission": emission, "backbone": backbone}
    settings = {"config": config, "epochs": epochs, "max_steps": max_steps, "batch_size": batch_size, "seed": seed}
    if resume and any(value is not None for value in (dataset, *choices.values(), *settings.values())):
        raise ConfigError("resume goes on with the run's own settings; found others beside it; leave them out")
    wanted = run_config(**choices, **settings)  # type: ignore[arg-type]
    if out is not None and not resume:
        require_free_folder(Path(out))
    opened = dataset
    if not resume and not isinstance(dataset, Dataset):
        from lnfgen.data.resolve import resolve

        opened = resolve(dataset)

    # torch is loaded only now: it starts threads, and reading many files forks processes.
    from lnfgen.runs.trained import load
    from lnfgen.training.session import TrainingSession

    if resume:
        session = TrainingSession.resume(out, device=device)
    else:
        assert isinstance(opened, Dataset)
        session = TrainingSession.begin(wanted, opened, device=device, out=out)
    session.train(_Watcher(session.trainer.total_steps, progress))
    return load(session.run.path, device)


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
        import warnings

        warnings.warn(message, stacklevel=2)
