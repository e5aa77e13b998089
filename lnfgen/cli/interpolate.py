"""`lnfgen interpolate`."""

from typing import TYPE_CHECKING, Annotated

import typer

from lnfgen.cli import given
from lnfgen.cli.options import Device, Json, Programs, Quiet, Seed, Tracks
from lnfgen.conventions import WAY_STEPS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lnfgen.given import Given
    from lnfgen.runs.trained import TrainedModel
    from lnfgen.variation import Variation


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

    def draw(trained: "TrainedModel", pieces: "list[Given]", seed: int) -> "Iterator[Variation]":
        from lnfgen.variation import interpolate_pieces

        return interpolate_pieces(trained.model, trained.encoding, *pieces, steps=steps, seed=seed)

    asked = given.Asked(out, model, steps, seed, tracks, program, device, json, said=f"--steps {steps}")
    given.write_variations([first, second], asked, draw, "interpolating", {"steps": steps})
