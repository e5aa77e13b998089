"""What share of a run's samples are tunes: `python examples/abc_share.py RUN [COUNT]`, one JSON object.

RUN is a run on folk-abc. A sample counts as a tune if it is read as ABC notation, as `lnfgen convert` reads it, into at
least 8 notes over at least 2 bars. `of_the_data` is the same share of the dataset's own test tunes, for comparison.
"""

import argparse
import json
import tempfile
from collections.abc import Iterable
from pathlib import Path

import lnfgen
from lnfgen.data.storage import open_dataset

LEAST_NOTES = 8
LEAST_BARS = 2


def is_tune(text: str, folder: Path) -> bool:
    path = folder / "tune.abc"
    path.write_text(text, encoding="utf-8")
    try:
        rolls = lnfgen.read(path)
    except lnfgen.LnfgenError:
        return False
    for roll in rolls:
        beats, unit = roll.time_signature
        bars = roll.num_steps * unit / (4 * roll.steps_per_quarter * beats)
        if len(roll.notes()) >= LEAST_NOTES and bars >= LEAST_BARS:
            return True
    return False


def share(texts: Iterable[str]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        verdicts = [is_tune(text, Path(folder)) for text in texts]
    return sum(verdicts) / len(verdicts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("count", type=int, nargs="?", default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--temperature", type=float, default=1.0)
    given = parser.parse_args()
    model = lnfgen.load(given.run)
    samples = model.sample(given.count, temperature=given.temperature, seed=given.seed)
    test = list(open_dataset(Path(model.run.dataset["path"])).split("test"))[: given.count]
    values = {
        "run": str(given.run),
        "samples": given.count,
        "temperature": given.temperature,
        "seed": given.seed,
        "tunes": round(share(samples), 4),
        "of_the_data": round(share(model.encoding.decode(x) for x in test), 4),
    }
    print(json.dumps(values))


if __name__ == "__main__":
    main()
