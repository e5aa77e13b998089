"""`lnfgen plot`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lnfgen.cli import console
from lnfgen.cli.options import Quiet, Seed, drawn_seed
from lnfgen.errors import LnfgenError

if TYPE_CHECKING:
    import numpy as np

    from lnfgen.checkpoint import RunFolder
    from lnfgen.data.encoding import Encoding
    from lnfgen.data.storage import Split

NOT_CAUSAL = ("coupling",)
"""Kinds of flow across time whose z_t depends on later eps too."""

PANELS = 4
EARLY = 40
"""Panels are taken from a piece's first steps: a sample of one is a run of the flow up to it, so late ones cost."""

CANDIDATES = {"text": 12, "music": 7}
"""Values of x_t whose posteriors are drawn: as many as can be told apart."""


def command(
    run: Annotated[Path | None, typer.Argument(help="Run folder.  [default: the newest under runs/]")] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="File to write: .png, .svg or .pdf.  [default: curves.png, or latents.png]"),
    ] = None,
    latents: Annotated[
        bool, typer.Option("--latents", help="The prior's modes and the posteriors, not curves.")
    ] = False,
    prefix: Annotated[
        list[str] | None,
        typer.Option(help="With --latents, of a text run: look at what follows this text; repeatable."),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(metavar="I,J", help="With --latents: which two.  [default: those that tell symbols apart best]"),
    ] = None,
    seed: Seed = None,
    quiet: Quiet = False,
) -> None:
    """Draw a run's training curves, or with --latents what its prior has learned, and print the file written.

    --latents shows contours of p(z_t | z_<t, T) in two latent features at a few steps of a piece of the valid split,
    and over them q(z_t | x) for the true symbol or frame and for the most frequent ones, as ellipses of 1 and 2
    standard deviations.
    """
    from lnfgen.checkpoint import RunFolder
    from lnfgen.cli.sources import resolve_run
    from lnfgen.files import require_parent, write_bytes
    from lnfgen.plots.figures import require_format

    if not latents and (prefix or features):
        raise LnfgenError(f"found {'--prefix' if prefix else '--features'}, which curves do not have; add --latents")
    target = out or Path("latents.png" if latents else "curves.png")
    suffix = require_format(target)
    require_parent(target)
    folder = RunFolder(resolve_run(run))
    picture = _latents(folder, prefix or [], features, seed, suffix) if latents else _curves(folder, suffix)
    write_bytes(target, picture)
    console.result(str(target))


def _curves(folder: RunFolder, suffix: str) -> bytes:
    from lnfgen.plots.figures import training_curves

    where = str(folder.path / "metrics.jsonl")
    return training_curves(folder.metrics(), folder.encoding.unit, _title(folder), where, suffix)


def _title(folder: RunFolder) -> str:
    return f"{folder.path.name}: {folder.config.name} on {folder.dataset['name']}"


def _latents(folder: RunFolder, prefixes: list[str], features: str | None, seed: int | None, suffix: str) -> bytes:
    import numpy as np
    import torch

    from lnfgen.checkpoint import resolve_device
    from lnfgen.cli.sources import dataset_of
    from lnfgen.models.latent_flow import LatentFlow
    from lnfgen.plots.conditionals import Subject, frequent_steps, look
    from lnfgen.plots.figures import LatentPanel, latent_panels

    encoding = folder.encoding
    model = folder.load_model(resolve_device("auto"))
    if not isinstance(model, LatentFlow):
        raise LnfgenError(f"{folder.path} is a run of {folder.config.name}, which has no latents; leave --latents out")
    if model.latent < 2:
        raise LnfgenError(f"{folder.path} has a latent of 1 feature; expected at least 2 to draw")
    pair = None if features is None else _pair(features, model.latent)
    _check_prefixes(prefixes, encoding)
    dataset = dataset_of(folder)
    split = dataset.split("valid" if "valid" in dataset.split_names else "train")
    seed = drawn_seed(seed)
    rng = np.random.default_rng(seed)
    places = _after(prefixes, encoding, split, rng) if prefixes else _along(split[int(rng.integers(len(split)))])

    common = frequent_steps(list(split), CANDIDATES[encoding.kind])
    subjects, truths = [], []
    for x, step in places:
        matches = [index for index, value in enumerate(common) if np.array_equal(value, x[step])]
        candidates = common if matches else np.concatenate([common[:-1], x[step][None]])
        truths.append(matches[0] if matches else len(common) - 1)
        subjects.append(Subject(torch.from_numpy(np.array(x)), step, torch.from_numpy(candidates)))

    triangular = folder.config.model.time not in NOT_CAUSAL
    if not triangular:
        console.note(f"{folder.config.model.time} is not causal in time: contours are p(z_t | T), whatever came before")
    with console.live("sampling the prior", len(subjects)) as bar:
        seen = look(model, subjects, features=pair, triangular=triangular, seed=seed, progress=bar.update)
    names = [[_label(value, encoding) for value in subject.candidates.numpy()] for subject in subjects]
    labels, key = (names, []) if encoding.kind == "text" else _numbered(names)
    panels = [
        LatentPanel(_before(x, step, encoding), view.density, view.means, view.deviations, label, truth)
        for (x, step), view, label, truth in zip(places, seen.views, labels, truths, strict=True)
    ]
    what = "p(z_t | z_<t, T)" if triangular else "p(z_t | T)"
    title = f"{_title(folder)}\ncontours: {what}; ellipses: q(z_t | x) of each candidate, the true one bold"
    return latent_panels(panels, seen.extent, seen.features, title, key, suffix)


