"""Keeping a part of a piece: what is given stays exactly, and the rest is drawn."""

from typing import Any

import numpy as np
import pytest
import torch
from toy_bands import TWO, band_encoding
from toy_keys import HAS_ONSETS, KEYS, LOWEST, random_roll, small_music
from toy_models import toy
from toy_music import band

from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.data.text_encoding import TextEncoding
from lnfgen.errors import LnfgenError
from lnfgen.inference.filling import added_steps, fill_pieces, vary_pieces
from lnfgen.inference.known_music import HEARD_STEPS, KnownMusic, on_grid
from lnfgen.inference.known_part import known_intro, known_part, known_whole
from lnfgen.inference.pitch_range import transposed_to_range
from lnfgen.models.length import LengthModel
from lnfgen.models.observation import Frames, Symbols
from lnfgen.music.notes import Note
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Song

ON_LSTMS = [("lstm", "autoregressive"), ("lstm", "nade"), ("af-scf", "bernoulli")]


def whole_notes(roll: PianoRoll, kept: np.ndarray) -> set[Note]:
    """The notes all of whose cells are kept: bool [T, 1, P]."""
    found = set()
    for start, length, pitch in roll.notes():
        if kept[start : start + length, 0, pitch - LOWEST].all():
            found.add((start, length, pitch))
    return found


def keeping(encoding: MusicEncoding, roll: PianoRoll, kept: np.ndarray) -> KnownMusic:
    """The roll with these cells known, bool [T, 1, P], as they are and not by whole notes."""
    hidden = np.zeros((roll.num_steps, 1, 128), np.bool_)
    hidden[..., LOWEST : LOWEST + KEYS] = ~kept
    return KnownMusic.aligned(encoding, on_grid(encoding, roll), hidden)


@HAS_ONSETS
@pytest.mark.parametrize(("name", "emission"), ON_LSTMS)
def test_what_is_given_is_kept_note_for_note(has_onsets: bool, name: str, emission: str) -> None:
    model, encoding = small_music(has_onsets, name, emission)
    num_drawn = 0
    for seed in range(6):
        roll = random_roll(has_onsets, seed)
        share = (0.2, 0.5, 0.8)[seed % 3]
        kept = np.random.default_rng(100 + seed).random(roll.sounding.shape) < share
        values = encoding.encode(roll)
        part = keeping(encoding, roll, kept)
        for piece in fill_pieces(model, part, count=3, particles=4, seed=seed):
            assert isinstance(piece, Song)
            found = encoding.encode(piece.roll.in_range(LOWEST, KEYS))
            assert np.array_equal(found[kept], values[kept])
            assert whole_notes(roll, kept) <= set(piece.roll.notes())
            assert piece.roll.tempo_bpm == roll.tempo_bpm
            assert piece.roll.time_signature == roll.time_signature
            assert piece.roll.num_steps == 9
            num_drawn += int((found != values).sum())
    assert num_drawn > 0


def test_an_odd_number_is_refused() -> None:
    model, encoding = small_music(True)
    roll = random_roll(True, 1)
    with pytest.raises(LnfgenError, match="among the model's keys, C4 to F4"):
        list(fill_pieces(model, known_part(encoding, roll, ["keys:C7"])))
    part = known_part(encoding, roll, ["bars:1"])
    for wrong in ({"count": 0}, {"temperature": float("nan")}, {"seed": -1}, {"particles": 0}):
        with pytest.raises(LnfgenError, match="expected"):
            list(fill_pieces(model, part, **wrong))  # type: ignore[arg-type]


def test_pieces_are_drawn_in_blocks_and_their_progress_counts_steps() -> None:
    model = toy("lstm", Symbols(4))
    part = known_part(TextEncoding(("\ufffd", "a", "b", "c")), "a__", [])
    found: list[tuple[str, int, int]] = []

    def progress(*done: Any) -> None:
        found.append(done)

    texts = list(fill_pieces(model, part, count=3, particles=256, seed=5, progress=progress))
    # two pieces, and then the third
    assert found == [("drawing", step, 9) for step in (2, 4, 6, 7, 8, 9)]
    assert texts[:1] == list(fill_pieces(model, part, particles=256, seed=5))


# How long a piece goes on.


def test_an_intro_goes_on_for_steps_or_bars_or_as_the_data() -> None:
    model, encoding = small_music(True)
    intro = random_roll(True, 2)
    # 9 steps are two bars and a quarter
    assert added_steps(model, encoding, intro, None, 2, 0) == 11
    assert added_steps(model, encoding, intro, 3, None, 0) == 3
    model.length = LengthModel.fit(torch.tensor([8, 12, 12, 12]))
    assert {added_steps(model, encoding, intro, None, None, seed) for seed in range(20)} & {3}
    with pytest.raises(LnfgenError, match="leave one out"):
        added_steps(model, encoding, intro, 3, 2, 0)
    with pytest.raises(LnfgenError, match=r"in bars .* for text"):
        added_steps(toy("lstm", Symbols(2)), TextEncoding(("\ufffd", "a")), "aa", None, 2, 0)


# Variations.


def varied_rolls(name: str, whole: KnownMusic, amount: float, **asked: int) -> list[PianoRoll]:
    model, _ = small_music(True, name)
    rolls = []
    for piece in vary_pieces(model, whole, amount=amount, particles=4, **asked):
        assert isinstance(piece, Song)
        rolls.append(piece.roll)
    return rolls


