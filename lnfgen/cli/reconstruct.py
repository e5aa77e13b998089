"""`lnfgen reconstruct`."""

from lnfgen.cli import given
from lnfgen.cli.options import Device, Json, Programs, Quiet, Seed, Tracks


def command(
    piece: given.Source,
    out: given.Out,
    model: given.Model = None,
    count: given.Count = 1,
    temperature: given.Temperature = 1.0,
    seed: Seed = None,
    tracks: Tracks = "all",
    program: Programs = "0",
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Keep what the latent says of a piece, draw all else anew, and print the files written.

    This lets you hear what the latent knows of a piece; `vary --amount 0` gives the piece itself. The model must have a
    latent, and an lstm has none. With --temperature 0 it is the likeliest piece given the latent.
    """
    opened = given.Opened([piece], out, model, count, seed, tracks, program, device, json)

    from lnfgen.inference.variation import reconstruct_piece

    drawn = reconstruct_piece(
        opened.model, opened.encoding, opened.laid[0], count=count, temperature=temperature, seed=opened.seed
    )
    opened.write(drawn, "reconstructing", {"temperature": temperature})
