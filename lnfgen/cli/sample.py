"""`lnfgen sample`."""

import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lnfgen.cli import console, options
from lnfgen.errors import LnfgenError
from lnfgen.wording import counted

if TYPE_CHECKING:
    from lnfgen.data.encoding import Encoding
    from lnfgen.formats.read_write import Piece
    from lnfgen.inference.best import Choice
    from lnfgen.models import SequenceModel
    from lnfgen.music.tonality import Key
    from lnfgen.runs.folder import RunFolder


def command(
    run: options.Run = None,
    out: Annotated[
        str | None,
        typer.Option(
            help="File to write, - for stdout; the suffix chooses the format.", show_default="sample.mid or sample.txt"
        ),
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Pieces; several are OUT-01, OUT-02, ..., or one .html page.")] = 1,
    best: Annotated[
        int | None,
        typer.Option(
            min=1, help="Keep so many of --count: the likeliest without a long copy of the train split, best first."
        ),
    ] = None,
    length: Annotated[
        int | None,
        typer.Option(min=1, help="Time steps or characters of each.", show_default="drawn, as in the training data"),
    ] = None,
    bars: Annotated[
        int | None, typer.Option(min=1, help="Bars of each, that of an upbeat counted, instead of --length.")
    ] = None,
    metre: Annotated[
        str | None, typer.Option(help="Time signature of each, as 3/4.", show_default="drawn, as in the training data")
    ] = None,
    temperature: Annotated[float, typer.Option(help="Below 1 safer, above 1 wilder.")] = 1.0,
    tempo: options.Tempo = None,
    key: options.InKey = None,
    program: options.Programs = "0",
    voices: options.Voices = None,
    seed: options.Seed = None,
    device: options.Device = "auto",
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Draw pieces from a run and print the files written.

    The same --seed draws the same pieces. From --count 2 on, piece i does not depend on the count; a piece drawn alone
    can rarely differ from the first of several, by round-off.
    """
    from lnfgen.cli.outputs import piece_writer
    from lnfgen.cli.sources import resolve_run
    from lnfgen.music.tonality import Key

    folder = resolve_run(run)
    if best is not None and best > count:
        raise LnfgenError(f"found --best {best} of --count {count}; expected at most {count}, or a higher --count")
    options.require_no_music_options(folder, tempo=tempo is not None, key=key is not None, metre=metre is not None)
    kept = count if best is None else best
    said = f"--count {count}" if best is None else f"--best {best}"
    out = out or ("sample.mid" if folder.encoding.kind == "music" else "sample.txt")
    writer = piece_writer(folder, out, kept, options.played(program, voices), json, said)
    wanted = None if key is None else Key.parse(key)
    signature = options.time_signature(metre)

    from lnfgen.device import prepare_machine
    from lnfgen.inference.best import Choice
    from lnfgen.inference.sampling import sample_pieces
    from lnfgen.runs.checkpoint import load_model

    settings = folder.config.model
    model = load_model(folder, prepare_machine(device, settings.hidden_size, settings.emission))
    encoding = folder.encoding if tempo is None else dataclasses.replace(folder.encoding, tempo_bpm=tempo)
    asked: dict[str, Any] = {"count": count, "length": length, "bars": bars}
    asked |= {"time_signature": signature, "temperature": temperature}
    asked["seed"] = options.drawn_seed(seed)
    pieces = sample_pieces(model, encoding, **asked)
    if best is None:
        choices: Iterable[Choice] = map(Choice, range(count), pieces)
    else:
        choices = _chosen(folder, model, encoding, pieces, count, best, asked["seed"])
    with console.live("sampling" if best is None else "writing", kept) as bar:
        for index, choice in enumerate(choices):
            piece = _finished(choice.piece, writer.name_of(index), wanted, temperature)
            writer.write(piece, _facts(choice, encoding.unit))
            bar.update(index + 1)
    writer.close()


def _facts(choice: "Choice", unit: str) -> dict[str, Any]:
    """What `--json` tells of a piece beside its file: also why it was chosen, if it was."""
    facts: dict[str, Any] = {"index": choice.index + 1}
    if choice.nll is not None:
        facts |= {"nll": choice.nll, "unit": unit, "longest_copy": choice.longest_copy}
    return facts


def _finished(piece: "Piece", name: str, wanted: "Key | None", temperature: float) -> "Piece":
    """A piece as it is written: in the key that is wanted, if one is. If no note was drawn, that is said."""
    from lnfgen.cli.sources import moved_to

    if isinstance(piece, str):
        return piece
    if not piece.sounding.any():
        advice = "try another --seed, or train longer" if temperature else "try a --temperature above 0"
        console.warn(f"{name} is silent: no note was drawn; {advice}")
    return moved_to(piece, wanted, name) if wanted else piece


def _chosen(
    folder: "RunFolder",
    model: "SequenceModel",
    encoding: "Encoding",
    pieces: "Iterable[Piece]",
    count: int,
    best: int,
    seed: int,
) -> "list[Choice]":
    """Draw all pieces and choose the best. What is not as asked is said: copies not looked for, or too few left."""
    from lnfgen.cli.sources import resolve_run_dataset
    from lnfgen.inference.best import choose_best

    drawn: list[Piece] = []
    with console.live("sampling", count) as bar:
        for piece in pieces:
            drawn.append(piece)
            bar.update(len(drawn))
    train: Iterable[Piece] | None = None
    try:
        train = resolve_run_dataset(folder, None, "").pieces("train")
    except LnfgenError as error:
        console.warn(f"copies of the train split were not looked for: {str(error).rpartition(';')[0] or error}")
    with console.jobs() as progress:
        choices = choose_best(model, encoding, drawn, best, train, seed=seed, progress=progress)
    if len(choices) < best:
        found = counted(len(choices), "piece")
        console.warn(f"found {found} for --best {best}; all others hold long copies of the train split")
    return choices
