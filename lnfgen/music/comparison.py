"""Compares two sets of music by figures, and by a classifier that tries to distinguish them.

The pieces of both sides are cut into windows of equal length, because many figures depend on the
length. Each figure has its median and its 5 and 95 % quantiles on both sides, and the share of the
windows of the first side that are inside the 5 to 95 % range of the second. What came in the piece
ahead of a window counts as no repetition.

Pieces of one song stay together: they share the folds of the classifier, are drawn anew together
for its interval, and are no copies of each other.

The classifier of `lnfgen.music.two_sample` is fitted to these figures, but for the longest copy and
the pairs of chords that are new, because those of train are its own, and for the chords heard.

A band also has figures of form, of the first sixteen bars of the pieces that have so many. The
classifier does not see them.

Ends, which are of whole pieces, have the share of the pieces that have them.
"""

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lnfgen.conventions import Progress, no_progress
from lnfgen.errors import LnfgenError
from lnfgen.music.averages import mean
from lnfgen.music.copies import longest_copies
from lnfgen.music.endings import END_FIGURES
from lnfgen.music.figure_rows import EndRow, FigureRow, spread
from lnfgen.music.figures import Figure, music_figures, usual_voices
from lnfgen.music.form import FORM_FIGURES, LONG_BARS, is_long, long_passage
from lnfgen.music.home import find_home
from lnfgen.music.pianoroll import PianoRoll, pitched_parts
from lnfgen.music.progressions import KnownPairs, chord_changes, chord_pairs
from lnfgen.music.repertoire import Repertoire
from lnfgen.music.two_sample import TwoSampleTest, standardised

# The length of a window, eight bars of 4/4; less where half of the pieces of a side are shorter
WINDOW_QUARTERS = 32
LONGEST_COPY = "longest_copy"
NEW_PAIRS = "new_chord_pairs"
OF_CHORDS = {
    "chord_changes": "chords heard: changes a bar",
    "fifth_rate": "chords heard: changes by a fourth or fifth",
}
"""The labels of the values of `chord_changes`, by name."""

# windows of a side among which distances are taken, so that large sets need no more memory
_MOST_DISTANT = 1000

# windows of the corpus that are measured to compare it with the reference
_MOST_OF_CORPUS = 600


@dataclass(frozen=True)
class MusicComparison:
    """The result of `compare_pieces`.

    Attributes:
        figures: by name, those of `lnfgen.music.figures.music_figures`, the longest copy, in
            quarters, the share of the pairs of chords that the corpus does not have, those of
            `OF_CHORDS`, and of bands those of `lnfgen.music.form.FORM_FIGURES`.
        ends: by name, those of `lnfgen.music.endings.END_FIGURES`.
        auc: how well a classifier distinguishes samples from the reference by these figures: 0.5 is
            not at all, 1 is always. Well below 0.5, both sides hold the same pieces.
        auc_interval: that of `TwoSampleTest.interval`.
        samples_variety, reference_variety: the mean distance between two windows of a side (the
            intra-set distance of mgeval), in these figures, which have a standard deviation of 1
            over both sides together.
        usual_voices: how many keys sound at most steps of the reference.
        window_quarters: the length of a window.
        train_auc: how well a classifier distinguishes the corpus from the reference: what is
            above it is the model's own. It is nan if the corpus is the reference.
        samples_windows, reference_windows: how many windows there are of each side.
        samples_songs, reference_songs: from how many songs these are. Shorter pieces have none.
    """

    figures: dict[str, FigureRow]
    ends: dict[str, EndRow]
    auc: float
    auc_interval: tuple[float, float]
    train_auc: float
    samples_variety: float
    reference_variety: float
    usual_voices: int
    window_quarters: float
    samples_windows: int
    reference_windows: int
    samples_songs: int
    reference_songs: int

    @property
    def most_copied(self) -> float:
        """The longest copy in any sample, in quarters."""
        return float(self.figures[LONGEST_COPY].samples.max())

    @property
    def copy_rate(self) -> float:
        """The share of the samples with a longer copy than 95 % of the reference have."""
        row = self.figures[LONGEST_COPY]
        _, _, high = spread(row.reference)
        return mean(row.samples > high)

    def to_json(self) -> dict[str, Any]:
        """All figures and numbers as plain JSON values, null for nan."""
        rows = {name: row.to_json() for name, row in self.figures.items()}
        ends = {name: vars(row) for name, row in self.ends.items()}
        text = json.dumps(
            {
                **vars(self),
                "most_copied": self.most_copied,
                "copy_rate": self.copy_rate,
                "figures": rows,
                "ends": ends,
            }
        )
        plain: dict[str, Any] = json.loads(text, parse_constant=lambda nan: None)
        return plain


