"""Songs of a band: `python examples/band.py RUN --out examples/bands.html` makes a page of three
that a run draws.

The first one stands there once more with another melody, for which the other parts are kept.
"""

import argparse
from pathlib import Path

import lnfgen
from lnfgen.formats.read_write import Piece


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="a run of songs with a melody")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "bands.html", help="a page"
    )
    parser.add_argument("--bars", type=int, default=8)
    parser.add_argument("--seeds", type=int, nargs="+", default=[5, 7, 6], help="of the songs")
    parser.add_argument("--melody", type=int, default=3, help="the seed of the other melody")
    asked = parser.parse_args()
    model = lnfgen.load(asked.run)
    songs: dict[str, Piece] = {}
    for number, seed in enumerate(asked.seeds, 1):
        (songs[f"Song {number}"],) = model.sample(bars=asked.bars, seed=seed)
    (songs["Song 1, with another melody"],) = model.fill(
        songs["Song 1"], ["part:melody"], seed=asked.melody
    )
    lnfgen.write(asked.out, list(songs.values()), names=list(songs))


if __name__ == "__main__":
    main()
