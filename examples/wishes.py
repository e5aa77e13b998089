"""Measure wishes, or draw the pictures of wishes.md: `python examples/wishes.py measure`, or
`pictures`.

Ten wishes that few free samples of the model in the box meet, each alone, and three together that
hardly any meets. For each: how many of the free samples meet it, how many of twenty pieces that are
drawn towards it, the seconds, and the share of the figures of `compare` inside the 5 to 95 % range
of test, the mean over the figures: of free samples, of those that meet the wish, and of the twenty
pieces.
"""

import argparse
import time
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

import lnfgen
from lnfgen.inference.wish_reading import wishes_for
from lnfgen.music.figures import music_figures
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.runs.evaluation_data import open_source
from lnfgen.runs.trained import TrainedModel

WISHES = (
    ["key=G"],
    ["key=Bb"],
    ["notes_per_bar=..12.5"],
    ["notes_per_bar=18.."],
    ["note_length=1.15.."],
    ["off_quarter_rate=..0.1"],
    ["scale_consistency=0.98.."],
    ["melody_repeat_rate=0.2.."],
    ["top=..C5"],
    ["top_interval=..1.85"],
    ["key=G", "notes_per_bar=..14", "top=..D5"],
)
PICTURES = {
    "free": [],
    "calm": ["notes_per_bar=..12"],
    "dense": ["notes_per_bar=19.."],
    "minor": ["mode=minor"],
    "range": ["top=E4..E5"],
    "cadence": ["ends=cadence"],
}
BARS = 8
FREE = 400
DRAWN = 20
FIGURES = {name: figure.value for name, figure in music_figures(4).items()}
HEAD = (
    "wish",
    "free that meet it",
    f"of {DRAWN} drawn towards it",
    "seconds",
    "inside: free",
    "free that meet it",
    "drawn",
)


def measure() -> None:
    """Print the table of wishes.md."""
    model = lnfgen.load("chorales", "cpu")
    free = rolls(model.sample(count=FREE, bars=BARS, seed=77))
    windows: list[PianoRoll] = []
    for piece in rolls(open_source("chorales").pieces("test")):
        windows += eight_bars(piece)
    ranges: dict[str, np.ndarray] = {}
    for name, value in FIGURES.items():
        ranges[name] = np.nanquantile([value(window) for window in windows], (0.05, 0.95))
    print_row(HEAD)
    print_row(["---"] * len(HEAD))
    for want in WISHES:
        print_row(measured(model, want, free, ranges))


def measured(
    model: TrainedModel, want: list[str], free: list[PianoRoll], ranges: dict[str, np.ndarray]
) -> list[str]:
    """The row of a wish."""
    wishes = wishes_for(want, model.encoding)
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        drawn = rolls(model.sample(count=DRAWN, bars=BARS, seed=0, want=want))
    seconds = time.perf_counter() - start
    meeting = [piece for piece in free if wishes.distance(piece) == 0]
    held = sum(wishes.distance(piece) == 0 for piece in drawn)
    insides = [f"{100 * inside(pieces, ranges):.0f} %" for pieces in (free, meeting, drawn)]
    of_free = f"{100 * len(meeting) / FREE:.0f} %"
    return [", ".join(want), of_free, str(held), f"{seconds:.0f}", *insides]


def print_row(cells: Sequence[str]) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


def inside(pieces: list[PianoRoll], ranges: dict[str, np.ndarray]) -> float:
    """The share of the pieces inside the range of each figure, the mean over the figures."""
    shares: list[float] = []
    for name, (low, high) in ranges.items():
        value = FIGURES[name]
        shares.append(float(np.mean([low <= value(piece) <= high for piece in pieces])))
    return float(np.mean(shares))


def eight_bars(piece: PianoRoll) -> list[PianoRoll]:
    """Stretches of eight bars, one after the other."""
    lines = list(piece.bars().values())
    if piece.upbeat:
        del lines[0]
    lines.append(piece.num_steps)
    ends = zip(lines[::BARS], lines[BARS::BARS], strict=False)
    return [piece.stretch(start, end) for start, end in ends]


def rolls(pieces: Iterable[object]) -> list[PianoRoll]:
    """The pieces, all of which are music."""
    return [piece for piece in pieces if isinstance(piece, PianoRoll)]


def draw(folder: Path) -> None:
    """Draw a picture for each wish, all with one seed."""
    model = lnfgen.load("chorales", "cpu")
    folder.mkdir(exist_ok=True)
    for name, want in PICTURES.items():
        (piece,) = model.sample(bars=BARS, seed=11, want=["time_signature=4/4", *want])
        lnfgen.write(folder / f"{name}.png", piece)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("measure", "pictures"))
    if parser.parse_args().what == "measure":
        measure()
    else:
        draw(Path(__file__).parent / "wishes")


if __name__ == "__main__":
    main()
