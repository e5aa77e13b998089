"""Latent normalizing flows for discrete sequences: the verbs of the command line, as Python.

    >>> import lnfgen
    >>> tunes = lnfgen.preprocess("my-midi-folder", out="tunes")
    >>> model = lnfgen.train(tunes, preset="tiny", seed=1)
    >>> model = lnfgen.load("runs/my-midi-folder-af-scf-001")  # the same at another time
    >>> lnfgen.write("song.mid", model.sample(seed=1)[0])
    >>> model.nll(lnfgen.read("song.mid"))

Names are loaded when they are first used, so that importing `lnfgen` loads neither torch nor
music21.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for type checkers and editors, which do not see names that are loaded later
    from lnfgen.api import compare, load, preprocess, train
    from lnfgen.errors import LnfgenError
    from lnfgen.formats.read_write import read, write
    from lnfgen.music.pianoroll import PianoRoll
    from lnfgen.music.song import Song

__version__ = "0.1.0"

_HOMES = {
    "PianoRoll": "lnfgen.music.pianoroll",
    "Song": "lnfgen.music.song",
    "read": "lnfgen.formats.read_write",
    "write": "lnfgen.formats.read_write",
    "preprocess": "lnfgen.api",
    "train": "lnfgen.api",
    "load": "lnfgen.api",
    "compare": "lnfgen.api",
    "LnfgenError": "lnfgen.errors",
}

__all__ = [
    "LnfgenError",
    "PianoRoll",
    "Song",
    "__version__",
    "compare",
    "load",
    "preprocess",
    "read",
    "train",
    "write",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'lnfgen' has no attribute {name!r}")
    home = importlib.import_module(_HOMES[name])
    return getattr(home, name)


def __dir__() -> list[str]:
    return sorted(__all__)
