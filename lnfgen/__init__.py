"""Latent normalizing flows for discrete sequences: the verbs of the command line, as Python.

    >>> import lnfgen
    >>> model = lnfgen.load("runs/chorales-af-scf-001")
    >>> pieces = model.sample(count=2, seed=1)
    >>> lnfgen.write("song.mid", pieces[0])
    >>> model.nll(lnfgen.read("song.mid"))

Names load on first use, so that importing `lnfgen` loads neither torch nor music21.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "PianoRoll": "lnfgen.music.pianoroll",
    "read": "lnfgen.formats",
    "write": "lnfgen.formats",
    "load": "lnfgen.runs.trained",
    "LnfgenError": "lnfgen.errors",
}

__all__ = ["LnfgenError", "PianoRoll", "__version__", "load", "read", "write"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'lnfgen' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
