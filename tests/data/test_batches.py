"""Batches: each sequence once, whole, padded with zeros, in an order of the seed."""

import itertools
import math

import numpy as np
import pytest

from lnfgen.data.batches import batches_by_length, collate, shuffled_batches, shuffled_epochs


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


def test_music_is_padded_with_silence():
    sequences = [np.full((2, 3, 5), 3, np.uint8), np.ones((4, 3, 5), np.uint8)]
    batch = collate(sequences, [0, 1])
    assert batch.x.shape == (2, 4, 3, 5)
    assert batch.x[0, 2:].sum() == 0
    assert batch.lengths.tolist() == [2, 4]


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
