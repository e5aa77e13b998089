"""Streams of random numbers, and the bits of a key."""

from lnfgen.conventions import ONSET, ONSET_SHIFT, SOUNDING, stream_seed


def test_streams_of_all_seeds_differ():
    seeds = set()
    for seed in (0, 1, 2, 2**63 - 1):
        for index in range(20):
            found = stream_seed(seed, index)
            assert 0 <= found < 2**63
            seeds.add(found)
    assert len(seeds) == 80


def test_a_struck_key_sounds():
    struck = SOUNDING | ONSET
    assert struck == 3
    assert struck >> ONSET_SHIFT == 1
    assert SOUNDING >> ONSET_SHIFT == 0
