"""`lnfgen fill`."""

from typing import Annotated

import typer

from lnfgen.cli import given
from lnfgen.cli.options import Device, Json, Programs, Quiet, Seed, Tracks
from lnfgen.conventions import PARTICLES


def command(
    piece: given.Source,
    out: given.Out,
    free: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WHAT",
            help="What to draw anew: bars:5-8, steps:1-16, keys:C3-C5, voice:2, below-melody or above-bass; with "
            "commas what they have in common. Of a text: characters, as 10-20. Give it again for more.",
            show_default="the gaps of a text",
        ),
    ] = None,
    model: given.Model = None,
    gap: Annotated[
        str | None, typer.Option(help="Of a text: the character that marks each missing one.", show_default="_")
    ] = None,
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
    """Keep a part of a piece as it is, draw the rest, and print the files written.

    All that --free does not name is kept exactly: notes, held notes and silence. Of a text, each _ is a gap.
    """
    opened = given.Opened([piece], out, model, count, seed, tracks, program, device, json)

    from lnfgen.inference.given import given_part

    part = given_part(opened.encoding, opened.pieces[0], free or [], gap)
    opened.fill(part, "filling", temperature, particles, free or [])
