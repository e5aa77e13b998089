"""How good the harmonies of melodies are: `python examples/harmonies.py FILE...`.

A model harmonises the melody of each file, as `lnfgen harmonize` does. A line of JSON for each
file, and a last one for all of them, has two shares: `unnamed` of the beats have a chord without a
name, and `ends_at_home` of the harmonies have the tonic as their last bass note.
"""

import argparse
import json
import warnings
from pathlib import Path

import numpy as np

import lnfgen
from lnfgen.music.chart import beat_steps
from lnfgen.music.chord import named_sets
from lnfgen.music.endings import ends_at_home
from lnfgen.music.harmony import pitch_classes, set_number
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Song
from lnfgen.runs.trained import TrainedModel


def unnamed_rate(piece: PianoRoll) -> float:
    """The share of the beats with notes whose chord has no name."""
    roll = piece.merged
    sounding = pitch_classes(roll, roll.sounding)[beat_steps(roll)] > 0
    with_notes = sounding[sounding.any(axis=1)]
    has_name = named_sets()[set_number(with_notes)]
    return float(np.mean(~has_name))


def harmonised(model: TrainedModel, melody: Song, count: int, seed: int) -> dict[str, float]:
    """The shares of some harmonies of a melody, on average."""
    unnamed = []
    at_home = []
    for harmony in model.harmonize(melody, count=count, seed=seed):
        assert isinstance(harmony, Song)
        unnamed.append(unnamed_rate(harmony.roll))
        at_home.append(ends_at_home(harmony.roll))
    return {"unnamed": float(np.mean(unnamed)), "ends_at_home": float(np.mean(at_home))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, help="music with a melody")
    parser.add_argument("--run", default="chorales", help="the model (chorales)")
    parser.add_argument("--count", type=int, default=6, help="harmonies of each melody (6)")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    model = lnfgen.load(given.run)
    found: list[dict[str, float]] = []
    for seed, path in enumerate(given.files):
        melody = lnfgen.read(path, tracks="melody")[0]
        assert isinstance(melody, Song)
        shares = harmonised(model, melody, given.count, seed)
        print(json.dumps({"file": path.name, **shares}), flush=True)
        found.append(shares)
    means = {name: float(np.mean([shares[name] for shares in found])) for name in found[0]}
    print(json.dumps({"files": len(found), **means}))


if __name__ == "__main__":
    main()
