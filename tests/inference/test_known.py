"""A piece of which a part is known: what is refused, and what is drawn around a text, after an
intro, on which keys."""

from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pytest
import torch
from toy_keys import HAS_ONSETS, KEYS, LOWEST, random_roll, small_music
from toy_models import every_sequence, toy

from lnfgen.data.encoding import Encoding
from lnfgen.errors import LnfgenError
from lnfgen.inference.filling import added_steps, fill_pieces
from lnfgen.inference.known import known_intro, known_part, known_whole, laid
from lnfgen.inference.steering import known_bits
from lnfgen.models.length import LengthModel
from lnfgen.models.observation import Frames, Symbols
from lnfgen.music.pianoroll import PianoRoll


def test_an_odd_request_is_refused() -> None:
    model, encoding = small_music(True)
    roll = random_roll(True, 1)
    silent = replace(roll, sounding=np.zeros_like(roll.sounding), onsets=None)
    text, plain = (Encoding("text", vocabulary=("\ufffd", "a", "b", *more)) for more in ("_", ""))
    for words, piece, free, model_of in (
        ("nothing that is free; .* --free", roll, [], encoding),
        ("no note of the piece is kept", roll, ["bars:1-"], encoding),
        ("notes on a piano's keys", silent, ["bars:1"], encoding),
        ("expected music", "abc", [], encoding),
        ("expected text", roll, ["bars:1"], text),
        ("another character and --gap", "a_b", [], text),
        ("another character and --gap", "ab", [], text),
        ("no gap .* --free 10-20", "ab", [], plain),
        ("from 1 to 2", "ab", ["1,2-3"], text),
        ("no character of the piece is kept", "ab", ["1-"], text),
        ("from 1 to 2", "ab", ["2-3"], text),
        ("numbers of characters", "ab", ["bars:1"], text),
    ):
        with pytest.raises(LnfgenError, match=words):
            known_part(model_of, piece, free)
    with pytest.raises(LnfgenError, match="gaps in music"):
        known_part(encoding, roll, ["bars:1"], gap="x")
    with pytest.raises(LnfgenError, match="among the model's keys, C4 to F4"):
        list(fill_pieces(model, encoding, known_part(encoding, roll, ["keys:C7"])))
    for wrong in ({"count": 0}, {"temperature": float("nan")}, {"seed": -1}, {"particles": 0}):
        with pytest.raises(LnfgenError, match="expected"):
            list(fill_pieces(model, encoding, known_part(encoding, roll, ["bars:1"]), **wrong))  # type: ignore[arg-type]


def test_a_text_keeps_its_characters_even_unknown_ones() -> None:
    encoding = Encoding("text", vocabulary=("\ufffd", "a", "b", "c"))
    model = toy("lstm", Symbols(4))
    part = known_part(encoding, "a_bx__c", [])
    assert part.changes["unknown"] == 1
    texts = list(fill_pieces(model, encoding, part, count=9, temperature=3.0, seed=1))
    for text in texts:
        assert isinstance(text, str)
        assert (text[0], text[2:4], text[6], len(text)) == ("a", "bx", "c", 7)
    assert len(set(texts)) > 1
    assert texts[:2] == list(fill_pieces(model, encoding, part, count=2, temperature=3.0, seed=1))
    assert known_part(encoding, "abc", ["2-"]).hidden.tolist() == [False, True, True]
    assert known_part(encoding, "abcab", ["1-2,4", "4-5"]).hidden.tolist() == [
        True,
        True,
        False,
        True,
        True,
    ]
    assert known_part(encoding, "a?c", [], gap="?").hidden.tolist() == [False, True, False]


@HAS_ONSETS
def test_an_intro_goes_on_and_stays_as_it_is(has_onsets: bool) -> None:
    model, encoding = small_music(has_onsets)
    intro = random_roll(has_onsets, 2)
    part = known_intro(encoding, intro, 5)
    for piece in fill_pieces(model, encoding, part, count=4):
        assert isinstance(piece, PianoRoll)
        assert piece.num_steps == 14
        assert set(intro.notes()) <= set(piece.notes())
    # 9 steps are two bars and a quarter
    assert added_steps(model, encoding, intro, None, 2, 0) == 11
    assert added_steps(model, encoding, intro, 3, None, 0) == 3
    model.length = LengthModel.fit(torch.tensor([8, 12, 12, 12]))
    assert {added_steps(model, encoding, intro, None, None, seed) for seed in range(20)} & {3}
    with pytest.raises(LnfgenError, match="leave one out"):
        added_steps(model, encoding, intro, 3, 2, 0)


