"""`lnfgen convert`: write a piece in another file format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lnfgen.cli import console, options
from lnfgen.cli.sources import read_pieces
from lnfgen.errors import LnfgenError


def command(
    source: Annotated[
        str, typer.Argument(metavar="IN", help="A .mid, .musicxml, .mxl, .abc, .krn, .npz or .txt; or -.")
    ],
    target: Annotated[str, typer.Argument(metavar="OUT", help="A .mid, .musicxml, .npz, .txt, .png or .html; or -.")],
    steps_per_quarter: options.StepsPerQuarter = 4,
    drums: options.Drums = False,
    tempo: Annotated[float | None, typer.Option(min=4.0, help="Quarter notes a minute, in place of IN's own.")] = None,
    program: Annotated[int, typer.Option(min=0, max=127, help="General MIDI program of a .mid; 0 is a piano.")] = 0,
    quiet: options.Quiet = False,
) -> None:
    """Write the piece in IN as OUT, in the format that the suffix of OUT says, and print the path.

    If IN has several pieces, as a book of ABC tunes has, they become OUT-01, OUT-02, and so on, but one page if OUT is
    a .html. If OUT is -, one piece goes to stdout, as MIDI if it is music and as UTF-8 if it is text.
    """
    from dataclasses import replace

    from lnfgen import formats
    from lnfgen.files import numbered

    if target != "-" and Path(target).suffix.lower() not in {*formats.WRITABLE_MUSIC, *formats.WRITABLE_TEXT}:
        fits = " ".join(formats.WRITABLE_MUSIC)
        raise LnfgenError(f"cannot write {target}: unknown suffix {Path(target).suffix!r}; expected one of {fits}")
    pieces = read_pieces(source, steps_per_quarter, drums)
    if tempo is not None:
        if any(isinstance(piece, str) for piece in pieces):
            raise LnfgenError(f"{source} is a text, which has no tempo; leave --tempo out")
        pieces = [piece if isinstance(piece, str) else replace(piece, tempo_bpm=tempo) for piece in pieces]
    left_out = sum(piece.out_of_range for piece in pieces if not isinstance(piece, str))
    if left_out:
        console.warn(f"{source}: left out {left_out} notes outside a piano's 88 keys (A0 to C8)")

    if target == "-":
        if len(pieces) > 1:
            raise LnfgenError(
                f"{source} holds {len(pieces)} pieces, stdout takes one; give OUT a name, such as out.mid"
            )
        suffix = ".txt" if isinstance(pieces[0], str) else ".mid"
        console.result_bytes(formats.to_bytes(pieces[0], suffix, program=program))
        return
    if Path(target).suffix.lower() == formats.PAGE:
        formats.write(target, pieces, program=program)
        console.result(target)
        return
    for index, piece in enumerate(pieces):
        path = numbered(Path(target), index, len(pieces))
        formats.write(path, piece, program=program)
        console.result(str(path))