def _pair(features: str, latent: int) -> tuple[int, int]:
    words = features.split(",")
    if len(words) == 2 and all(word.strip().isdecimal() for word in words):
        first, second = map(int, words)
        if first != second and max(first, second) < latent:
            return first, second
    raise LnfgenError(f"--features {features}: expected two different numbers from 0 to {latent - 1}, such as 0,1")


def _check_prefixes(prefixes: list[str], encoding: Encoding) -> None:
    if prefixes and encoding.kind != "text":
        raise LnfgenError("--prefix is text, but this run makes music; leave it out")
    for text in prefixes:
        unknown = sorted(set(text) - set(encoding.vocabulary))
        if unknown or not text:
            found = f"{unknown[0]!r}, which is not among the run's characters" if unknown else "an empty text"
            raise LnfgenError(f"--prefix {text!r}: found {found}; expected text such as the run was trained on")


def _along(x: np.ndarray) -> list[tuple[np.ndarray, int]]:
    """A few steps spread over the first of a piece."""
    reach = min(len(x), EARLY)
    return [(x, step) for step in sorted({int((index + 0.5) * reach / PANELS) for index in range(PANELS)})]


def _after(
    prefixes: list[str], encoding: Encoding, split: Split, rng: np.random.Generator
) -> list[tuple[np.ndarray, int]]:
    """Each prefix, and the step after it; it goes on as a piece does after as much of its end as any piece has."""
    import numpy as np

    texts = [str(encoding.decode(x)) for x in split]
    found = []
    for text in prefixes:
        rests: list[str] = []
        start = 0
        while not rests:  # the empty end is in every piece
            end = text[start:]
            rests = [rest for piece in texts if end in piece and (rest := piece[piece.index(end) + len(end) :])]
            start += 1
        x = np.concatenate([encoding.encode(text), encoding.encode(rests[int(rng.integers(len(rests)))])])
        found.append((x, len(text)))
    return found


def _before(x: np.ndarray, step: int, encoding: Encoding) -> str:
    """A panel's title: what came before, and what comes."""
    if encoding.kind == "text":
        text = "".join(_name(value, encoding) for value in x[max(0, step - 24) : step])
        shown = f"after {'…' if step > 24 else ''}{text}" if step else "at the start"
        return f"{shown}, then {_label(x[step], encoding)}"
    bars = encoding.decode(x).bar_lines()  # type: ignore[union-attr]
    bar = sum(start <= step for start in bars)
    shown = f"after {_name(x[step - 1], encoding)}" if step else "at the start"
    return f"bar {bar}, step {step - bars[bar - 1] + 1}, {shown}"


def _name(value: np.ndarray, encoding: Encoding) -> str:
    """A symbol with a visible sign for blanks; a frame by its pitches, ! where one is struck."""
    from lnfgen.music.rolltext import pitch_name

    if encoding.kind == "text":
        symbol = encoding.vocabulary[int(value)]
        return {" ": "␣", "\n": "↵", "\t": "⇥"}.get(symbol, symbol)
    keys = [int(key) for key in value.nonzero()[0]]
    marks = ["!" if value[key] & 2 else "" for key in keys]
    pitches = [pitch_name(encoding.lowest_pitch + key) + mark for key, mark in zip(keys, marks, strict=True)]
    return " ".join(pitches[:6]) + (" …" if len(pitches) > 6 else "") or "rest"


def _label(value: np.ndarray, encoding: Encoding) -> str:
    """A name that stands alone: a dot is lost on a drawing."""
    name = _name(value, encoding)
    return f"‘{name}’" if name in ".,:;'`-_|·" else name


def _numbered(names: list[list[str]]) -> tuple[list[list[str]], list[str]]:
    """A number for each frame, whose name is too long to stand on a point; and what the numbers mean."""
    numbers = {name: str(index) for index, name in enumerate(dict.fromkeys(n for part in names for n in part), start=1)}
    return [[numbers[name] for name in part] for part in names], [f"{i}  {name}" for name, i in numbers.items()]
