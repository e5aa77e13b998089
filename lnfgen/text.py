"""Text as sequences of characters: UTF-8 in, lines or chunks, and the vocabulary of train."""

import re
from collections.abc import Iterable
from pathlib import Path

from lnfgen.errors import LnfgenError, UnreadableFileError

MAX_LINE = 288  # characters; the published character-level Penn Treebank results keep lines up to this length
UNKNOWN = "\ufffd"

_LINE_ENDS = re.compile(r"\r\n|\n|\r")  # not str.splitlines, which also cuts at form feeds and U+2028
_TUNE = re.compile(r"^X:", re.MULTILINE)


def decode_utf8(content: bytes, name: str) -> str:
    """The text of a file's bytes, a byte order mark left out.

    Raises:
        UnreadableFileError: where the bytes are no UTF-8, naming the offset of the first such byte.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnreadableFileError(
            f"{name} is not UTF-8 text: byte 0x{content[error.start]:02x} at offset {error.start}; save it as UTF-8"
        ) from None
    return text.removeprefix("\ufeff")


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, as it stands.

    Raises:
        UnreadableFileError: if the file is missing, empty, or no UTF-8.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise UnreadableFileError(f"cannot read {path}: {error.strerror or error}") from error
    if not content:
        raise UnreadableFileError(f"{path} is empty; expected UTF-8 text")
    return decode_utf8(content, str(path))


def lines(text: str, max_length: int = MAX_LINE) -> tuple[list[str], int]:
    """The lines of a text, stripped, empty ones left out, and the number of those dropped for their length."""
    _require_positive(max_length)
    stripped = stripped_lines(text)
    kept = [line for line in stripped if len(line) <= max_length]
    return kept, len(stripped) - len(kept)


def stripped_lines(text: str) -> list[str]:
    """The lines of a text, however long, without the space around them; empty ones left out."""
    return [line for line in map(str.strip, _LINE_ENDS.split(text)) if line]


def chunks(text: str, max_length: int = MAX_LINE) -> list[str]:
    """The text cut every `max_length` characters: joined, the chunks are the text."""
    _require_positive(max_length)
    return [text[start : start + max_length] for start in range(0, len(text), max_length)]


def fit_vocabulary(train: Iterable[str]) -> tuple[str, ...]:
    """The unknown symbol U+FFFD, then the characters of train in the order of their code points."""
    characters: set[str] = set()
    for sequence in train:
        characters.update(sequence)
    return (UNKNOWN, *sorted(characters - {UNKNOWN}))


def _require_positive(max_length: int) -> None:
    if max_length < 1:
        raise LnfgenError(
            f"sequences of at most {max_length} characters; expected at least 1; give another --max-length"
        )


def abc_tunes(text: str) -> list[str]:
    """The tunes of an ABC file as text, each from its `X:` line to the next one's, without trailing blank space."""
    starts = [match.start() for match in _TUNE.finditer(text)]
    tunes = [text[start:end] for start, end in zip(starts, [*starts[1:], len(text)], strict=True)]
    return [_LINE_ENDS.sub("\n", tune).rstrip() + "\n" for tune in tunes]
