"""Batches: each sequence once, whole, padded with zeros, in an order of the seed; and pieces moved
to other keys."""

import itertools
import math

import numpy as np
import pytest

from lnfgen.data.batches import (
    Register,
    batches_by_length,
    closes,
    collate,
    ended_early,
    middle_key,
    shuffled_batches,
    shuffled_epochs,
    transposed,
)


@pytest.mark.parametrize("count", [1, 1003])
def test_an_epoch_has_every_sequence_once_in_an_order_of_its_seed(count):
    lengths = np.random.default_rng(0).integers(1, 300, count)
    batches = list(shuffled_batches(lengths, 16, seed=5))
    assert sorted(itertools.chain(*batches)) == list(range(count))
    assert len(batches) == math.ceil(count / 16)
    assert all(1 <= len(batch) <= 16 for batch in batches)
    assert batches == list(shuffled_batches(lengths, 16, seed=5))
    assert count == 1 or batches != list(shuffled_batches(lengths, 16, seed=6))
    padded = sum(len(batch) * lengths[batch].max() for batch in batches)
    assert padded < 1.1 * lengths.sum()


@pytest.mark.parametrize("start", [0, 1, 7, 8, 12, 20])
def test_epochs_follow_each_other_from_any_batch_on(start):
    lengths = np.random.default_rng(0).integers(1, 300, 30)  # eight batches
    whole = [batch for epoch in range(4) for batch in shuffled_batches(lengths, 4, seed=10 + epoch)]
    found = itertools.islice(shuffled_epochs(lengths, 4, lambda epoch: 10 + epoch, start), 10)
    assert list(found) == whole[start : start + 10]


def test_collate_pads_with_zeros():
    batch = collate([np.array([1, 2], np.int32), np.array([3, 4, 5], np.int32)], [7, 2])
    assert batch.x.tolist() == [[1, 2, 0], [3, 4, 5]]
    assert batch.lengths.tolist() == [2, 3]
    assert batch.indices == [7, 2]


@pytest.mark.parametrize("max_steps", [1, 20, 10_000])
def test_scoring_batches_hold_every_sequence_whole(max_steps):
    lengths = np.random.default_rng(1).integers(1, 60, 50).tolist()
    sequences = [
        np.random.default_rng(length).integers(0, 4, length).astype(np.int32) for length in lengths
    ]
    seen = []
    for batch in batches_by_length(sequences, max_steps):
        assert batch.x.numel() <= max_steps or len(batch.indices) == 1
        for row, length, index in zip(batch.x, batch.lengths.tolist(), batch.indices, strict=True):
            assert row[:length].tolist() == sequences[index].tolist()
            seen.append(index)
    assert sorted(seen) == list(range(50))


def test_sequences_move_by_whole_keys_within_the_range():
    generator = np.random.default_rng(0)
    sequences = [np.zeros((6, 20), np.uint8) for _ in range(200)]
    for sequence in sequences[1:]:
        sequence[:, 3:16] = generator.choice([0, 1, 3], (6, 13))
    anywhere = Register(mean=10, deviation=1e6)
    moved = transposed(sequences, 6, anywhere, seed=1)
    moves = set()
    for before, found in zip(sequences, moved, strict=True):
        move = (
            int(np.flatnonzero(found.any(0))[0] - np.flatnonzero(before.any(0))[0])
            if before.any()
            else 0
        )
        expected = np.zeros_like(before)
        expected[:, max(move, 0) : 20 + min(move, 0)] = before[:, max(-move, 0) : 20 - max(move, 0)]
        assert np.array_equal(found, expected)
        assert found.sum() == before.sum()  # no key is lost
        moves.add(move)
    # down to the lowest key and up to the highest one, not six
    assert moves == {-3, -2, -1, 0, 1, 2, 3, 4}
    assert all(map(np.array_equal, moved, transposed(sequences, 6, anywhere, seed=1)))


def test_moved_pieces_lie_where_those_of_the_data_lie():
    """However often they are moved, the middles of pieces keep their mean and deviation."""
    generator = np.random.default_rng(0)
    sequences = [np.zeros((4, 60), np.uint8) for _ in range(2000)]
    for sequence, middle in zip(
        sequences, generator.normal(30, 2.5, 2000).round().astype(int), strict=True
    ):
        sequence[:, [middle - 8, middle + 8]] = 1
    register = Register.of(sequences)
    moved = sequences
    for seed in range(6):
        moved = transposed(moved, 5, register, seed)
    middles = np.array([middle_key(sequence) for sequence in moved])
    assert np.mean(middles != [middle_key(sequence) for sequence in sequences]) > 0.7
    assert Register.of(moved) == pytest.approx(register, abs=0.25)
    assert (
        len(
            {
                middle_key(one)
                for one in transposed(sequences[:1] * 50, 3, Register.of(sequences[:1]), 0)
            }
        )
        > 2
    )


def test_pieces_end_early_at_their_closes():
    """Eighths, a half note, eighths, a silence and a half note: the first half note is a close
    within the piece."""
    piece = np.zeros((20, 12), np.uint8)
    piece[0, 0] = piece[1, 4] = piece[2, 5] = piece[3, [0, 7]] = 3
    piece[4:7, [0, 7]] = 1
    piece[7, 3] = piece[8, 2] = piece[9, 3] = piece[16, [0, 4]] = 3
    piece[17:, [0, 4]] = 1
    assert closes(piece).tolist() == [7, 20]
    ended = ended_early([piece] * 400, seed=0)
    assert {len(one) for one in ended} == {7, 20}
    assert 150 < sum(len(one) == 7 for one in ended) < 250
    assert all(np.array_equal(one, piece[: len(one)]) for one in ended)
    silence = np.zeros((5, 12), np.uint8)
    assert len(ended_early([silence, piece[:2]] * 9, seed=1)[0]) == 5


def test_drums_of_a_band_stay_where_they_are():
    generator = np.random.default_rng(2)
    songs = [np.zeros((24, 20), np.uint8) for _ in range(60)]
    for song in songs:
        song[0::3] = generator.choice([0, 3], (8, 20))
        song[1::3, 6:9] = song[2::3, 10:13] = 3
    roles = ("drums", "bass", "melody")
    anywhere = Register(mean=9, deviation=1e6)
    moved = transposed(songs, 4, anywhere, 5, roles)
    pitched = [song.reshape(8, 3, 20)[:, 1:].reshape(16, 20) for song in songs]
    expected = transposed(pitched, 4, anywhere, 5)  # the same moves as of music without drums
    for before, after, other in zip(songs, moved, expected, strict=True):
        assert np.array_equal(after[0::3], before[0::3])
        assert np.array_equal(after.reshape(8, 3, 20)[:, 1:].reshape(16, 20), other)
    assert len({after[1].tobytes() for after in moved}) > 5
    assert Register.of(songs, roles) == Register.of(pitched) != Register.of(songs)
    drums = [song[0::3] for song in songs]
    assert all(
        map(
            np.array_equal, transposed(drums, 4, Register.of(drums, roles[:1]), 5, roles[:1]), drums
        )
    )
