"""How well a model of lead sheets harmonises: `python examples/song_model.py RUN [DATASET]`.

RUN was trained on lead sheets, of which a melody, chords and a bass are parts. For each song of a
split the melody alone is harmonised, and the chords that are heard in what was drawn are laid
beside those of the song: the figure is the share of the time of the song's major and minor chords
at which the other chord is one of the same root and third (majmin).

Beside the model stands a first-order model: in each beat a major or minor triad on a degree of the
scale, given the one of the beat before, and the melody's notes given the chord. It counts both in
the train split, knows the home of the song, and finds the likeliest chords (Viterbi).
"""

import argparse
import math
from collections.abc import Sequence

import numpy as np

import lnfgen
from lnfgen.data.dataset import Dataset
from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.music.chart import ChordChange
from lnfgen.music.chord import Chord
from lnfgen.music.chord_finding import find_chords
from lnfgen.music.home import find_home
from lnfgen.music.parts import CHORDS, MELODY
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Song
from lnfgen.music.tonality import Key
from lnfgen.music.tracks import BASS
from lnfgen.runs.evaluation_data import dataset_of

NUM_TRIADS = 24
"""Major triads on 12 degrees of the scale, then minor ones."""

OTHER = -1
"""Any other chord, or none."""

MODES = ("major", "minor")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="a run that was trained on lead sheets")
    parser.add_argument("dataset", nargs="?", help="its dataset, if it was moved")
    parser.add_argument("--split", default="test", help="the split whose songs are harmonised")
    parser.add_argument("--count", type=int, default=4, help="harmonies of each song (4)")
    given = parser.parse_args()
    model = lnfgen.load(given.run)
    dataset = dataset_of(model.run, given.dataset)
    chain = FirstOrder(dataset)
    of_model: list[float] = []
    of_chain: list[float] = []
    of_usual: list[float] = []
    for number, song in enumerate(songs(dataset, given.split)):
        truth = triads_of(song)
        home = find_home(song)
        if home is None or np.all(truth == OTHER):
            continue
        melody = of_part(song, MELODY)
        drawn = model.harmonize(melody, count=given.count, seed=number)
        rolls = [piece.roll for piece in drawn if isinstance(piece, Song)]
        shares = [agreement(triads_of(roll), truth) for roll in rolls]
        of_model.append(float(np.mean(shares)))
        of_chain.append(agreement(chain.harmonised(song, home), truth))
        of_usual.append(agreement(np.full(len(truth), tonic_of(home)), truth))
    print(f"{len(of_model)} songs of {given.split}, majmin, mean (median):")
    for name, values in (
        ("the model", of_model),
        ("first-order chords by degree", of_chain),
        ("the tonic throughout", of_usual),
    ):
        print(f"{name}: {np.mean(values):.3f} ({np.median(values):.3f})")


def songs(dataset: Dataset, split: str) -> Sequence[PianoRoll]:
    """The first piece of each song of a split."""
    assert isinstance(dataset.encoding, MusicEncoding)
    return [pieces[0] for pieces in dataset.repertoire(split).of_each_song()]


def of_part(song: PianoRoll, role: str) -> PianoRoll:
    """A part of a song, as a piano-roll of one part."""
    return song.part(song.roles.index(role))


def triads_of(song: PianoRoll) -> np.ndarray:
    """The triad that a song's bass and chords play in each beat, int [beats]."""
    parts = [number for number, role in enumerate(song.roles) if role in (BASS, CHORDS)]
    below = PianoRoll.of_parts(
        [song.part(number) for number in parts], [song.parts[number] for number in parts]
    )
    return in_beats(find_chords(below), song)


def in_beats(changes: Sequence[ChordChange], song: PianoRoll) -> np.ndarray:
    """The triad of each quarter of a song: 12 times its mode plus its root, or `OTHER`."""
    num_beats = song.num_steps // song.steps_per_quarter
    triads = np.full(num_beats, OTHER)
    for change in changes:
        triads[math.ceil(change.start) :] = triad_of(change.chord)
    return triads


def triad_of(chord: Chord) -> int:
    """The number of a chord that has a third and no diminished or augmented fifth."""
    for mode, third in enumerate((4, 3)):
        has_other_fifth = chord.intervals & {6, 8} and 7 not in chord.intervals
        if third in chord.intervals and not has_other_fifth:
            return 12 * mode + chord.root
    return OTHER


def tonic_of(home: Key) -> int:
    """The number of the triad on the tonic."""
    return 12 * MODES.index(home.mode) + home.tonic


def agreement(found: np.ndarray, truth: np.ndarray) -> float:
    """The share of the beats with a major or a minor triad at which both are the same."""
    counts = truth != OTHER
    return float(np.mean(found[: len(truth)][counts] == truth[counts]))


class FirstOrder:
    """A hidden Markov model of the triads of beats by their degrees, for each mode."""

    def __init__(self, dataset: Dataset) -> None:
        self._transitions = np.ones((2, NUM_TRIADS, NUM_TRIADS))
        self._notes = np.ones((2, NUM_TRIADS, 12))
        for song in songs(dataset, "train"):
            home = find_home(song)
            if home is not None:
                self._count(song, home)

    def _count(self, song: PianoRoll, home: Key) -> None:
        mode = MODES.index(home.mode)
        degrees = by_degree(triads_of(song), home)
        melody = melody_of_beats(song, home)
        for beat, degree in enumerate(degrees):
            if degree == OTHER:
                continue
            self._notes[mode, degree] += melody[beat]
            if beat and degrees[beat - 1] != OTHER:
                self._transitions[mode, degrees[beat - 1], degree] += 1

    def harmonised(self, song: PianoRoll, home: Key) -> np.ndarray:
        """The likeliest triads of the beats of a song, given its melody and its home."""
        mode = MODES.index(home.mode)
        transitions = np.log(
            self._transitions[mode] / self._transitions[mode].sum(axis=1, keepdims=True)
        )
        notes = np.log(self._notes[mode] / self._notes[mode].sum(axis=1, keepdims=True))
        melody = melody_of_beats(song, home)
        likelihoods = melody @ notes.T  # [beats, triads]
        scores = likelihoods[0] + np.log(self._transitions[mode].sum(axis=1))
        pointers = []
        for likelihood in likelihoods[1:]:
            ways = scores[:, None] + transitions
            pointers.append(ways.argmax(axis=0))
            scores = ways.max(axis=0) + likelihood
        path = [int(scores.argmax())]
        for best in reversed(pointers):
            path.append(int(best[path[-1]]))
        degrees = np.array(path[::-1])
        return degrees // 12 * 12 + (degrees + home.tonic) % 12


def by_degree(triads: np.ndarray, home: Key) -> np.ndarray:
    """Triads with their roots as semitones above the tonic."""
    degrees = triads // 12 * 12 + (triads - home.tonic) % 12
    return np.where(triads == OTHER, OTHER, degrees)


def melody_of_beats(song: PianoRoll, home: Key) -> np.ndarray:
    """How long, in quarters, the melody sounds on each degree in each beat: float [beats, 12]."""
    melody = of_part(song, MELODY)
    grid = song.steps_per_quarter
    num_beats = song.num_steps // grid
    sounding = melody.sounding[: num_beats * grid, 0]
    classes = np.zeros((len(sounding), 12))
    for key in range(melody.num_pitches):
        degree = (melody.lowest_pitch + key - home.tonic) % 12
        classes[:, degree] += sounding[:, key]
    quarters: np.ndarray = classes.reshape(num_beats, grid, 12).sum(axis=1) / grid
    return quarters


if __name__ == "__main__":
    main()
