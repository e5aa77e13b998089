"""Open data by name: the dataset of a run, what a run is scored on, and music to compare."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from lnfgen.conventions import Progress, no_progress
from lnfgen.data import benchmarks, named
from lnfgen.data.dataset import Dataset, open_dataset
from lnfgen.data.dataset_options import Options
from lnfgen.data.encoding import Encoding
from lnfgen.data.music_dataset import reading
from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.data.preprocessing import build_cached
from lnfgen.data.source_files import gather
from lnfgen.errors import DatasetError, LnfgenError, LnfgenWarning, RunError, UnreadableFileError
from lnfgen.music.conversion import ConversionReport
from lnfgen.music.parts import ONE
from lnfgen.music.pianoroll import STEPS_PER_QUARTER, PianoRoll
from lnfgen.music.repertoire import Repertoire
from lnfgen.music.song import Song, as_song
from lnfgen.music.tracks import said_of
from lnfgen.runs.folder import RunFolder
from lnfgen.runs.naming import find
from lnfgen.wording import counted, with_name

DatasetSource = str | Path | Dataset | None


def open_source(
    source: DatasetSource = None, progress: Progress = no_progress, options: Options | None = None
) -> Dataset:
    """Open the dataset that `source` names, and make it in the cache if necessary.

        open_source()             # the default: chorales
        open_source("folk-abc")   # a named dataset, built at its first use
        open_source("songs")      # a dataset folder, or a folder of files, which is preprocessed
                                  # again after they change

    Names are those of `lnfgen.runs.naming.find`.

    Raises:
        DatasetError: if the dataset is missing or damaged, or needs a download, which only
            `preprocess` makes.
        OutputError: if the cache cannot be written.
    """
    if isinstance(source, Dataset):
        return source
    found = find(named.DEFAULT if source is None else source, "dataset", "files")
    if found.kind == "dataset":
        return open_dataset(found.path)
    return build_cached(found.path, found.kind == "named", options or Options(), progress)


def reading_options(run: RunFolder) -> Options:
    """The options to read other files for a run.

    They are those of its own dataset, with music on the model's grid.
    """
    preprocessing = run.dataset.get("preprocessing", {})
    own = None
    if isinstance(preprocessing, dict):
        own = preprocessing.get("options", {})
    if not isinstance(own, dict) or not isinstance(own.get("max_length"), int | None):
        where = run.path / "dataset.json"
        raise RunError(
            f"{where} is damaged: found no preprocessing.options in it; restore it, or train again"
        )
    return run.encoding.reading_options(own)


def dataset_of(
    run: RunFolder,
    source: DatasetSource = None,
    *,
    advice: str = "name a copy: lnfgen eval RUN DATASET",
    progress: Progress = no_progress,
) -> Dataset:
    """Open the dataset that a run was trained on. Its content identifies it, not its place.

    It is `source`, if that is given, or else at the path in the run's `dataset.json`. If it is not
    there, and has the name of a named dataset, that is taken from the cache, or made again without
    a download.

    Args:
        advice: the end of the message of an error, on how to name a copy.

    Raises:
        RunError: if it is not found, or its content differs.
        DatasetError: if there is a `source` that cannot be opened.
    """
    name = run.dataset["name"]
    fingerprint = run.dataset["fingerprint"]
    try:
        if source is None:
            found = open_dataset(Path(run.dataset["path"]))
        else:
            found = open_source(source, progress)
        if found.fingerprint == fingerprint:
            return found
        problem = f"{found.path} is not the dataset {name} of {run.name}: its content is another"
    except DatasetError as error:
        if source is not None:
            raise
        reason = str(error).split(";")[0]
        problem = f"the dataset {name} of {run.name} cannot be opened: {reason}"
    if source is None and name in named.NAMED:
        try:
            found = build_cached(Path(name), True, Options(), progress)
            if found.fingerprint == fingerprint:
                return found
            problem += f", and {name} is made otherwise by now"
        except DatasetError as error:
            problem += f", and {error}"
    raise RunError(f"{problem}; {advice}")


@dataclass(frozen=True)
class EvaluationData:
    """Sequences to score a run on, in its encoding."""

    name: str  # of the dataset or file
    split: str  # of a dataset, or "all" of a file
    sequences: Sequence[np.ndarray]
    dropped: int = 0  # sequences that the dataset left out for their length
    # what the pieces lost on their way into the encoding
    changes: ConversionReport = field(default_factory=ConversionReport)
    # a few words on the tracks of a file that were kept or left out, if a piece has several
    tracks: str = ""
    train: Iterable[np.ndarray] | None = None  # a train split to compare with, if there is one


def evaluation_data_of(
    run: RunFolder, source: DatasetSource, split: str | None, progress: Progress = no_progress
) -> EvaluationData:
    """Open what a run is scored on: a split of its own dataset or of another one, or a whole file.

    Where both are None, it is the test split of the run's dataset. Files are read as those of that
    dataset were. A file without `split` is scored whole, and its train split is that of the run's
    dataset, if that is still there.

    Raises:
        LnfgenError: if the source is missing or damaged, holds the other kind, or lacks the split.
    """
    if split is None and source is not None and not isinstance(source, Dataset):
        path = Path(source)
        if path.is_file() and path.suffix.lower() not in benchmarks.SUFFIXES:
            data = whole_file(path, run.encoding, reading_options(run))
            try:
                dataset = dataset_of(run, progress=progress)
                train = split_of(dataset, "train", run.encoding)
            except RunError as error:
                warnings.warn(f"no marginal_nll: {error}", LnfgenWarning, stacklevel=2)
                return data
            return replace(data, train=train.sequences)
    dataset = scored_dataset(run, source, progress)
    train = split_of(dataset, "train", run.encoding)
    data = split_of(dataset, split or "test", run.encoding)
    return replace(data, train=train.sequences)


def scored_dataset(
    run: RunFolder, source: DatasetSource, progress: Progress = no_progress
) -> Dataset:
    """Open the dataset of a run, or another one, with its files read as those of the run were."""
    if source is None:
        return dataset_of(run, progress=progress)
    return open_source(source, progress, reading_options(run))


def split_of(dataset: Dataset, split: str, encoding: Encoding) -> EvaluationData:
    """Take a split of a dataset, whose pieces are brought into this encoding if it has another."""
    chosen = dataset.split(split)
    if dataset.encoding == encoding:
        return EvaluationData(dataset.name, split, chosen, chosen.dropped)
    sequences, changes = encoding.adapt(dataset.pieces(split))
    return EvaluationData(dataset.name, split, sequences, chosen.dropped, changes)


def whole_file(path: Path, encoding: Encoding, options: Options) -> EvaluationData:
    """Read all pieces of a file. A text is divided as the model's dataset is.

    Raises:
        UnreadableFileError: if the file is missing or damaged, holds the other kind, or no text.
    """
    pieces = encoding.read_file(path, options)
    try:
        sequences, changes = encoding.adapt(pieces)
    except LnfgenError as error:
        raise UnreadableFileError(with_name(str(path), str(error))) from error
    several = []
    for piece in pieces:
        if isinstance(piece, Song) and len(piece.origin.tracks) > 1:
            several.append(piece.origin.tracks)
    tracks = said_of(several) if several else ""
    return EvaluationData(path.name, "all", sequences, changes=changes, tracks=tracks)


def open_music(
    source: str | Path | Dataset | Iterable[Song | PianoRoll],
    split: str,
    steps_per_quarter: int = STEPS_PER_QUARTER,
    progress: Progress = no_progress,
    parts: str = ONE,
) -> tuple[Repertoire, Repertoire | None]:
    """Open music to measure.

    It is pieces, a file or folder of music, or a split of a dataset or of a benchmark file. Files
    are read whole, on this grid and in these parts. Those that cannot be read are left out, with a
    warning.

    Returns:
        The pieces, at least one, and those of the train split of their dataset if they are another
        split.

    Raises:
        DatasetError: if there is no music.
    """
    if isinstance(source, Dataset):
        return _of_dataset(source, split)
    if not isinstance(source, str | Path):
        pieces = [as_song(piece).roll for piece in source]
        if not pieces:
            raise DatasetError("found no pieces; expected at least one piano-roll")
        return Repertoire.of(pieces), None
    kind, path = find(source, "dataset", "files")
    files = gather([path]) if kind == "files" else []
    if not files or files[0].suffix in benchmarks.SUFFIXES:
        return _of_dataset(open_source(source, progress), split)
    options = Options(steps_per_quarter=steps_per_quarter, parts=parts)
    rolls: list[PianoRoll] = []
    errors: list[LnfgenError] = []
    for result in reading(files, options, progress):
        if isinstance(result, LnfgenError):
            errors.append(result)
        else:
            rolls += [song.roll for song in result]
    if not rolls:
        raise DatasetError(f"{path} holds no readable music: {errors[0]}")
    if errors:
        left_out = f"left out {len(errors)} of {counted(len(files), 'file')}"
        remark = f"{path}: {left_out}; the first: {errors[0]}"
        warnings.warn(remark, LnfgenWarning, stacklevel=3)
    return Repertoire.of(rolls), None


def _of_dataset(dataset: Dataset, split: str) -> tuple[Repertoire, Repertoire | None]:
    """The pieces of a split, and those of the train split if that is another one."""
    if not isinstance(dataset.encoding, MusicEncoding):
        raise DatasetError(f"{dataset.path} holds text; expected a dataset of music")

    train = None
    if split != "train":
        train = dataset.repertoire("train")
    return dataset.repertoire(split), train
