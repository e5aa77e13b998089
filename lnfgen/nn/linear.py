"""A linear layer with a mask on its weights, for MADE."""

import torch
from torch import Tensor, nn
from torch.nn.functional import linear


class MaskedLinear(nn.Linear):
    """A linear layer without bias whose weight from input j to output i counts as 0 where `mask[i, j]` is False.

    The mask is bool `[num_outputs, num_inputs]`. It is not saved with the weights, because the sizes determine it.
    """

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        num_outputs, num_inputs = mask.shape
        super().__init__(num_inputs, num_outputs, bias=False)
        self.register_buffer("mask", mask, persistent=False)

    @property
    def masked_weight(self) -> Tensor:
        """The weights with 0 where the mask is False, `[num_outputs, num_inputs]`."""
        return torch.where(self.mask, self.weight, torch.zeros_like(self.weight))

    def forward(self, input: Tensor) -> Tensor:
        return linear(input, self.masked_weight)
