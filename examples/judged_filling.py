"""How well runs fill gaps, by the judgement of another run: `python examples/judged_filling.py
JUDGE RUN...`.

The pieces are those of the valid split of the judge's dataset, on which the other runs were trained
too. Of each a part is hidden and filled by each RUN: of a text a quarter of the characters in a
row, of music all below the highest line. A line of JSON for each RUN has `excess`, by how much less
likely the judge finds the filled piece than the true one, in bits a hidden character or nats a
hidden step. The lower the better; draws of the data itself would have about 0.

An exact judge, `lstm`, is quick and has no noise.
"""

import argparse
import json
import time
import warnings
import zlib
from itertools import islice

import numpy as np

import lnfgen
from lnfgen.conventions import PARTICLES
from lnfgen.runs.material import dataset_of
from lnfgen.runs.trained import TrainedModel

Piece = lnfgen.PianoRoll | str

LENGTHS = range(30, 201)
"""Pieces of other lengths, in steps or characters, are left out."""


def hidden_part(piece: Piece, seed: int) -> tuple[str, int]:
    """What is hidden, as a word for `fill`, and how many steps or characters that is."""
    if not isinstance(piece, str):
        return "below-melody", piece.num_steps
    hidden = len(piece) // 4
    first = int(np.random.default_rng(seed).integers(1, len(piece) - hidden + 2))
    return f"{first}-{first + hidden - 1}", hidden


def num_steps(piece: Piece) -> int:
    """Its steps or characters."""
    return len(piece) if isinstance(piece, str) else piece.num_steps


def judged(judge: TrainedModel, piece: Piece) -> float:
    """The NLL of a whole piece, in bits or nats."""
    return judge.nll(piece).nll * (num_steps(piece) + 1)


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
    warnings.simplefilter("ignore")  # pieces that are moved to where a model is at home
    judge = lnfgen.load(given.judge)
    every = dataset_of(judge.run, advice="run this where its dataset is").pieces("valid")
    pieces = list(islice((piece for piece in every if num_steps(piece) in LENGTHS), given.count))
    expected = [judged(judge, piece) for piece in pieces]
    for name in given.runs:
        run, began, more, hidden = lnfgen.load(name), time.perf_counter(), 0.0, 0
        for number, (piece, nll) in enumerate(zip(pieces, expected, strict=True)):
            word, size = hidden_part(piece, zlib.crc32(str(number).encode()))
            (filled,) = run.fill(piece, word, seed=number, particles=given.particles)
            more, hidden = more + judged(judge, filled) - nll, hidden + size
        seconds = (time.perf_counter() - began) / len(pieces)
        line = {
            "run": name,
            "pieces": len(pieces),
            "particles": given.particles,
            "excess": round(more / hidden, 3),
        }
        print(json.dumps(line | {"seconds_each": round(seconds, 2)}), flush=True)


if __name__ == "__main__":
    main()
