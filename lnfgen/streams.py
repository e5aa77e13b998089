"""Independent streams of random numbers from one seed."""

import numpy as np


def stream_seed(seed: int, index: int) -> int:
    """The seed of stream number `index` of `seed`; each pair of the two numbers gives an unrelated stream.

        generator = torch.Generator().manual_seed(stream_seed(seed, index))

    The sum of the two would not do: stream 1 of seed 3 would be stream 0 of seed 4.
    """
    return int(np.random.SeedSequence((seed, index)).generate_state(1, np.uint64)[0] >> np.uint64(1))
