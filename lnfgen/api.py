"""The verbs of the command line as Python functions, which the commands call.

Only `train` and `load` load torch.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from lnfgen.conventions import Kind, Progress, no_progress
from lnfgen.data.benchmarks import SUFFIXES
from lnfgen.data.dataset import Dataset
from lnfgen.data.dataset_options import Options
from lnfgen.data.preprocessing import build_named, prepare, source_name, warn_of_losses
from lnfgen.errors import (
    ConfigError,
    DatasetError,
    LnfgenError,
    LnfgenWarning,
    OutputError,
    RunError,
)
from lnfgen.files import real_path, require_free_folder
from lnfgen.music.comparison import MusicComparison, compare_pieces
from lnfgen.music.parts import AUTO, ONE
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Song
from lnfgen.music.tracks import ALL
from lnfgen.pretrained import is_boxed
from lnfgen.runs.evaluation_data import open_music, open_source
from lnfgen.runs.folder import RunFolder
from lnfgen.runs.naming import find, is_run, newest_run
from lnfgen.training.recipes import Corpus
from lnfgen.training.run_settings import RunSettings, asked_for

if TYPE_CHECKING:
    from lnfgen.runs.trained import TrainedModel
    from lnfgen.training.session import TrainingSession

Source = str | Path
TrainingProgress = Callable[[int, int, dict[str, float]], None]
"""Takes the updates made, the updates of the whole run, and figures: the ELBO, its parts, the KL
weight, the speed."""


# Each argument is an option of the command too.
def preprocess(  # noqa: PLR0913
    sources: Source | Sequence[Source],
    out: Source | None = None,
    *,
    kind: Kind | None = None,
    max_length: int | None = None,
    chunks: bool = False,
    shares: tuple[float, float, float] = (0.8, 0.1, 0.1),
    seed: int = 0,
    steps_per_quarter: int = 4,
    parts: str = AUTO,
    strict: bool = False,
    tracks: str = ALL,
    download: bool = False,
    jobs: int | None = None,
    progress: Progress = no_progress,
) -> Dataset:
    """Make a dataset folder from music, texts, benchmark files or a named dataset, and open it.

        >>> tunes = lnfgen.preprocess("my-midi-folder", out="tunes")
        >>> print(len(tunes.split("train")), tunes.manifest["skipped"])

    Args:
        sources: files and folders, or the name of one dataset, which the options of `Options` do
            not change.
        out: the folder to write, which must be new or empty. By default it is named after the first
            source.
        kind, max_length, chunks, seed, steps_per_quarter, parts, strict, tracks: see
            `lnfgen.data.dataset_options.Options`.
        shares: of train, valid and test, if the names of the files do not say their splits.
        download: fetch the files of a named dataset if they are not here yet.
        jobs: how many processes read files of music; None: as many as there are processors, but no
            more than 16. The result is the same.
        progress: called with what is being done, how many files are done, and of how many.

    Raises:
        LnfgenError: if a source is missing, nothing is readable, an option is out of range, or
        `out` is not free.
    """
    given = [sources] if isinstance(sources, str | Path) else list(sources)
    if not given:
        raise DatasetError("found no sources; expected files, folders or the name of a dataset")
    options = Options(
        kind=kind,
        max_length=max_length,
        chunks=chunks,
        split=shares,
        seed=seed,
        steps_per_quarter=steps_per_quarter,
        strict=strict,
        tracks=tracks,
        parts=parts,
    )
    paths, name = _found_sources(given)
    if download and name is None:
        raise LnfgenError(f"a download goes with a dataset's name; found the path {given[0]}")
    target = Path(out or name or source_name(paths[0]))
    if out is None and name is None and real_path(target) in [real_path(path) for path in paths]:
        target = Path(f"{target}-dataset")  # the source itself has that name
    require_free_folder(target)
    if name is None:
        dataset = prepare(paths, target, options, progress, jobs=jobs)
    else:
        dataset = build_named(name, target, progress, download=download)
    fixed = name or _benchmark_in(dataset)
    if fixed is not None and replace(options, kind=None) != Options():
        remark = f"{fixed} is a fixed dataset: options that shape one have no effect on it"
        warnings.warn(remark, LnfgenWarning, stacklevel=2)
    warn_of_losses(dataset)
    return dataset


def _found_sources(given: Sequence[Source]) -> tuple[list[Path], str | None]:
    """The paths of sources, and the name if one is a named dataset, which then stands alone."""
    paths: list[Path] = []
    names: list[str] = []
    for source in given:
        found = find(source, "files", "dataset")
        paths.append(found.path)
        if found.kind == "named":
            names.append(found.path.name)
    if not names:
        return paths, None
    if len(given) > 1:
        raise DatasetError(
            f"{names[0]} is the name of a dataset, which stands alone; found {len(given)} sources"
        )
    return paths, names[0]


def _benchmark_in(dataset: Dataset) -> str | None:
    """The first file of a benchmark set that a dataset of music was made of."""
    if dataset.encoding.kind != "music":
        return None
    for record in dataset.manifest["sources"]:
        path: str = record["path"]
        if path.lower().endswith(SUFFIXES):
            return path
    return None


# Each argument is an option of the command too.
def train(  # noqa: PLR0913
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

    The same seed gives the same weights on the same machine with the same number of threads
    (`OMP_NUM_THREADS`). Two trainings in threads of one process share torch's random state and do
    not.

    Ctrl-C loses the updates since the last validation. `resume=True` goes on from there, or trains
    a finished run further, if it is given more `max_steps` or `epochs` (see
    `lnfgen.training.session.TrainingSession.resume`).

    Args:
        dataset: an open dataset, a dataset folder, a named dataset, or files to make one of; the
            chorales by default. With `resume`, a copy of the run's dataset, which is needed only if
            that has been moved.
        model: the name of a model; af-scf (for text af-codes) by default.
        preset: the recipe: tiny, small or paper; small by default.
        out: the run folder, which must be new or empty; `runs/DATASET-MODEL-NNN` by default.
        resume: go on with the run in `out`, or the newest run under `runs/`, with the run's own
            settings. Of `settings` only `max_steps` and `epochs` may be given.
        device: auto, cpu, cuda or cuda:N.
        progress: called after each update.
        settings: transform, emission, backbone, config (a JSON file, a run or a dictionary with
            keys of `config.json`), epochs, max_steps and seed (0), as the options of `lnfgen
            train`. `set` goes before all of them: `set={"training.learning_rate": 1e-3}`.

    Raises:
        LnfgenError: if a setting, the dataset, the run or the device cannot be used.
    """
    session = open_session(
        dataset, model, preset, out=out, resume=resume, device=device, **settings
    )

    class Listener:
        def step(self, metrics: dict[str, float]) -> None:
            if progress is not None:
                progress(int(metrics["step"]), session.trainer.total_steps, metrics)

        def validated(self, metrics: dict[str, Any]) -> None: ...

        def calibrated(self, of_round: object) -> None: ...

    session.train(Listener())  # this also closes the session
    return load(session.run.path, device)


