"""`lnfgen interpolate`."""

from typing import Annotated

import typer

from lnfgen.cli import given
from lnfgen.cli.options import Device, Json, Programs, Quiet, Seed, Tracks
from lnfgen.conventions import WAY_STEPS


def command(
    first: given.Source,
    second: given.Source,
    out: given.Out,
    steps: Annotated[
        int, typer.Option(min=2, help="Pieces in all; the first and the last are the given ones.")
    ] = WAY_STEPS,
    model: given.Model = None,
    seed: Seed = None,
    tracks: Tracks = "all",
    program: Programs = "0",
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Draw the pieces on the way from one to another, and print the files written.

    At each time step, the random numbers that give the one turn into those that give the other, on a sphere (slerp).
    The length of the pieces goes from one to the other too. This works with any model.
    """
    said = f"--steps {steps}"
    opened = given.Opened([first, second], out, model, steps, seed, tracks, program, device, json, said)

    from lnfgen.inference.variation import interpolate_pieces

    way = interpolate_pieces(opened.model, opened.encoding, *opened.laid, steps=steps, seed=opened.seed)
    opened.write(way, "interpolating", {"steps": steps})
