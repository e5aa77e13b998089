"""The Bach chorales that the music21 package carries, from its installed files."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from lnfgen.errors import LnfgenError
from lnfgen.music.pianoroll import PianoRoll

STEPS_PER_QUARTER = 2
"""Eighths: 98.6% of the notes start on that grid (on sixteenths all but 3 of 78,933) at half the steps to model."""

TEMPO_BPM = 80.0  # few of the files give a tempo; a chorale is sung at about this one

_VOICES = ("soprano", "alto", "tenor", "bass")


def chorale_names() -> list[str]:
    """The corpus names of `music21.corpus.chorales.Iterator`, in its order (Riemenschneider's), each once: the
    collection numbers a few settings twice."""
    from music21.corpus import chorales

    return list(dict.fromkeys(chorales.Iterator(returnType="filename")))


def chorale_path(name: str) -> Path:
    """The installed file of a chorale; the first of several editions, as `music21.corpus.parse` takes it."""
    from music21 import corpus

    found = corpus.getWork(name)
    return Path(found[0] if isinstance(found, list) else found)


def read_chorale(name: str, steps_per_quarter: int = STEPS_PER_QUARTER) -> PianoRoll | str:
    """A chorale, its four voices on one roll at written pitch, repeats played once; or why it cannot be read."""
    from music21 import converter

    from lnfgen.music.scores import roll_of_score

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # music21's remarks on a file's engraving
            score = converter.parse(chorale_path(name), forceSource=True, storePickle=False)
            _keep_voices(score)
            _drop_repeats(score)
            return roll_of_score(score, name, steps_per_quarter=steps_per_quarter)
    except LnfgenError as error:
        return str(error)
    except Exception as error:  # music21 raises whatever the wrong turn leads to
        return " ".join(f"{name}: {error}".split())[:160]


def _keep_voices(score: Any) -> None:
    """Take out the instruments where four parts are named for the voices: most double them, some add to them."""
    parts = list(score.parts)
    voices = [part for part in parts if str(part.partName or "").lower().startswith(_VOICES)]
    if len(voices) == len(_VOICES):
        for part in parts:
            if part not in voices:
                score.remove(part)


def _drop_repeats(score: Any) -> None:
    """Take the repeat signs off: a phrase played twice teaches nothing new, and music21 takes longer over repeats than
    over all the rest."""
    from music21 import bar, stream

    for measure in score.recurse().getElementsByClass(stream.Measure):
        if isinstance(measure.leftBarline, bar.Repeat):
            measure.leftBarline = None
        if isinstance(measure.rightBarline, bar.Repeat):
            measure.rightBarline = None
