"""Lines and chunks of text files as a stream: where they are, and what they hold. No file is in memory as a whole.

Characters are handled as arrays of code points, in blocks. A first pass finds where each line or chunk is; when their
splits are known, later passes read the files again.
"""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from lnfgen.conventions import SPLITS
from lnfgen.data.encoding import Encoding
from lnfgen.errors import DatasetError, UnreadableFileError
from lnfgen.formats.text import UNKNOWN, not_utf8

BLOCK_BYTES = 1 << 20

_LAST_SPACE = 0x3000  # the highest code point that `str.strip` takes off
_CODE_POINTS = 0x110000


def blocks_of(path: Path) -> Iterator[np.ndarray]:
    """The characters of a UTF-8 file without a byte order mark: code points, uint8 where all are ASCII, else uint32.

    Raises:
        UnreadableFileError: if the file is missing, is empty, or is no UTF-8, in which case some blocks came before.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with open(path, "rb") as file:
            taken = 3 if file.read(3) == codecs.BOM_UTF8 else 0
            file.seek(taken)
            while True:
                content = file.read(BLOCK_BYTES)
                rest = len(decoder.getstate()[0])  # bytes of a character that the last block ended in
                try:
                    if content and content.isascii() and not rest:
                        yield np.frombuffer(content, np.uint8)
                    else:
                        text = decoder.decode(content, final=not content)
                        yield np.frombuffer(text.encode("utf-32-le"), "<u4")
                except UnicodeDecodeError as error:
                    offset = taken - rest + error.start
                    raise not_utf8(str(path), error.object[error.start], offset) from None
                taken += len(content)
                if not content:
                    break
    except OSError as error:
        raise UnreadableFileError(f"cannot read {path}: {error.strerror or error}") from error
    if not taken:
        raise UnreadableFileError(f"{path} is empty; expected UTF-8 text")


def find_lines(path: Path) -> np.ndarray:
    """int64 [N, 2]: the first character of each line that `text.lines` gives, and the one after its last.

    Raises:
        UnreadableFileError: as `blocks_of`.
    """
    found = [np.zeros((0, 2), np.int64)]
    line = np.array([[-1, -1]])  # the line that goes on in the next block; -1: it has only space so far
    base = 0
    for points in blocks_of(path):
        ends = np.flatnonzero((points == ord("\n")) | (points == ord("\r")))
        if points.dtype == np.uint8:  # `translate` needs a nanosecond for each
            space = np.frombuffer(points.tobytes().translate(_spaces()[:256].tobytes()), np.bool_)
        else:
            space = _spaces().take(points, mode="clip")
        signs = np.flatnonzero(~space)
        first = np.searchsorted(signs, np.concatenate([[0], ends]))
        last = np.searchsorted(signs, np.concatenate([ends, [len(points)]]))
        lines = np.full((len(first), 2), -1)
        some = last > first
        lines[some] = np.stack([signs[first[some]], signs[last[some] - 1] + 1], axis=1) + base
        if line[0, 0] >= 0:
            lines[0] = line[0, 0], max(line[0, 1], lines[0, 1])
        lines, line = lines[:-1], lines[-1:]
        found.append(lines[lines[:, 0] >= 0])
        base += len(points)
    return np.concatenate([*found, line[line[:, 0] >= 0]])


@cache
def _spaces() -> np.ndarray:
    """bool: which code points `str.strip` takes off. The last entry stands for all higher ones."""
    return np.array([chr(point).isspace() for point in range(_LAST_SPACE + 2)])


@dataclass(frozen=True)
class TextFile:
    """The sequences in a file.

    Attributes:
        where: int64 [N, 2], the place of each, as characters of the file. They are in order and do not overlap.
        owner: int8 [N], its split: 0 for train, 1 for valid, 2 for test, and -1 for none.
        state: size and time of the file, for `require_unchanged`.
    """

    path: Path
    where: np.ndarray
    owner: np.ndarray
    state: tuple[int, int]

    def require_unchanged(self) -> None:
        """
        Raises:
            DatasetError: if the file has been written since it was read first.
        """
        if state_of(self.path) != self.state:
            raise DatasetError(f"{self.path} has changed while it was being read; preprocess it again")


def state_of(path: Path) -> tuple[int, int]:
    """Size and time of modification of a file; zeros where it is missing."""
    try:
        found = os.stat(path)
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns


class TextSequences:
    """The sequences of text files, encoded as they are read. The vocabulary is that of train."""

    def __init__(self, files: Sequence[TextFile]) -> None:
        self._files = files
        owner = np.concatenate([file.owner for file in files])
        lengths = np.concatenate([file.where[:, 1] - file.where[:, 0] for file in files])
        self.lengths = {split: lengths[owner == code] for code, split in enumerate(SPLITS)}
        self.encoding = Encoding(kind="text", vocabulary=self._vocabulary())

    def _vocabulary(self) -> tuple[str, ...]:
        """As `text.fit_vocabulary` has it."""
        seen = np.zeros(_CODE_POINTS, np.bool_)
        for _, points in self._points(range(1)):
            if points.dtype == np.uint8:  # look at those that are new alone
                known = bytes(np.flatnonzero(seen[:256]).tolist())
                points = np.frombuffer(points.tobytes().translate(None, known), np.uint8)
            seen[points] = True
        seen[ord(UNKNOWN)] = False
        return (UNKNOWN, *map(chr, np.flatnonzero(seen).tolist()))

    def blocks(self) -> Iterator[tuple[str, np.ndarray]]:
        return ((split, self.encoding.encode_points(points)) for split, points in self._points(range(len(SPLITS))))

    def _points(self, codes: range) -> Iterator[tuple[str, np.ndarray]]:
        """The code points of whole sequences of these splits, joined."""
        for file in self._files:
            file.require_unchanged()
            chosen = (file.owner >= codes.start) & (file.owner < codes.stop)
            where, owner = file.where[chosen], file.owner[chosen]
            last = where[:, 1].copy()  # a search in a column would copy it each time
            base = done = 0
            held = np.empty(0, np.uint8)  # the beginning of a sequence that the last block ended in
            for block in blocks_of(file.path):
                points = np.concatenate([held, block]) if len(held) else block
                stop = int(np.searchsorted(last, base + len(points), "right"))
                changes = np.zeros(len(points) + 1, np.int8)  # 1 + the code of a split where a sequence of it begins
                begins, ends = (where[done:stop] - base).T
                changes[ends] -= owner[done:stop] + 1
                changes[begins] += owner[done:stop] + 1
                belongs = np.cumsum(changes[:-1], dtype=np.int8)
                for code in codes:
                    if len(own := points[belongs == code + 1]):
                        yield SPLITS[code], own
                end = base + len(points)
                kept = max(0, end - int(where[stop, 0])) if stop < len(where) else 0
                held = points[len(points) - kept :]
                base, done = end - kept, stop
            file.require_unchanged()
