"""What calibration rewards: passages, their figures, and the steps that have the credit."""

import math

import numpy as np
import pytest
from toy_bands import TWO, band_encoding

from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.music.figures import music_figures
from lnfgen.music.form import FORM_FIGURES
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.progressions import KnownPairs, chord_pairs
from lnfgen.music.repertoire import Repertoire
from lnfgen.music.tonality import Key
from lnfgen.training import rewards
from lnfgen.training.rewards import (
    CLOSE_QUARTERS,
    NUM_OF_CLOSE,
    NUM_OF_KEY,
    OF_FORM,
    WEIGHT_OF_CLOSE,
    Aim,
    Measures,
    Passage,
    Rewards,
    credits_of,
    parts_of_figures,
    rewards_of,
)

KEYS = 14
ENCODING = MusicEncoding(num_pitches=KEYS, lowest_pitch=60)
FIGURES = list(music_figures(1).values())
NUM_FIGURES = 3
NUM_OF_FORM = len(OF_FORM)
NUM_OF_END = NUM_OF_CLOSE + NUM_OF_FORM  # the figures that the last passage of a piece has
LAST_OF_CLOSE = -NUM_OF_FORM - 1
ALONE = np.ones((NUM_FIGURES + NUM_OF_END, 1))  # three figures of music without parts

IN_C = [(0, 4, 7), (5, 9, 12), (2, 7, 11), (0, 4, 7)]
IN_F_SHARP = [(6, 10, 13), (3, 6, 11), (1, 6, 10), (6, 10, 13)]


def roll(*chords: tuple[int, ...]) -> PianoRoll:
    """A piece of chords that are struck at each step."""
    x = np.zeros((len(chords), 1, KEYS), np.uint8)
    for step, chord in enumerate(chords):
        x[step, 0, list(chord)] = 3
    return ENCODING.decode(x)


def measures(num_steps: int, pairs: KnownPairs | None = None) -> Measures:
    """The figures of music without parts, for passages of so many steps."""
    return Measures(num_steps, 4, FIGURES, pairs or KnownPairs([]))


def without_close(figures: np.ndarray) -> np.ndarray:
    """Rows of figures `[rows, NUM_FIGURES]` as those of passages inside of pieces."""
    nothing = np.full((len(figures), NUM_OF_END), math.nan)
    return np.concatenate([figures, nothing], axis=1)


def test_passages_are_windows_and_the_end_of_a_piece_and_only_the_end_has_its_figures() -> None:
    # 31 steps: bars begin at 0 and 16
    piece = roll(*[(key,) for key in range(13)] * 2, *[(0, 4, 7)] * 5)
    found = list(measures(12).passages(3, piece, None))
    assert [(one.piece, one.from_end) for one in found] == [(3, 31), (3, 15), (3, 12)]
    closes = np.array([one.figures[-NUM_OF_END:-NUM_OF_FORM] for one in found])
    assert np.isnan(closes).all(1).tolist() == [True, True, False]
    assert not list(measures(32).passages(3, piece, None))


def test_a_passage_is_measured_beside_the_home_of_its_whole_piece() -> None:
    piece = roll(*IN_C * 8, *IN_F_SHARP * 4, *IN_C * 4)
    of_train = measures(16, KnownPairs([chord_pairs(roll(*IN_C * 2), 0)]))
    found = list(of_train.passages(0, piece, None))
    new = [passage.figures[len(FIGURES)] for passage in found]
    likeness = [passage.figures[len(FIGURES) + 1] for passage in found]
    assert new == [0, 0, 1, 0, 0]
    assert likeness[0] == likeness[1] == likeness[3] > likeness[2] + 0.5
    # A piece of train does not know its own pairs, which no other piece has.
    for passage in of_train.passages(0, piece, None, is_own=True):
        assert passage.figures[len(FIGURES)] == 1


def test_a_piece_that_left_the_home_it_was_drawn_in_is_not_like_it() -> None:
    piece = roll(*IN_C * 8)
    in_c, in_f_sharp = Key(0, "major"), Key(6, "major")
    at_home = list(measures(16).passages(0, piece, in_c))
    elsewhere = list(measures(16).passages(0, piece, in_f_sharp))
    for one, other in zip(at_home, elsewhere, strict=True):
        assert one.figures[len(FIGURES) + 1] > other.figures[len(FIGURES) + 1] + 0.5
    assert (at_home[-1].figures[LAST_OF_CLOSE], elsewhere[-1].figures[LAST_OF_CLOSE]) == (1, 0)


@pytest.mark.parametrize(("window", "expected"), [(32, 16), (10, 5), (1, 1)])
def test_passages_of_a_band_are_half_as_long(
    window: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rewards, "window_steps", lambda pieces: window)
    encoding = band_encoding(TWO, num_keys=KEYS)
    songs = [encoding.decode(np.zeros((40, 2, KEYS), np.uint8))]
    assert Aim.of(Repertoire.of(songs), seed=1).measures.num_steps == expected
    assert Aim.of(Repertoire.of([roll(*[(1,)] * 40)]), seed=1).measures.num_steps == window


def test_rewards_are_the_logarithm_of_the_ratio_of_two_densities() -> None:
    rng = np.random.default_rng(1)
    samples = without_close(rng.normal(0, 1, (300, NUM_FIGURES)))
    reference = without_close(rng.normal([1, 0, 0], 1, (300, NUM_FIGURES)))
    samples[::7, 1] = math.nan  # a passage without a value is like the mean
    found = rewards_of(samples, samples, reference, ALONE)
    of_passages = found.of_passages[:, 0]
    assert abs(of_passages.mean()) < 1e-2
    assert np.polyfit(samples[:, 0], of_passages, 1)[0] == pytest.approx(1, abs=0.25)
    assert not found.of_closes.any()
    far = without_close(np.array([[1e9, 0, 0], [-1e9, 0, 0], [0, 0, 0]]))
    # What lies beyond all true passages is no better for being on their side.
    *strange, usual = rewards_of(far, samples, reference, ALONE).of_passages[:, 0].tolist()
    assert strange[0] == strange[1] < usual
    assert sum(strange) + usual == pytest.approx(0)


