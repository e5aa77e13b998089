"""`lnfgen sample`."""

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from lnfgen.cli import console
from lnfgen.cli.options import (
    Device,
    InKey,
    Programs,
    Quiet,
    Run,
    Seed,
    Solver,
    Tempo,
    Voices,
    choose_solver,
    drawn_seed,
    played,
    solver_facts,
)


def command(
    run: Run = None,
    out: Annotated[
        str | None,
        typer.Option(
            help="File to write, - for stdout; the suffix chooses the format.", show_default="sample.mid or sample.txt"
        ),
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Pieces; several are OUT-01, OUT-02, ..., or one .html page.")] = 1,
    length: Annotated[
        int | None,
        typer.Option(min=1, help="Time steps or characters of each.", show_default="drawn, as in the training data"),
    ] = None,
    bars: Annotated[int | None, typer.Option(min=1, help="Bars of each, instead of --length.")] = None,
    temperature: Annotated[float, typer.Option(help="Below 1 safer, above 1 wilder.")] = 1.0,
    tempo: Tempo = None,
    key: InKey = None,
    program: Programs = "0",
    voices: Voices = None,
    seed: Seed = None,
    solver: Solver = "loop",
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Draw pieces from a run and print the files written.

    The same --seed draws the same pieces. From --count 2 on, piece i does not depend on the count; a piece drawn alone
    can rarely differ from the first of several, by round-off.
    """
    from lnfgen.cli.sources import moved_to, resolve_run
    from lnfgen.errors import LnfgenError
    from lnfgen.files import numbered, require_parent, write_bytes
    from lnfgen.formats import PAGE, WRITABLE_MUSIC, WRITABLE_TEXT, Piece, require_writer, to_bytes, write
    from lnfgen.music.tonality import Key

    folder = resolve_run(run)
    music = folder.encoding.kind == "music"
    fitting = WRITABLE_MUSIC if music else WRITABLE_TEXT
    target = out or ("sample.mid" if music else "sample.txt")
    suffix = fitting[0] if target == "-" else Path(target).suffix.lower()
    if suffix not in fitting:
        raise LnfgenError(
            f"--out {target}: found suffix {suffix or 'none'!r}, but {folder.path} makes {folder.encoding.kind}; "
            f"expected one of {' '.join(fitting)}"
        )
    if target == "-" and count > 1:
        raise LnfgenError(f"--out - holds one piece, found --count {count}; give a file name")
    if tempo is not None and not music:
        raise LnfgenError(f"{folder.path} makes text, which has no tempo; leave --tempo out")
    if key is not None and not music:
        raise LnfgenError(f"{folder.path} makes text, which has no key; leave --key out")
    wanted = None if key is None else Key.parse(key)
    instruments = played(program, voices)
    require_writer(suffix, instruments["voices"])
    if target != "-":
        require_parent(Path(target))

    from lnfgen.compute import prepare_machine
    from lnfgen.runs.checkpoint import load_model
    from lnfgen.sampling import sample_pieces

    model = load_model(folder, prepare_machine(device, folder.config.model.hidden_size))
    choose_solver(model, solver)
    encoding = folder.encoding if tempo is None else dataclasses.replace(folder.encoding, tempo_bpm=tempo)
    asked: dict[str, Any] = {"count": count, "length": length, "bars": bars, "temperature": temperature}
    page: list[Piece] = []
    with console.live("sampling", count) as bar:
        for index, piece in enumerate(sample_pieces(model, encoding, seed=drawn_seed(seed), **asked)):
            name = numbered(Path(target), index, count)
            if not isinstance(piece, str) and not piece.sounding.any():
                where = f"piece {index + 1}" if target == "-" or suffix == PAGE else name
                advice = "try another --seed, or train longer" if temperature else "try a --temperature above 0"
                console.warn(f"{where} is silent: no note was drawn; {advice}")
            if wanted and not isinstance(piece, str):
                piece = moved_to(piece, wanted, "stdout" if target == "-" else str(name))
            if suffix == PAGE:
                page.append(piece)
            elif target == "-":
                console.result_bytes(to_bytes(piece, suffix, **instruments))
            else:
                write_bytes(name, to_bytes(piece, suffix, **instruments))
                console.result(str(name))
            bar.update(index + 1)
    if page:
        write(target, page, **instruments)
        console.result(target)
    for sweeps in solver_facts(model).values():
        console.note(f"the flow was solved in at most {sweeps} sweeps")
