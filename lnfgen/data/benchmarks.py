"""Read the polyphonic benchmark sets of Boulanger-Lewandowski et al. (ICML 2012, arXiv 1206.6392).

They are passed on in two forms. One is a pickle, `{'train': [piece, ...], 'valid': ..., 'test':
...}`; a piece is a list of frames, and a frame is a tuple of MIDI note numbers (Python ints, or in
the original files numpy scalars). The other is a MATLAB file with the cell arrays `traindata`,
`validdata` and `testdata`; a piece is [T, 88], and its first column is MIDI note 21. The files say
which keys sound but not which are struck, so `onsets` is None.
"""

import io
import math
import pickle
import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lnfgen.conventions import SPLITS
from lnfgen.errors import LnfgenError, UnreadableFileError, unreadable
from lnfgen.formats.sandbox import in_child, restart_clock
from lnfgen.formats.text import bytes_of
from lnfgen.music.pianoroll import LOWEST_PITCH, NUM_PITCHES, PianoRoll

SUFFIXES = (".pickle", ".pkl", ".mat")

# (part of the file's name, steps per quarter, quarters per minute), for samples: no score depends
# on them. A frame of the chorales is a quarter note. Of the other sets nobody says what it is, but
# four to a quarter sound right.
_GRIDS = (("jsb", 1, 80.0), ("nottingham", 4, 120.0), ("piano", 4, 100.0), ("muse", 4, 110.0))
_MAX_STEPS = 2_000_000  # in all; the largest of the sets has about 400,000
_MAX_INFLATED = _MAX_STEPS * NUM_PITCHES  # bytes; a number that is 0 or 1 is saved as one byte
_EXPECTED = "a benchmark set as .pickle or .mat"

# Of MATLAB files: the types of numbers, and of other elements; the classes of arrays; a flag of an
# array.
_NUMBERS = {
    1: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    5: "i4",
    6: "u4",
    7: "f4",
    9: "f8",
    12: "i8",
    13: "u8",
}
_ARRAY, _COMPRESSED = 14, 15
_CELL, _NUMERIC = 1, range(6, 16)
_COMPLEX = 8


def read_benchmark(path: Path) -> dict[str, list[PianoRoll]]:
    """The pieces of each split, in the order of the file; none is cut or transposed."""
    return in_child(_parse, bytes_of(path, _EXPECTED), path, name=str(path))


def _parse(content: bytes, path: Path) -> dict[str, list[PianoRoll]]:
    restart_clock()
    splits = (
        _read_mat(content, path) if path.suffix.lower() == ".mat" else _read_pickle(content, path)
    )
    grid, tempo = next(
        ((grid, tempo) for part, grid, tempo in _GRIDS if part in path.stem.lower()), (4, 120.0)
    )
    try:
        return {
            name: [
                PianoRoll(sounding, None, steps_per_quarter=grid, tempo_bpm=tempo)
                for sounding in splits[name]
            ]
            for name in SPLITS
        }
    except LnfgenError as error:
        raise UnreadableFileError(f"{path} holds a damaged piece: {error}") from None


def _read_pickle(content: bytes, path: Path) -> dict[str, list[np.ndarray]]:
    with unreadable(f"{path} is no readable pickle", f"expected {_EXPECTED}"):
        value = _PlainUnpickler(content, path).load()
    if not isinstance(value, dict) or not all(isinstance(value.get(name), list) for name in SPLITS):
        keys = (
            f"keys {', '.join(map(repr, list(value)[:5]))}"
            if isinstance(value, dict)
            else type(value).__name__
        )
        raise UnreadableFileError(
            f"{path} holds {keys:.80}; expected lists of pieces under 'train', 'valid', 'test'"
        )
    with unreadable(f"{path} is no benchmark set"):
        # A few bytes of a pickle can name the same piece a thousand times, so sizes are added up
        # first.
        steps = sum(len(piece) for name in SPLITS for piece in value[name])
        if steps > _MAX_STEPS:
            raise ValueError(f"it holds {steps} frames; expected at most {_MAX_STEPS}")
        return {name: [_frames_to_sounding(piece) for piece in value[name]] for name in SPLITS}


