"""`lnfgen info`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lnfgen.cli import console, options
from lnfgen.errors import LnfgenError
from lnfgen.wording import counted, shown

if TYPE_CHECKING:
    from lnfgen.music.song import Song

MOST_CHART_LINES = 64  # of four bars each
MOST_ROWS = 1000  # of a table: a file may hold many thousand pieces, and rows take long to lay out


# Each argument is an option that a person has.
def command(  # noqa: PLR0913
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH",
            help="A piece or text, a folder of these, a dataset, a run, or a model in the box; "
            "- is stdin.",
        ),
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON object for each PATH, one a line.")
    ] = False,
    as_csv: Annotated[
        bool,
        typer.Option(
            "--csv", help="Print the training curves of a run, a row for each validation."
        ),
    ] = False,
    steps_per_quarter: options.StepsPerQuarter = 4,
    tracks: options.Tracks = "all",
    parts: options.Parts = "auto",
    quiet: options.Quiet = False,
) -> None:
    """Print the contents of a file, folder, dataset or run: sizes, notes, tracks, settings, scores.

    Of a piece it also prints the chords over the bars: those of the file, or those that are found
    from the notes.

    Of a folder of music it says whether this suits a training, or what to do about it.
    """
    from lnfgen.cli.sources import for_each
    from lnfgen.data.facts import chord_facts
    from lnfgen.runs.folder import metrics_csv
    from lnfgen.runs.naming import METRICS, find

    if as_csv and as_json:
        raise LnfgenError("found --csv beside --json; expected one of them")

    def tell(path: str) -> None:
        if as_csv:
            console.result(metrics_csv(find(path, "run").path / METRICS).rstrip())
            return
        facts, each, song = _facts(path, steps_per_quarter, tracks, parts)
        if as_json:
            if song is not None:
                facts["chords"] = chord_facts(song)
            console.result_json({"path": path, **facts}, lines=True)
            return
        if path != paths[0]:
            console.result("")
        if facts["kind"] == "folder":
            _show_folder(path, facts)
        else:
            _show(path, facts, each)
        if song is not None:
            _show_chart(song)

    if for_each(paths, tell):
        raise typer.Exit(1)


def _show_folder(path: str, facts: dict[str, Any]) -> None:
    """Print a line for each fact, those of a group below its name."""
    console.result("\n".join([f"path: {path}", *_lines(facts)]))


def _lines(facts: dict[str, Any], indent: str = "") -> list[str]:
    """A line for each fact that has words. Groups of facts have no line for 0 either."""
    lines: list[str] = []
    for key, value in facts.items():
        name = indent + key.replace("_", " ")
        if isinstance(value, dict):
            inner = _lines({key: item for key, item in value.items() if item}, indent + "  ")
            if inner:
                lines += [f"{name}:", *inner]
        elif isinstance(value, list):
            lines += [f"{name}: {shown(item)}" for item in value]
        elif value != "":
            lines.append(f"{name}: {shown(value)}")
    return lines


def _show(path: str, facts: dict[str, Any], pieces: list[dict[str, Any]]) -> None:
    """Print a table of facts, and below it those of the pieces and of the tracks."""
    tracks = facts.pop("tracks", [])
    shared = _shared(pieces, facts)
    facts |= shared
    rows = [(key.replace("_", " "), shown(value)) for key, value in facts.items()]
    # As a title, Rich would fold a long path to the table's width.
    console.result_table("", [("path", path), *rows])
    if len(pieces) > 1:
        _show_list("piece", pieces, left_out=("kind", "number", "tracks", *shared))
    _show_list("track", tracks, left_out=("number", "channel"))


def _show_chart(song: "Song") -> None:
    """Print the chart of a song that has any chord, up to `MOST_CHART_LINES`."""
    from lnfgen.music.chart import BARS_OF_LINE
    from lnfgen.music.chord_finding import chords_of, song_chart

    chords = chords_of(song)
    if all(chord.is_silent for _, chord in chords):
        return
    lines = song_chart(song, chords).splitlines()
    console.result("")
    console.result("chords of the file:" if song.origin.chords else "chords heard:")
    for line in lines[:MOST_CHART_LINES]:
        console.result(line)
    if len(lines) > MOST_CHART_LINES:
        more = song.roll.num_bars - MOST_CHART_LINES * BARS_OF_LINE
        console.result(f"and {counted(more, 'more bar')}")


def _facts(
    path: str, steps_per_quarter: int, tracks: str, parts: str
) -> "tuple[dict[str, Any], list[dict[str, Any]], Song | None]":
    """Return the facts of what is at a path.

    If it is a file, the facts of each of its pieces follow, and if it holds one song, this song.
    """
    from lnfgen.cli.sources import read_pieces
    from lnfgen.data.dataset_options import Options
    from lnfgen.data.facts import dataset_facts, file_facts, piece_facts
    from lnfgen.data.music_dataset import folder_facts
    from lnfgen.runs.evaluation_data import open_source
    from lnfgen.runs.listing import run_facts
    from lnfgen.runs.naming import find

    if path != "-":
        kind, place = find(path, "run", "dataset", "files")
        if kind == "run":
            return run_facts(place), [], None
        if kind != "files":
            return dataset_facts(open_source(place)), [], None
        if place.is_dir():
            with console.jobs() as progress:
                how = Options(steps_per_quarter=steps_per_quarter, tracks=tracks, parts=parts)
                return folder_facts(place, how, progress), [], None
    pieces = read_pieces(path, steps_per_quarter, tracks, parts)
    each = [piece_facts(piece) for piece in pieces]
    only = pieces[0]
    if len(pieces) > 1 or isinstance(only, str):
        return file_facts(each), each, None
    return file_facts(each), each, only


def _shared(pieces: list[dict[str, Any]], facts: dict[str, Any]) -> dict[str, Any]:
    """Return the facts that all of several pieces share.

    The table of pieces, wide as it is, leaves them out. The tracks, and what is another fact of the
    whole file, are not among them.
    """
    shared: dict[str, Any] = {}
    if len(pieces) < 2:
        return shared
    for key, value in pieces[0].items():
        is_same = all(piece[key] == value for piece in pieces)
        if is_same and key != "tracks" and facts.get(key, value) == value:
            shared[key] = value
    return shared


def _show_list(noun: str, items: list[dict[str, Any]], left_out: Sequence[str]) -> None:
    """Print a table with a numbered row for each item, if there are any, up to `MOST_ROWS`."""
    if not items:
        return
    keys = [key for key in items[0] if key not in left_out]
    headers = [noun]
    for key in keys:
        headers.append(key.replace("_", " "))
    rows: list[list[object]] = []
    for number, item in enumerate(items[:MOST_ROWS], start=1):
        rows.append([number, *[shown(item[key]) for key in keys]])
    console.result("")
    console.result_table("", rows, headers)
    if len(items) > MOST_ROWS:
        console.result(f"and {counted(len(items) - MOST_ROWS, f'more {noun}')}")