@dataclass(frozen=True)
class _Side:
    """The windows of one side, N of them."""

    pieces: list[PianoRoll]
    windows: list[PianoRoll]
    owners: list[int]  # of each window, the place of its piece
    songs: np.ndarray  # int [N]: of each window, the number of its song

    @property
    def num_songs(self) -> int:
        """From how many songs the windows are."""
        return len(np.unique(self.songs))


def compare_pieces(
    samples: Repertoire | Sequence[PianoRoll],
    reference: Repertoire | Sequence[PianoRoll],
    corpus: Repertoire | Sequence[PianoRoll] | None = None,
    *,
    seed: int = 0,
    progress: Progress = no_progress,
) -> MusicComparison:
    """Compare pieces with those of a reference.

    All pieces are first put on the grid of the first reference piece, in its parts. Where a piece
    has no onsets, those of all others are left out, because repeated notes would then be one note
    on one side only. In a `Repertoire` several pieces may be of one song, elsewhere each is a song.

    Args:
        corpus: where copies and pairs of chords are searched for, such as the pieces that a model
            was trained on. By default this is the reference, and for each piece of the reference
            its other songs.
        seed: decides the folds of the classifier.
        progress: called with the number of windows whose figures are known, and with the number of
            all windows.

    Raises:
        LnfgenError: if the seed is negative.
    """
    if seed < 0:
        raise LnfgenError(f"a seed of {seed}; expected a whole number from 0 on")
    of_samples = Repertoire.of(samples)
    of_reference = Repertoire.of(reference)
    searched = of_reference
    searched_name = "the reference"
    if corpus is not None:
        searched = Repertoire.of(corpus)
        searched_name = "train"
    of_samples, of_reference, searched = _alike(of_samples, of_reference, searched)
    one = of_reference.pieces[0]
    num_steps = min(window_steps(of_samples.pieces), window_steps(of_reference.pieces))
    first = _windows_of_side(of_samples, num_steps)
    second = _windows_of_side(of_reference, num_steps)
    num_voices = usual_voices(second.windows)
    chosen = music_figures(num_voices, one.roles)
    figures = list(chosen.values())
    values = _measured([*first.windows, *second.windows], figures, progress)
    first_values, second_values = np.split(values, [len(first.windows)])
    of_songs = (first.songs, second.songs)
    rows = _rows(chosen, first_values, second_values, of_songs, of_band=bool(one.parts))
    is_corpus = corpus is None
    rows |= _rows_of_corpus(first, second, searched, searched_name, is_corpus=is_corpus)
    rows |= _chord_rows(first, second)
    if one.parts:
        rows |= _form_rows(of_samples, of_reference)
    test = TwoSampleTest(first_values, second_values, *of_songs, seed)
    train_auc = math.nan
    if corpus is not None:
        of_corpus = _some_windows(searched, num_steps, seed)
        corpus_values = _measured(of_corpus.windows, figures, progress)
        train_auc = TwoSampleTest(
            corpus_values, second_values, of_corpus.songs, second.songs, seed
        ).auc
    return MusicComparison(
        figures=rows,
        ends=_ends(first.pieces, second.pieces),
        auc=test.auc,
        auc_interval=test.interval(seed),
        train_auc=train_auc,
        samples_variety=_mean_distance(standardised(first_values, values)),
        reference_variety=_mean_distance(standardised(second_values, values)),
        usual_voices=num_voices,
        window_quarters=num_steps / one.steps_per_quarter,
        samples_windows=len(first_values),
        reference_windows=len(second_values),
        samples_songs=first.num_songs,
        reference_songs=second.num_songs,
    )


