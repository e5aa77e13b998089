"""Random streams: many from one seed."""

import numpy as np


def stream_seed(seed: int, index: int) -> int:
    """A seed for stream `index` of `seed`: distinct pairs give unrelated streams, which their sum would not."""
    return int(np.random.SeedSequence((seed, index)).generate_state(1, np.uint64)[0] >> np.uint64(1))
