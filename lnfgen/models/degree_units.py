"""What the units of a key read of its degree in the home of a piece."""

import torch
from torch import Tensor, nn

from lnfgen.nn.positions import NUM_HOMES

NUM_DEGREES = 12


def degrees_of_keys(num_pitches: int) -> Tensor:
    """The degree of each key for each tonic, `[12, P]`: the semitones of the key above it."""
    tonics = torch.arange(NUM_DEGREES)
    return (torch.arange(num_pitches) - tonics[:, None]) % NUM_DEGREES


class DegreeUnits(nn.Module):
    """Features of each degree of the major and of the minor scale, which a gate scales.

    A degree is the semitones of a key above the tonic. So the tonic has the same features in every
    home, and a piece that is moved has the same features at its moved keys.
    """

    degrees: Tensor  # of each key in a home, [12, P]

    def __init__(self, parts: int, num_pitches: int, num_context: int, hidden: int) -> None:
        super().__init__()
        self.by_degree = nn.Parameter(torch.randn(parts, 2, NUM_DEGREES, hidden))
        self.gate = nn.Linear(num_context, hidden)
        self.register_buffer("degrees", degrees_of_keys(num_pitches), persistent=False)

    def forward(self, context: Tensor) -> Tensor:
        """The features `[..., S, R, P, hidden]` of each key, for a context `[..., S, C]`.

        How much a degree counts depends on the context, whose last features are the home.
        """
        of_tonics = self.by_degree[:, :, self.degrees]  # [R, 2, 12, P, hidden]
        of_homes = of_tonics.permute(1, 2, 0, 3, 4).flatten(0, 1)  # [NUM_HOMES, R, P, hidden]
        home = context[..., -NUM_HOMES:]
        of_home = torch.tensordot(home, of_homes.to(home), 1)
        gate = 1 + self.gate(context)
        return of_home * gate[..., None, None, :]