def _alike(*groups: Repertoire) -> list[Repertoire]:
    """The pieces of each group on the grid and in the parts of the first piece of the second group.

    They have onsets if all pieces of all groups have them.
    """
    _, reference, *_ = groups
    one = reference.pieces[0]
    every_piece = itertools.chain.from_iterable(group.pieces for group in groups)
    has_onsets = all(piece.onsets is not None for piece in every_piece)
    result = []
    for group in groups:
        alike = [piece.in_parts(one.parts).on_grid(one.steps_per_quarter) for piece in group.pieces]
        if not has_onsets:
            alike = [replace(piece, onsets=None) for piece in alike]
        result.append(Repertoire(alike, group.songs))
    return result


def _windows_of_side(repertoire: Repertoire, num_steps: int) -> _Side:
    windows = []
    owners = []
    for number, piece in enumerate(repertoire.pieces):
        for _, window in windows_of(piece, num_steps):
            windows.append(window)
            owners.append(number)
    songs = np.array([repertoire.songs[number] for number in owners], int)
    return _Side([*repertoire.pieces], windows, owners, songs)


def _some_windows(repertoire: Repertoire, num_steps: int, seed: int) -> _Side:
    """The windows of a repertoire; of a large one those of some songs, which the seed chooses."""
    whole = _windows_of_side(repertoire, num_steps)
    if len(whole.windows) <= _MOST_OF_CORPUS:
        return whole
    songs, counts = np.unique(whole.songs, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(songs))
    num_chosen = max(1, int((counts[order].cumsum() <= _MOST_OF_CORPUS).sum()))
    places = np.flatnonzero(np.isin(whole.songs, songs[order[:num_chosen]])).tolist()
    windows = [whole.windows[place] for place in places]
    owners = [whole.owners[place] for place in places]
    return _Side(whole.pieces, windows, owners, whole.songs[places])


def _measured(
    windows: Sequence[PianoRoll], figures: Sequence[Figure], progress: Progress
) -> np.ndarray:
    """The values of figures, float [windows, figures]."""
    values = np.zeros((len(windows), len(figures)))
    for row, window in enumerate(windows):
        values[row] = [figure.value(window) for figure in figures]
        progress("measuring", row + 1, len(windows))
    return values


def _rows(
    figures: Mapping[str, Figure],
    samples: np.ndarray,
    reference: np.ndarray,
    of_songs: tuple[np.ndarray, np.ndarray],
    of_band: bool,
) -> dict[str, FigureRow]:
    """The figures with their values of both sides, float [windows, figures], by name."""
    rows = {}
    for column, (name, figure) in enumerate(figures.items()):
        rows[name] = FigureRow(
            figure.label, samples[:, column], reference[:, column], of_songs, of_band
        )
    return rows


def _rows_of_corpus(
    first: _Side, second: _Side, searched: Repertoire, name: str, *, is_corpus: bool
) -> dict[str, FigureRow]:
    """The longest copies of what is searched, whose name is given, and the pairs that it lacks.

    `is_corpus` says that the second side is searched itself.
    """
    of_songs = (first.songs, second.songs)
    copies = (_copies_of(first, searched), _copies_of(second, searched, is_corpus=is_corpus))
    known = KnownPairs.of(searched)
    new_pairs = (_new_pairs_of(first, known), _new_pairs_of(second, known, is_corpus=is_corpus))
    return {
        LONGEST_COPY: FigureRow(f"longest copy of {name}, quarters", *copies, of_songs),
        NEW_PAIRS: FigureRow(f"pairs of chords that {name} does not have", *new_pairs, of_songs),
    }


def _chord_rows(first: _Side, second: _Side) -> dict[str, FigureRow]:
    """The figures of the chords that are heard."""
    of_songs = (first.songs, second.songs)
    of_first = _chord_changes_of(first)
    of_second = _chord_changes_of(second)
    rows = {}
    for column, (name, label) in enumerate(OF_CHORDS.items()):
        rows[name] = FigureRow(label, of_first[:, column], of_second[:, column], of_songs)
    return rows


