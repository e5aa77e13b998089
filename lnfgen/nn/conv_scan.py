"""The scan backbone for text: before each recurrence, a short convolution reads the last characters."""

import torch
from torch import Tensor, nn

from lnfgen.nn.dropout import Dropout
from lnfgen.nn.scan import MIN_BLOCKS, GatedRecurrence

KERNEL = 4
"""Steps that a convolution reads: its own and three before it."""

INITIAL_SCALE = 0.02
"""Of the weights of a convolution, so that at first it hardly changes its input."""

ConvScanState = list[tuple[Tensor, Tensor]]
"""Of each block the state h of the recurrence, `[B, hidden]`, and the last inputs of the convolution before it,
`[KERNEL - 1, B, F]`, the newest last."""


class CausalConvScan(nn.Module):
    """`CausalScan` with a convolution before each recurrence: x `[B, T, F]` -> `[B, T, hidden]`. Step t sees x_<=t.

    It is parallel over T. The gates of a recurrence read no state, so without a convolution those of the first block do
    not even know the step before; in text, what to keep and what to forget depends on the last few characters.

    Source: the short causal convolutions ("canon layers") of Allen-Zhu (2025, arXiv 2512.17351).
    """

    def __init__(self, num_inputs: int, hidden: int, num_layers: int, dropout: float) -> None:
        super().__init__()
        sizes = [num_inputs] + [hidden] * (max(num_layers, MIN_BLOCKS) - 1)
        self.convolutions = nn.ModuleList(CausalConvolution(size) for size in sizes)
        self.blocks = nn.ModuleList(GatedRecurrence(s, hidden, entry=i == 0) for i, s in enumerate(sizes))
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, state: ConvScanState | None = None) -> tuple[Tensor, ConvScanState]:
        """The outputs and the state after the last step. A later call with that state continues from there."""
        states: ConvScanState = []
        for index, (convolution, block) in enumerate(zip(self.convolutions, self.blocks, strict=True)):
            start, before = (None, None) if state is None else state[index]
            x, last = convolution(x, before)
            x, h = block(x, start)
            x = self.dropout(x)
            states.append((h, last))
        return x, states


class CausalConvolution(nn.Module):
    """`y_t = x_t + sum_{k=0}^3 w_k * x_{t-3+k}`, each feature by itself: x and y `[B, T, F]`."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(KERNEL, num_features))  # from the oldest step to the newest
        nn.init.normal_(self.weight, std=INITIAL_SCALE)

    def forward(self, x: Tensor, before: Tensor | None) -> tuple[Tensor, Tensor]:
        """y, and the last inputs `[KERNEL - 1, B, F]`, which a call for the steps after these takes as `before`."""
        return convolved(x, self.weight, before)


def convolved(x: Tensor, weight: Tensor, before: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """`CausalConvolution` with this weight `[KERNEL, F]`."""
    num_steps = x.shape[1]
    start = x.new_zeros(len(x), KERNEL - 1, x.shape[2]) if before is None else before.transpose(0, 1)
    read, y = torch.cat([start, x], 1), x
    for k, of_step in enumerate(weight):
        y = torch.addcmul(y, read[:, k : k + num_steps], of_step)
    return y, read[:, num_steps:].transpose(0, 1)
