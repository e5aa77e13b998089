"""Where lnfgen keeps files that it can fetch or build again."""

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """The folder for downloads and for datasets that were built on the way.

    It is `$LNFGEN_CACHE` if that is set. Otherwise it is the usual place of the operating system for such files:
    `~/.cache/lnfgen` on Linux (or below `$XDG_CACHE_HOME`), `~/Library/Caches/lnfgen` on a Mac, and a folder below
    `AppData` on Windows. The folder need not exist yet.
    """
    if own := os.environ.get("LNFGEN_CACHE"):
        return Path(own).expanduser()
    return platformdirs.user_cache_path("lnfgen", appauthor=False)
