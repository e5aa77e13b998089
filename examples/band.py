"""Songs of a band: `python examples/band.py RUN --out examples/bands.html`.

It makes a page of three songs that a run draws. The first song stands there once more with another
melody, for which the other parts are kept.
"""

import argparse
from pathlib import Path

import lnfgen
from lnfgen.formats.read_write import GivenPiece


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", help="a run of songs with a melody")
    usual_page = Path(__file__).parent / "bands.html"
    parser.add_argument("--out", type=Path, default=usual_page, help="a page")
    parser.add_argument("--bars", type=int, default=8)
    parser.add_argument("--seeds", type=int, nargs="+", default=[2, 8, 6], help="of the songs")
    parser.add_argument("--melody", type=int, default=3, help="the seed of the other melody")
    asked = parser.parse_args()

    model = lnfgen.load(asked.run)
    songs: dict[str, GivenPiece] = {}
    for number, seed in enumerate(asked.seeds, 1):
        drawn = model.sample(bars=asked.bars, seed=seed)
        songs[f"Song {number}"] = drawn[0]
    other = model.fill(songs["Song 1"], ["part:melody"], seed=asked.melody)
    songs["Song 1, with another melody"] = other[0]
    lnfgen.write(asked.out, list(songs.values()), names=list(songs))


if __name__ == "__main__":
    main()
