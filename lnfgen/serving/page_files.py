"""The files of the page: its own, and the scripts that it shares with pages in files."""

from importlib import resources
from pathlib import PurePosixPath
from typing import NamedTuple

INDEX = "index.html"
_FOLDERS = (("lnfgen.formats", "page"), ("lnfgen.serving", "page"))  # a later one goes first
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}


class PageFile(NamedTuple):
    """A file of the page, and its type."""

    content: bytes
    media_type: str


def page_files() -> dict[str, PageFile]:
    """The files by their names. They are all that a client can ask for, so it names no path."""
    files: dict[str, PageFile] = {}
    for package, folder in _FOLDERS:
        for file in resources.files(package).joinpath(folder).iterdir():
            media_type = _TYPES.get(PurePosixPath(file.name).suffix)
            if media_type is not None:
                files[file.name] = PageFile(file.read_bytes(), media_type)
    return files
