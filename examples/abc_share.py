"""Counts the tunes among a run's samples: `python examples/abc_share.py RUN [COUNT]`.

RUN is a run on folk-abc, or that model in the box. The script prints one JSON object.

A sample counts as a tune if it is read as ABC notation, as `lnfgen convert` reads it, into at least
8 notes over at least 2 bars. It counts as one with full bars if, besides, the bars of each section
last as long as its time signature says: all but the first and the last one, which may be shorter.
`of_the_data` and `full_bars_of_the_data` are the same shares of the dataset's own test tunes, for
comparison.
"""

import argparse
import json
import re
import tempfile
from collections.abc import Iterable
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import lnfgen
from lnfgen.music.song import Song
from lnfgen.music.time_signature import bar_length
from lnfgen.runs.evaluation_data import dataset_of
from lnfgen.runs.trained import TrainedModel

LEAST_NOTES = 8
LEAST_BARS = 2

_SECTION = re.compile(r":\|+:|:\|+|\|+:|::|\|\||\|\]|\[\|")
# A tuplet, a change of the rhythm of two notes, a chord or a note with its length, or a group of
# letters that is none.
_SYMBOL = re.compile(
    r"\((?P<tuplet>[2-9])(?!\d)"
    r"|(?P<broken>>+|<+)"
    r"|(?:\[[^\]|]*\]|[_^=]*[A-Ga-gxz][,']*)(?P<top>\d*)(?P<bottom>[/\d]*)"
)
# Words, grace notes, decorations, fields within a line, and ends of lines.
_MARKS = re.compile(r'"[^"]*"|\{[^}]*\}|![^!]*!|\[[A-Z]:[^\]]*\]|\\')
_TUPLETS = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}
"""So many notes last as long as so many without a tuplet. Of 5, 7 and 9 the time signature
decides."""

_LETTERS = {"C": "4/4", "C|": "2/2"}
"""Time signatures that the field M: has letters for."""


def is_tune(text: str, folder: Path) -> bool:
    """True if a text is read as ABC notation into some notes over some bars."""
    path = folder / "tune.abc"
    path.write_text(text, encoding="utf-8")
    try:
        pieces = lnfgen.read(path)
    except lnfgen.LnfgenError:
        return False
    for piece in pieces:
        assert isinstance(piece, Song)  # as a .abc always is
        roll = piece.roll
        num_bars = roll.num_steps / bar_length(roll.time_signature, roll.steps_per_quarter)
        if roll.num_notes >= LEAST_NOTES and num_bars >= LEAST_BARS:
            return True
    return False


def has_full_bars(text: str) -> bool:
    """True if the bars of a tune last as long as its time signature says.

    The first and the last bar of each section may be shorter.
    """
    fields: dict[str, str] = {}
    music: list[str] = []
    for line in text.splitlines():
        if re.match(r"[MLK]:", line):
            fields[line[0]] = line[2:].strip()
        if not re.match(r"[A-Za-z]:|%", line):
            music.append(line)
    in_field = fields.get("M", "")
    time_signature = _fraction(_LETTERS.get(in_field, in_field))
    if time_signature is None:
        return False
    usual_unit = "1/16" if time_signature < Fraction(3, 4) else "1/8"
    unit = _fraction(fields.get("L", usual_unit))
    if unit is None:
        return False
    inner: list[Fraction] = []
    for section in _SECTION.split(_MARKS.sub("", "".join(music))):
        lengths = [_length(bar, time_signature) for bar in section.split("|")]
        with_notes = [length for length in lengths if length]
        inner += with_notes[1:-1]
    return len(inner) >= LEAST_BARS and all(length * unit == time_signature for length in inner)


def _length(bar: str, time_signature: Fraction) -> Fraction:
    """How long the notes and rests of a bar last, in units of the field L."""
    bar = re.sub(r"^\s*\[?\d[\d,.-]*", "", bar)  # the number of an ending
    lengths: list[Fraction] = []
    left = 0  # notes of the tuplet that are still to come
    ratio = Fraction(1)
    broken = ""
    for symbol in _SYMBOL.finditer(bar):
        if symbol["tuplet"]:
            left = int(symbol["tuplet"])
            ratio = _tuplet_ratio(left, time_signature)
            continue
        if symbol["broken"]:
            broken = symbol["broken"]
            continue
        length = _note_length(symbol["top"], symbol["bottom"])
        if left:
            length *= ratio
            left -= 1
        if broken and lengths:  # a>b is a dotted a and half of b
            short = Fraction(1, 2 ** len(broken))
            long = 2 - short
            first_is_long = broken[0] == ">"
            lengths[-1] *= long if first_is_long else short
            length *= short if first_is_long else long
        broken = ""
        lengths.append(length)
    return sum(lengths, Fraction(0))


def _tuplet_ratio(num_notes: int, time_signature: Fraction) -> Fraction:
    """How long a note of a tuplet lasts, beside the same note without one.

    As a fraction 6/8 is 3/4, so of compound time signatures this finds 3/8 and 9/8 alone.
    """
    is_compound = time_signature.numerator % 3 == 0 and time_signature.denominator == 8
    in_time_of = _TUPLETS.get(num_notes, 3 if is_compound else 2)
    return Fraction(in_time_of, num_notes)


def _note_length(top: str, bottom: str) -> Fraction:
    """3/2 is 3 halves, / and /2 are a half, // is a quarter."""
    denominator = 2 ** bottom.count("/")
    digits = bottom.strip("/")
    if digits.isdigit() and int(digits):
        denominator = int(digits)
    return Fraction(int(top or 1), denominator)


def _fraction(text: str) -> Fraction | None:
    found = re.match(r"(\d+)/([1-9]\d*)", text)
    if found is None or int(found[1]) == 0:
        return None
    return Fraction(int(found[1]), int(found[2]))


def shares(texts: Iterable[str]) -> tuple[float, float]:
    """The share of tunes, and the share of tunes with full bars."""
    are_tunes: list[bool] = []
    are_full: list[bool] = []
    with tempfile.TemporaryDirectory() as folder:
        for text in texts:
            tune = is_tune(text, Path(folder))
            are_tunes.append(tune)
            are_full.append(tune and has_full_bars(text))
    count = len(are_tunes)
    return round(sum(are_tunes) / count, 4), round(sum(are_full) / count, 4)


def tune_shares(model: TrainedModel, count: int, temperature: float, seed: int) -> dict[str, Any]:
    """The shares of samples of a model, beside those of its dataset's test tunes."""
    samples = model.sample(count, temperature=temperature, seed=seed)
    dataset = dataset_of(model.run, advice="run this where its dataset is")
    test = islice(dataset.pieces("test"), count)
    tunes, full = shares(map(str, samples))
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
