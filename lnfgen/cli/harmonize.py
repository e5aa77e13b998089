"""`lnfgen harmonize`."""

from typing import Annotated

import typer

from lnfgen.cli import given
from lnfgen.cli.options import Device, Json, Programs, Quiet, Seed, Tracks
from lnfgen.conventions import MELODY_PARTICLES


def command(
    melody: Annotated[str, typer.Argument(help="A piece of music; - is stdin.")],
    out: given.Out,
    model: given.Model = None,
    count: given.Count = 1,
    temperature: given.Temperature = 1.0,
    particles: given.Particles = MELODY_PARTICLES,
    seed: Seed = None,
    tracks: Tracks = "melody",
    program: Programs = "0",
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Keep a melody exactly, draw what sounds below it, and print the files written.

    The melody is the highest line of its track; with --tracks all, that of the whole piece.
    """
    opened = given.Opened([melody], out, model, count, seed, tracks, program, device, json, music_alone=True)

    from lnfgen.inference.given import given_melody

    part = given_melody(opened.encoding, opened.pieces[0])
    opened.fill(part, "harmonizing", temperature, particles)