def outer(pattern: tuple[bool, ...], voices: int) -> tuple[int, ...]:
    """The keys that are given back of a frame: the highest ones, and the lowest one if there are
    two voices or more."""
    keys = [key for key, sounds in enumerate(pattern) if sounds]
    return (
        tuple(keys)
        if len(keys) <= voices
        else tuple(keys[:1] * (voices > 1) + keys[-max(voices - 1, 1) :])
    )


@pytest.mark.parametrize("voices", [1, 2])
def test_an_intro_goes_on_as_the_outer_voices_of_a_fuller_piece(voices: int) -> None:
    """As often as those are likely, by a sum over all that may sound below them."""
    frames, low = Frames(3, has_onsets=True), LOWEST
    model = toy("lstm", frames, emission="nade")
    encoding = Encoding("music", True, lowest_pitch=low, num_pitches=3, steps_per_quarter=1)
    notes = [(0, 1, low + 2), (0, 1, low)][:voices]
    intro = PianoRoll.from_notes(notes, steps_per_quarter=1, lowest_pitch=low, num_pitches=3)
    part = known_intro(encoding, intro, 1)
    every = every_sequence(frames, 2)
    known = known_bits(model, part)
    found = frames.known(every, known.mask.expand(len(every), -1, -1)).values
    counts = torch.cat([torch.ones_like(every, dtype=torch.bool), every > 0], -1) & known.mask
    agrees = ~((found != known.values) & counts).flatten(1).any(1)
    with torch.no_grad():
        scores = (
            model(every[agrees], torch.full((int(agrees.sum()),), 2), None)
            .reconstruction[0]
            .double()
            .softmax(0)
        )
    expected: dict[tuple[int, ...], float] = defaultdict(float)
    for x, share in zip(every[agrees], scores.tolist(), strict=True):
        expected[outer(tuple((x[-1] > 0).tolist()), voices)] += share
    drawn: Counter[tuple[int, ...]] = Counter()
    for piece in fill_pieces(model, encoding, part, count=1000, particles=8):
        assert isinstance(piece, PianoRoll)
        assert np.array_equal(piece.sounding[:1], intro.sounding)
        drawn[tuple(np.flatnonzero(piece.sounding[1]).tolist())] += 1
    assert len(expected) == (4 if voices == 1 else 7)
    assert sum(abs(drawn[keys] / 1000 - share) for keys, share in expected.items()) / 2 < 0.05


@HAS_ONSETS
def test_a_piece_goes_on_with_as_many_voices_as_its_end_has(has_onsets: bool) -> None:
    model, encoding = small_music(has_onsets)
    # three, then one, then two
    notes = [(0, 4, 60), (0, 4, 62), (0, 4, 64), (4, 8, 63), (8, 4, 65)]
    roll = PianoRoll.from_notes(notes, steps_per_quarter=1, lowest_pitch=LOWEST, num_pitches=KEYS)

    def most(intro: PianoRoll, voices: int | None = None) -> int:
        pieces = fill_pieces(
            model, encoding, known_intro(encoding, intro, 8, voices), count=4, particles=2
        )
        return max(int(piece.sounding[intro.num_steps :].sum(axis=1).max()) for piece in pieces)  # type: ignore[union-attr]

    assert (most(roll), most(roll.stretch(0, 8)), most(roll, 1)) == (2, 3, 1)
    assert most(roll, KEYS) > 2
    silent_end = roll.stretch(0, 4).stretch(0, 16)
    assert most(silent_end) == 3
    with pytest.raises(LnfgenError, match="0 voices to go on with"):
        known_intro(encoding, roll, 8, 0)
    with pytest.raises(LnfgenError, match="expected at least 1, and a piece of music"):
        known_intro(Encoding("text", vocabulary=("\ufffd", "a")), "aa", 8, 2)


def test_what_is_drawn_stays_among_the_keys_of_the_model_or_of_the_piece() -> None:
    model, encoding = small_music(True)
    for shift, low, high in ((3, 60, 62), (-3, 63, 65), (0, 60, 65)):
        whole = known_whole(encoding, PianoRoll.from_notes([(0, 9, low)], steps_per_quarter=1))
        hidden = np.ones_like(whole.hidden_cells)
        hidden[:, low] = False
        part = laid(encoding, whole.piece, hidden, shift)
        pieces = list(fill_pieces(model, encoding, part, count=100, particles=2))
        found = {
            pitch
            for piece in pieces
            if isinstance(piece, PianoRoll)
            for _, _, pitch in piece.notes()
        }
        assert found == set(range(low, high + 1)) == set(part.keys)