# These are the arguments of `train`.
def open_session(  # noqa: PLR0913
    dataset: Source | Dataset | None,
    model: str | None,
    preset: str | None,
    *,
    out: Source | None,
    resume: bool,
    device: str,
    building: Progress = no_progress,
    usual_seed: int = 0,
    **settings: Unpack[RunSettings],
) -> TrainingSession:
    """The session that `train` asks for, for Python and for the command.

    It holds the lock of its run until it is closed. `building` shows that a dataset is made.
    """
    if resume:
        max_steps = settings.pop("max_steps", None)
        epochs = settings.pop("epochs", None)
        others: dict[str, Any] = {"model": model, "preset": preset, **settings}
        found = [f"--{name}" for name, value in others.items() if value is not None]
        if found:
            raise ConfigError(
                f"--resume goes on with the run's own settings; found {', '.join(found)} beside "
                "it; leave them out (--max-steps and --epochs may change its length)"
            )
        run = _run_to_resume(out)

        from lnfgen.training.session import TrainingSession

        return TrainingSession.resume(
            run, device, dataset, max_steps=max_steps, epochs=epochs, building=building
        )
    if out is not None and is_run(Path(out)):
        raise OutputError(
            f"{out} is a run; go on with it: lnfgen train --resume --out {out}; "
            "or choose another folder"
        )
    asked = asked_for(model, preset, **settings)
    asked.require_possible()  # before a dataset is made
    if out is not None:
        require_free_folder(Path(out))
    opened = open_source(dataset, building)
    corpus = Corpus.of(opened)
    config = asked.config(corpus, usual_seed)

    # torch is loaded only now, because that takes seconds, and what is wrong with the files is said
    # before.
    from lnfgen.training.batch_memory import require_memory
    from lnfgen.training.session import TrainingSession

    usual = asked.recipe(corpus).keys["training.batch_size"]
    if config.training.batch_size > usual:
        require_memory(config, opened, device)
    session = TrainingSession.begin(config, opened, device, out)
    if corpus.shortage:
        warnings.warn(corpus.shortage, LnfgenWarning, stacklevel=2)
    return session


