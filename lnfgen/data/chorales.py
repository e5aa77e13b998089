"""The dataset `chorales`: the Bach chorales that come with the music21 package, read from its installed files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lnfgen.conventions import SPLITS
from lnfgen.data.parallel import Progress, in_parallel, no_progress
from lnfgen.data.prepared import Prepared
from lnfgen.data.rolls import encode_rolls
from lnfgen.data.splits import split_by_hash
from lnfgen.data.storage import Record
from lnfgen.errors import DatasetError, LnfgenError, unreadable
from lnfgen.files import sha256_of
from lnfgen.music.pianoroll import PianoRoll

STEPS_PER_QUARTER = 2
"""Eighth notes. 98.6% of the notes start on this grid. Sixteenths would fit all but 3 of the 78,933 notes, but there
would be twice as many steps to model."""

TEMPO_BPM = 80.0  # few of the files say a tempo; chorales are sung at about this one
MAX_CHORALE_STEPS = 128  # 16 bars of 4/4 in eighths

_VOICES = ("soprano", "alto", "tenor", "bass")


def prepare_chorales(progress: Progress = no_progress) -> Prepared:
    """The dataset, with the split of each chorale fixed by a hash of its name.

    Raises:
        DatasetError: if music21 can read none of them.
    """
    names = chorale_names()
    results = in_parallel(read_chorale, names, "reading the chorales", progress)
    splits: dict[str, list[tuple[str, PianoRoll]]] = {split: [] for split in SPLITS}
    left_out: list[Record] = []
    for name, result in zip(names, results, strict=True):
        if isinstance(result, LnfgenError):
            left_out.append({"path": name, "reason": str(result)})
        else:
            splits[split_by_hash(name)].append((name, result))
    if not splits["train"]:
        raise DatasetError("music21 reads none of its chorales; reinstall it: pip install --force-reinstall music21")
    paths = [chorale_path(name) for name in names]
    return encode_rolls(
        "chorales",
        splits,
        MAX_CHORALE_STEPS,
        STEPS_PER_QUARTER,
        tempo_bpm=TEMPO_BPM,
        sources=[{"path": f"bach/{path.name}", "sha256": sha256_of(path)} for path in paths],
        skipped=left_out,
        options={"kind": "music", "max_length": MAX_CHORALE_STEPS, "split": "by hash of the corpus name"},
    )


def chorale_names() -> list[str]:
    """The names of the chorales in music21's corpus, such as `bach/bwv269`, each once, in Riemenschneider's order."""
    from music21.corpus import chorales

    return list(dict.fromkeys(chorales.Iterator(returnType="filename")))


def chorale_path(name: str) -> Path:
    """The installed file of a chorale. Where there are several editions it is the first, which music21 also takes."""
    from music21 import corpus

    found = corpus.getWork(name)
    return Path(found[0] if isinstance(found, list) else found)


def read_chorale(name: str) -> PianoRoll:
    """The four voices of a chorale on one roll, at written pitch and without repeats.

    Raises:
        UnreadableFileError: if music21 cannot read it.
    """
    from music21 import converter

    from lnfgen.music.scores import quiet, roll_of_score

    with unreadable(name), quiet():
        score = converter.parse(chorale_path(name), forceSource=True, storePickle=False)
        _keep_voices(score)
        _drop_repeats(score)
        return roll_of_score(score, name, steps_per_quarter=STEPS_PER_QUARTER)


def _keep_voices(score: Any) -> None:
    """Remove the instruments where four parts are named for the voices. The four voices hold the whole setting."""
    parts = list(score.parts)
    voices = [part for part in parts if str(part.partName or "").lower().startswith(_VOICES)]
    if len(voices) == len(_VOICES):
        score.remove([part for part in parts if part not in voices])


def _drop_repeats(score: Any) -> None:
    """Remove the repeat signs, so that each phrase comes once: a repeated one teaches a model nothing new."""
    from music21 import bar, stream

    for measure in score.recurse().getElementsByClass(stream.Measure):
        if isinstance(measure.leftBarline, bar.Repeat):
            measure.leftBarline = None
        if isinstance(measure.rightBarline, bar.Repeat):
            measure.rightBarline = None
