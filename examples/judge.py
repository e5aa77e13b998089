"""A stronger judge of chorales: `python examples/judge.py RUN`, with `pip install scikit-learn`.

`lnfgen compare` distinguishes samples from a split by some twenty figures, and calibration moves a
model until these agree. This judge has a forest of trees and four hundred other features: how often
each interval between neighbouring voices, move of a voice, chord, pair of chords, three notes of
the tune and rhythm of a bar occurs in a passage. Which of them are counted is decided on train.

It prints the AUC of the samples beside a split, and of train beside that split: 0.5 is not at all,
1 is always. Pieces, not passages, are divided into five folds.
"""

import argparse
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold

import lnfgen
from lnfgen.music.comparison import windows_of
from lnfgen.music.home import find_home
from lnfgen.music.pianoroll import PianoRoll, pitched_parts
from lnfgen.runs.evaluation_data import open_source

VOICES = 4
PASSAGE_QUARTERS = 32
MOST_OF_A_KIND = 60
"""The most frequent things of each kind are counted."""

TREES = 500
REPEATS = 5

Thing = tuple[str, Any]  # its kind, and what it is


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="a run or a model in the box, of chorales")
    parser.add_argument("--split", default="test", help="valid or test (test)")
    parser.add_argument("--count", type=int, default=200, help="samples (200)")
    parser.add_argument("--temperature", type=float, default=1.0)
    given = parser.parse_args()
    dataset = open_source("chorales")
    model = lnfgen.load(given.run)
    train = rolls(dataset.pieces("train"))
    reference = rolls(dataset.pieces(given.split))
    samples = rolls(model.sample(given.count, seed=0, temperature=given.temperature))
    judge = Judge(train)
    for name, pieces in (("train", train), (given.run, samples)):
        print(f"{name} beside {given.split}: AUC {judge.auc(pieces, reference):.3f}")


def rolls(pieces: Iterable[PianoRoll | str]) -> list[PianoRoll]:
    return [piece for piece in pieces if isinstance(piece, PianoRoll)]


class Judge:
    """A forest on counts of the things that are most frequent in train."""

    def __init__(self, train: Sequence[PianoRoll]) -> None:
        counts: dict[str, Counter[Thing]] = {}
        for piece in train:
            for _, things in passages(piece):
                for thing in things:
                    counts.setdefault(thing[0], Counter())[thing] += 1
        self._columns: dict[Thing, int] = {}
        for of_kind in counts.values():
            for thing, _ in of_kind.most_common(MOST_OF_A_KIND):
                self._columns[thing] = len(self._columns)

    def auc(self, first: Sequence[PianoRoll], second: Sequence[PianoRoll]) -> float:
        """How well the forest distinguishes passages of two sets, on pieces it has not seen."""
        first_rows, first_owners = self._table(first)
        second_rows, second_owners = self._table(second)
        x = np.concatenate([first_rows, second_rows])
        y = np.repeat([1, 0], [len(first_rows), len(second_rows)])
        owners = np.concatenate([first_owners, -1 - second_owners])
        aucs = []
        for seed in range(REPEATS):
            folds = StratifiedGroupKFold(n_splits=5, shuffle=True, random_state=seed)
            for fitted, held in folds.split(x, y, owners):
                forest = RandomForestClassifier(
                    TREES, min_samples_leaf=2, class_weight="balanced", random_state=seed
                )
                forest.fit(x[fitted], y[fitted])
                scores = forest.predict_proba(x[held])[:, 1]
                aucs.append(roc_auc_score(y[held], scores))
        return float(np.mean(aucs))

    def _table(self, pieces: Sequence[PianoRoll]) -> tuple[np.ndarray, np.ndarray]:
        """The share of each thing among those of its kind, for each passage, and whose it is."""
        rows = []
        owners = []
        for owner, piece in enumerate(pieces):
            for _, things in passages(piece):
                rows.append(self._row(list(things)))
                owners.append(owner)
        return np.array(rows), np.array(owners)

    def _row(self, things: Sequence[Thing]) -> np.ndarray:
        row = np.zeros(len(self._columns))
        of_kind = Counter(kind for kind, _ in things)
        for thing in things:
            column = self._columns.get(thing)
            if column is not None:
                row[column] += 1 / of_kind[thing[0]]
        return row


def passages(piece: PianoRoll) -> Iterator[tuple[int, Iterable[Thing]]]:
    """The passages of a piece, each with its start and all that can be counted in it."""
    roll = pitched_parts(piece)
    home = find_home(roll)
    if home is None:
        return
    num_steps = PASSAGE_QUARTERS * roll.steps_per_quarter
    for start, window in windows_of(roll, num_steps):
        yield start, _things(window, home.tonic)


def _things(window: PianoRoll, tonic: int) -> Iterator[Thing]:
    sounding = window.sounding[:, 0]
    struck = window.struck()[:, 0]
    voices = _voices(sounding) + window.lowest_pitch
    yield from _intervals(voices)
    yield from _moves(voices)
    beats = range(0, len(sounding), window.steps_per_quarter)
    chords = []
    for step in beats:
        keys = np.flatnonzero(sounding[step]) + window.lowest_pitch
        if len(keys):
            chords.append(_chord(keys, tonic))
    for chord in chords:
        yield "chord", chord
    for before, after in itertools.pairwise(chords):
        if before != after:
            yield "pair", (before, after)
    yield from _tunes(sounding, struck, tonic, window.lowest_pitch)
    yield from _rhythms(window, struck)


def _voices(sounding: np.ndarray) -> np.ndarray:
    """The keys of the steps that have as many as there are voices, from below: int [N, VOICES]."""
    full = sounding[sounding.sum(axis=1) == VOICES]
    return np.nonzero(full)[1].reshape(-1, VOICES)


def _intervals(voices: np.ndarray) -> Iterator[Thing]:
    for step in np.diff(voices, axis=1).tolist():
        for voice, interval in enumerate(step):
            yield "interval", (voice, interval)


def _moves(voices: np.ndarray) -> Iterator[Thing]:
    changes = np.diff(voices, axis=0)
    for step in changes[changes.any(axis=1)].tolist():
        for voice, move in enumerate(step):
            yield "move", (voice, move)


def _chord(keys: np.ndarray, tonic: int) -> tuple[int, tuple[int, ...]]:
    """The bass as semitones above the tonic, and the others above the bass."""
    above = sorted(set(((keys - keys[0]) % 12).tolist()))
    return int(keys[0] - tonic) % 12, tuple(above)


def _tunes(
    sounding: np.ndarray, struck: np.ndarray, tonic: int, lowest_pitch: int
) -> Iterator[Thing]:
    """Three notes of the tune and of the bass, the first by its degree."""
    num_keys = sounding.shape[1]
    for name in ("tune", "bass line"):
        notes = []
        for step in np.flatnonzero(sounding.any(axis=1)):
            keys = np.flatnonzero(sounding[step])
            key = keys[-1] if name == "tune" else keys[0]
            if struck[step, key % num_keys]:
                notes.append(int(key) + lowest_pitch)
        for one, two, three in zip(notes, notes[1:], notes[2:], strict=False):
            yield name, ((one - tonic) % 12, two - one, three - two)


def _rhythms(window: PianoRoll, struck: np.ndarray) -> Iterator[Thing]:
    """The steps of each bar at which notes begin, and how many."""
    starts = [*window.bars().values(), len(struck)]
    for start, stop in itertools.pairwise(starts):
        yield "rhythm", tuple(struck[start:stop].sum(axis=1).clip(0, 2).tolist())


if __name__ == "__main__":
    main()
