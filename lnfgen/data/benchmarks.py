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

# By a part of the file's name: steps per quarter, quarters per minute. They are for samples, and no
# score depends on them. A frame of the chorales is a quarter note. Of the other sets nobody says
# what it is, but four to a quarter sound right.
_GRIDS = {
    "jsb": (1, 80.0),
    "nottingham": (4, 120.0),
    "piano": (4, 100.0),
    "muse": (4, 110.0),
}
_USUAL_GRID = (4, 120.0)
_MAX_STEPS = 2_000_000  # in all; the largest of the sets has about 400,000
_MAX_INFLATED = _MAX_STEPS * NUM_PITCHES  # bytes; a number that is 0 or 1 is saved as one byte
_EXPECTED = "a benchmark set as .pickle or .mat"

# The types of numbers in MATLAB files.
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
_ARRAY = 14  # the type of an element that is an array,
_COMPRESSED = 15  # and of one that is compressed
_CELL = 1  # the class of an array of arrays,
_NUMERIC = range(6, 16)  # and the classes of those of numbers
_COMPLEX = 8  # a flag of an array


def read_benchmark(path: Path) -> dict[str, list[PianoRoll]]:
    """The pieces of each split, in the order of the file; none is cut or transposed."""
    return in_child(_parse, bytes_of(path, _EXPECTED), path, name=str(path))


def _parse(content: bytes, path: Path) -> dict[str, list[PianoRoll]]:
    restart_clock()
    if path.suffix.lower() == ".mat":
        splits = _read_mat(content, path)
    else:
        splits = _read_pickle(content, path)
    steps_per_quarter, tempo_bpm = _grid_of(path)
    pieces: dict[str, list[PianoRoll]] = {}
    try:
        for name in SPLITS:
            pieces[name] = []
            for sounding in splits[name]:
                roll = PianoRoll.of_one(
                    sounding, steps_per_quarter=steps_per_quarter, tempo_bpm=tempo_bpm
                )
                pieces[name].append(roll)
    except LnfgenError as error:
        raise UnreadableFileError(f"{path} holds a damaged piece: {error}") from None
    return pieces


def _grid_of(path: Path) -> tuple[int, float]:
    """Steps per quarter and quarters per minute of a set, by the name of its file."""
    for part, grid in _GRIDS.items():
        if part in path.stem.lower():
            return grid
    return _USUAL_GRID


def _read_pickle(content: bytes, path: Path) -> dict[str, list[np.ndarray]]:
    with unreadable(f"{path} is no readable pickle", f"expected {_EXPECTED}"):
        value = _PlainUnpickler(content, path).load()
    if not _has_splits(value):
        found = type(value).__name__
        if isinstance(value, dict):
            found = f"keys {', '.join(map(repr, list(value)[:5]))}"
        raise UnreadableFileError(
            f"{path} holds {found:.80}; expected lists of pieces under 'train', 'valid', 'test'"
        )
    with unreadable(f"{path} is no benchmark set"):
        # A few bytes of a pickle can name the same piece a thousand times, so sizes are added up
        # first.
        steps = 0
        for name in SPLITS:
            steps += sum(len(piece) for piece in value[name])
        if steps > _MAX_STEPS:
            raise ValueError(f"it holds {steps} frames; expected at most {_MAX_STEPS}")
        pieces: dict[str, list[np.ndarray]] = {}
        for name in SPLITS:
            pieces[name] = [_frames_to_sounding(piece) for piece in value[name]]
        return pieces


def _has_splits(value: Any) -> bool:
    """True for a dictionary with a list for each split."""
    if not isinstance(value, dict):
        return False
    return all(isinstance(value.get(name), list) for name in SPLITS)


def _frames_to_sounding(piece: Any) -> np.ndarray:
    """The keys of a piece, bool [T, 88], from a list of frames, each with its MIDI note numbers."""
    if not isinstance(piece, list | tuple):
        raise ValueError(f"a piece is {type(piece).__name__}, not a list of frames")
    longest = max((len(frame) for frame in piece), default=0)
    if longest > NUM_PITCHES:
        raise ValueError(f"a frame holds {longest} notes; expected at most {NUM_PITCHES}")
    times: list[int] = []
    notes: list[int] = []
    for time, frame in enumerate(piece):
        times += [time] * len(frame)
        notes += frame
    if any(type(note) is not int for note in notes):
        raise ValueError("a frame holds something else than whole MIDI note numbers")
    highest = LOWEST_PITCH + NUM_PITCHES - 1
    if notes and not LOWEST_PITCH <= min(notes) <= max(notes) <= highest:
        raise ValueError(f"a frame holds a note outside {LOWEST_PITCH} to {highest}")
    sounding = np.zeros((len(piece), NUM_PITCHES), dtype=np.bool_)
    sounding[times, [note - LOWEST_PITCH for note in notes]] = True
    return sounding