def _frames_to_sounding(piece: Any) -> np.ndarray:
    if not isinstance(piece, list | tuple):
        raise ValueError(f"a piece is {type(piece).__name__}, not a list of frames")
    if longest := max((len(frame) for frame in piece if len(frame) > NUM_PITCHES), default=0):
        raise ValueError(f"a frame holds {longest} notes; expected at most {NUM_PITCHES}")
    sounding = np.zeros((len(piece), NUM_PITCHES), dtype=np.bool_)
    times = [time for time, frame in enumerate(piece) for _ in frame]
    notes = [note for frame in piece for note in frame]
    if any(type(note) is not int for note in notes):
        raise ValueError("a frame holds something else than whole MIDI note numbers")
    if notes and not LOWEST_PITCH <= min(notes) <= max(notes) < LOWEST_PITCH + NUM_PITCHES:
        raise ValueError(
            f"a frame holds a note outside {LOWEST_PITCH} to {LOWEST_PITCH + NUM_PITCHES - 1}"
        )
    sounding[times, [note - LOWEST_PITCH for note in notes]] = True
    return sounding


class _PlainUnpickler(pickle.Unpickler):
    """Reads plain containers and numbers, and the numbers of numpy; all else is refused, as a
    pickle can run programs.

    Where a pickle names something of numpy, it gets one of the methods below instead. They have no
    attributes that a pickle could change. numpy gets nothing but the checked name of a type, and
    bytes of the right length.
    """

    def __init__(self, content: bytes, path: Path) -> None:
        # Python 2 wrote the bytes of numpy's values as str
        super().__init__(io.BytesIO(content), encoding="latin1")
        self.path = path

    def refused(self, reason: str) -> UnreadableFileError:
        return UnreadableFileError(
            f"{self.path} is refused, and nothing in it was run: it {reason}"
        )

    def find_class(self, module: str, name: str) -> Any:
        admitted = {
            "numpy.core.multiarray.scalar": self._scalar,
            "numpy._core.multiarray.scalar": self._scalar,
            "numpy.dtype": self._dtype,
            # how Python 3 writes bytes in the pickle protocols 0 to 2
            "_codecs.encode": self._encode,
        }
        full_name = f"{module}.{name}"
        if full_name not in admitted:
            raise self.refused(f"names {full_name:.90}; expected plain and numpy numbers only")
        return admitted[full_name]

    def _dtype(self, code: Any, *_: Any) -> "_NumberType":
        if not isinstance(code, str) or not re.fullmatch(r"[iu][1248]|b1|f[48]", code):
            raise self.refused(f"holds numpy values of the type {code!r:.30}")
        return _NumberType(code)

    def _scalar(self, dtype: Any, content: Any) -> Any:
        if isinstance(content, str):
            content = content.encode("latin1")
        if not isinstance(dtype, _NumberType) or not isinstance(content, bytes):
            raise ValueError("a numpy number without a type or without its bytes")
        return np.frombuffer(content, dtype.order + dtype.code).reshape(()).item()

    def _encode(self, text: Any, codec: Any) -> bytes:
        if not isinstance(text, str) or codec not in ("latin1", "latin-1"):
            raise self.refused("encodes something else than bytes")
        return text.encode("latin1")


class _NumberType:
    """Stands for `numpy.dtype`: the type of a number, and its byte order once the pickle has given
    that."""

    __slots__ = ("code", "order")

    def __init__(self, code: str) -> None:
        self.code, self.order = code, "<"

    def __setstate__(self, state: Any) -> None:
        self.order = ">" if state[1] == ">" else "<"


