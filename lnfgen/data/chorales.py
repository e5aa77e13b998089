"""The dataset `chorales`: the Bach chorales that come with the music21 package."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lnfgen.conventions import SPLITS, Progress, no_progress
from lnfgen.data.dataset import Record
from lnfgen.data.dataset_writer import DatasetWriter
from lnfgen.data.music_dataset import LabelledRoll, SongPiece, encode_rolls
from lnfgen.data.splits import distinct, split_by_hash
from lnfgen.errors import DatasetError, LnfgenError, unreadable
from lnfgen.files import sha256_of
from lnfgen.formats.sandbox import in_parallel
from lnfgen.formats.scores import quiet, roll_of_score
from lnfgen.music.copies import related_pieces
from lnfgen.music.pianoroll import PianoRoll

# nearly all notes start on an eighth; with sixteenths there would be twice as many steps
GRID = 2
TEMPO_BPM = 80.0  # few of the files say a tempo; chorales are sung at about this one
MAX_CHORALE_STEPS = 272  # 34 bars of 4/4 in eighths: with its repeats nearly every chorale is whole

# C2 to C6: all voices (C2 to A5), with some room to transpose them
LOWEST_PITCH = 36
NUM_PITCHES = 49

# it begins in 4/4, but is longer in 3/4; all results are on bars of 4/4
TIME_SIGNATURES = {"bach/bwv304": (4, 4)}
# two bars of 4/4, longer than a cadence: chorales that share them, in any key, go into one split
SHARED_STEPS = 16

_VOICES = ("soprano", "alto", "tenor", "bass")


def add_chorales(dataset: DatasetWriter, progress: Progress = no_progress) -> None:
    """Fill a dataset with the chorales.

    A hash of its name, or of the name of a related chorale, fixes the split of each.
    """
    names = chorale_names()
    results = in_parallel(read_chorale, names, "reading the chorales", progress)
    found: list[LabelledRoll] = []
    for name, result in zip(names, results, strict=True):
        if isinstance(result, LnfgenError):
            dataset.skip(name, str(result))
        else:
            found.append((name, result))
        path = chorale_path(name)
        dataset.sources.append({"path": f"bach/{path.name}", "sha256": sha256_of(path)})
    if not found:
        raise DatasetError(
            "music21 reads none of its chorales; reinstall it:"
            " pip install --force-reinstall music21"
        )
    splits, groups = divided(found, dataset.copies)
    related = [size for size in groups if size > 1]
    dataset.remarks.append(
        f"{sum(related)} of the {sum(groups)} chorales share {SHARED_STEPS} steps or more with"
        f" another one, in some key: {len(related)} groups, each in one split"
    )
    dataset.options = {
        "kind": "music",
        "max_length": MAX_CHORALE_STEPS,
        "split": "by hash of the corpus name, of related chorales that of the first one",
    }
    pieces = ((split, piece) for split in SPLITS for piece in splits[split])
    encode_rolls(dataset, pieces, MAX_CHORALE_STEPS, GRID, TEMPO_BPM)


def divided(
    found: Sequence[LabelledRoll], copies: list[Record]
) -> tuple[dict[str, list[SongPiece]], list[int]]:
    """The chorales divided into splits, and the sizes of the groups of related ones.

    A chorale that sounds as an earlier one does, in any key, is left out and noted in `copies`.
    Bach set many tunes more than once, and used settings again. Such a group is in one split, by a
    hash of the name of its first chorale.
    """
    same = "the same chords at every step, in this or another key,"
    pieces = list(distinct(found, _chords_in_any_key, same, copies))
    firsts = related_pieces([roll for _, roll in pieces], SHARED_STEPS)
    splits: dict[str, list[SongPiece]] = {split: [] for split in SPLITS}
    for (name, roll), first in zip(pieces, firsts, strict=True):
        first_name, _ = pieces[first]
        splits[split_by_hash(first_name)].append(SongPiece(first, name, roll))
    return splits, list(Counter(firsts).values())


def _chords_in_any_key(roll: PianoRoll) -> tuple[object, ...]:
    """A value that two chorales share if they sound the same.

    The key and rests at their ends do not count, and onsets neither, because the same music to
    other words has other repeated notes.
    """
    sounding = roll.merged.sounding[:, 0]
    steps = np.flatnonzero(sounding.any(axis=1))
    keys = np.flatnonzero(sounding.any(axis=0))
    if not len(steps):
        return (0, 0)
    notes = sounding[steps[0] : steps[-1] + 1, keys[0] : keys[-1] + 1]
    return *notes.shape, notes.tobytes()


def chorale_names() -> list[str]:
    """The names of the chorales in music21's corpus, as `bach/bwv269`, each once.

    They are in Riemenschneider's order.
    """
    from music21.corpus import chorales

    return list(dict.fromkeys(chorales.Iterator(returnType="filename")))


def chorale_path(name: str) -> Path:
    """The installed file of a chorale: of several editions the first, which music21 takes too."""
    from music21 import corpus

    found = corpus.getWork(name)
    return Path(found[0] if isinstance(found, list) else found)


def read_chorale(name: str) -> PianoRoll:
    """The four voices of a chorale on one roll of four octaves, as they are sung, with repeats."""
    from music21 import converter

    with unreadable(name), quiet():
        score: Any = converter.parse(chorale_path(name), forceSource=True, storePickle=False)
        parts = list(score.parts)
        voices = [part for part in parts if str(part.partName or "").lower().startswith(_VOICES)]
        # they hold the whole setting, and the other parts are instruments
        if len(voices) == len(_VOICES):
            score.remove([part for part in parts if part not in voices])
        roll = roll_of_score(score, name, steps_per_quarter=GRID)
        roll = replace(roll, time_signature=TIME_SIGNATURES.get(name, roll.time_signature))
        return roll.in_range(LOWEST_PITCH, NUM_PITCHES)
