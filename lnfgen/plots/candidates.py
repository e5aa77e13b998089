"""Which steps of which pieces a latent picture looks at, and which values are compared at each step.

A step is taken from a piece of the dataset, or from after a given text. The candidates are the values that steps of the
dataset take most often; the value that the piece has at the step is always among them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from lnfgen.data.encoding import Encoding
from lnfgen.data.storage import Dataset
from lnfgen.errors import LnfgenError

NUM_STEPS = 4
"""Steps of a piece that are looked at, if no text is given."""

FIRST_STEPS = 40
"""These steps are taken from so many first steps of the piece: the flow runs up to the step for each sample of it, so
late steps take long."""

NUM_CANDIDATES = {"text": 12, "music": 7}
"""As many candidates as a reader can tell apart in a picture, by the kind of the dataset."""


@dataclass(frozen=True)
class LatentStep:
    """A step of a piece, with the values that are compared there."""

    x: np.ndarray  # the piece: [T] or [T, P]
    step: int
    candidates: np.ndarray  # [C] or [C, P]
    true: int  # the index of x[step] among the candidates


def choose_steps(dataset: Dataset, prefixes: Sequence[str] = (), seed: int = 0) -> list[LatentStep]:
    """Steps to look at with their candidates: one after each prefix, or without prefixes several of a random piece.

    Pieces are of the valid split, or of train where the dataset has no valid split.

    Raises:
        LnfgenError: if a prefix is given that the dataset's encoding cannot hold.
    """
    require_prefixes(prefixes, dataset.encoding)
    split = dataset.split("valid" if "valid" in dataset.split_names else "train")
    rng = np.random.default_rng(seed)
    if prefixes:
        places = steps_after(prefixes, dataset.encoding, split, rng)
    else:
        places = steps_along(split[int(rng.integers(len(split)))])
    common = frequent_values(split, NUM_CANDIDATES[dataset.encoding.kind])
    return [with_candidates(x, step, common) for x, step in places]


def require_prefixes(prefixes: Sequence[str], encoding: Encoding) -> None:
    """Check that each prefix is a text in the encoding's characters.

    Raises:
        LnfgenError: if one is not, or if the encoding is of music.
    """
    if prefixes and encoding.kind != "text":
        raise LnfgenError("--prefix is text, but this run makes music; leave it out")
    for text in prefixes:
        unknown = sorted(set(text) - set(encoding.vocabulary))
        if unknown or not text:
            found = f"{unknown[0]!r}, which is not among the run's characters" if unknown else "an empty text"
            raise LnfgenError(f"--prefix {text!r}: found {found}; expected text such as the run was trained on")


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
        rests: list[str] = []
        start = 0
        while not rests:  # this ends, because every piece contains the empty text
            end = text[start:]
            rests = [rest for piece in texts if end in piece and (rest := piece[piece.index(end) + len(end) :])]
            start += 1
        x = np.concatenate([encoding.encode(text), encoding.encode(rests[int(rng.integers(len(rests)))])])
        found.append((x, len(text)))
    return found


def frequent_values(pieces: Iterable[np.ndarray], limit: int) -> np.ndarray:
    """The values that steps take most often, the commonest first: pieces `[T_i]` or `[T_i, P]` -> `[C]` or `[C, P]`."""
    distinct, counts = np.unique(np.concatenate(list(pieces)), axis=0, return_counts=True)
    return distinct[np.argsort(-counts, kind="stable")[:limit]]


def with_candidates(x: np.ndarray, step: int, common: np.ndarray) -> LatentStep:
    """The step with the common values as candidates; the true value replaces the last of them if it is not there."""
    matches = [index for index, value in enumerate(common) if np.array_equal(value, x[step])]
    if matches:
        return LatentStep(x, step, common, matches[0])
    return LatentStep(x, step, np.concatenate([common[:-1], x[step][None]]), len(common) - 1)
