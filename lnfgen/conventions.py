"""Conventions that data and models share, and default numbers of commands and Python.

Both wings import this module and it imports neither, so that a dataset, a model and a score cannot
disagree about it. It loads no library, so that a command can show a default in its --help.
"""

from collections.abc import Callable
from typing import Final, Literal, get_args

Kind = Literal["music", "text"]  # the content of a dataset
TimeSignature = tuple[int, int]  # the beats of a bar, and the unit of a beat: 3/4 is (3, 4)
SplitName = Literal["train", "valid", "test"]  # the parts of every dataset
SPLITS: Final = get_args(SplitName)  # to train on, to choose a model by, and to report
Unit = Literal["nats_per_step", "bits_per_char"]  # of a negative log-likelihood
UNITS: Final[dict[Kind, Unit]] = {"music": "nats_per_step", "text": "bits_per_char"}
UNIT_WORDS: Final[dict[Unit, str]] = {
    "nats_per_step": "nats per time step",
    "bits_per_char": "bits per character",
}
"""The units as people read them."""

# The most steps that one may ask for: three hours of sixteenths, gigabytes of memory.
MAX_LENGTH: Final = 100_000

Progress = Callable[[str, int, int], None]
"""A function that takes the name of the work, how much is done, and how much there is."""


def no_progress(description: str, done: int, total: int) -> None:
    """A `Progress` that shows nothing."""


# A key of a piano-roll at one step is an integer of two bits: 0 silent, 1 held, 3 struck.
SOUNDING: Final = 1  # the bit that says that the key sounds: `x & SOUNDING`
# The onset's bit is 0 or 1 after a move to the right by so many places: `x >> ONSET_SHIFT`.
ONSET_SHIFT: Final = 1
# This bit says that the key is struck at this step; it is set only where `SOUNDING` is.
ONSET: Final = 1 << ONSET_SHIFT


def stream_seed(seed: int, index: int) -> int:
    """The seed of stream number `index` of `seed`.

    Each pair of the two numbers gives an unrelated stream.

        generator = torch.Generator().manual_seed(stream_seed(seed, index))

    The sum of the two would not do: stream 1 of seed 3 would be stream 0 of seed 4.
    """
    import numpy as np

    [state] = np.random.SeedSequence((seed, index)).generate_state(1, np.uint64)
    return int(state >> np.uint64(1))  # 63 bits, as a generator of torch takes


# Default numbers that a command and a Python function share.

NLL_SAMPLES: Final = 50  # samples K of the latent for each sequence that is scored
MUSIC_COUNT: Final = 200  # pieces that are drawn to be compared with other music
# The particles of each piece that is filled. With more of them, harmonies follow what is known
# better, for more time.
PARTICLES: Final = 32
# The particles for a known melody, whose steps keep them from going astray, and for wishes.
MELODY_PARTICLES: Final = 16
# The tries to steer a piece to its wishes; then the nearest one is taken. Each has twice as many
# particles as the one before, and the sixth has the most that are drawn together.
TRIES: Final = 6
PASSES: Final = 32  # in which a model by blocks draws and scores
AMOUNT: Final = 0.25  # the share of a piece that a variation draws anew
