"""oneDNN, the library that torch calls for some operations on a CPU, costs too much for each call on a small tensor."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def without_onednn() -> Iterator[None]:
    """Within it, torch uses its own code: GELU of one row of 100 then takes 4 microseconds in place of 25."""
    settings: Any = torch.backends.mkldnn  # its types do not know that its settings can be assigned
    before = settings.enabled
    settings.enabled = False
    try:
        yield
    finally:
        settings.enabled = before
