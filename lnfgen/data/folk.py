"""The dataset `folk-abc`: dance tunes in ABC notation that come with the music21 package, taken as text."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from lnfgen import text
from lnfgen.conventions import SPLITS
from lnfgen.data.prepared import Prepared
from lnfgen.data.splits import split_by_hash
from lnfgen.data.texts import MAX_TUNE, encode_texts
from lnfgen.errors import DatasetError, UnreadableFileError
from lnfgen.files import sha256_of

_BOOKS = ("ryansMammoth", "oneills1850")


def prepare_folk() -> Prepared:
    """The dataset, with the split of each tune fixed by a hash of its file's name and its number in the file.

    Raises:
        DatasetError: if music21 is not installed or its tunes are missing.
    """
    corpus = _music21_folder() / "corpus"
    splits: dict[str, list[str]] = {split: [] for split in SPLITS}
    sources = []
    for path in sorted(path for book in _BOOKS for path in (corpus / book).glob("*.abc")):
        label = f"{path.parent.name}/{path.name}"
        sources.append({"path": label, "sha256": sha256_of(path)})
        for number, tune in enumerate(text.abc_tunes(_read(path))):
            splits[split_by_hash(f"{label} {number}")].append(tune)
    if not sources:
        raise DatasetError(f"{corpus} holds no ABC tunes; reinstall music21: pip install --force-reinstall music21")
    encoded = encode_texts("folk-abc", splits, MAX_TUNE)
    return Prepared(
        "folk-abc",
        encoded.encoding,
        encoded.splits,
        encoded.dropped,
        sources,
        options={"kind": "text", "max_length": MAX_TUNE, "split": "by hash of file and number of the tune"},
    )


def _read(path: Path) -> str:
    content = path.read_bytes()
    try:
        return text.decode_utf8(content, path.name)
    except UnreadableFileError:  # some of the files are older than UTF-8
        return content.decode("latin-1")


def _music21_folder() -> Path:
    """Where the music21 package is installed. Importing it would take seconds, and its code is not needed here."""
    spec = importlib.util.find_spec("music21")
    if spec is None or not spec.submodule_search_locations:
        raise DatasetError("the music21 package is not installed; install it: pip install music21")
    return Path(next(iter(spec.submodule_search_locations)))
