"""Read the polyphonic benchmark sets of Boulanger-Lewandowski et al. (ICML 2012, arXiv 1206.6392).

They are passed on in two forms. One is a pickle, `{'train': [piece, ...], 'valid': ..., 'test': ...}`; a piece is a
list of frames, and a frame is a tuple of MIDI note numbers (Python ints, or in the original files numpy scalars). The
other is a MATLAB file with the cell arrays `traindata`, `validdata` and `testdata`; a piece is [T, 88], and its first
column is MIDI note 21. The files say which keys sound but not which are struck, so `onsets` is None.

A pickle can run any program when it is read. So the reader here admits plain containers and numbers only.
"""

from __future__ import annotations

import io
import pickle
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from lnfgen.conventions import SPLITS
from lnfgen.errors import LnfgenError, UnreadableFileError
from lnfgen.music.pianoroll import LOWEST_PITCH, NUM_PITCHES, PianoRoll

SUFFIXES = (".pickle", ".pkl", ".mat")

# (part of the file's name, steps per quarter, quarters per minute). A frame of the chorales is a quarter note. For the
# other sets nobody says what it is, but at four to a quarter the pieces sound right. Samples are written with these
# values; no score depends on them.
_GRIDS = (("jsb", 1, 80.0), ("nottingham", 4, 120.0), ("piano", 4, 100.0), ("muse", 4, 110.0))


def read_benchmark(path: Path) -> dict[str, list[PianoRoll]]:
    """The pieces of each split, in the order of the file; none is cut or transposed.

        read_benchmark(Path("jsb_chorales.pickle"))["train"][0]

    Raises:
        UnreadableFileError: if the file is missing or damaged, is no benchmark set, or is a pickle that asks for
            anything but plain containers and numbers.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnreadableFileError(f"cannot read {path}: {error.strerror or error}") from error
    if not content:
        raise UnreadableFileError(f"{path} is empty; expected a benchmark set as .pickle or .mat")
    splits = _read_mat(content, path) if path.suffix.lower() == ".mat" else _read_pickle(content, path)
    return {name: [_roll(sounding, path) for sounding in splits[name]] for name in SPLITS}


def _roll(sounding: np.ndarray, path: Path) -> PianoRoll:
    stem = path.stem.lower()
    grid = next(((steps, tempo) for part, steps, tempo in _GRIDS if part in stem), (4, 120.0))
    try:
        return PianoRoll(sounding, None, steps_per_quarter=grid[0], tempo_bpm=grid[1])
    except LnfgenError as error:
        raise UnreadableFileError(f"{path} holds a piece that is none: {error}") from None


def _read_pickle(content: bytes, path: Path) -> dict[str, list[np.ndarray]]:
    try:
        value = _PlainUnpickler(content).load()
    except _RefusedGlobalError as error:
        raise UnreadableFileError(f"{path} is refused: {error}; nothing of it was run") from None
    except Exception as error:  # a damaged pickle can fail in any way
        detail = " ".join(str(error).split())[:80] or type(error).__name__
        raise UnreadableFileError(f"{path} is no readable pickle: {detail}; expected a benchmark set") from None
    if not isinstance(value, dict) or not all(isinstance(value.get(name), list) for name in SPLITS):
        keys = f"keys {', '.join(map(repr, list(value)[:5]))}" if isinstance(value, dict) else type(value).__name__
        raise UnreadableFileError(f"{path} holds {keys:.80}; expected lists of pieces under 'train', 'valid', 'test'")
    try:
        return {name: [_frames_to_sounding(piece) for piece in value[name]] for name in SPLITS}
    except (TypeError, ValueError) as error:
        raise UnreadableFileError(f"{path} is no benchmark set: {error}") from None


def _frames_to_sounding(piece: Iterable[Iterable[Any]]) -> np.ndarray:
    if not isinstance(piece, list | tuple | np.ndarray):
        raise ValueError(f"a piece is {type(piece).__name__}, not a list of frames")
    frames = [list(frame) for frame in piece]
    sounding = np.zeros((len(frames), NUM_PITCHES), dtype=np.bool_)
    times = [time for time, frame in enumerate(frames) for _ in frame]
    notes = [note for frame in frames for note in frame]
    if any(type(note) is not int for note in notes):
        raise ValueError("a frame holds something else than whole MIDI note numbers")
    if notes and not LOWEST_PITCH <= min(notes) <= max(notes) < LOWEST_PITCH + NUM_PITCHES:
        raise ValueError(f"a frame holds a note outside {LOWEST_PITCH} to {LOWEST_PITCH + NUM_PITCHES - 1}")
    sounding[times, [note - LOWEST_PITCH for note in notes]] = True
    return sounding


class _RefusedGlobalError(Exception):
    pass


class _PlainUnpickler(pickle.Unpickler):
    """Reads plain containers and numbers, and the numbers and arrays of numpy; it refuses everything else.

    Where a pickle names something of numpy, it gets one of the classes below instead, so nothing is imported. What
    reaches numpy in the end is the checked name of a type, and bytes of the right length.
    """

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content), encoding="latin1")  # Python 2 wrote the bytes of numpy's values as str
        self._admitted = {
            "scalar": _StandIn(_scalar),
            "_reconstruct": _StandIn(lambda *_: _Array()),
            "dtype": _StandIn(_DType),
            "ndarray": _StandIn(None),
            "encode": _StandIn(_encode),
        }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ADMITTED:
            return self._admitted[name]
        raise _RefusedGlobalError(
            f"it names {module}.{name}"[:100] + ", which a benchmark set has no use for (plain and numpy numbers only)"
        )


_ADMITTED = {
    *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("scalar", "_reconstruct")),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("_codecs", "encode"),  # how Python 3 writes bytes in the pickle protocols 0 to 2
}


class _StandIn:
    """What a pickle gets in place of a function or class. At most it can be called; it has no attributes to change."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any] | None) -> None:
        self._call = call

    def __call__(self, *arguments: Any) -> Any:
        if self._call is None:
            raise _RefusedGlobalError("it calls numpy.ndarray")
        return self._call(*arguments)

    def __setstate__(self, state: object) -> None:
        raise _RefusedGlobalError("it changes a global")


