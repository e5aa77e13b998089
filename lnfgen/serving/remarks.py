"""The warnings of lnfgen, heard by the thread that they arise in.

Python shows warnings by one function that all threads share. A server hands those of each drawing
to whoever asked for it.
"""

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lnfgen.errors import LnfgenWarning

Listener = Callable[[str], None]

_heard = threading.local()


@contextmanager
def to_their_threads() -> Iterator[None]:
    """In the block, warnings of lnfgen go to the listener of their thread, if it has one.

    All others are shown as before.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("always", LnfgenWarning)
        shown_before = warnings.showwarning

        def show(message: Any, category: type[Warning], *where: Any) -> None:
            listener = getattr(_heard, "listener", None)
            if listener is not None and issubclass(category, LnfgenWarning):
                listener(str(message))
            else:
                shown_before(message, category, *where)

        warnings.showwarning = show  # type: ignore[assignment]
        yield


@contextmanager
def heard_by(listener: Listener) -> Iterator[None]:
    """In the block, the listener is called with the text of each warning of this thread."""
    before = getattr(_heard, "listener", None)
    _heard.listener = listener
    try:
        yield
    finally:
        _heard.listener = before
