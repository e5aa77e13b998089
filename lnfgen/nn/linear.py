"""A linear layer some of whose weights are always 0."""

import torch
from torch import Tensor, nn
from torch.nn.functional import linear


class MaskedLinear(nn.Linear):
    """A linear layer without bias. Its weight from input j to output i is 0 where `mask[i, j]` is False.

    The mask is bool `[num_outputs, num_inputs]`. It is not saved with the weights: it follows from the sizes.
    """

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        num_outputs, num_inputs = mask.shape
        super().__init__(num_inputs, num_outputs, bias=False)
        self.register_buffer("mask", mask, persistent=False)

    @property
    def masked_weight(self) -> Tensor:
        """The weights in use, `[num_outputs, num_inputs]`."""
        return torch.where(self.mask, self.weight, torch.zeros_like(self.weight))

    def forward(self, input: Tensor) -> Tensor:
        return linear(input, self.masked_weight)
