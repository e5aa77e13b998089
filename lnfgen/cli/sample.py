"""`lnfgen sample`."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lnfgen.cli import console, options
from lnfgen.conventions import TRIES
from lnfgen.errors import LnfgenError

if TYPE_CHECKING:
    from lnfgen.inference.best import DrawnPiece


# Each argument is an option that a person has.
def command(  # noqa: PLR0913
    run: options.Run = None,
    out: Annotated[
        str | None,
        typer.Option(
            help="File to write, - for stdout; the suffix chooses the format.",
            show_default="sample.mid or sample.txt",
        ),
    ] = None,
    count: options.Count = 1,
    length: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Length of each in time steps or characters.",
            show_default="drawn, as in the training data",
        ),
    ] = None,
    bars: Annotated[
        int | None,
        typer.Option(
            min=1, help="Length in bars, in place of --length; an upbeat counts as a bar."
        ),
    ] = None,
    want: options.Want = None,
    temperature: options.Temperature = 1.0,
    seed: options.Seed = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    best: Annotated[
        int | None,
        typer.Option(
            min=1,
            rich_help_panel=options.EFFORT,
            help="Keep this many of --count: the likeliest without a long copy of the train split, "
            "best first.",
        ),
    ] = None,
    tries: options.Tries = TRIES,
    passes: options.Passes = None,
    device: options.Device = "auto",
    tempo: options.Tempo = None,
    program: options.Programs = None,
    voices: options.Voices = None,
    chords: options.Chords = False,
) -> None:
    """Draw pieces from a trained model and print the files written.

    The same --seed draws the same pieces on the same machine with as many threads. A piece does not
    depend on --count, but for round-off if it is drawn alone without --want.
    """
    from lnfgen.api import load
    from lnfgen.cli.outputs import PieceWriter
    from lnfgen.cli.sources import require_no_text, resolve_run
    from lnfgen.inference.wish_reading import wishes_for

    folder = resolve_run(run)
    if best is not None and best > count:
        raise LnfgenError(
            f"found --best {best} of --count {count}; expected at most {count}, or a higher --count"
        )
    require_no_text(folder, tempo=tempo is not None)
    wishes = wishes_for(want, folder.encoding)
    if out is None:
        out = "sample" + folder.encoding.writable_suffixes[0]
    instruments = options.instruments(program, voices, is_band=bool(folder.encoding.roles))
    if best is None:
        writer = PieceWriter(folder, out, count, "--count", instruments, json, chords)
    else:
        writer = PieceWriter(folder, out, best, "--best", instruments, json, chords)
    trained = load(folder.path, device, passes)
    own_seed = options.fresh_seed() if seed is None else seed
    with console.jobs() as progress:
        drawn = trained.draw(
            count,
            best=best,
            seed=own_seed,
            want=wishes,
            length=length,
            bars=bars,
            temperature=temperature,
            tries=tries,
            progress=progress,
        )
        for choice in drawn:
            if seed is None and writer.num_written == 0:
                # It is printed only now, because options that are refused have none.
                console.note(f"seed {own_seed}")
            facts = _facts(choice, folder.encoding.unit)
            if want:
                facts["wishes"] = wishes.report(choice.piece)
                facts["steered"] = bool(choice.is_steered)
            piece = choice.piece
            if not isinstance(piece, str):
                if not piece.sounding.any():
                    _warn_of_silence(writer.next_name, temperature)
                if tempo is not None:
                    piece = replace(piece, tempo_bpm=tempo)
                writer.write(wishes.with_chords(piece), facts)
            else:
                writer.write(piece, facts)
    writer.close(seed=own_seed)


def _facts(choice: "DrawnPiece", unit: str) -> dict[str, Any]:
    """The number of a piece, from 1 on, and if it was chosen its scores, for JSON."""
    facts: dict[str, Any] = {"index": choice.index + 1}
    if choice.nll is not None:
        facts |= {"nll": choice.nll, "unit": unit, "longest_copy": choice.longest_copy}
    return facts


def _warn_of_silence(name: str, temperature: float) -> None:
    advice = "try another --seed, or train longer" if temperature else "try a --temperature above 0"
    console.warn(f"{name} is silent: no note was drawn; {advice}")
