"""Errors that a user sees. A message is one line: what went wrong, what was found, what was
expected, how to mend it.

Any other exception, except an `OSError`, which names its file, is a defect in lnfgen and shows its
traceback.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

_OUT_OF_MEMORY = re.compile(
    "out of memory|can't allocate memory|not enough memory|alloc_failed|size calculation overflowed",
    re.IGNORECASE,
)


class LnfgenError(Exception):
    """Base of all errors that lnfgen raises on purpose."""


class UnreadableFileError(LnfgenError):
    """A piece, text or benchmark file that is missing, damaged, or of another kind than its
    suffix."""


class DatasetError(LnfgenError):
    """A dataset folder, or a dataset's name, that cannot be used."""


class ConfigError(LnfgenError):
    """A configuration with an unknown key, a value out of range, or a combination that makes no
    sense."""


class RunError(LnfgenError):
    """A run folder that is missing, incomplete or damaged."""


class OutputError(LnfgenError):
    """A place that cannot be written, or that holds something which would be lost."""


class LnfgenWarning(UserWarning):
    """A remark on a result that is not quite what a person may expect. The command line prints it
    as a line."""


def is_out_of_memory(error: BaseException) -> bool:
    """True if an exception means that memory is too small. For a CPU, torch has no class of errors
    for that."""
    is_of_torch = isinstance(error, RuntimeError) and _OUT_OF_MEMORY.search(str(error)) is not None
    return is_of_torch or isinstance(error, MemoryError)


@contextmanager
def unreadable(what: str, expected: str = "") -> Iterator[None]:
    """Turn whatever a parser raises in the block into an `UnreadableFileError`, because parsers
    raise errors of many kinds on damaged files. Its message is "WHAT: REASON", and then ";
    EXPECTED".

    An error of lnfgen's own passes as it is, and so does a lack of memory, which says nothing about
    the file.
    """
    try:
        yield
    except (LnfgenError, MemoryError):
        raise
    except Exception as error:
        words = (
            "it ends too early"
            if isinstance(error, EOFError)
            else " ".join(str(error).split())[:120]
        )
        reason = words or type(error).__name__
        raise UnreadableFileError(
            f"{what}: {reason}; {expected}" if expected else f"{what}: {reason}"
        ) from error