def _run_to_resume(out: Source | None) -> RunFolder:
    """The run in a folder, or the newest one that has a state to go on from."""
    path = newest_run(resumable=True) if out is None else find(out, "run").path
    run = RunFolder(path)
    if is_boxed(run.path):
        advice = f"train a run of your own: lnfgen train {run.dataset['name']}"
        raise RunError(
            f"{run.name} is a model in the box, which has no state to go on from; {advice}"
        )
    return run


def load(run: Source, device: str = "auto", passes: int | None = None) -> TrainedModel:
    """Open a run folder, as `lnfgen train` prints it, or a model in the box by its name.

        >>> model = lnfgen.load("chorales")  # or lnfgen.load("runs/chorales-af-scf-001")
        >>> pieces = model.sample(count=2, seed=1)

    Args:
        run: the path of a run, or else the name of a model (`lnfgen list --models`).
        device: auto, cpu, cuda or cuda:N.
        passes: for a model by blocks, in how many passes it draws and scores a piece, from 4 on; 32
            by default. More take longer and fit better.

    Raises:
        RunError: if there is no such run, or its model is missing or damaged.
        LnfgenError: if passes are given for another model, or are less than 4.
    """
    from lnfgen.runs.trained import TrainedModel

    return TrainedModel(run, device, passes)


def compare(
    samples: Source | Dataset | Iterable[Song | PianoRoll],
    reference: Source | Dataset | Iterable[Song | PianoRoll],
    *,
    split: str = "test",
    seed: int = 0,
    progress: Progress = no_progress,
) -> MusicComparison:
    """Compare some music with other music, by the figures of `lnfgen.music.figures`.

        >>> result = lnfgen.compare("my-songs", "chorales")
        >>> print(result.auc, result.figures["note_length"].inside)

    `TrainedModel.compare` compares samples of a model with a dataset.

    Args:
        samples, reference: pieces; or a file or folder of music; or a dataset, open, as a folder or
            by name. Files that cannot be read are left out, with a warning.
        split: the split of datasets that is taken. Copies are searched for in the train split of
            the reference; in the reference itself if it is no dataset, or `split` is train.
        seed: decides the folds of the classifier whose AUC is in the result.
        progress: called with what is being done, how much is done, and of how much.

    Raises:
        LnfgenError: if a side holds no music.
    """
    known, train = open_music(reference, split, progress=progress)
    # Files of the samples are rounded to the grid of the reference.
    one = known.pieces[0]
    parts = ",".join(one.roles) or ONE
    pieces, _ = open_music(samples, split, one.steps_per_quarter, progress, parts)
    return compare_pieces(pieces, known, train, seed=seed, progress=progress)
