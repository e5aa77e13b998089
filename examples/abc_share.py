"""Counts the tunes among a run's samples: `python examples/abc_share.py RUN [COUNT]`, one JSON
object.

RUN is a run on folk-abc, or that model in the box. A sample counts as a tune if it is read as ABC
notation, as `lnfgen convert` reads it, into at least 8 notes over at least 2 bars. It counts as one
with full bars if, besides, the
bars of each section last as long as its time signature says: all but the first and the last one,
which may be shorter. `of_the_data` and `full_bars_of_the_data` are the same shares of the dataset's
own test tunes, for comparison.
"""

import argparse
import json
import re
import tempfile
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import lnfgen
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.runs.material import dataset_of
from lnfgen.runs.trained import TrainedModel

LEAST_NOTES = 8
LEAST_BARS = 2

_SECTION = re.compile(r":\|+:|:\|+|\|+:|::|\|\||\|\]|\[\|")
# A tuplet, a change of the rhythm of two notes, a chord or a note with its length, or a group of
# letters that is none.
_SYMBOL = re.compile(
    r"\((?P<tuplet>[2-9])(?!\d)|(?P<broken>>+|<+)|(?:\[[^\]|]*\]|[_^=]*[A-Ga-gxz][,']*)(?P<top>\d*)(?P<bottom>[/\d]*)"
)
# so many notes in the time of so many; 5, 7 and 9 depend on the metre
_TUPLETS = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}


def is_tune(text: str, folder: Path) -> bool:
    """True if a text is read as ABC notation into some notes over some bars."""
    path = folder / "tune.abc"
    path.write_text(text, encoding="utf-8")
    try:
        rolls = lnfgen.read(path)
    except lnfgen.LnfgenError:
        return False
    for roll in rolls:
        assert isinstance(roll, PianoRoll)  # as a .abc always is
        beats, unit = roll.time_signature
        bars = roll.num_steps * unit / (4 * roll.steps_per_quarter * beats)
        if len(roll.notes()) >= LEAST_NOTES and bars >= LEAST_BARS:
            return True
    return False


def has_full_bars(text: str) -> bool:
    """True if all bars of a tune last as long as its time signature says, but the first and last of
    each section."""
    fields = {line[0]: line[2:].strip() for line in text.splitlines() if re.match(r"[MLK]:", line)}
    metre = _fraction({"C": "4/4", "C|": "2/2"}.get(fields.get("M", ""), fields.get("M", "")))
    if metre is None:
        return False
    unit = _fraction(fields.get("L", "1/16" if metre < Fraction(3, 4) else "1/8"))
    body = "".join(line for line in text.splitlines() if not re.match(r"[A-Za-z]:|%", line))
    # words, grace notes, marks
    body = re.sub(r'"[^"]*"|\{[^}]*\}|![^!]*!|\[[A-Z]:[^\]]*\]|\\', "", body)
    sections = [
        [bar for bar in part.split("|") if _length(bar, metre)] for part in _SECTION.split(body)
    ]
    inner = [bar for bars in sections for bar in bars[1:-1]]
    return (
        unit is not None
        and len(inner) >= LEAST_BARS
        and all(_length(bar, metre) * unit == metre for bar in inner)
    )


def _length(bar: str, metre: Fraction) -> Fraction:
    """How long the notes and rests of a bar last, in units of the field L."""
    bar = re.sub(r"^\s*\[?\d[\d,.-]*", "", bar)  # the number of an ending
    lengths: list[Fraction] = []
    left, ratio, broken = 0, Fraction(1), ""
    for symbol in _SYMBOL.finditer(bar):
        if symbol["tuplet"]:
            left = int(symbol["tuplet"])
            ratio = Fraction(
                _TUPLETS.get(left, 3 if metre.numerator % 3 == 0 and metre.denominator == 8 else 2),
                left,
            )
        elif symbol["broken"]:
            broken = symbol["broken"]
        else:
            length = _note_length(symbol["top"], symbol["bottom"])
            if left:
                length, left = length * ratio, left - 1
            if broken and lengths:  # a>b is a dotted a and half of b
                short = Fraction(1, 2 ** len(broken))
                factors = (2 - short, short) if broken[0] == ">" else (short, 2 - short)
                lengths[-1] *= factors[0]
                length *= factors[1]
            broken = ""
            lengths.append(length)
    return sum(lengths, Fraction(0))


def _note_length(top: str, bottom: str) -> Fraction:
    """3/2 is 3 halves, / and /2 are a half, // is a quarter."""
    slashes, digits = bottom.count("/"), bottom.strip("/")
    return Fraction(int(top or 1), int(digits) if digits.isdigit() and int(digits) else 2**slashes)


def _fraction(text: str) -> Fraction | None:
    found = re.match(r"(\d+)/([1-9]\d*)", text)
    return Fraction(int(found[1]), int(found[2])) if found and int(found[1]) else None


def shares(texts: Iterable[str]) -> tuple[float, float]:
    """The share of tunes, and the share of tunes with full bars."""
    with tempfile.TemporaryDirectory() as folder:
        verdicts = [
            (tune := is_tune(text, Path(folder)), tune and has_full_bars(text)) for text in texts
        ]
    tunes, full = (round(sum(column) / len(verdicts), 4) for column in zip(*verdicts, strict=True))
    return tunes, full


def tune_shares(model: TrainedModel, count: int, temperature: float, seed: int) -> dict[str, Any]:
    """The shares of samples of a model, beside those of its dataset's test tunes."""
    samples = model.sample(count, temperature=temperature, seed=seed)
    test = list(dataset_of(model.run, advice="run this where its dataset is").pieces("test"))[
        :count
    ]
    tunes, full = shares(str(sample) for sample in samples)
    tunes_of_data, full_of_data = shares(map(str, test))
    return {
        "samples": count,
        "temperature": temperature,
        "seed": seed,
        "tunes": tunes,
        "of_the_data": tunes_of_data,
        "full_bars": full,
        "full_bars_of_the_data": full_of_data,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run")
    parser.add_argument("count", type=int, nargs="?", default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--temperature", type=float, default=1.0)
    given = parser.parse_args()
    values = tune_shares(lnfgen.load(given.run), given.count, given.temperature, given.seed)
    print(json.dumps({"run": given.run, **values}))


if __name__ == "__main__":
    main()
