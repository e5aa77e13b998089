"""p(x_t | z)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lnfgen.models.output import OutputHead


class Emission(nn.Module):
    """x_t from z_<t and z_>t through a bidirectional network shifted on both sides, and from z_t itself, by a head.

    Parallel over t but for the network's own recurrence, if it has one: given z, the steps of x are independent (paper,
    section 4.3).
    """

    def __init__(
        self,
        network: nn.Module,
        latent: int,
        num_positions: int,
        num_states: int,
        head: Callable[[int], OutputHead],
    ) -> None:
        """`network` is bidirectional and exclusive, from `latent + num_positions` features to `num_states`."""
        super().__init__()
        self.network = network
        self.head = head(num_states + latent + num_positions)

    def forward(self, z: Tensor, lengths: Tensor, positions: Tensor, x: Tensor) -> Tensor:
        """z `[K * B, T, D]`, positions `[K * B, T, F]`, x `[B, T]` or `[B, T, P]` -> logits `[K, B, T, num_logits]`."""
        context = self._context(z, lengths, positions)
        return self.head(context.unflatten(0, (-1, len(x))), x)

    def sample(self, z: Tensor, lengths: Tensor, positions: Tensor, uniform: Tensor, temperature: float) -> Tensor:
        """z `[N, T, D]`, uniform `[N, T, ...]` -> x `[N, T]` or `[N, T, P]`."""
        return self.head.sample(self._context(z, lengths, positions), uniform, temperature)

    def _context(self, z: Tensor, lengths: Tensor, positions: Tensor) -> Tensor:
        return torch.cat([self.network(torch.cat([z, positions], -1), lengths), z, positions], -1)
