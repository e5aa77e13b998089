"""Steps of the backbones `lstm` and `conv-scan`."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from lnfgen.nn.causal_lstm import CausalLSTM
from lnfgen.nn.scans import KERNEL, CausalConvolution, CausalConvScan, GatedRecurrence, convolved


class LSTMSteps:
    """The steps of a `CausalLSTM` whose input is `cat([x, known[:, t]], -1)`, as
    `nn.stepper.Steps`.

    The four gates are a batch: weights `[4, in, H]`, gate inputs `[4, rows, H]`. On a CPU, threads
    share the gates of a batched product among them, and it reads large weights in half the time of
    one wide product. An upper layer multiplies its input and its own state in one product. The
    input of the tanh for the new cell state is doubled in
    the weights: as tanh(x) = 2 sigmoid(2 x) - 1, one call of sigmoid computes it together with the
    gates.
    """

    def __init__(self, network: CausalLSTM, known: Tensor) -> None:
        (inputs, recurrent, *biases), *upper = (
            layer.all_weights[0] for layer in cast(list[nn.LSTM], network.layers)
        )
        of_x, of_known = _doubled(inputs).tensor_split([-known.shape[-1]], 1)
        self._weight, self._recurrent = by_gate(of_x), by_gate(_doubled(recurrent))
        added = linear(known, of_known, _doubled(torch.add(*biases))).unflatten(-1, (4, -1))
        # of the known inputs, by step and gate
        self._added = added.permute(1, 2, 0, 3).contiguous().unbind()
        self._rows: Tensor | None = None  # the row of `known` that each row reads
        self._upper = [
            (
                by_gate(_doubled(torch.cat([below, own], 1))),
                by_gate(_doubled(torch.add(*biases))[:, None]),
            )
            for below, own, *biases in upper
        ]
        zero = recurrent.new_zeros(len(known), recurrent.shape[1])
        self._h, self._c = [zero] * len(network.layers), [zero] * len(network.layers)

    def step(self, t: int, x: Tensor) -> Tensor:
        added = self._added[t] if self._rows is None else self._added[t].index_select(1, self._rows)
        inputs = torch.baddbmm(added, x.expand(4, -1, -1), self._weight)
        h, c = self._h, self._c
        h[0], c[0] = _cell(torch.baddbmm(inputs, h[0].expand(4, -1, -1), self._recurrent), c[0])
        for index, (weight, bias) in enumerate(self._upper, 1):
            below_and_own = torch.cat([h[index - 1], h[index]], -1).expand(4, -1, -1)
            h[index], c[index] = _cell(torch.baddbmm(bias, below_and_own, weight), c[index])
        return h[-1]

    def keep(self, rows: Tensor) -> None:
        self._rows = rows if self._rows is None else self._rows[rows]
        self._h, self._c = [h[rows] for h in self._h], [c[rows] for c in self._c]


def by_gate(weight: Tensor) -> Tensor:
    """Weights `[4 H, in]` of all gates -> `[4, in, H]`."""
    return weight.unflatten(0, (4, -1)).transpose(1, 2).contiguous()


def _doubled(rows: Tensor) -> Tensor:
    """A copy of weights or biases `[4 H, ...]`, with those of the new cell state doubled."""
    rows = rows.detach().clone()
    rows.chunk(4)[2].mul_(2)
    return rows


def _cell(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """h and c `[rows, H]` after a step, from the gate inputs `[4, rows, H]` (overwritten) and c
    before the step."""
    # tanh is 2 * candidate - 1
    input_gate, forget_gate, candidate, output_gate = gates.sigmoid_().unbind()
    c = torch.addcmul(forget_gate * c - input_gate, input_gate, candidate, value=2)
    return output_gate * torch.tanh(c), c


class ConvScanSteps:
    """The steps of a `CausalConvScan` whose input is `cat([x, known[:, t]], -1)`, as
    `nn.stepper.Steps`.

    The known inputs go through the first convolution and the first product for all steps at once.
    Of the inputs of each convolution the last ones are kept, and each is a summand of its own,
    which takes fewer calls than to join them.
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
        self._weights = [
            project.weight[:, :size].detach().t().contiguous() for project, size in pairs
        ]
        self._biases = [project.bias.detach() for project in projections]
        self._taps = []  # the newest first; the newest input also stands for itself
        for convolution, size in zip(convolutions, sizes, strict=True):
            taps = convolution.weight[:, :size].detach().flip(0).clone()
            taps[0] += 1
            self._taps.append(taps.unbind())
        # the newest first
        self._inputs = [[known.new_zeros(rows, size)] * (KERNEL - 1) for size in sizes]
        self._states = [known.new_zeros(rows, self._hidden)] * len(sizes)

    def step(self, t: int, x: Tensor) -> Tensor:
        added = self._added[t] if self._rows is None else self._added[t][self._rows]
        for index, weight in enumerate(self._weights):
            (newest, *taps), inputs = self._taps[index], self._inputs[index]
            self._inputs[index] = [x, *inputs[:-1]]
            x = newest * x
            for tap, before in zip(taps, inputs, strict=True):
                x = torch.addcmul(x, tap, before)
            gates, values = torch.addmm(
                added if index == 0 else self._biases[index], x, weight
            ).tensor_split([2 * self._hidden], 1)
            forget, output = torch.sigmoid(gates).chunk(2, 1)
            candidate, *skip = torch.tanh(values).split(self._hidden, 1)
            self._states[index] = state = torch.lerp(candidate, self._states[index], forget)
            x = torch.lerp(skip[0] if skip else x, state, output)
        return x

    def keep(self, rows: Tensor) -> None:
        self._rows = rows if self._rows is None else self._rows[rows]
        self._inputs = [[x[rows] for x in inputs] for inputs in self._inputs]
        self._states = [state[rows] for state in self._states]
