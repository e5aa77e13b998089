"""Text as sequences of characters: it is decoded, divided and given a vocabulary."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO

from lnfgen.errors import UnreadableFileError
from lnfgen.formats.sandbox import MEGABYTES, limit

MAX_LINE = 288  # characters; published results for the Penn Treebank also leave out longer lines
UNKNOWN = "\ufffd"  # the symbol for each character that is not in the vocabulary
LINE_ENDS = re.compile(r"\r\n|\n|\r")  # str.splitlines would also cut at form feeds and U+2028


def decode_utf8(content: bytes, name: str) -> str:
    """The text of these bytes, without a byte order mark. Errors call the bytes `name`."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        where = f"byte 0x{content[error.start]:02x} at offset {error.start}"
        raise UnreadableFileError(f"{name} is not UTF-8 text: {where}; save it as UTF-8") from None
    return text.removeprefix("\ufeff")


def require_readable(path: Path) -> None:
    """Refuse a large file, a folder, a device and a named pipe.

    A pipe without a suffix is read, as a shell makes one for `<(command)`.
    """
    size = path.stat().st_size
    is_pipe_of_shell = path.is_fifo() and not path.suffix
    if not path.is_file() and not is_pipe_of_shell:
        raise UnreadableFileError(f"{path} is a folder, a pipe or a device; expected a file")
    _require_size(size, str(path))


def _require_size(size: int, name: str) -> None:
    most = limit("LNFGEN_READ_MB", MEGABYTES)
    if size > most * 1e6:
        raise UnreadableFileError(
            f"{name} has {size / 1e6:,.0f} MB; expected {most:,g} at most, or set LNFGEN_READ_MB"
        )


def rest_of(file: IO[bytes], name: str) -> bytes:
    """All bytes of a file or pipe.

    Raises:
        UnreadableFileError: if they take more memory than reading may.
    """
    content = bytearray()
    while chunk := file.read(1 << 20):
        content += chunk
        _require_size(len(content), name)
    return bytes(content)


def bytes_of(path: Path, expected: str) -> bytes:
    """The bytes of a file.

    Raises:
        UnreadableFileError: if it is missing or empty, or `require_readable` refuses it. The
            message names what is `expected` in its place.
    """
    try:
        require_readable(path)
        with open(path, "rb") as file:
            content = rest_of(file, str(path))
    except FileNotFoundError:
        raise UnreadableFileError(f"{path} is not there; expected {expected}") from None
    except OSError as error:
        raise UnreadableFileError(f"cannot read {path}: {error.strerror or error}") from error
    if not content:
        raise UnreadableFileError(f"{path} is empty; expected {expected}")
    return content


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, with its line ends as they are."""
    return decode_utf8(bytes_of(path, "UTF-8 text"), str(path))


def lines(text: str) -> list[str]:
    """All lines of a text that are not empty, without the space around them."""
    stripped = [line.strip() for line in LINE_ENDS.split(text)]
    return [line for line in stripped if line]


def chunks(text: str, max_length: int) -> list[str]:
    """The text cut after every `max_length` characters. The chunks joined together are the text."""
    return [text[start : start + max_length] for start in range(0, len(text), max_length)]


def with_long_copies(texts: Sequence[str], corpus: Iterable[str], max_length: int) -> list[bool]:
    """True for each text with a long passage that stands in a text of the corpus too.

    A long passage has over `max_length` characters.
    """
    passages = [_passages(text, max_length + 1) for text in texts]
    wanted = set[str]().union(*passages)
    found = set[str]()
    for text in corpus:
        found |= wanted & _passages(text, max_length + 1)
    return [not found.isdisjoint(own) for own in passages]


def _passages(text: str, length: int) -> set[str]:
    """All stretches of so many characters in a text."""
    return {text[start : start + length] for start in range(len(text) - length + 1)}


def fit_vocabulary(train: Iterable[str]) -> tuple[str, ...]:
    """The unknown symbol, then all characters of these texts in the order of their code points."""
    characters = set[str]().union(*train)
    return (UNKNOWN, *sorted(characters - {UNKNOWN}))


def abc_tunes(text: str) -> list[str]:
    """The tunes of an ABC file as texts.

    Each goes from its `X:` line to the next one, without blank lines at its end.
    """
    text = LINE_ENDS.sub("\n", text)
    _, *tunes = re.split(r"^(?=X:)", text, flags=re.MULTILINE)
    return [tune.rstrip() + "\n" for tune in tunes]
