"""Work with your own music: `python examples/own_music.py`.

It makes the pictures of README and a page that plays them. A melody is harmonised three times; in
the first harmony a gap is filled anew, and it is continued and varied. The model in the box makes
it all; another run is the argument. It takes about a minute of a core.

The melody is "Ah! vous dirai-je, maman", French, of the 18th century.
"""

import argparse
from pathlib import Path

import lnfgen
from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.files import write_bytes
from lnfgen.formats.read_write import PAGE, GivenPiece, to_bytes
from lnfgen.music.pianoroll import PianoRoll

TUNE = "GGDDEED- CCBBAAG- DDCCBBA- DDCCBBA- GGDDEED- CCBBAAG-"
"""A note for each quarter; - holds the one before. In G major, from the G above middle C up to
E."""

PITCHES = {"G": 67, "A": 69, "B": 71, "C": 72, "D": 74, "E": 76}
GAP = "bars:5-6"


def melody(steps_per_quarter: int) -> PianoRoll:
    """The tune as a piano-roll on this grid."""
    notes: list[tuple[int, int, int]] = []
    for quarter, letter in enumerate(TUNE.replace(" ", "")):
        if letter == "-":
            start, length, pitch = notes.pop()
            notes.append((start, length + steps_per_quarter, pitch))
        else:
            notes.append((quarter * steps_per_quarter, steps_per_quarter, PITCHES[letter]))
    return PianoRoll.from_notes(notes, steps_per_quarter=steps_per_quarter, tempo_bpm=96)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "run", nargs="?", default="chorales", help="a run folder, or a model in the box"
    )
    usual_folder = Path(__file__).parent / "own-music"
    parser.add_argument("--out", type=Path, default=usual_folder, help="a folder")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    seed = asked.seed
    model = lnfgen.load(asked.run)
    if not isinstance(model.encoding, MusicEncoding):
        raise SystemExit(f"error: {asked.run} makes text; expected a model of music")

    tune = melody(model.encoding.steps_per_quarter)
    harmonies = model.harmonize(tune, count=3, seed=seed)
    (filled,) = model.fill(harmonies[0], GAP, seed=seed)
    asked.out.mkdir(parents=True, exist_ok=True)
    lnfgen.write(asked.out / "melody.png", tune)
    lnfgen.write(asked.out / "harmony.png", harmonies[0])
    lnfgen.write(asked.out / "filled.png", filled)

    pieces: dict[str, GivenPiece] = {"Melody": tune}
    for number, harmony in enumerate(harmonies, 1):
        pieces[f"Harmony {number}"] = harmony
    pieces["Harmony 1, bars 5 and 6 drawn anew"] = filled
    (extended,) = model.extend(harmonies[0], bars=4, seed=seed)
    pieces["Harmony 1, four bars more"] = extended
    for amount in (0.1, 0.25):
        (varied,) = model.vary(harmonies[0], amount=amount, seed=seed)
        pieces[f"Harmony 1, {amount:.0%} of it drawn anew"] = varied
    page = to_bytes(
        list(pieces.values()),
        PAGE,
        title="Ah! vous dirai-je, maman",
        names=list(pieces),
        voices=4,
        seed=seed,
    )
    write_bytes(asked.out / "page.html", page)
    for made in ("melody.png", "harmony.png", "filled.png", "page.html"):
        print(asked.out / made)


if __name__ == "__main__":
    main()
