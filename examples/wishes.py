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
from collections.abc import Iterable
from pathlib import Path

import numpy as np

import lnfgen
from lnfgen.inference.wishes import wishes_for
from lnfgen.music.figures import music_figures
from lnfgen.music.pianoroll import PianoRoll

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
BARS, FREE, DRAWN = 8, 400, 20
FIGURES = {name: figure.value for name, figure in music_figures(4).items()}


def measure() -> None:
    """Print the table of wishes.md."""
    model = lnfgen.load("chorales", "cpu")
    free = rolls(model.sample(count=FREE, bars=BARS, seed=77))
    windows = [
        part
        for piece in lnfgen.preprocess("chorales", out="c").pieces("test")
        for part in eight_bars(piece)
    ]
    ranges = {
        name: np.nanquantile([value(part) for part in windows], (0.05, 0.95))
        for name, value in FIGURES.items()
    }
    print(
        "| wish | free that meet it | of 20 drawn towards it | seconds | inside: free | free that meet it | drawn |"
    )
    print("|---|---|---|---|---|---|---|")
    for want in WISHES:
        wishes, start = wishes_for(want, model.encoding), time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            drawn = rolls(model.sample(count=DRAWN, bars=BARS, seed=0, want=want, seconds=60))
        seconds = time.perf_counter() - start
        meeting = [piece for piece in free if wishes.distance(piece) == 0]
        held = sum(wishes.distance(piece) == 0 for piece in drawn)
        shares = " | ".join(
            f"{100 * inside(pieces, ranges):.0f} %" for pieces in (free, meeting, drawn)
        )
        print(
            f"| {', '.join(want)} | {100 * len(meeting) / FREE:.0f} % | {held} | {seconds:.0f} | {shares} |",
            flush=True,
        )


def inside(pieces: list[PianoRoll], ranges: dict[str, np.ndarray]) -> float:
    """The share of the pieces inside the range of each figure, the mean over the figures."""
    each = [
        [low <= FIGURES[name](piece) <= high for piece in pieces]
        for name, (low, high) in ranges.items()
    ]
    return float(np.mean(each))


def eight_bars(piece: object) -> list[PianoRoll]:
    """Stretches of eight bars, one after the other."""
    assert isinstance(piece, PianoRoll)
    lines = [*piece.bars().values(), piece.num_steps][1 if piece.upbeat else 0 :]
    return [piece.stretch(*ends) for ends in zip(lines[::BARS], lines[BARS::BARS], strict=False)]


def rolls(pieces: Iterable[object]) -> list[PianoRoll]:
    """The pieces, all of which are music."""
    return [piece for piece in pieces if isinstance(piece, PianoRoll)]


def draw(folder: Path) -> None:
    """Draw a picture for each wish, all with one seed."""
    model = lnfgen.load("chorales", "cpu")
    folder.mkdir(exist_ok=True)
    for name, want in PICTURES.items():
        (piece,) = model.sample(bars=BARS, seed=3, want=["metre=4/4", *want])
        lnfgen.write(folder / f"{name}.png", piece)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("measure", "pictures"))
    if parser.parse_args().what == "measure":
        measure()
    else:
        draw(Path(__file__).parent / "wishes")