def _form_rows(samples: Repertoire, reference: Repertoire) -> dict[str, FigureRow]:
    """The figures of form, by name, of the pieces that are long enough.

    There are no rows if one side has none of these.
    """
    first = _long_passages(samples)
    second = _long_passages(reference)
    if not len(first) or not len(second):
        return {}
    of_songs = (np.array(first.songs), np.array(second.songs))
    rows = {}
    for name, figure in FORM_FIGURES.items():
        first_values = np.array([figure.value(piece) for piece in first.pieces])
        second_values = np.array([figure.value(piece) for piece in second.pieces])
        label = f"{LONG_BARS} bars: {figure.label}"
        rows[name] = FigureRow(label, first_values, second_values, of_songs, of_band=True)
    return rows


def _long_passages(repertoire: Repertoire) -> Repertoire:
    """The passages that figures of form are of, a piece for each."""
    passages = []
    songs = []
    for piece, song in zip(repertoire.pieces, repertoire.songs, strict=True):
        if is_long(piece):
            passages.append(long_passage(piece))
            songs.append(song)
    return Repertoire(passages, songs)


def _copies_of(side: _Side, searched: Repertoire, *, is_corpus: bool = False) -> np.ndarray:
    """float [windows]: the longest copy of each window, in quarters.

    A window of the corpus itself is not searched for in its own song.
    """
    pitched = [pitched_parts(window) for window in side.windows]
    corpus = [pitched_parts(piece) for piece in searched.pieces]
    songs = side.songs.tolist() if is_corpus else None
    return np.array(longest_copies(pitched, corpus, songs, searched.songs))


def _new_pairs_of(side: _Side, known: KnownPairs, *, is_corpus: bool = False) -> np.ndarray:
    """float [windows]: the share of the pairs of chords of each window that are not known."""
    homes = [find_home(piece) for piece in side.pieces]
    shares = []
    for window, owner in zip(side.windows, side.owners, strict=True):
        home = homes[owner]
        share = math.nan
        if home is not None:
            share = known.new_rate(chord_pairs(window, home.tonic), int(is_corpus))
        shares.append(share)
    return np.array(shares)


def _chord_changes_of(side: _Side) -> np.ndarray:
    """float [windows, 2]: the values of `chord_changes` of each window."""
    values = np.zeros((len(side.windows), 2))
    for row, window in enumerate(side.windows):
        values[row] = chord_changes(window)
    return values


def _ends(samples: Sequence[PianoRoll], reference: Sequence[PianoRoll]) -> dict[str, EndRow]:
    """The figures of the ends of whole pieces, by name."""

    def share_of(pieces: Sequence[PianoRoll], figure: Figure) -> float:
        values = np.array([figure.value(piece) for piece in pieces], float)
        return mean(values[~np.isnan(values)])

    rows = {}
    for name, figure in END_FIGURES.items():
        rows[name] = EndRow(figure.label, share_of(samples, figure), share_of(reference, figure))
    return rows


def window_steps(pieces: Sequence[PianoRoll]) -> int:
    """The steps of a window that half of these pieces are long enough for.

    They are whole quarters where that is possible.
    """
    grid = pieces[0].steps_per_quarter
    lengths = sorted(piece.num_steps - piece.upbeat for piece in pieces)
    middle = lengths[(len(lengths) - 1) // 2]
    in_quarters = middle // grid * grid
    return min(WINDOW_QUARTERS * grid, in_quarters or middle)


def windows_of(piece: PianoRoll, num_steps: int) -> Iterator[tuple[int, PianoRoll]]:
    """Windows of `num_steps`, one after the other, each from a bar line on.

    Each comes with the step at which it begins. An upbeat and a short rest are dropped.
    """
    lines = list(piece.bars().values())
    start = piece.upbeat
    while start + num_steps <= piece.num_steps:
        yield start, piece.stretch(start, start + num_steps)
        start = next((line for line in lines if line >= start + num_steps), piece.num_steps)


def _mean_distance(rows: np.ndarray) -> float:
    """The mean Euclidean distance between two different rows; nan if there are not two."""
    rows = rows[:: math.ceil(len(rows) / _MOST_DISTANT)]
    count = len(rows)
    if count < 2:
        return math.nan
    squares = (rows**2).sum(axis=1)
    products = rows @ rows.T
    squared_distances = (squares[:, None] + squares - 2 * products) * (1 - np.eye(count))
    total = np.sqrt(np.maximum(squared_distances, 0)).sum()
    return float(total / (count * (count - 1)))
