"""The options that shape a dataset of a person's own files."""

from dataclasses import dataclass
from typing import get_args

from lnfgen.conventions import Kind
from lnfgen.errors import DatasetError, LnfgenError
from lnfgen.music.parts import AUTO, wanted_roles
from lnfgen.music.pianoroll import STEPS_PER_QUARTER
from lnfgen.music.tracks import ALL


@dataclass(frozen=True)
class Options:
    """How files become a dataset. A value out of range is an `LnfgenError`."""

    kind: Kind | None = None  # None: as the suffixes of the files say

    # The longest sequence. Music is cut at bar lines to this many steps (None: 256). Lines of text
    # with more characters are dropped (None: 288, or 640 for ABC tunes taken as text). Benchmark
    # sets are never cut.
    max_length: int | None = None
    # cut text into pieces of `max_length` characters, instead of one sequence a line
    chunks: bool = False
    # not used where the names of the files say the splits
    split: tuple[float, float, float] = (0.8, 0.1, 0.1)
    # of the random split by these shares; fewer pieces than splits are each split in time instead
    seed: int = 0
    steps_per_quarter: int = STEPS_PER_QUARTER  # the grid that MIDI files and scores are rounded to
    strict: bool = False  # stop at the first file that cannot be read, instead of skipping it
    # those of MIDI files and parts of scores to merge into a piano-roll, as `lnfgen.read` takes
    # them
    tracks: str = ALL
    # of a band, as `lnfgen.read` takes them; auto: up to 4, where files have drums, name a melody
    # or are lead sheets
    parts: str = AUTO

    def __post_init__(self) -> None:
        are_shares = len(self.split) == 3 and all(0 <= share <= 1 for share in self.split)
        if not are_shares or abs(sum(self.split) - 1) > 1e-6:
            raise LnfgenError(
                f"shares {self.split} of train, valid and test; expected three that add up to 1"
            )
        if self.kind not in (None, *get_args(Kind)):
            raise LnfgenError(
                f"the kind {self.kind!r}; expected one of {', '.join(get_args(Kind))}"
            )
        if not 0 <= self.seed < 2**63:
            raise LnfgenError(f"a seed of {self.seed}; expected a whole number from 0 to 2^63 - 1")
        if self.split[0] == 0:
            raise LnfgenError("a share of 0 for train; expected more than 0, to train on something")
        if self.max_length is not None and self.max_length < 1:
            raise LnfgenError(f"a maximal length of {self.max_length}; expected at least 1")
        if self.parts != AUTO:
            wanted_roles(self.parts)
        if not 1 <= self.steps_per_quarter <= 960:
            raise LnfgenError(f"{self.steps_per_quarter} steps per quarter; expected 1 to 960")

    def require_fitting(self, kind: Kind) -> None:
        """Raise a `DatasetError` if an option is given that has no effect on files of this kind."""
        names = ["steps_per_quarter", "tracks", "parts"]
        other = "music"
        if kind == "music":
            names = ["chunks"]
            other = "text"
        for name in names:
            if getattr(self, name) != getattr(Options, name):
                option = f"--{name.replace('_', '-')} out (in Python {name}=)"
                raise DatasetError(f"the files are {kind}; leave {option}, which is for {other}")
