"""`lnfgen vary`."""

from typing import Annotated

import typer

from lnfgen.cli import given
from lnfgen.cli.options import Device, Json, Programs, Quiet, Seed, Tracks
from lnfgen.conventions import AMOUNT


def command(
    piece: given.Source,
    out: given.Out,
    amount: Annotated[
        float, typer.Option(help="How far from the piece: 0 is the piece itself, 1 a sample that has nothing of it.")
    ] = AMOUNT,
    model: given.Model = None,
    count: given.Count = 1,
    seed: Seed = None,
    tracks: Tracks = "all",
    program: Programs = "0",
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Draw pieces that are like a given one, as near as --amount says, and print the files written.

    The random numbers that would have made the model write the piece are changed a little. This works with any model.
    If a model reads what it wrote before, each change alters what follows, so the end keeps less than the beginning.
    """
    opened = given.Opened([piece], out, model, count, seed, tracks, program, device, json)

    from lnfgen.inference.variation import vary_piece

    varied = vary_piece(opened.model, opened.encoding, opened.laid[0], amount=amount, count=count, seed=opened.seed)
    opened.write(varied, "varying", {"amount": amount})
