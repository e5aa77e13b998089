"""The dataset `folk-abc`: dance tunes in ABC notation that come with the music21 package, taken as text."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from lnfgen.conventions import SPLITS
from lnfgen.data.prepared import Prepared
from lnfgen.data.splits import split_by_hash
from lnfgen.data.texts import MAX_TUNE, encode_texts
from lnfgen.errors import DatasetError, UnreadableFileError
from lnfgen.files import sha256_of
from lnfgen.formats import text

_BOOKS = ("ryansMammoth", "oneills1850")


def prepare_folk() -> Prepared:
    """The dataset, with the split of each tune fixed by a hash of its file's name and its number in the file.

    Raises:
        DatasetError: if music21 is not installed or its tunes are missing.
    """
    spec = importlib.util.find_spec("music21")  # importing it would take seconds, and its code is not needed here
    if spec is None or spec.origin is None:
        raise DatasetError("the music21 package is not installed; install it: pip install music21")
    corpus = Path(spec.origin).parent / "corpus"
    splits: dict[str, list[str]] = {split: [] for split in SPLITS}
    sources = []
    for path in sorted(path for book in _BOOKS for path in (corpus / book).glob("*.abc")):
        label = f"{path.parent.name}/{path.name}"
        sources.append({"path": label, "sha256": sha256_of(path)})
        try:
            content = text.read_text(path)
        except UnreadableFileError:  # some of the files are older than UTF-8
            content = path.read_bytes().decode("latin-1")
        for number, tune in enumerate(text.abc_tunes(content)):
            splits[split_by_hash(f"{label} {number}")].append(tune)
    if not sources:
        raise DatasetError(f"{corpus} holds no ABC tunes; reinstall music21: pip install --force-reinstall music21")
    options = {"kind": "text", "max_length": MAX_TUNE, "split": "by hash of file and number of the tune"}
    return encode_texts("folk-abc", splits, MAX_TUNE, sources=sources, options=options)
