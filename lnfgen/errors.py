"""Errors that a user sees.

A message is one line: what went wrong, what was found, what was expected, how to mend it. Any other
exception, except an `OSError`, which names its file, is a defect in lnfgen and shows its traceback.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

_OUT_OF_MEMORY = re.compile(
    "out of memory|can't allocate memory|not enough memory|alloc_failed|"
    "size calculation overflowed",
    re.IGNORECASE,
)


class LnfgenError(Exception):
    """Base of all errors that lnfgen raises on purpose."""


class UnreadableFileError(LnfgenError):
    """A file of music or text that is missing, damaged, or of another kind than its suffix."""


class DatasetError(LnfgenError):
    """A dataset folder, or a dataset's name, that cannot be used."""


class ConfigError(LnfgenError):
    """A configuration with an unknown key, an impossible value, or a combination without sense."""


class RunError(LnfgenError):
    """A run folder that is missing, incomplete or damaged."""


class OutputError(LnfgenError):
    """A place that cannot be written, or that holds something which would be lost."""


class LnfgenWarning(UserWarning):
    """A remark on a result that is not quite what a person may expect.

    The command line prints it as a line.
    """


class GivenPieceWarning(LnfgenWarning):
    """A remark on the piece that a model was given, which is alike for all drawings from it."""


def is_out_of_memory(error: BaseException) -> bool:
    """True if an exception means that memory is too small."""
    if isinstance(error, MemoryError):
        return True
    # For a CPU, torch has no class of errors for that.
    return isinstance(error, RuntimeError) and _OUT_OF_MEMORY.search(str(error)) is not None


@contextmanager
def unreadable(what: str, expected: str = "") -> Iterator[None]:
    """Turn whatever a parser raises in the block into an `UnreadableFileError`.

    Parsers raise errors of many kinds on damaged files. The message is "WHAT: REASON; EXPECTED".
    An error of lnfgen's own passes as it is, and so does a lack of memory, which says nothing about
    the file.
    """
    try:
        yield
    except (LnfgenError, MemoryError):
        raise
    except Exception as error:
        message = f"{what}: {_reason(error)}"
        if expected:
            message += f"; {expected}"
        raise UnreadableFileError(message) from error


def _reason(error: Exception) -> str:
    """What a parser's error says, in one short line."""
    if isinstance(error, EOFError):
        return "it ends too early"
    words = " ".join(str(error).split())
    return words[:120] or type(error).__name__