class _PlainUnpickler(pickle.Unpickler):
    """Reads plain containers and numbers, and the numbers of numpy.

    All else is refused, as a pickle can run programs. Where a pickle names something of numpy, it
    gets one of the methods below instead. They have no attributes that a pickle could change. numpy
    gets nothing but the checked name of a type, and bytes of the right length.
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
    """Stands for `numpy.dtype`: the type of a number, and the byte order that the pickle gives."""

    __slots__ = ("code", "order")

    def __init__(self, code: str) -> None:
        self.code = code
        self.order = "<"

    def __setstate__(self, state: Any) -> None:
        self.order = ">" if state[1] == ">" else "<"


def _read_mat(content: bytes, path: Path) -> dict[str, list[np.ndarray]]:
    names = [f"{split}data" for split in SPLITS]
    with unreadable(f"{path} is no readable MATLAB file", f"expected {_EXPECTED}"):
        arrays = _arrays_of_mat(content, names)
    splits: dict[str, list[np.ndarray]] = {}
    for split, name in zip(SPLITS, names, strict=True):
        pieces = arrays.get(name)
        if not isinstance(pieces, list):
            raise UnreadableFileError(f"{path} has no cells {name}; expected {', '.join(names)}")
        for piece in pieces:
            shape = np.shape(piece)
            if shape[1:] != (NUM_PITCHES,):
                raise UnreadableFileError(
                    f"{path} holds a piece of shape {list(shape)}; expected [steps, {NUM_PITCHES}]"
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
        elements = [(kind, element)]
        if kind == _COMPRESSED:
            inner = zlib.decompressobj().decompress(element, _MAX_INFLATED + 1)
            inflated += len(inner)
            if inflated > _MAX_INFLATED:
                raise ValueError(f"it inflates to over {_MAX_INFLATED} bytes")
            elements = list(_elements(memoryview(inner)))
        for inner_kind, inner_element in elements:
            name, value = _array(inner_kind, inner_element, names)
            arrays[name] = value
    return arrays


def _array(kind: int, element: memoryview, names: Sequence[str] = ("",)) -> tuple[str, Any]:
    """The name and the value of an array; None for the value if it has another name than these.

    Its parts are flags, sizes, a name, and numbers, or in a cell array other arrays.
    """
    if kind == _ARRAY and not element:
        return "", np.zeros((0, 0))
    parts = list(_elements(element)) if kind == _ARRAY else []
    contents = [content for _, content in parts]
    if len(parts) < 3 or len(contents[0]) != 8 or len(contents[1]) % 4:
        raise ValueError("it holds something else than arrays with flags, sizes and a name")
    array_class, flags = contents[0][:2]
    shape = np.frombuffer(contents[1], "<i4").tolist()
    name = bytes(contents[2]).decode("latin1")
    if name not in names:
        return name, None
    values = parts[3:]
    if array_class == _CELL:
        if len(values) != math.prod(shape):
            raise ValueError(f"a cell array of sizes {shape} holds {len(values)} arrays")
        cells = [_array(cell_kind, cell) for cell_kind, cell in values]
        return name, [value for _, value in cells]
    types = [kind for kind, _ in values]
    has_numbers = len(types) == 1 and types[0] in _NUMBERS
    if array_class not in _NUMERIC or flags & _COMPLEX or not has_numbers or min(shape) < 0:
        raise ValueError(
            f"an array of class {array_class}, flags {flags} and sizes {shape} holds the types"
            f" {types}"
        )
    numbers = np.frombuffer(contents[3], "<" + _NUMBERS[types[0]])
    return name, numbers.reshape(shape, order="F")


def _elements(content: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The type and the bytes of each element.

    Before the bytes are type and size in 4 bytes each, or in 2 bytes each where the whole element
    takes 8 bytes. Other elements are aligned to 8 bytes, but not compressed ones.
    """
    position = 0
    while position + 8 <= len(content):
        kind, size = struct.unpack_from("<II", content, position)
        is_small = kind >> 16 != 0
        if is_small:
            size = kind >> 16
            kind &= 0xFFFF
            start = position + 4
            stop = position + 8
        else:
            start = position + 8
            padding = 0 if kind == _COMPRESSED else -size % 8
            stop = start + size + padding
        if start + size > min(stop, len(content)):
            raise ValueError(f"an element of {size} bytes is cut off")
        yield kind, content[start : start + size]
        position = stop
