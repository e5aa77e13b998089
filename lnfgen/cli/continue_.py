"""`lnfgen continue`."""

from typing import Annotated

import typer

from lnfgen.cli import given
from lnfgen.cli.options import Device, Json, Programs, Quiet, Seed, Tracks
from lnfgen.conventions import PARTICLES


def command(
    intro: given.Source,
    out: given.Out,
    length: Annotated[
        int | None,
        typer.Option(
            min=1, help="Time steps or characters to add.", show_default="drawn, as pieces of the training data go on"
        ),
    ] = None,
    bars: Annotated[int | None, typer.Option(min=1, help="Bars to add, instead of --length.")] = None,
    model: given.Model = None,
    count: given.Count = 1,
    temperature: given.Temperature = 1.0,
    particles: given.Particles = PARTICLES,
    seed: Seed = None,
    tracks: Tracks = "all",
    program: Programs = "0",
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Go on from the end of a piece or a text, which stays exactly as it is, and print the files written."""
    opened = given.Opened([intro], out, model, count, seed, tracks, program, device, json)

    from lnfgen.inference.filling import added_steps
    from lnfgen.inference.given import given_intro

    added = added_steps(opened.model, opened.encoding, opened.pieces[0], length, bars, opened.seed)
    part = given_intro(opened.encoding, opened.pieces[0], added)
    opened.fill(part, "going on", temperature, particles)
