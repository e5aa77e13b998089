"""Music in other keys: where pieces may move to, and that drums stay; and pieces that end early."""

import numpy as np
import pytest

from lnfgen.data.augmentation import Register, middle_key, transposed_at_random


def test_sequences_move_by_whole_keys_within_the_range():
    generator = np.random.default_rng(0)
    sequences = [np.zeros((6, 1, 20), np.uint8) for _ in range(200)]
    for sequence in sequences[1:]:
        sequence[:, 0, 3:16] = generator.choice([0, 1, 3], (6, 13))
    anywhere = Register(mean=10, deviation=1e6)
    moved = transposed_at_random(sequences, 6, anywhere, seed=1)
    moves = set()
    for before, found in zip(sequences, moved, strict=True):
        move = 0
        if before.any():
            move = int(found.any((0, 1)).argmax()) - int(before.any((0, 1)).argmax())
        expected = np.zeros_like(before)
        stays = before[:, :, max(-move, 0) : 20 - max(move, 0)]
        expected[:, :, max(move, 0) : 20 + min(move, 0)] = stays
        assert np.array_equal(found, expected)
        assert found.sum() == before.sum()  # no key is lost
        moves.add(move)
    # down to the lowest key and up to the highest one, not six
    assert moves == {-3, -2, -1, 0, 1, 2, 3, 4}
    assert all(map(np.array_equal, moved, transposed_at_random(sequences, 6, anywhere, seed=1)))


def test_moved_pieces_lie_where_those_of_the_data_lie():
    """However often they are moved, the middles of pieces keep their mean and deviation."""
    generator = np.random.default_rng(0)
    sequences = [np.zeros((4, 1, 60), np.uint8) for _ in range(2000)]
    drawn = generator.normal(30, 2.5, 2000).round().astype(int)
    for sequence, middle in zip(sequences, drawn, strict=True):
        sequence[:, 0, [middle - 8, middle + 8]] = 1
    register = Register.of(sequences)
    moved = sequences
    for seed in range(6):
        moved = transposed_at_random(moved, 5, register, seed)
    before = np.array([*map(middle_key, sequences)])
    after = np.array([*map(middle_key, moved)])
    assert np.mean(after != before) > 0.7
    assert Register.of(moved) == pytest.approx(register, abs=0.25)


def test_a_piece_alone_has_a_register_in_which_it_moves():
    piece = np.zeros((4, 1, 60), np.uint8)
    piece[:, 0, [20, 36]] = 1
    register = Register.of([piece])
    assert register == Register(28.0, 1.0)
    moved = transposed_at_random([piece] * 50, 3, register, 0)
    assert len(set(map(middle_key, moved))) > 2
    assert Register.of([np.zeros((4, 1, 60), np.uint8)]) == Register(0.0, 1.0)


def test_drums_of_a_band_stay_where_they_are():
    generator = np.random.default_rng(2)
    songs = [np.zeros((8, 3, 20), np.uint8) for _ in range(60)]
    for song in songs:
        song[:, 0] = generator.choice([0, 3], (8, 20))
        song[:, 1, 6:9] = 3
        song[:, 2, 10:13] = 3
    roles = ("drums", "bass", "melody")
    anywhere = Register(mean=9, deviation=1e6)
    moved = transposed_at_random(songs, 4, anywhere, 5, roles)
    pitched = [song[:, 1:] for song in songs]
    expected = transposed_at_random(
        pitched, 4, anywhere, 5, roles[1:]
    )  # the same moves, without drums
    for before, after, other in zip(songs, moved, expected, strict=True):
        assert np.array_equal(after[:, 0], before[:, 0])
        assert np.array_equal(after[:, 1:], other)
    assert len({after[0, 1].tobytes() for after in moved}) > 5
    assert Register.of(songs, roles) == Register.of(pitched, roles[1:])
    assert Register.of(songs, roles) != Register.of(songs, ("chords", "bass", "melody"))
    drums = [song[:, :1] for song in songs]
    moved = transposed_at_random(drums, 4, Register.of(drums, ["drums"]), 5, ["drums"])
    for before, after in zip(drums, moved, strict=True):
        assert np.array_equal(after, before)
