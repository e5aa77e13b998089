"""Datasets, runs and pieces, as commands name them. It loads all readers, and so a command imports
it when it runs."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from lnfgen.cli import console
from lnfgen.data.dataset import Dataset
from lnfgen.data.facts import losses_in_words
from lnfgen.errors import LnfgenError, RunError
from lnfgen.formats.read_write import READABLE, ROLLS, WRITABLE_TEXT, Piece, read, read_bytes
from lnfgen.formats.text import decode_utf8, read_text, rest_of
from lnfgen.music.pianoroll import Losses, PianoRoll
from lnfgen.music.tracks import said_of
from lnfgen.pretrained import BOX, DEFAULT, is_boxed
from lnfgen.runs.folder import RunFolder
from lnfgen.runs.material import reading_options
from lnfgen.runs.naming import RUNS, find, newest_run
from lnfgen.wording import counted, shown, with_name


def tell_sizes(dataset: Dataset, *sources: str | Path) -> None:
    """Print the sizes of a dataset on stderr, and if it was just made of `sources` what these are
    worth."""
    encoding = dataset.encoding
    unit = "character" if encoding.kind == "text" else "row" if encoding.parts else "step"
    for split, counts in dataset.manifest["splits"].items():
        dropped = f", {counts['dropped']:,} dropped for their length" if counts["dropped"] else ""
        sizes = f"{counted(counts['sequences'], 'sequence')}, {counted(counts['steps'], unit)}"
        console.note(f"{split}: {sizes}{dropped}")
    if encoding.kind == "text":
        console.note(
            f"vocabulary: {counted(encoding.num_symbols - 1, 'character')} in train, and an unknown symbol"
        )
    if dataset.survey:
        facts = dataset.survey.facts(*sources)
        for name in ("files", "grid", "music", "verdict"):  # a remark has the tracks
            console.note(f"{name}: {shown(facts[name])}")


def resolve_run(run: Path | None) -> RunFolder:
    """Open the run that a person names, or the newest under runs/, or else a model in the box, and
    print which."""
    if run is None:
        try:
            path = newest_run()
            console.note(f"run {path}")
        except RunError:
            path = BOX / DEFAULT
            console.note(f"no runs under {RUNS}/; taking the model in the box: {DEFAULT}")
        return RunFolder(path)
    path = find(run, "run").path
    if run.exists() and is_boxed(path) and path != run:
        console.note(f"{run} here is no run; taking the model in the box: {path.name}")
    return RunFolder(path)


def for_each(paths: Sequence[str], do: Callable[[str], None]) -> bool:
    """Do something with each path, print errors, and return True if there were any. That of an only
    path is raised."""
    failed = False
    for path in paths:
        try:
            do(path)
        except LnfgenError as error:
            message = with_name(source_name(path), str(error))
            if len(paths) == 1:
                raise type(error)(message) from error
            console.fail(message)
            failed = True
    return failed


def source_name(path: str) -> str:
    """The name of a file in a message."""
    return "stdin" if path == "-" else str(Path(path))


def read_pieces(path: str, steps_per_quarter: int, tracks: str, parts: str) -> list[Piece]:
    """Read the pieces in a file, or in stdin if the path is -."""
    if path != "-":
        return read(path, steps_per_quarter=steps_per_quarter, tracks=tracks, parts=parts)
    content = rest_of(sys.stdin.buffer, "stdin")
    return read_bytes(
        content, "stdin", steps_per_quarter=steps_per_quarter, tracks=tracks, parts=parts
    )


def read_one(run: RunFolder, source: str, tracks: str, flat: bool) -> Piece:
    """The one piece in a file, as the run's kind has it: ABC is text or notes. Remarks on it go to
    stderr."""
    name = source_name(source)
    if run.encoding.kind == "text":
        suffix = Path(source).suffix.lower()
        if suffix in READABLE and suffix not in WRITABLE_TEXT:
            raise LnfgenError(
                f"{name} is music; expected a text, as {run.name} makes; choose another --model"
            )
        text = (
            decode_utf8(rest_of(sys.stdin.buffer, "stdin"), "stdin")
            if source == "-"
            else read_text(Path(source))
        )
        # The last line of a file ends. A line of a corpus does not, and a chunk ends anywhere; a
        # tune does.
        if "\n" not in run.encoding.vocabulary:
            text = text.rstrip("\r\n")
        elif reading_options(run).chunks:
            text = text.removesuffix("\n")
        if not text:
            raise LnfgenError(f"{name} is empty; expected a text")
        return text
    pieces = read_pieces(source, run.encoding.grid, tracks, ",".join(run.encoding.roles) or "1")
    # Of a roll, harmonize takes the highest line as of any track.
    require_no_roll(source, ["--tracks"] if tracks not in ("all", "melody") else [])
    if len(pieces) != 1:
        raise LnfgenError(
            f"{name} holds {len(pieces)} pieces; expected one; `lnfgen convert` writes each on its own"
        )
    (piece,) = pieces
    if isinstance(piece, str):
        return piece
    if flat or piece.song is None:
        tell_of_file([piece], name, mended=["rounded"])  # the known part says what was rounded
    elif unheard := sum(not track.kept for track in piece.tracks):
        heard = f"the model hears {len(piece.tracks) - unheard} of {counted(len(piece.tracks), 'track')}"
        console.note(f"{name}: {heard}; all others stay as in the file")
    return piece


def require_no_roll(source: str, given: Sequence[str]) -> None:
    """Raise an `LnfgenError` if the file is a piano-roll and an option is given that is for other
    files alone."""
    unused = [
        option for option in given if option in ("--steps-per-quarter", "--parts", "--tracks")
    ]
    if unused and Path(source).suffix.lower() in ROLLS:
        raise LnfgenError(
            f"{source} is a piano-roll; leave {unused[0]} out, which is for MIDI files and scores"
        )


def require_no_text(run: RunFolder, **given: bool) -> None:
    """Raise an `LnfgenError` if the run makes text and an option for music is given."""
    for name, is_given in given.items():
        if is_given and run.encoding.kind == "text":
            raise LnfgenError(f"{run.name} makes text, which has no {name}; leave --{name} out")


def tell_of_file(rolls: Sequence[PianoRoll], source: str, mended: Sequence[str]) -> None:
    """Print on stderr which tracks of a file were merged, and what else its pieces lost; but not
    what is `mended`."""
    for roll in rolls:
        if len(roll.tracks) > 1:
            console.note(f"{source}: {said_of([roll.tracks])}")
    losses = sum((roll.losses for roll in rolls), Losses()) - Losses(dict.fromkeys(mended, 1 << 62))
    for line in losses_in_words(losses, rolls[0].merged.steps_per_quarter) if rolls else ():
        console.note(f"{source}: {line}")
