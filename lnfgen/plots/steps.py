"""The steps that a latent picture looks at, the values that are compared at each, and what the picture calls them.

The candidates are the values that steps of the dataset take most often; the value that the piece has at the step is
always among them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lnfgen.data.dataset import Dataset
from lnfgen.data.encoding import Encoding
from lnfgen.errors import LnfgenError
from lnfgen.formats.text import UNKNOWN
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.tonality import pitch_name

NUM_STEPS = 4
"""Steps of a piece that are looked at, if no text is given."""

FIRST_STEPS = 40
"""The steps are taken from so many first steps of the piece, where a title can say what came before."""

NUM_CANDIDATES = {"text": 12, "music": 7}
"""As many candidates as a reader can tell apart in a picture, by the kind of the dataset."""

_BLANKS = {" ": "␣", "\n": "↵", "\t": "⇥"}
_SMALL_SIGNS = ".,:;'`-_|·"  # in a drawing these are lost, or taken for part of it
_TEXT_BEFORE = 24  # characters before a step that its title shows
_PITCHES = 6  # pitches of a frame that its name shows


@dataclass(frozen=True)
class LatentStep:
    """A step of a piece, with the values that are compared there."""

    x: np.ndarray  # the piece: [T] or [T, P]
    step: int
    candidates: np.ndarray  # [C] or [C, P]
    true: int  # the index of x[step] among the candidates
    time_signature: tuple[int, int] | None = None  # of the piece; None: the usual one of its dataset
    metres: np.ndarray | None = None  # [1, 3], what a model is told of its bars; None: those of the usual one


def choose_steps(dataset: Dataset, prefixes: Sequence[str] = (), seed: int = 0) -> list[LatentStep]:
    """One step after each prefix, or without prefixes several steps of a random piece, with their candidates.

    Pieces are of the valid split, or of train where the dataset has no valid split.

    Raises:
        LnfgenError: if a prefix is empty, has other characters than the dataset, or is given for music.
    """
    encoding = dataset.encoding
    if prefixes and encoding.kind != "text":
        raise LnfgenError("--prefix is text, but this run makes music; leave it out")
    for text in prefixes:
        unknown = sorted(set(text) - set(encoding.vocabulary))
        if unknown or not text:
            found = f"{unknown[0]!r}, which is not among the run's characters" if unknown else "an empty text"
            raise LnfgenError(f"--prefix {text!r}: found {found}; expected text such as the run was trained on")
    split = dataset.split("valid" if "valid" in dataset.split_names else "train")
    rng = np.random.default_rng(seed)
    common = frequent_values(split, NUM_CANDIDATES[encoding.kind])
    if prefixes:
        return [with_candidates(x, step, common) for x, step in steps_after(prefixes, encoding, split, rng)]
    index = int(rng.integers(len(split)))
    signature = split.time_signatures[index] if split.time_signatures else None
    steps = [with_candidates(x, step, common) for x, step in steps_along(split[index])]
    metres = None if split.metres is None else split.metres[index : index + 1]
    return [replace(step, time_signature=signature, metres=metres) for step in steps]


def steps_along(x: np.ndarray) -> list[tuple[np.ndarray, int]]:
    """`NUM_STEPS` steps (fewer in a very short piece), spread evenly over the piece's first `FIRST_STEPS`."""
    reach = min(len(x), FIRST_STEPS)
    return [(x, step) for step in sorted({int((index + 0.5) * reach / NUM_STEPS) for index in range(NUM_STEPS)})]


def steps_after(
    prefixes: Sequence[str], encoding: Encoding, pieces: Iterable[np.ndarray], rng: np.random.Generator
) -> list[tuple[np.ndarray, int]]:
    """For each prefix a piece that starts with it, and the number of the step that follows it.

    The model sees whole pieces, so each prefix needs a continuation. It is the rest of a random piece, taken from after
    the longest end of the prefix that is followed by something in any piece.
    """
    texts = [str(encoding.decode(x)) for x in pieces]
    found = []
    for text in prefixes:
        for start in range(len(text) + 1):  # in the end every piece follows the empty text
            rests = [rest for piece in texts if (rest := piece.partition(text[start:])[2] if text[start:] else piece)]
            if rests:
                break
        x = np.concatenate([encoding.encode(text), encoding.encode(rests[int(rng.integers(len(rests)))])])
        found.append((x, len(text)))
    return found


def frequent_values(pieces: Iterable[np.ndarray], limit: int) -> np.ndarray:
    """The values that steps take most often, the commonest first: pieces `[T_i]` or `[T_i, P]` -> `[C]` or `[C, P]`."""
    distinct, counts = np.unique(np.concatenate(list(pieces)), axis=0, return_counts=True)
    return distinct[np.argsort(-counts, kind="stable")[:limit]]


def with_candidates(x: np.ndarray, step: int, common: np.ndarray) -> LatentStep:
    """The step with the common values as candidates; the true value replaces the last of them if it is not there."""
    for index, value in enumerate(common):
        if np.array_equal(value, x[step]):
            return LatentStep(x, step, common, index)
    return LatentStep(x, step, np.concatenate([common[:-1], x[step][None]]), len(common) - 1)


def value_name(value: np.ndarray, encoding: Encoding) -> str:
    """A character, with a visible sign for blanks; or a frame's pitches, with ! after each that is struck there."""
    if encoding.kind == "text":
        return _visible(encoding.vocabulary[int(value)])
    pitches = [pitch_name(encoding.lowest_pitch + int(key)) + "!" * bool(value[key] & 2) for key in value.nonzero()[0]]
    return " ".join(pitches[:_PITCHES]) + (" …" if len(pitches) > _PITCHES else "") or "rest"


def _visible(symbol: str) -> str:
    """The character, or a sign for one that a drawing cannot show; an .svg may not even hold control characters."""
    if symbol in _BLANKS:
        return _BLANKS[symbol]
    if symbol < " ":
        return chr(0x2400 + ord(symbol))  # its control picture
    return UNKNOWN if unicodedata.category(symbol) in ("Cc", "Cn") else symbol


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
    roll = encoding.decode(x, step.time_signature, keeps_silence=True)
    assert isinstance(roll, PianoRoll)
    has_upbeat = encoding.fills_upbeats and roll.from_first_note().upbeat > 0
    bar, start = max((bar, start) for bar, start in roll.bars().items() if start <= index)
    shown = f"after {value_name(x[index - 1], encoding)}" if index else "at the start"
    return f"bar {bar - 1 if has_upbeat else bar}, step {index - start + 1}, {shown}"


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
