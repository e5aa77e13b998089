"""The dataset `chorales`: the Bach chorales that come with the music21 package, read from its
installed files."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lnfgen.conventions import SPLITS, Progress, no_progress
from lnfgen.data.dataset import Record
from lnfgen.data.division import distinct, split_by_hash
from lnfgen.data.prepared import DatasetWriter
from lnfgen.data.rolls import Piece, encode_rolls
from lnfgen.errors import DatasetError, LnfgenError, unreadable
from lnfgen.files import sha256_of
from lnfgen.formats.sandbox import in_parallel
from lnfgen.formats.scores import quiet, roll_of_score
from lnfgen.music.copies import related_pieces
from lnfgen.music.pianoroll import PianoRoll

# nearly all notes start on an eighth; with sixteenths there would be twice as many steps
STEPS_PER_QUARTER = 2
TEMPO_BPM = 80.0  # few of the files say a tempo; chorales are sung at about this one
MAX_CHORALE_STEPS = 272  # 34 bars of 4/4 in eighths: with its repeats nearly every chorale is whole

# C2 to C6: all voices (C2 to A5), with some room to transpose them
LOWEST_PITCH, NUM_PITCHES = 36, 49

# it begins in 4/4, but is longer in 3/4; all results are on bars of 4/4
TIME_SIGNATURES = {"bach/bwv304": (4, 4)}
# two bars of 4/4, longer than a cadence: chorales that share them, in any key, go into one split
SHARED_STEPS = 16

_VOICES = ("soprano", "alto", "tenor", "bass")


def add_chorales(dataset: DatasetWriter, progress: Progress = no_progress) -> None:
    """Fill a dataset with the chorales; a hash of its name or of a related chorale's fixes the
    split of each."""
    names = chorale_names()
    found: list[Piece] = []
    for name, result in zip(
        names, in_parallel(read_chorale, names, "reading the chorales", progress), strict=True
    ):
        if isinstance(result, LnfgenError):
            dataset.skip(name, str(result))
        else:
            found.append((name, result))
        path = chorale_path(name)
        dataset.sources.append({"path": f"bach/{path.name}", "sha256": sha256_of(path)})
    if not found:
        raise DatasetError(
            "music21 reads none of its chorales; reinstall it: pip install --force-reinstall music21"
        )
    splits, groups = divided(found, dataset.copies)
    related = [size for size in groups if size > 1]
    dataset.remarks.append(
        f"{sum(related)} of the {sum(groups)} chorales share {SHARED_STEPS} steps or more with another one, "
        f"in some key: {len(related)} groups, each in one split"
    )
    dataset.options = {
        "kind": "music",
        "max_length": MAX_CHORALE_STEPS,
        "split": "by hash of the corpus name, of related chorales that of the first one",
    }
    pieces = ((split, piece) for split in SPLITS for piece in splits[split])
    encode_rolls(dataset, pieces, MAX_CHORALE_STEPS, STEPS_PER_QUARTER, TEMPO_BPM)


def divided(
    found: Sequence[Piece], copies: list[Record]
) -> tuple[dict[str, list[Piece]], list[int]]:
    """The chorales divided into splits, and the sizes of the groups of related ones.

    A chorale that sounds as an earlier one does, in any key, is left out and noted in `copies`.
    Bach set many tunes more than once, and used settings again. Such a group is in one split, by a
    hash of the name of its first chorale.
    """
    same = "the same chords at every step, in this or another key,"
    pieces = list(distinct(found, _chords_in_any_key, same, copies))
    firsts = related_pieces([roll for _, roll in pieces], SHARED_STEPS)
    splits: dict[str, list[Piece]] = {split: [] for split in SPLITS}
    for piece, first in zip(pieces, firsts, strict=True):
        splits[split_by_hash(pieces[first][0])].append(piece)
    return splits, list(Counter(firsts).values())


def _chords_in_any_key(roll: PianoRoll) -> tuple[object, ...]:
    """A value that two chorales share if they sound the same but for the key and for rests at their
    ends.

    Onsets do not count, because the same music to other words has other repeated notes.
    """
    steps, keys = (np.flatnonzero(roll.sounding.any(axis=axis)) for axis in (1, 0))
    if not len(steps):
        return (0, 0)
    notes = roll.sounding[steps[0] : steps[-1] + 1, keys[0] : keys[-1] + 1]
    return *notes.shape, notes.tobytes()


def chorale_names() -> list[str]:
    """The names of the chorales in music21's corpus, as `bach/bwv269`, each once, in
    Riemenschneider's order."""
    from music21.corpus import chorales

    return list(dict.fromkeys(chorales.Iterator(returnType="filename")))


def chorale_path(name: str) -> Path:
    """The installed file of a chorale. Where there are several editions it is the first, which
    music21 also takes."""
    from music21 import corpus

    found = corpus.getWork(name)
    return Path(found[0] if isinstance(found, list) else found)


def read_chorale(name: str) -> PianoRoll:
    """The four voices of a chorale on one roll of four octaves, as they are sung: repeats are
    played."""
    from music21 import converter

    with unreadable(name), quiet():
        score: Any = converter.parse(chorale_path(name), forceSource=True, storePickle=False)
        parts = list(score.parts)
        voices = [part for part in parts if str(part.partName or "").lower().startswith(_VOICES)]
        # they hold the whole setting, and the other parts are instruments
        if len(voices) == len(_VOICES):
            score.remove([part for part in parts if part not in voices])
        roll = roll_of_score(score, name, steps_per_quarter=STEPS_PER_QUARTER)
        roll = replace(roll, time_signature=TIME_SIGNATURES.get(name, roll.time_signature))
        return roll.in_range(LOWEST_PITCH, NUM_PITCHES)
