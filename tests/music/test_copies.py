"""Copies and relations: passages that pieces share in any key."""

from dataclasses import replace

import numpy as np
from toy_music import random_piece, struck_chords

from lnfgen.music.copies import longest_copies, related_pieces
from lnfgen.music.pianoroll import PianoRoll


def test_a_copy_is_found_in_another_key_with_its_length() -> None:
    corpus = [random_piece(seed) for seed in range(3)]
    piece = random_piece(9)
    copied = corpus[1].transposed(5).stretch(30, 47)
    mixed = with_passage(piece, 20, copied)
    [quarters] = longest_copies([mixed], corpus)
    # silence at its ends does not count; a next step may agree by chance
    assert 17 / 2 - 1 <= quarters <= 17 / 2 + 1
    assert longest_copies([piece], corpus)[0] < 4
    assert longest_copies([mixed, piece], corpus) == [quarters, *longest_copies([piece], corpus)]


def test_a_copy_agrees_in_its_onsets_and_its_moves() -> None:
    tune = struck_chords((60,), (62,), (64,), (65,), (67,), (69,))
    held_notes = [(0, 1, 60), (1, 1, 62), (2, 1, 64), (3, 3, 65)]
    held = PianoRoll.from_notes(held_notes, steps_per_quarter=2)
    assert longest_copies([tune], [tune]) == [3.0]
    assert longest_copies([tune], [held]) == [2.0]
    # no two steps of the tune move like this
    assert longest_copies([struck_chords((60,), (63,), (66,))], [tune]) == [0.5]
    assert longest_copies([tune], []) == [0.0]


def test_a_copy_goes_over_silence_but_is_more_than_silence() -> None:
    rest = struck_chords((), (), (), (60,), (), (), (64,), (), (), (), ())
    silence = struck_chords((), (), ())
    # from the first note to the last one
    assert longest_copies([rest], [rest.transposed(7)]) == [2.0]
    assert longest_copies([silence], [rest]) == [0.0]
    assert longest_copies([rest], [silence]) == [0.0]


def test_a_piece_is_no_copy_of_itself() -> None:
    corpus = [random_piece(seed) for seed in range(4)]
    corpus.append(corpus[3].transposed(-4))
    alone = longest_copies(corpus, corpus, range(5))
    assert max(alone[:3]) < 4
    assert min(alone[3:]) > 28
    assert min(longest_copies(corpus, corpus)) > 28


def test_columns_without_keys_change_nothing() -> None:
    roll = random_piece(1)
    narrow = roll.in_range(41, 40)
    whole = longest_copies([roll], [roll])
    assert longest_copies([narrow], [roll]) == whole
    assert longest_copies([roll], [narrow]) == whole


def with_passage(piece: PianoRoll, at: int, passage: PianoRoll) -> PianoRoll:
    """The piece with another one's steps from `at` on, struck at their first step."""
    assert piece.onsets is not None
    end = at + passage.num_steps
    sounding = piece.sounding.copy()
    onsets = piece.onsets.copy()
    sounding[at:end] = passage.sounding
    onsets[at:end] = passage.onsets
    onsets[end] = sounding[end]
    return replace(piece, sounding=sounding, onsets=onsets)


def test_pieces_that_share_a_passage_in_any_key_are_related() -> None:
    alone, first, second, third = (random_piece(seed) for seed in range(4))
    passage = first.transposed(-5).stretch(10, 34)
    assert passage.sounding[0].any()
    assert passage.sounding[-1].any()
    second = with_passage(second, 3, passage)
    # of the second one, not of the passage
    third = with_passage(third, 20, second.transposed(2).stretch(30, 50))
    assert related_pieces([alone, first, second, third], 16) == [0, 1, 1, 1]
    # without the second one, nothing relates them
    assert related_pieces([third, alone, first], 16) == [0, 1, 2]
    assert related_pieces([alone, first, second, third], 28) == [0, 1, 2, 3]


def test_other_repeated_notes_are_no_other_music() -> None:
    notes = [(step, 2, 60 + step % 7) for step in range(0, 32, 2)]
    held = PianoRoll.from_notes(notes, steps_per_quarter=2)
    struck = replace(held, onsets=held.sounding)
    assert longest_copies([held], [struck]) == [0.5]
    assert related_pieces([held, struck], 32) == [0, 0]


def test_silence_and_long_chords_relate_no_pieces() -> None:
    """What any two pieces can have: a rest, one chord again and again, two that alternate."""
    others = [random_piece(seed) for seed in range(2)]
    common = (
        struck_chords(*[()] * 24),
        PianoRoll.from_notes([(0, 24, 60), (0, 24, 64)], steps_per_quarter=2),
        struck_chords(*[(60, 64, 67)] * 24),
        struck_chords(*[(60, 64, 67), (59, 62, 67)] * 12),
    )
    for passage in common:
        pieces = [with_passage(piece, 8, passage) for piece in others]
        assert related_pieces(pieces, 16) == [0, 1]
    scale = struck_chords(*[(60 + pitch % 12,) for pitch in np.arange(24)])
    pieces = [with_passage(piece, 8, scale) for piece in others]
    assert related_pieces(pieces, 16) == [0, 0]
