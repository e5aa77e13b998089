"""`lnfgen sample`."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lnfgen.cli import console
from lnfgen.cli.options import Device, Quiet, Seed, Solver, choose_solver, drawn_seed, solver_facts

if TYPE_CHECKING:
    from lnfgen.formats import Piece


def command(
    run: Annotated[Path | None, typer.Argument(help="Run folder.  [default: the newest under runs/]")] = None,
    out: Annotated[
        str | None,
        typer.Option(help="File to write, - for stdout; the suffix chooses the format.  [default: sample.mid or .txt]"),
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Pieces; several are OUT-01, OUT-02, ...")] = 1,
    length: Annotated[
        int | None, typer.Option(min=1, help="Time steps or characters of each.  [default: drawn, as in training]")
    ] = None,
    temperature: Annotated[float, typer.Option(min=0.0, help="Below 1 safer, above 1 wilder.")] = 1.0,
    tempo: Annotated[float | None, typer.Option(min=1.0, max=1000.0, help="Quarter notes a minute.")] = None,
    program: Annotated[int, typer.Option(min=0, max=127, help="MIDI instrument, 0 is the piano.")] = 0,
    seed: Seed = None,
    solver: Solver = "loop",
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Draw pieces from a run and print the files written.

    Several pieces are drawn in whole blocks of 16, so from --count 2 on piece i has the same bytes whatever the count.

    A piece drawn alone is the same but for round-off, which can rarely decide a step, and all after it, otherwise.

    Where 16 pieces would be over 20,000 steps, blocks have 8, 4, 2 or 1 pieces.
    """
    from lnfgen.cli.sources import resolve_run
    from lnfgen.compute import prepare_machine
    from lnfgen.errors import LnfgenError
    from lnfgen.files import numbered, require_parent, write_bytes
    from lnfgen.formats import WRITABLE_MUSIC, WRITABLE_TEXT, to_bytes
    from lnfgen.runs.folder import RunFolder
    from lnfgen.sampling import sample_pieces

    path = resolve_run(run)
    folder = RunFolder(path)
    music = folder.encoding.kind == "music"
    fitting = WRITABLE_MUSIC if music else WRITABLE_TEXT
    target = out or ("sample.mid" if music else "sample.txt")
    suffix = fitting[0] if target == "-" else Path(target).suffix.lower()
    if suffix not in fitting:
        raise LnfgenError(
            f"--out {target}: found suffix {suffix or 'none'!r}, but {path} makes {folder.encoding.kind}; "
            f"expected one of {' '.join(fitting)}"
        )
    if target == "-" and count > 1:
        raise LnfgenError(f"--out - holds one piece, found --count {count}; give a file name")
    if target != "-":
        require_parent(Path(target))

    model = folder.load_model(prepare_machine(device))
    choose_solver(model, solver)
    pieces = sample_pieces(
        model, folder.encoding, count=count, length=length, temperature=temperature, seed=drawn_seed(seed)
    )
    for index, piece in enumerate(console.track(pieces, "sampling", count)):
        content = to_bytes(_with_tempo(piece, tempo), suffix, program=program)
        if target == "-":
            console.result_bytes(content)
        else:
            name = numbered(Path(target), index, count)
            write_bytes(name, content)
            console.result(str(name))
    for fact, number in solver_facts(model).items():
        console.note(f"solving the flow: {fact.replace('_', ' ')} {number}")


def _with_tempo(piece: "Piece", tempo: float | None) -> "Piece":
    return piece if tempo is None or isinstance(piece, str) else dataclasses.replace(piece, tempo_bpm=tempo)
