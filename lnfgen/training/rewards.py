"""What calibration rewards: passages of samples with the figures of those of the train split.

A passage is a window of a piece, or its last steps. It has figures of its own, figures beside the
home of its piece, and the last one has those of the close, and those of the form of a band. A
classifier learns which figures tell passages of samples from those of train, and its score is their
reward. What the figures of the close add to it is the reward of the last steps alone, and what
those of the form add is the reward of the whole piece.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lnfgen.music.comparison import window_steps, windows_of
from lnfgen.music.endings import ends_at_home, ends_on_cadence, ends_on_triad, keeps_key
from lnfgen.music.figures import Figure, music_figures, usual_voices
from lnfgen.music.form import FORM_FIGURES, is_long, long_passage
from lnfgen.music.home import find_home, last_bass
from lnfgen.music.parts import are_pitched
from lnfgen.music.pianoroll import PianoRoll, pitched_parts
from lnfgen.music.progressions import (
    KnownPairs,
    chord_numbers,
    chord_pairs,
    resting_bass_rate,
    tonic_rate,
    variety_of_chords,
)
from lnfgen.music.repertoire import Repertoire
from lnfgen.music.tonality import MODES, Key, key_profiles
from lnfgen.music.two_sample import regression, standardised

FARTHEST = 4.0
"""A figure further from the mean of train, in standard deviations, counts as so far."""

GREATEST = 3.0
"""The bound of the reward of a passage, in nats."""

FORESIGHT = 0.5
"""The share of the reward of a passage that as many steps before it get."""

CLOSE_QUARTERS = 8
"""The last quarters of a piece, which get the reward of its close."""

WEIGHT_OF_CLOSE = 2.0
"""A piece has one close among many passages, so its reward counts so many times."""

OF_CHORDS = (variety_of_chords, tonic_rate, resting_bass_rate)
"""The figures of the chords of a passage without parts, beside the home of its piece."""

NUM_OF_KEY = 3 + len(OF_CHORDS)
"""The figures of a passage beside the home of its piece; see `Measures.of_key`."""

NUM_OF_CLOSE = 4
"""The figures of the close; see `Measures.of_close`."""

OF_FORM = tuple(FORM_FIGURES.values())
"""The figures of the form of a band. They come last, after those of the close."""

_CLOSE = slice(-NUM_OF_CLOSE - len(OF_FORM), -len(OF_FORM))
_FORM = slice(-len(OF_FORM), None)

MOST_PASSAGES = 2_000
"""The most passages of train that are measured, but for those of one piece."""


class Passage(NamedTuple):
    """A passage of a piece."""

    piece: int  # the place of its piece
    from_end: int  # the steps from its start to the end of the piece
    figures: np.ndarray


class Passages(NamedTuple):
    """The passages of some pieces, as tables."""

    passages: list[Passage]
    figures: np.ndarray  # [passages, figures]: the last columns are of the close and the form
    songs: np.ndarray  # int [passages], the song of each

    @classmethod
    def of(cls, passages: list[Passage], num_figures: int, songs: Sequence[int]) -> "Passages":
        """The tables of some passages. `songs` has the song of each piece."""
        figures = np.array([passage.figures for passage in passages]).reshape(-1, num_figures)
        of_passages = np.array([songs[passage.piece] for passage in passages], int)
        return cls(passages, figures, of_passages)


class Measures(NamedTuple):
    """What is measured of passages: chosen figures, those beside the home, and of the close."""

    num_steps: int  # of a passage
    steps_per_quarter: int
    chosen: list[Figure]
    known_pairs: KnownPairs  # of the train split

    @property
    def num_figures(self) -> int:
        return len(self.chosen) + NUM_OF_KEY + NUM_OF_CLOSE + len(OF_FORM)

    def passages(
        self, place: int, piece: PianoRoll, home: Key | None, *, is_own: bool = False
    ) -> Iterator[Passage]:
        """The windows of a piece and its last steps, with their figures.

        Args:
            home: that in which it was drawn; None for the one that it has.
            is_own: if the piece is one of the train split.
        """
        if home is None:
            home = find_home(piece)
        cuts = list(windows_of(piece, self.num_steps))
        num_windows = len(cuts)
        last = piece.num_steps - self.num_steps
        if last >= 0:
            cuts.append((last, piece.stretch(last, piece.num_steps)))
        for number, (start, window) in enumerate(cuts):
            is_last = number == num_windows
            figures = [figure.value(window) for figure in self.chosen]
            figures += self.of_key(window, home, is_own=is_own)
            if is_last:
                figures += [keeps_key(piece), *self.of_close(piece, home), *self.of_form(piece)]
            else:
                figures += [math.nan] * (1 + NUM_OF_CLOSE + len(OF_FORM))
            yield Passage(place, piece.num_steps - start, np.array(figures, float))

    def of_key(self, window: PianoRoll, home: Key | None, *, is_own: bool) -> list[float]:
        """The share of new pairs of chords, how much the window is like the home, and `OF_CHORDS`.

        One more figure, if the piece keeps its key, is of the last passage alone.
        """
        if home is None:
            return [math.nan] * (NUM_OF_KEY - 1)
        pairs = chord_pairs(window, home.tonic)
        likeness = key_profiles(pitched_parts(window))[MODES.index(home.mode), home.tonic]
        figures = [self.known_pairs.new_rate(pairs, int(is_own)), float(likeness)]
        if window.parts:
            figures += [math.nan] * len(OF_CHORDS)
        else:
            chords = chord_numbers(window, home.tonic)
            figures += [figure(chords) for figure in OF_CHORDS]
        return figures

    @staticmethod
    def of_close(piece: PianoRoll, home: Key | None) -> list[float]:
        """If a piece closes on a held triad, on its tonic, by a cadence and on that of the home."""
        on_home = math.nan
        if home is not None and pitched_parts(piece).sounding.any():
            on_home = last_bass(pitched_parts(piece)) % 12 == home.tonic
        return [ends_on_triad(piece), ends_at_home(piece), ends_on_cadence(piece), on_home]

    @staticmethod
    def of_form(piece: PianoRoll) -> list[float]:
        """The figures of the form of a long piece of a band; nan of others."""
        if not is_long(piece):
            return [math.nan] * len(OF_FORM)
        passage = long_passage(piece)
        return [figure.value(passage) for figure in OF_FORM]


class Aim(NamedTuple):
    """The figures that samples are to have."""

    passages: Passages  # of train
    measures: Measures
    of_parts: np.ndarray  # see `parts_of_figures`

    @classmethod
    def of(cls, repertoire: Repertoire, seed: int) -> "Aim":
        """The aim of pieces of the train split, of which `seed` chooses some if they are many."""
        train = repertoire.pieces
        roles = train[0].roles
        num_steps = window_steps(train)
        if roles:  # songs of a band are few, and so half of what is a passage elsewhere is one
            num_steps -= num_steps // 2
        chosen = list(music_figures(usual_voices(train), roles).values())
        known_pairs = KnownPairs.of(repertoire)
        measures = Measures(num_steps, train[0].steps_per_quarter, chosen, known_pairs)
        passages: list[Passage] = []
        for place in np.random.default_rng(seed).permutation(len(train)).tolist():
            if len(passages) < MOST_PASSAGES:
                passages += measures.passages(place, train[place], None, is_own=True)
        of_train = Passages.of(passages, measures.num_figures, repertoire.songs)
        return cls(of_train, measures, parts_of_figures(chosen, roles))

    def passages_of(self, pieces: Sequence[PianoRoll], homes: Sequence[Key | None]) -> Passages:
        """The passages of samples, which were drawn in these homes."""
        passages: list[Passage] = []
        for place, (piece, home) in enumerate(zip(pieces, homes, strict=True)):
            passages += self.measures.passages(place, piece, home)
        return Passages.of(passages, self.measures.num_figures, range(len(pieces)))


def parts_of_figures(chosen: Sequence[Figure], roles: Sequence[str]) -> np.ndarray:
    """Which parts each figure is of, as 0 and 1: `[figures, R]`.

    Those beside the home and of the close are of all pitched parts.
    """
    pitched = are_pitched(roles)
    whole = pitched if pitched.any() else np.ones_like(pitched)  # drums alone

    def parts_of(figure: Figure) -> np.ndarray:
        if figure.role in roles:
            return np.array([role == figure.role for role in roles])
        return whole

    rows = [parts_of(figure) for figure in chosen]
    rows += [whole] * (NUM_OF_KEY + NUM_OF_CLOSE)
    rows += [parts_of(figure) for figure in OF_FORM]
    return np.array(rows, float)


class Rewards(NamedTuple):
    """The rewards of passages, and of the closes and forms that some have, each `[passages, R]`."""

    of_passages: np.ndarray
    of_closes: np.ndarray  # 0 for passages without a close
    of_forms: np.ndarray  # 0 for passages that do not end a long piece of a band


def rewards_of(
    figures: np.ndarray, samples: np.ndarray, reference: np.ndarray, of_parts: np.ndarray
) -> Rewards:
    """How much more each part looks like the reference than like samples, in nats.

    The rewards are of the rows of `figures`. The classifier is fitted to the rows of `samples` and
    of `reference`. A part has what the figures `of_parts` that are its own add to the score. A row
    has the least reward if a figure is too far, and beyond all of the reference, as where a chord
    never ends. The mean of the rewards is 0; otherwise all that is drawn would become likelier, or
    less.
    """
    distances = standardised(figures, reference)
    is_true = np.repeat([0.0, 1.0], [len(samples), len(reference)])
    both = standardised(np.concatenate([samples, reference]), reference)
    weights = regression(both.clip(-FARTHEST, FARTHEST), is_true)
    scores = distances.clip(-FARTHEST, FARTHEST)[..., None] * weights[:, None] * of_parts
    beyond = (figures < np.fmin.reduce(reference)) | (figures > np.fmax.reduce(reference))
    is_strange = (beyond & (abs(distances) > FARTHEST)).any(1)
    of_passages = _bounded(scores[:, : _CLOSE.start].sum(1), is_strange)
    has_close = ~np.isnan(figures[:, _CLOSE]).any(1)
    of_closes = _bounded_where(has_close, scores[:, _CLOSE].sum(1), is_strange)
    has_form = ~np.isnan(figures[:, _FORM]).all(1)
    of_forms = _bounded_where(has_form, scores[:, _FORM].sum(1), is_strange)
    return Rewards(of_passages, of_closes, of_forms)


def _bounded_where(are_there: np.ndarray, scores: np.ndarray, is_strange: np.ndarray) -> np.ndarray:
    """The scores `[rows, R]` of some rows, bounded among themselves; 0 in all others."""
    rewards = np.zeros_like(scores)
    rewards[are_there] = _bounded(scores[are_there], is_strange[are_there])
    return rewards


def _bounded(scores: np.ndarray, is_strange: np.ndarray) -> np.ndarray:
    """The scores `[rows, R]` within `GREATEST` of their mean, which becomes 0."""
    if not len(scores):
        return scores
    rewards = (scores - scores.mean(0)).clip(-GREATEST, GREATEST)
    rewards = np.where(is_strange[:, None], -GREATEST, rewards)
    return rewards - rewards.mean(0)


def credits_of(
    lengths: Sequence[int], passages: Sequence[Passage], rewards: Rewards, measures: Measures
) -> list[Tensor]:
    """The credit of each step of drawn pieces of these lengths, `[T, R]` each.

    The steps of a passage have its reward. Those before it get a share of it, because they lead to
    it. The last steps of a piece have the reward of its close, and all steps that of its form.
    """
    of_passages = torch.from_numpy(rewards.of_passages).float()
    of_closes = WEIGHT_OF_CLOSE * torch.from_numpy(rewards.of_closes).float()
    of_forms = torch.from_numpy(rewards.of_forms).float()
    credits = [torch.zeros(length, of_passages.shape[1]) for length in lengths]
    num_steps = measures.num_steps
    close_steps = CLOSE_QUARTERS * measures.steps_per_quarter
    for number, passage in enumerate(passages):
        credit = credits[passage.piece]
        # From the end, because a decoded piece lacks the silence before an upbeat.
        start = len(credit) - passage.from_end
        credit[start : start + num_steps] += of_passages[number]
        before = min(start, num_steps)
        credit[start - before : start] += FORESIGHT * of_passages[number]
        credit[-close_steps:] += of_closes[number]
        credit += of_forms[number]
    return credits