class _DType:
    """A numpy type: of whole numbers, of truth values, or of objects, which are lists of these."""

    __slots__ = ("code", "order")

    def __init__(self, code: Any, *_: Any) -> None:
        if not isinstance(code, str) or not re.fullmatch(r"[iu][1248]|b1|[Of][48]?", code):
            raise _RefusedGlobalError(f"it holds numpy values of the type {code!r:.30}")
        self.code, self.order = code, "<"

    def __setstate__(self, state: Any) -> None:
        self.order = ">" if state[1] == ">" else "<"

    def array(self, content: Any) -> np.ndarray:
        if isinstance(content, str):
            content = content.encode("latin1")
        if not isinstance(content, bytes) or self.code.startswith("O"):
            raise ValueError("a numpy value without its bytes")
        return np.frombuffer(content, dtype=np.dtype(self.order + self.code))


def _scalar(dtype: Any, content: Any = b"") -> Any:
    if not isinstance(dtype, _DType):
        raise ValueError("a numpy number without a type")
    return dtype.array(content).reshape(()).item()


class _Array(list[Any]):
    """A numpy array of up to two dimensions, as lists of plain numbers."""

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, content = state
        if not isinstance(dtype, _DType):
            raise ValueError("a numpy array without a type")
        if dtype.code.startswith("O") and isinstance(content, list) and len(shape) == 1 and len(content) == shape[0]:
            self[:] = content
            return
        self[:] = dtype.array(content).reshape(shape, order="F" if fortran else "C").tolist()


def _encode(text: Any, codec: Any) -> bytes:
    if not isinstance(text, str) or codec not in ("latin1", "latin-1"):
        raise _RefusedGlobalError("it encodes something else than bytes")
    return text.encode("latin1")


def _read_mat(content: bytes, path: Path) -> dict[str, list[np.ndarray]]:
    import scipy.io

    try:
        value = scipy.io.loadmat(io.BytesIO(content), variable_names=[f"{name}data" for name in SPLITS])
    except Exception as error:  # scipy raises errors of many kinds on a damaged file
        detail = " ".join(str(error).split())[:80] or type(error).__name__
        raise UnreadableFileError(f"{path} is no readable MATLAB file: {detail}; expected a benchmark set") from None
    splits = {}
    for name in SPLITS:
        cells = value.get(f"{name}data")
        if not isinstance(cells, np.ndarray) or cells.dtype != object:
            raise UnreadableFileError(
                f"{path} has no cells {name}data; expected traindata, validdata, testdata of [steps, {NUM_PITCHES}]"
            )
        pieces = [np.asarray(piece) for piece in cells.reshape(-1)]
        for piece in pieces:
            if piece.ndim != 2 or piece.shape[1] != NUM_PITCHES or piece.dtype.kind not in "biuf":
                raise UnreadableFileError(
                    f"{path} holds a piece of {piece.dtype} {list(piece.shape)}; expected [steps, {NUM_PITCHES}]"
                )
        splits[name] = [piece != 0 for piece in pieces]
    return splits