def small_whole() -> KnownMusic:
    _, encoding = small_music(True)
    whole = known_whole(encoding, random_roll(True, 3, steps=16))
    assert isinstance(whole, KnownMusic)
    return whole


@pytest.mark.parametrize("name", ["lstm", "af-scf"])
def test_a_variation_keeps_all_but_a_share(name: str) -> None:
    """Of bars and voices, and with a share of 1 nothing."""
    whole = small_whole()
    own = whole.song.roll
    for roll in varied_rolls(name, whole, 0, count=2):
        assert roll.notes() == own.notes()
    num_changed = []
    for amount in (0.1, 0.5, 1.0):
        rolls = varied_rolls(name, whole, amount, count=3, seed=1)
        assert {roll.num_steps for roll in rolls} == {16}
        changed = 0
        for roll in rolls:
            found = whole.encoding.encode(roll.in_range(LOWEST, KEYS))
            changed += int((found != whole.values).sum())
        num_changed.append(changed)
    assert 0 < num_changed[0] < num_changed[1] < num_changed[2]


def test_a_variation_does_not_depend_on_how_many() -> None:
    whole = small_whole()
    first, second = varied_rolls("lstm", whole, 0.3, count=2, seed=1)
    (alone,) = varied_rolls("lstm", whole, 0.3, seed=1)
    assert alone == first
    assert first != second


def test_an_amount_or_a_count_out_of_range_is_refused() -> None:
    for wrong in (-0.1, 1.5, float("nan")):
        with pytest.raises(LnfgenError, match="an amount of"):
            varied_rolls("lstm", small_whole(), wrong)
    with pytest.raises(LnfgenError, match="0 pieces; expected 1 to 1,000,000,000"):
        varied_rolls("lstm", small_whole(), 0.5, count=0)


def test_a_text_varies_in_spans() -> None:
    encoding = TextEncoding(("\ufffd", "a", "b", "c"))
    model = toy("lstm", Symbols(4))
    text = "abcxabcabcabcabcabcabcab"
    whole = known_whole(encoding, text)
    for piece in vary_pieces(model, whole, amount=1 / 3, count=5, seed=1):
        assert isinstance(piece, str)
        assert len(piece) == 24
        same = [piece[start : start + 8] == text[start : start + 8] for start in (0, 8, 16)]
        assert sum(same) == 2
    assert list(vary_pieces(model, whole, amount=0)) == [text]


# Bands.

NUM_STEPS = 32
BAND = band(
    NUM_STEPS,
    bass=[(0, 16, 40), (16, 16, 41)],
    melody=[(step, 1, 60 + step % 7) for step in range(30)],
)


def test_a_band_goes_on_in_all_its_parts() -> None:
    model = toy("lstm", Frames(49, True, parts=2))
    encoding = band_encoding(TWO)
    assert added_steps(model, encoding, BAND, 3, None, 0) == 3
    assert added_steps(model, encoding, BAND, None, 1, 0) == 16
    intro = transposed_to_range(model, known_intro(encoding, BAND, 6))
    (longer,) = fill_pieces(model, intro, particles=2)
    assert isinstance(longer, Song)
    assert longer.roll.num_steps == NUM_STEPS + 6
    for part in range(2):
        assert set(BAND.notes(part)) <= set(longer.roll.notes(part))


def test_a_band_varies_in_parts_of_bars() -> None:
    model = toy("lstm", Frames(49, True, parts=2))
    whole = known_whole(band_encoding(TWO), BAND)
    for other in vary_pieces(model, whole, amount=0.25, count=4, particles=2):
        assert isinstance(other, Song)
        assert other.drawn is not None
        is_drawn = other.drawn.any(axis=2).reshape(2, 16, 2).any(axis=1)  # bars and parts
        assert is_drawn.sum() == 1
        for part in range(2):
            kept = [note for note in BAND.notes(part) if not is_drawn[note[0] // 16, part]]
            assert set(kept) <= set(other.roll.notes(part))


@pytest.mark.parametrize("hidden", ["bars:200-201", "after", "bars:1", "bars:399-"])
def test_of_a_long_piece_the_model_hears_what_is_near(hidden: str) -> None:
    """All else stays as it was, and the steps to draw do not grow with the piece."""
    model, encoding = small_music(True)
    roll = random_roll(True, 1, steps=1600)
    if hidden == "after":
        part = known_intro(encoding, roll, 8)
    else:
        part = known_part(encoding, roll, [hidden])
    assert isinstance(part, KnownMusic)
    totals = set()
    [piece] = fill_pieces(
        model, part, particles=2, progress=lambda what, done, total: totals.add(total)
    )
    [num_steps] = totals
    assert num_steps <= 8 + 2 * HEARD_STEPS + 8 * 4
    assert isinstance(piece, Song)
    own = part.song.roll
    assert piece.roll.num_steps == own.num_steps
    kept = ~part.hidden_cells[:, :, LOWEST : LOWEST + KEYS]
    found = piece.roll.in_range(LOWEST, KEYS)
    before = own.in_range(LOWEST, KEYS)
    assert np.array_equal(found.sounding[kept], before.sounding[kept])
    assert np.array_equal(found.struck()[kept], before.struck()[kept])
    again = part.near_hidden()
    assert again.home == part.home, "it is that of the whole piece"
