"""What a latent picture calls its steps and the values compared there: a character, or the notes of a frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lnfgen.data.encoding import Encoding
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.rolltext import pitch_name
from lnfgen.plots.candidates import LatentStep

_BLANKS = {" ": "␣", "\n": "↵", "\t": "⇥"}
_SMALL_SIGNS = ".,:;'`-_|·"  # in a drawing these are lost, or taken for part of it
_TEXT_BEFORE = 24  # characters before a step that its title shows
_PITCHES = 6  # pitches of a frame that its name shows


def value_name(value: np.ndarray, encoding: Encoding) -> str:
    """A character, with a visible sign for blanks; or a frame's pitches, with ! after each that is struck there."""
    if encoding.kind == "text":
        symbol = encoding.vocabulary[int(value)]
        return _BLANKS.get(symbol, symbol)
    keys = [int(key) for key in value.nonzero()[0]]
    marks = ["!" if value[key] & 2 else "" for key in keys]
    pitches = [pitch_name(encoding.lowest_pitch + key) + mark for key, mark in zip(keys, marks, strict=True)]
    return " ".join(pitches[:_PITCHES]) + (" …" if len(pitches) > _PITCHES else "") or "rest"


def value_label(value: np.ndarray, encoding: Encoding) -> str:
    """A name that can stand alone in a drawing: small signs are put in quotes."""
    name = value_name(value, encoding)
    return f"‘{name}’" if name in _SMALL_SIGNS else name


def step_title(step: LatentStep, encoding: Encoding) -> str:
    """Where the step is, and what came before it; for text also what comes."""
    x, index = step.x, step.step
    if encoding.kind == "text":
        text = "".join(value_name(value, encoding) for value in x[max(0, index - _TEXT_BEFORE) : index])
        shown = f"after {'…' if index > _TEXT_BEFORE else ''}{text}" if index else "at the start"
        return f"{shown}, then {value_label(x[index], encoding)}"
    roll = encoding.decode(x)
    assert isinstance(roll, PianoRoll)
    bars = roll.bar_lines()
    bar = sum(start <= index for start in bars)
    shown = f"after {value_name(x[index - 1], encoding)}" if index else "at the start"
    return f"bar {bar}, step {index - bars[bar - 1] + 1}, {shown}"


def candidate_labels(steps: Sequence[LatentStep], encoding: Encoding) -> tuple[list[list[str]], list[str]]:
    """For each step a label for each candidate, and the lines of a key that explains them.

    Characters are their own labels and need no key. Frames have names too long for a point in a drawing: their labels
    are numbers, and the key says which frame each number is.
    """
    names = [[value_label(value, encoding) for value in step.candidates] for step in steps]
    if encoding.kind == "text":
        return names, []
    distinct = dict.fromkeys(name for part in names for name in part)
    numbers = {name: str(index) for index, name in enumerate(distinct, start=1)}
    return [[numbers[name] for name in part] for part in names], [f"{i}  {name}" for name, i in numbers.items()]