def test_the_figures_of_closes_reward_closes_alone() -> None:
    rng = np.random.default_rng(1)
    samples = without_close(rng.normal(0, 1, (900, NUM_FIGURES)))
    reference = without_close(rng.normal(0, 1, (900, NUM_FIGURES)))
    samples[::3, NUM_FIGURES:-NUM_OF_FORM] = rng.random((300, NUM_OF_CLOSE)) < 0.5
    reference[::3, NUM_FIGURES:-NUM_OF_FORM] = rng.random((300, NUM_OF_CLOSE)) < [
        0.9,
        0.5,
        0.5,
        0.5,
    ]
    found = rewards_of(samples, samples, reference, ALONE)
    is_close = np.arange(900) % 3 == 0
    assert not found.of_closes[~is_close].any()
    closes = found.of_closes[is_close, 0]
    assert closes.mean() == pytest.approx(0, abs=1e-9)
    is_held = samples[is_close, NUM_FIGURES] == 1
    odds = math.log(0.9 / 0.1)
    assert closes[is_held].mean() - closes[~is_held].mean() == pytest.approx(odds, abs=0.6)
    assert found.of_passages.std() < 0.3


def test_without_passages_there_are_no_rewards() -> None:
    reference = without_close(np.random.default_rng(1).normal(0, 1, (20, NUM_FIGURES)))
    nothing = np.empty((0, NUM_FIGURES + NUM_OF_END))
    assert rewards_of(nothing, nothing, reference, ALONE).of_passages.shape == (0, 1)


def test_a_figure_of_a_part_rewards_this_part_alone() -> None:
    roles = ("drums", "bass", "melody")
    figures = music_figures(1, roles)
    of_parts = parts_of_figures(list(figures.values()), roles)
    others = [f"key {number}" for number in range(NUM_OF_KEY)]
    others += [f"close {number}" for number in range(NUM_OF_CLOSE)]
    others += FORM_FIGURES
    own = dict(zip([*figures, *others], of_parts.tolist(), strict=True))
    assert own["drums_repeat_rate"] == [1, 0, 0]
    assert own["form_slip_rate"] == [1, 0, 0]
    assert own["bass_polyphony"] == [0, 1, 0]
    assert own["melody_bar_rate"] == own["melody_notes_per_bar"] == [0, 0, 1]
    assert own["chord_rate"] == own["key 1"] == own["close 1"] == [0, 1, 1]  # drums have no chords
    rng = np.random.default_rng(1)
    samples = rng.normal(0, 1, (1000, len(own)))
    samples[:, -NUM_OF_END:] = math.nan
    reference = samples.copy()
    reference[:, list(own).index("bass_polyphony")] += 1
    of_passages = rewards_of(samples, samples, reference, of_parts).of_passages
    assert of_passages[:, 1].std() > 0.5
    assert of_passages[:, [0, 2]].std() < 0.25


def test_credit_lies_on_a_passage_on_half_of_it_before_and_on_the_close() -> None:
    nothing = np.zeros(1)
    passages = [Passage(0, 24, nothing), Passage(0, 16, nothing)]
    of_forms = np.array([[0.0, 0.0], [0.5, 0.0]])
    found = Rewards(
        np.array([[1.0, -1.0], [2.0, 0.0]]), np.array([[0.0, 0.0], [4.0, 4.0]]), of_forms
    )
    grid = 1
    [credit] = credits_of([40], passages, found, Measures(16, grid, [], KnownPairs([])))
    expected = np.zeros((40, 2))
    for reward, start in zip(found.of_passages, (16, 24), strict=True):
        expected[start : start + 16] += reward
        expected[start - 16 : start] += reward / 2
    expected[-CLOSE_QUARTERS:] += WEIGHT_OF_CLOSE * 4
    expected += of_forms[1]
    assert credit.tolist() == expected.tolist()


def test_the_form_of_long_pieces_of_a_band_rewards_all_of_their_steps() -> None:
    encoding = band_encoding(TWO, num_keys=KEYS)
    bar = encoding.steps_of_bars(1, None)
    rng = np.random.default_rng(1)
    moving = np.zeros((16 * bar, 2, KEYS), np.uint8)
    moving[np.arange(16 * bar), 1, rng.integers(0, KEYS, 16 * bar)] = 3
    standing = np.tile(moving[:bar], (16, 1, 1))
    short = moving[: 8 * bar]
    pieces = [encoding.decode(x) for x in (moving, standing, short)]
    aim = Aim.of(Repertoire.of([pieces[0], pieces[2]] * 20), seed=1)
    found = aim.passages_of(pieces, [None] * 3)
    forms = found.figures[:, -NUM_OF_FORM:]
    has_form = ~np.isnan(forms).all(axis=1)
    last = {passage.piece: row for row, passage in enumerate(found.passages)}
    assert np.flatnonzero(has_form).tolist() == [last[0], last[1]]
    samples = np.tile(found.figures, (20, 1))
    gained = rewards_of(found.figures, samples, aim.passages.figures, aim.of_parts)
    assert gained.of_forms[last[0], 1] > gained.of_forms[last[1], 1]
    assert not gained.of_forms[~has_form].any()
