"""Draw pieces over charts, and measure how much of them is on their chords.

`python examples/asked_chords.py RUN [--seeds N] [--tries N]` draws eight bars over each chart below
and prints, for all of them together: the share of bars of which three quarters sound inside their
chords, the share of chords whose lowest note is their bass when they start, the share of pieces
that have both in nine of ten cases, CPU time, and the means of figures beside those of as many free
pieces, with their difference in standard errors.
"""

import argparse
import time
import warnings

import numpy as np

import lnfgen
from lnfgen.errors import LnfgenWarning
from lnfgen.inference.wanted_chords import ENOUGH_HELD, on_chords
from lnfgen.music.chart import parse_chart
from lnfgen.music.figures import music_figures
from lnfgen.music.pianoroll import PianoRoll

CHARTS = (
    "C Am F G7",
    "C G Am F",
    "G Em C D",
    "D A Bm G",
    "F Dm Bb C7",
    "Bb Gm Eb F",
    "A F#m D E7",
    "Eb Cm Ab Bb7",
    "Am Dm E7 Am",
    "Dm Gm A7 Dm",
    "Em Am B7 Em",
    "Gm Cm D7 Gm",
    "Bm Em F#7 Bm",
    "Cm Ab Eb Bb",
    "Am F C G",
    "Dm7 G7 Cmaj7 A7",
    "Am7 D7 Gmaj7 E7",
    "Gm7 C7 Fmaj7 D7",
    "Em7b5 A7 Dm7 Dm6",
    "C G/B Am C/G F C/E Dm G7",
    "G D/F# Em G/D C G/B Am D7",
    "F C/E Dm F/C Bb F/A Gm C7",
    "C Am | F G | Em Am | Dm G7",
    "G C | D7 G | Em A7 | D",
    "Am E/G# | Am7/G D/F# | F C | Dm E7",
    "Dm A/C# | Dm/C Bm7b5 | Bb Dm/A | Gm A7",
    "F Bb | C7 F | Dm Gm | C7",
    "C Cdim7 G7 C",
    "G Gsus4 D7sus4 D7",
    "D G A7 D",
)
IN_THREE = ("C F G7 C", "Am Dm E7 Am", "G D/F# Em C", "D Bm | G A7 | D")
BARS = 8


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", help="a trained model of music")
    parser.add_argument("--seeds", type=int, default=1, help="pieces for each chart (1)")
    parser.add_argument("--tries", type=int, default=8, help="tries for a piece (8)")
    given = parser.parse_args()
    warnings.simplefilter("ignore", LnfgenWarning)
    model = lnfgen.load(given.run)
    wants = [{"chords": chart} for chart in CHARTS]
    wants += [{"chords": chart, "time_signature": "3/4"} for chart in IN_THREE]
    start = time.process_time()
    free = model.sample(len(wants) * given.seeds, bars=BARS, seed=1000)
    for_free = (time.process_time() - start) / len(free)
    free_pieces = [piece for piece in free if isinstance(piece, PianoRoll)]
    bars = []
    basses = []
    drawn: list[PianoRoll] = []
    start = time.process_time()
    for want in wants:
        for _ in range(given.seeds):
            # Pieces of one seed are alike, whatever their chords.
            seed = len(drawn)
            (piece,) = model.sample(bars=BARS, seed=seed, want=want, tries=given.tries)
            assert isinstance(piece, PianoRoll)
            value, _ = on_chords(parse_chart(want["chords"]), piece)
            bars.append(value["bars"])
            basses.append(value["basses"])
            drawn.append(piece)
    for_asked = (time.process_time() - start) / len(drawn)
    held = (np.array(bars) >= ENOUGH_HELD) & (np.array(basses) >= ENOUGH_HELD)
    print(f"pieces {len(drawn)}, bars {np.mean(bars):.3f}, basses {np.mean(basses):.3f}", end="")
    print(f", held {held.mean():.3f}")
    print(f"CPU seconds a piece {for_asked:.2f}, free {for_free:.2f}")
    for name, figure in music_figures(4, drawn[0].roles).items():
        asked, error = mean_and_error([figure.value(piece) for piece in drawn])
        plain, error_of_plain = mean_and_error([figure.value(piece) for piece in free_pieces])
        errors = (asked - plain) / np.hypot(error, error_of_plain)
        print(f"{name:24} {asked:6.2f} free {plain:6.2f} ({errors:4.1f} standard errors)")


def mean_and_error(values: list[float]) -> tuple[float, float]:
    """The mean of the values that are not nan, and its standard error."""
    found = np.array(values)
    found = found[np.isfinite(found)]
    return float(found.mean()), float(found.std() / np.sqrt(len(found)))


if __name__ == "__main__":
    main()
