"""`lnfgen sample`."""

from dataclasses import replace
from typing import Annotated, Any

import typer

from lnfgen.cli import console, options
from lnfgen.conventions import SECONDS
from lnfgen.errors import LnfgenError


def command(
    run: options.Run = None,
    out: Annotated[
        str | None,
        typer.Option(
            help="File to write, - for stdout; the suffix chooses the format.",
            show_default="sample.mid or sample.txt",
        ),
    ] = None,
    count: options.Count = 1,
    best: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Keep this many of --count: the likeliest without a long copy of the train split, best first.",
        ),
    ] = None,
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
    seconds: options.Seconds = SECONDS,
    temperature: options.Temperature = 1.0,
    passes: options.Passes = None,
    tempo: options.Tempo = None,
    program: options.Programs = None,
    voices: options.Voices = None,
    seed: options.Seed = None,
    device: options.Device = "auto",
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Draw pieces from a trained model and print the files written.

    The same --seed draws the same pieces. A piece does not depend on --count, but for round-off if
    it is drawn alone.
    """
    from lnfgen.api import load
    from lnfgen.cli.outputs import PieceWriter
    from lnfgen.cli.sources import require_no_text, resolve_run
    from lnfgen.inference.wishes import wishes_for

    folder = resolve_run(run)
    if best is not None and best > count:
        raise LnfgenError(
            f"found --best {best} of --count {count}; expected at most {count}, or a higher --count"
        )
    require_no_text(folder, tempo=tempo is not None)
    wishes = wishes_for(want, folder.encoding)
    out = out or ("sample.mid" if folder.encoding.kind == "music" else "sample.txt")
    kept, counted_by = (count, "--count") if best is None else (best, "--best")
    instruments = options.played(program, voices, is_band=bool(folder.encoding.parts))
    writer = PieceWriter(folder, out, kept, counted_by, instruments, json)
    trained = load(folder.path, device, passes)
    own_seed = options.fresh_seed() if seed is None else seed
    asked: dict[str, Any] = {
        "length": length,
        "bars": bars,
        "temperature": temperature,
        "seconds": seconds,
    }
    with console.jobs() as progress:
        for choice in trained.draw(
            count, best=best, seed=own_seed, want=wishes, progress=progress, **asked
        ):
            piece = choice.piece
            if not isinstance(piece, str):
                if not piece.sounding.any():
                    advice = (
                        "try another --seed, or train longer"
                        if temperature
                        else "try a --temperature above 0"
                    )
                    console.warn(f"{writer.next_name} is silent: no note was drawn; {advice}")
                piece = piece if tempo is None else replace(piece, tempo_bpm=tempo)
            scores = {
                "nll": choice.nll,
                "unit": folder.encoding.unit,
                "longest_copy": choice.longest_copy,
            }
            facts = {"index": choice.index + 1, **(scores if choice.nll is not None else {})}
            writer.write(piece, facts | ({"wishes": wishes.report(choice.piece)} if want else {}))
    if seed is None:
        console.note(f"seed {own_seed}")  # only now, because options that are refused have none
    writer.close(seed=own_seed)
