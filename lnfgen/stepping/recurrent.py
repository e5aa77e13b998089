"""Steps of the backbones `lstm` and `conv-scan`."""

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from lnfgen.nn.causal_lstm import CausalLSTM
from lnfgen.nn.scans import KERNEL, CausalConvolution, CausalConvScan, GatedRecurrence, convolved


class LSTMSteps:
    """The steps of a `CausalLSTM` with input `cat([x, known[:, t]], -1)`, as `nn.stepper.Steps`.

    The four gates are a batch: weights `[4, in, H]`, gate inputs `[4, rows, H]`. On a CPU, threads
    share the gates of a batched product among them, and it reads large weights in half the time of
    one wide product. An upper layer multiplies its input and its own state in one product. The
    input of the tanh for the new cell state is doubled in the weights: as tanh(x) = 2 sigmoid(2 x)
    - 1, one call of sigmoid computes it together with the gates.
    """

    def __init__(self, network: CausalLSTM, known: Tensor) -> None:
        layers = cast(list[nn.LSTM], list(network.layers))
        first, *upper = [layer.all_weights[0] for layer in layers]
        of_input, of_state, bias_of_input, bias_of_state = first
        of_x, of_known = _doubled(of_input).tensor_split([-known.shape[-1]], 1)
        self._weight = by_gate(of_x)
        self._recurrent = by_gate(_doubled(of_state))
        bias = _doubled(torch.add(bias_of_input, bias_of_state))
        added = linear(known, of_known, bias).unflatten(-1, (4, -1))
        # What known inputs add to the gate inputs of each step, [4, N, H].
        self._added = added.permute(1, 2, 0, 3).contiguous().unbind()
        self._rows: Tensor | None = None  # the row of `known` that each row reads
        self._upper = []
        for of_input, of_state, bias_of_input, bias_of_state in upper:
            weight = _doubled(torch.cat([of_input, of_state], 1))
            bias = _doubled(torch.add(bias_of_input, bias_of_state))
            self._upper.append((by_gate(weight), by_gate(bias[:, None])))
        zero = known.new_zeros(len(known), layers[0].hidden_size)
        self._h = [zero] * len(layers)
        self._c = [zero] * len(layers)

    def step(self, t: int, x: Tensor) -> Tensor:
        added = self._added[t]
        if self._rows is not None:
            added = added.index_select(1, self._rows)
        h = self._h
        c = self._c
        inputs = torch.baddbmm(added, x.expand(4, -1, -1), self._weight)
        gates = torch.baddbmm(inputs, h[0].expand(4, -1, -1), self._recurrent)
        h[0], c[0] = _cell(gates, c[0])
        for index, (weight, bias) in enumerate(self._upper, 1):
            below_and_own = torch.cat([h[index - 1], h[index]], -1).expand(4, -1, -1)
            gates = torch.baddbmm(bias, below_and_own, weight)
            h[index], c[index] = _cell(gates, c[index])
        return h[-1]

    def reindex(self, rows: Tensor) -> None:
        self._rows = _rows_of(self._rows, rows)
        self._h = [h[rows] for h in self._h]
        self._c = [c[rows] for c in self._c]


def by_gate(weight: Tensor) -> Tensor:
    """Weights `[4 H, in]` of all gates -> `[4, in, H]`."""
    return weight.unflatten(0, (4, -1)).transpose(1, 2).contiguous()


def _doubled(rows: Tensor) -> Tensor:
    """A copy of weights or biases `[4 H, ...]`, with those of the new cell state doubled."""
    copy = rows.detach().clone()
    of_cell_state = copy.chunk(4)[2]
    of_cell_state.mul_(2)
    return copy


def _rows_of(before: Tensor | None, rows: Tensor) -> Tensor:
    """The first rows that each row of now was, from those that each row of before was."""
    if before is None:
        return rows
    return before[rows]


