"""The warnings of lnfgen, heard by whoever asked for the work that they arise in."""

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lnfgen.errors import LnfgenWarning


@contextmanager
def heard_by(listener: Callable[[LnfgenWarning], None]) -> Iterator[None]:
    """In the block, call the listener with each warning of lnfgen in this thread.

    All other warnings, and those of other threads, are shown as before. Python has one function
    that shows warnings, so only one thread at a time may be in a block of this kind.
    """
    own_thread = threading.get_ident()
    with warnings.catch_warnings():
        warnings.simplefilter("always", LnfgenWarning)
        shown_before = warnings.showwarning

        def show(message: Any, category: type[Warning], *where: Any) -> None:
            is_own = threading.get_ident() == own_thread
            if is_own and isinstance(message, LnfgenWarning):
                listener(message)
            else:
                shown_before(message, category, *where)

        warnings.showwarning = show  # type: ignore[assignment]
        yield
