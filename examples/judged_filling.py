"""How well runs fill gaps: `python examples/judged_filling.py JUDGE RUN...`.

Another run, the judge, says so. The pieces are those of the valid split of the judge's dataset, on
which the other runs were trained too. A part of each piece is hidden, and each RUN fills it: of a
text a quarter of the characters in a row, of music all below the highest line.

A line of JSON for each RUN has `excess`: by how much less likely the judge finds the filled piece
than the true one, in bits a hidden character or nats a hidden step. The lower the better; draws of
the data itself would have about 0.

An exact judge, `lstm`, is quick and has no noise.
"""

import argparse
import json
import time
import warnings
import zlib
from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np

import lnfgen
from lnfgen.conventions import PARTICLES
from lnfgen.formats.read_write import GivenPiece
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Song
from lnfgen.runs.evaluation_data import dataset_of
from lnfgen.runs.trained import TrainedModel

LENGTHS = range(30, 201)
"""Pieces of other lengths, in steps or characters, are left out."""


def num_steps(piece: GivenPiece) -> int:
    """The steps or characters of a piece."""
    if isinstance(piece, str):
        return len(piece)
    if isinstance(piece, Song):
        return piece.roll.num_steps
    return piece.num_steps


def hidden_part(piece: GivenPiece, number: int) -> tuple[str, int]:
    """What is hidden of piece `number`, as a word for `fill`, and its steps or characters."""
    if not isinstance(piece, str):
        return "below-melody", num_steps(piece)
    seed = zlib.crc32(str(number).encode())
    hidden = len(piece) // 4
    first = int(np.random.default_rng(seed).integers(1, len(piece) - hidden + 2))
    return f"{first}-{first + hidden - 1}", hidden


def judged(judge: TrainedModel, piece: GivenPiece) -> float:
    """The NLL of a whole piece, in bits or nats."""
    return judge.nll(piece).nll * (num_steps(piece) + 1)


def pieces_of(judge: TrainedModel, count: int) -> list[PianoRoll | str]:
    """The first pieces of the judge's valid split that have one of the `LENGTHS`."""
    dataset = dataset_of(judge.run, advice="run this where its dataset is")
    fitting = (piece for piece in dataset.pieces("valid") if num_steps(piece) in LENGTHS)
    return list(islice(fitting, count))


def measured(
    name: str,
    judge: TrainedModel,
    pieces: Sequence[GivenPiece],
    true_nlls: Sequence[float],
    particles: int,
) -> dict[str, Any]:
    """The line of a run. `true_nlls` are what the judge finds the true pieces to cost."""
    run = lnfgen.load(name)
    began = time.perf_counter()
    excess = 0.0
    num_hidden = 0
    for number, piece in enumerate(pieces):
        word, size = hidden_part(piece, number)
        (filled,) = run.fill(piece, word, seed=number, particles=particles)
        excess = excess + judged(judge, filled) - true_nlls[number]
        num_hidden += size
    seconds = time.perf_counter() - began
    return {
        "run": name,
        "pieces": len(pieces),
        "particles": particles,
        "excess": round(excess / num_hidden, 3),
        "seconds_each": round(seconds / len(pieces), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("judge")
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--count", type=int, default=60, help="pieces (60)")
    parser.add_argument(
        "--particles", type=int, default=PARTICLES, help=f"particles of a filling ({PARTICLES})"
    )
    given = parser.parse_args()
    warnings.simplefilter("ignore")  # pieces that are moved into the range of a model
    judge = lnfgen.load(given.judge)
    pieces = pieces_of(judge, given.count)
    true_nlls = [judged(judge, piece) for piece in pieces]
    for name in given.runs:
        line = measured(name, judge, pieces, true_nlls, given.particles)
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