def _cell(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """h and c `[N, H]` after a step, from the gate inputs `[4, N, H]` and c before the step.

    The gate inputs are overwritten.
    """
    # The new cell state is 2 * candidate - 1.
    input_gate, forget_gate, candidate, output_gate = gates.sigmoid_().unbind()
    c = torch.addcmul(forget_gate * c - input_gate, input_gate, candidate, value=2)
    return output_gate * torch.tanh(c), c


class _Block(NamedTuple):
    """The weights of one block of a `CausalConvScan`, arranged for steps."""

    newest: Tensor  # [F], what the convolution and the skip of the newest input multiply it by
    taps: tuple[Tensor, ...]  # [F] each, of the inputs before, the newest first
    weight: Tensor  # [F, outputs]; transposed in memory, so that products with few rows are faster
    bias: Tensor  # [outputs]


class ConvScanSteps:
    """The steps of a `CausalConvScan` with input `cat([x, known[:, t]], -1)`, as `Steps`.

    The known inputs go through the first convolution and the first product for all steps at once.
    Of the inputs of each convolution the last ones are kept, and each is a summand of its own,
    which takes fewer calls than to join them.
    """

    @torch.no_grad()
    def __init__(self, network: CausalConvScan, known: Tensor) -> None:
        convolutions = cast(list[CausalConvolution], list(network.convolutions))
        recurrences = cast(list[GatedRecurrence], list(network.blocks))
        self._hidden = recurrences[0].hidden
        entry = recurrences[0].project
        num_unknown = entry.in_features - known.shape[-1]
        of_known, _ = convolved(known, convolutions[0].weight[:, num_unknown:])
        added = linear(of_known, entry.weight[:, num_unknown:], entry.bias)
        # What known inputs add to the first block at each step, [N, outputs].
        self._added = added.transpose(0, 1).contiguous().unbind()
        self._rows: Tensor | None = None  # the row of `known` that each row reads
        self._blocks: list[_Block] = []
        self._inputs: list[list[Tensor]] = []  # of each convolution, the newest first
        self._states: list[Tensor] = []  # [N, hidden] each
        for convolution, recurrence in zip(convolutions, recurrences, strict=True):
            is_entry = not self._blocks
            size = num_unknown if is_entry else recurrence.project.in_features
            self._blocks.append(_arranged(convolution, recurrence, size))
            self._inputs.append([known.new_zeros(len(known), size)] * (KERNEL - 1))
            self._states.append(known.new_zeros(len(known), self._hidden))

    def step(self, t: int, x: Tensor) -> Tensor:
        added = self._added[t]
        if self._rows is not None:
            added = added[self._rows]
        for index, block in enumerate(self._blocks):
            inputs = self._inputs[index]
            self._inputs[index] = [x, *inputs[:-1]]
            x = block.newest * x
            for tap, before in zip(block.taps, inputs, strict=True):
                x = torch.addcmul(x, tap, before)
            projected = torch.addmm(added if index == 0 else block.bias, x, block.weight)
            gates, values = projected.tensor_split([2 * self._hidden], 1)
            forget, output = torch.sigmoid(gates).chunk(2, 1)
            candidate, *entry_skip = torch.tanh(values).split(self._hidden, 1)
            state = torch.lerp(candidate, self._states[index], forget)
            self._states[index] = state
            skip = entry_skip[0] if entry_skip else x
            x = torch.lerp(skip, state, output)
        return x

    def reindex(self, rows: Tensor) -> None:
        self._rows = _rows_of(self._rows, rows)
        for index, inputs in enumerate(self._inputs):
            self._inputs[index] = [x[rows] for x in inputs]
        self._states = [state[rows] for state in self._states]


def _arranged(convolution: CausalConvolution, recurrence: GatedRecurrence, size: int) -> _Block:
    """The weights of a block for the first `size` of its inputs."""
    taps = convolution.weight[:, :size].detach().flip(0).clone()
    taps[0] += 1  # the newest input also stands for itself
    newest, *others = taps.unbind()
    weight = recurrence.project.weight[:, :size].detach().t().contiguous()
    return _Block(newest, tuple(others), weight, recurrence.project.bias.detach())
