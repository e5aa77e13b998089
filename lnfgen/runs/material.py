"""Opening data by name: the dataset of a run, the sequences to score a run on, and music to
compare."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from lnfgen.conventions import Progress, no_progress
from lnfgen.data import benchmarks, named
from lnfgen.data.dataset import Dataset, open_dataset
from lnfgen.data.encoding import Encoding
from lnfgen.data.gather import Options, gather
from lnfgen.data.prepare import build_cached
from lnfgen.data.rolls import reading
from lnfgen.errors import DatasetError, LnfgenError, LnfgenWarning, RunError, UnreadableFileError
from lnfgen.formats import text
from lnfgen.formats.read_write import READABLE, Piece, read
from lnfgen.music.parts import ONE
from lnfgen.music.pianoroll import STEPS_PER_QUARTER, Losses, PianoRoll
from lnfgen.music.tracks import ALL, said_of
from lnfgen.runs.folder import RunFolder
from lnfgen.runs.naming import find
from lnfgen.wording import counted, with_name

DatasetSource = str | Path | Dataset | None


def open_source(
    source: DatasetSource = None, progress: Progress = no_progress, options: Options | None = None
) -> Dataset:
    """Open the dataset that `source` names (see `lnfgen.runs.naming.find`), and make it in the
    cache if necessary.

        open_source()             # the default: chorales
        open_source("folk-abc")   # a named dataset, built at its first use
        open_source("songs")      # a folder of files, preprocessed again after they change; or a
        dataset folder

    Raises:
        DatasetError: if the dataset is missing or damaged, or needs a download, which only
        `preprocess` makes. OutputError: if the cache cannot be written.
    """
    if isinstance(source, Dataset):
        return source
    found = find(named.DEFAULT if source is None else source, "dataset", "files")
    if found.kind == "dataset":
        return open_dataset(found.path)
    return build_cached(found.path, found.kind == "named", options or Options(), progress)


def reading_options(run: RunFolder) -> Options:
    """Return the options to read other files for a run: those of its own dataset, with music on the
    model's grid."""
    preprocessing = run.dataset.get("preprocessing", {})
    own = preprocessing.get("options", {}) if isinstance(preprocessing, dict) else None
    if not isinstance(own, dict) or not isinstance(own.get("max_length"), int | None):
        where = run.path / "dataset.json"
        raise RunError(
            f"{where} is damaged: found no preprocessing.options in it; restore it, or train again"
        )
    kind, max_length = run.encoding.kind, own.get("max_length")
    if kind == "text":
        return Options(kind=kind, max_length=max_length, chunks=bool(own.get("chunks")))
    return Options(
        kind=kind,
        max_length=max_length,
        steps_per_quarter=run.encoding.grid,
        tracks=str(own.get("tracks", ALL)),
        parts=",".join(run.encoding.roles) or ONE,
    )


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

    Raises:
        RunError: if it is not found, or its content differs; `advice` in the message tells how to
        name a copy.
    """
    name, fingerprint = run.dataset["name"], run.dataset["fingerprint"]
    try:
        found = (
            open_dataset(Path(run.dataset["path"]))
            if source is None
            else open_source(source, progress)
        )
        if found.fingerprint == fingerprint:
            return found
        problem = f"{found.path} is not the dataset {name} of {run.name}: its content is another"
    except DatasetError as error:
        if source is not None:
            raise
        problem = f"the dataset {name} of {run.name} cannot be opened: {str(error).split(';')[0]}"
    if source is None and name in named.NAMED:
        try:
            found = build_cached(Path(name), True, Options(), progress)
            problem += f", and {name} is made otherwise by now"
            if found.fingerprint == fingerprint:
                return found
        except DatasetError as error:
            problem += f", and {error}"
    raise RunError(f"{problem}; {advice}")


@dataclass(frozen=True)
class Material:
    """Sequences to score a run on, in its encoding."""

    name: str  # of the dataset or file
    split: str  # of a dataset, or "all" of a file
    sequences: Sequence[np.ndarray]
    dropped: int = 0  # sequences that the dataset left out for their length
    # what the pieces lost on their way into the encoding
    changes: Losses = field(default_factory=Losses)
    # a few words on the tracks of a file that were kept or left out, if a piece has several
    tracks: str = ""
    train: Iterable[np.ndarray] | None = None  # a train split to compare with, if there is one


def material_of(
    run: RunFolder, source: DatasetSource, split: str | None, progress: Progress = no_progress
) -> Material:
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
            material = whole_file(path, run.encoding, reading_options(run))
            try:
                train = split_of(
                    dataset_of(run, progress=progress), "train", run.encoding
                ).sequences
            except RunError as error:
                warnings.warn(f"no marginal_nll: {error}", LnfgenWarning, stacklevel=2)
                return material
            return replace(material, train=train)
    dataset = scored_dataset(run, source, progress)
    train = split_of(dataset, "train", run.encoding).sequences
    return replace(split_of(dataset, split or "test", run.encoding), train=train)


def scored_dataset(
    run: RunFolder, source: DatasetSource, progress: Progress = no_progress
) -> Dataset:
    """Open the dataset of a run, or another one, whose files are read as those of the run's dataset
    were."""
    if source is None:
        return dataset_of(run, progress=progress)
    return open_source(source, progress, reading_options(run))


def split_of(dataset: Dataset, split: str, encoding: Encoding) -> Material:
    """Take a split of a dataset. If the dataset has another encoding, its pieces are brought into
    this one."""
    chosen = dataset.split(split)
    if dataset.encoding == encoding:
        return Material(dataset.name, split, chosen, chosen.dropped)
    sequences, changes = encoding.adapt(dataset.pieces(split))
    return Material(dataset.name, split, sequences, chosen.dropped, changes)


def whole_file(path: Path, encoding: Encoding, options: Options) -> Material:
    """Read all pieces of a file. A text is divided into lines, tunes or chunks, as the model's
    dataset is."""
    suffix = path.suffix.lower()
    pieces: list[Piece]
    if encoding.kind == "text" and (suffix in (".txt", ".abc") or suffix not in READABLE):
        content = text.read_text(path)
        if options.chunks:
            pieces = [*text.chunks(content.removesuffix("\n"), options.max_length or text.MAX_LINE)]
        else:
            pieces = [*(text.abc_tunes(content) if suffix == ".abc" else text.lines(content))]
        if not pieces:
            raise UnreadableFileError(
                f"{path} holds no text; expected at least one line that is not blank"
            )
    else:
        # the options for a text have no parts of music
        parts = ONE if encoding.kind == "text" else options.parts
        pieces = read(path, steps_per_quarter=encoding.grid, tracks=options.tracks, parts=parts)
    try:
        sequences, changes = encoding.adapt(pieces)
    except LnfgenError as error:
        raise UnreadableFileError(with_name(str(path), str(error))) from error
    several = [
        piece.tracks for piece in pieces if not isinstance(piece, str) and len(piece.tracks) > 1
    ]
    tracks = said_of(several) if several else ""
    return Material(path.name, "all", sequences, changes=changes, tracks=tracks)


def open_music(
    source: str | Path | Dataset | Iterable[PianoRoll],
    split: str,
    steps_per_quarter: int = STEPS_PER_QUARTER,
    progress: Progress = no_progress,
    parts: str = ONE,
) -> tuple[list[PianoRoll], list[PianoRoll] | None]:
    """Open music to measure: pieces, a file or folder of music, or a split of a dataset or of a
    benchmark file.

    The result is the pieces, at least one, and those of the train split of their dataset if they
    are another split. Files are read whole, on this grid and in these parts. Those that cannot be
    read are left out, with a warning.
    """
    if isinstance(source, Dataset):
        return _of_dataset(source, split)
    if not isinstance(source, str | Path):
        if not (pieces := list(source)):
            raise DatasetError("found no pieces; expected at least one piano-roll")
        return pieces, None
    kind, path = find(source, "dataset", "files")
    files = gather([path]) if kind == "files" else []
    if not files or files[0].suffix in benchmarks.SUFFIXES:
        return _of_dataset(open_source(source, progress), split)
    results = list(
        reading(files, Options(steps_per_quarter=steps_per_quarter, parts=parts), progress)
    )
    rolls = [roll for result in results if not isinstance(result, LnfgenError) for roll in result]
    reasons = [result for result in results if isinstance(result, LnfgenError)]
    if not rolls:
        raise DatasetError(f"{path} holds no readable music: {reasons[0]}")
    if reasons:
        left_out = f"{path}: left out {len(reasons)} of {counted(len(files), 'file')}; the first: {reasons[0]}"
        warnings.warn(left_out, LnfgenWarning, stacklevel=3)
    return rolls, None


def _of_dataset(dataset: Dataset, split: str) -> tuple[list[PianoRoll], list[PianoRoll] | None]:
    if dataset.encoding.kind != "music":
        raise DatasetError(f"{dataset.path} holds text; expected a dataset of music")

    def pieces(name: str) -> list[PianoRoll]:
        return [piece for piece in dataset.pieces(name) if isinstance(piece, PianoRoll)]

    return pieces(split), None if split == "train" else pieces("train")
