"""Steps of the scan backbone for text."""

from typing import cast

import torch
from torch import Tensor
from torch.nn.functional import linear

from lnfgen.nn.conv_scan import KERNEL, CausalConvolution, CausalConvScan, convolved
from lnfgen.nn.scan import GatedRecurrence


class ConvScanSteps:
    """The steps of a `CausalConvScan` whose input is `cat([x, known[:, t]], -1)`, as `nn.stepper.Steps`.

    The known inputs go through the first convolution and the first product for all steps at once. Of the inputs of each
    convolution the last ones are kept, and each is a summand of its own, which takes fewer calls than to join them.
    """

    @torch.no_grad()
    def __init__(self, network: CausalConvScan, known: Tensor) -> None:
        convolutions = cast(list[CausalConvolution], list(network.convolutions))
        projections = [cast(GatedRecurrence, block).project for block in network.blocks]
        rows, size = len(known), projections[0].in_features - known.shape[-1]
        of_known = convolved(known, convolutions[0].weight[:, size:])[0]
        added = linear(of_known, projections[0].weight[:, size:], projections[0].bias)
        self._added = added.transpose(0, 1).contiguous().unbind()
        self._rows: Tensor | None = None  # the row of `known` that each row reads
        sizes = [size, *(project.in_features for project in projections[1:])]
        self._hidden = cast(GatedRecurrence, network.blocks[0]).hidden
        # Transposed in memory, because products with few rows then take less time.
        pairs = list(zip(projections, sizes, strict=True))
        self._weights = [project.weight[:, :size].detach().t().contiguous() for project, size in pairs]
        self._biases = [project.bias.detach() for project in projections]
        self._taps = []  # the newest first; the newest input also stands for itself
        for convolution, size in zip(convolutions, sizes, strict=True):
            taps = convolution.weight[:, :size].detach().flip(0).clone()
            taps[0] += 1
            self._taps.append(taps.unbind())
        self._inputs = [[known.new_zeros(rows, size)] * (KERNEL - 1) for size in sizes]  # the newest first
        self._states = [known.new_zeros(rows, self._hidden)] * len(sizes)

    def step(self, t: int, x: Tensor) -> Tensor:
        added = self._added[t] if self._rows is None else self._added[t][self._rows]
        for index, weight in enumerate(self._weights):
            (newest, *taps), inputs = self._taps[index], self._inputs[index]
            self._inputs[index] = [x, *inputs[:-1]]
            x = newest * x
            for tap, before in zip(taps, inputs, strict=True):
                x = torch.addcmul(x, tap, before)
            gates, values = torch.addmm(added if index == 0 else self._biases[index], x, weight).tensor_split(
                [2 * self._hidden], 1
            )
            forget, output = torch.sigmoid(gates).chunk(2, 1)
            candidate, *skip = torch.tanh(values).split(self._hidden, 1)
            self._states[index] = state = torch.lerp(candidate, self._states[index], forget)
            x = torch.lerp(skip[0] if skip else x, state, output)
        return x

    def keep(self, rows: Tensor) -> None:
        self._rows = rows if self._rows is None else self._rows[rows]
        self._inputs = [[x[rows] for x in inputs] for inputs in self._inputs]
        self._states = [state[rows] for state in self._states]