def _read_mat(content: bytes, path: Path) -> dict[str, list[np.ndarray]]:
    wanted = {name: f"{name}data" for name in SPLITS}
    with unreadable(f"{path} is no readable MATLAB file", f"expected {_EXPECTED}"):
        arrays = _arrays_of_mat(content, [*wanted.values()])
    splits = {}
    for split, name in wanted.items():
        pieces = arrays.get(name)
        if not isinstance(pieces, list):
            raise UnreadableFileError(
                f"{path} has no cells {name}; expected {', '.join(wanted.values())}"
            )
        if odd := [
            list(np.shape(piece)) for piece in pieces if np.shape(piece)[1:] != (NUM_PITCHES,)
        ]:
            raise UnreadableFileError(
                f"{path} holds a piece of shape {odd[0]}; expected [steps, {NUM_PITCHES}]"
            )
        splits[split] = [np.asarray(piece) != 0 for piece in pieces]
    return splits


def _arrays_of_mat(content: bytes, names: Sequence[str]) -> dict[str, Any]:
    """The arrays with these names in a MATLAB file of level 5: numbers, or a list for cells.

    After a header of 128 bytes, each element is an array, or one that is compressed (The MathWorks,
    MAT-File Format).
    """
    if content[126:128] != b"IM":
        raise ValueError("it does not say that its numbers are little-endian")
    arrays: dict[str, Any] = {}
    inflated = 0
    for kind, element in _elements(memoryview(content)[128:]):
        parts = [(kind, element)]
        if kind == _COMPRESSED:
            inner = zlib.decompressobj().decompress(element, _MAX_INFLATED + 1)
            inflated += len(inner)
            if inflated > _MAX_INFLATED:
                raise ValueError(f"it inflates to over {_MAX_INFLATED} bytes")
            parts = [*_elements(memoryview(inner))]
        arrays |= [_array(*part, names) for part in parts]
    return arrays


def _array(kind: int, element: memoryview, names: Sequence[str] = ("",)) -> tuple[str, Any]:
    """The name and the value of an array; None for the value if it has another name than these.

    Its parts are flags, sizes, a name, and numbers, or in a cell array other arrays.
    """
    if kind == _ARRAY and not element:
        return "", np.zeros((0, 0))
    parts = list(_elements(element)) if kind == _ARRAY else []
    if len(parts) < 3 or len(parts[0][1]) != 8 or len(parts[1][1]) % 4:
        raise ValueError("it holds something else than arrays with flags, sizes and a name")
    (_, flags), (_, sizes), (_, own_name), *values = parts
    name, types = bytes(own_name).decode("latin1"), [kind for kind, _ in values]
    if name not in names:
        return name, None
    array_class, kinds = flags[:2]
    shape = np.frombuffer(sizes, "<i4").tolist()
    if array_class == _CELL:
        if len(values) != math.prod(shape):
            raise ValueError(f"a cell array of sizes {shape} holds {len(values)} arrays")
        return name, [_array(*value)[1] for value in values]
    if (
        array_class not in _NUMERIC
        or kinds & _COMPLEX
        or len(types) != 1
        or types[0] not in _NUMBERS
        or min(shape) < 0
    ):
        raise ValueError(
            f"an array of class {array_class}, flags {kinds} and sizes {shape} holds the types {types}"
        )
    return name, np.frombuffer(values[0][1], "<" + _NUMBERS[types[0]]).reshape(shape, order="F")


def _elements(content: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The type and the bytes of each element.

    Before the bytes are type and size in 4 bytes each, or in 2 bytes each where the whole element
    takes 8 bytes. Other elements are aligned to 8 bytes, but not compressed ones.
    """
    position = 0
    while position + 8 <= len(content):
        kind, size = struct.unpack_from("<II", content, position)
        if kind >> 16:
            kind, size, start, stop = kind & 0xFFFF, kind >> 16, position + 4, position + 8
        else:
            start = position + 8
            stop = start + size + (0 if kind == _COMPRESSED else -size % 8)
        if start + size > min(stop, len(content)):
            raise ValueError(f"an element of {size} bytes is cut off")
        yield kind, content[start : start + size]
        position = stop
