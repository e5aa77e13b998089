"""The recurrent backbone of the paper."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from lnfgen.nn.bidirectional import Bidirectional
from lnfgen.nn.deferred import linear
from lnfgen.nn.dropout import Dropout

State = list[tuple[Tensor, Tensor]]
"""Hidden and cell state of each layer."""


class CausalLSTM(nn.Module):
    """Step t sees inputs up to t: x `[B, T, F]` -> `[B, T, hidden]`. Sequential within, over T."""

    def __init__(self, num_inputs: int, hidden: int, num_layers: int, dropout: float) -> None:
        super().__init__()
        sizes = [num_inputs] + [hidden] * (num_layers - 1)
        self.layers = nn.ModuleList(nn.LSTM(size, hidden, batch_first=True) for size in sizes)
        # After each layer, and here rather than inside nn.LSTM, where a GPU draws from a state of its own.
        self.dropout = Dropout(dropout)
        for layer in self.layers:
            _initialise(layer)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """The outputs, and the state after the last step, with which a later call goes on (None at the start)."""
        states: State = []
        for index, layer in enumerate(self.layers):
            before = None if state is None else state[index]
            x, after = _step(layer, x, before) if x.shape[1] == 1 else layer(x, before)
            x = self.dropout(x)
            states.append(after)
        return x, states


def _weights(network: CausalLSTM) -> list[Sequence[Tensor]]:
    """Of each layer: of inputs, recurrent, and two biases."""
    return [layer.all_weights[0] for layer in cast(list[nn.LSTM], list(network.layers))]


def lstm_cell(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """h and c `[B, H]` after a step, of c before it and the sums that enter the gates `[B, 4 H]` (in torch's order),
    which are overwritten. Without gradients."""
    size = c.shape[-1]
    gates[:, : 2 * size].sigmoid_()
    gates[:, 2 * size : 3 * size].tanh_()
    gates[:, 3 * size :].sigmoid_()
    keep, forget, new, show = gates.split(size, -1)
    c = torch.addcmul(forget * c, keep, new)
    return show * torch.tanh(c), c


class LSTMSteps:
    """A `CausalLSTM` a step after the other, without gradients or dropout, its weights laid out once for all steps.

    Products of one row with a matrix that lies input after input take three quarters of the time that they take with
    nn.LSTM's own layout (float32, hidden 500, one CPU core).
    """

    def __init__(self, network: CausalLSTM, batch: int) -> None:
        inputs, recurrent, *biases = zip(*_weights(network), strict=True)
        self._recurrent = [weight.t().contiguous() for weight in recurrent]
        self._inputs = [weight.t().contiguous() for weight in inputs[1:]]
        self._bias = [torch.add(*pair) for pair in zip(*biases, strict=True)]
        self.first_inputs, self.first_bias = inputs[0], self._bias[0]
        zero = self._bias[0].new_zeros(batch, len(self._recurrent[0]))
        self._h, self._c = [zero] * len(inputs), [zero] * len(inputs)

    def __call__(self, gates: Tensor) -> Tensor:
        """The output `[B, H]` of the next step, whose input is given as what it adds to the first layer's gates, bias
        included: `x first_inputs^T + first_bias`, `[B, 4 H]`."""
        for index, recurrent in enumerate(self._recurrent):
            if index:
                gates = torch.addmm(self._bias[index], self._h[index - 1], self._inputs[index - 1])
            gates = torch.addmm(gates, self._h[index], recurrent)
            self._h[index], self._c[index] = lstm_cell(gates, self._c[index])
        return self._h[-1]


class BidirectionalLSTM(Bidirectional):
    """A `CausalLSTM` from each end."""

    causal = CausalLSTM


def _step(layer: Any, x: Tensor, state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """One step of nn.LSTM, which on a CPU lays out its weights anew at every call."""

    def weights() -> tuple[Tensor, Tensor]:
        return torch.cat([layer.weight_ih_l0, layer.weight_hh_l0], 1), layer.bias_ih_l0 + layer.bias_hh_l0

    gates = linear(layer, weights)
    x = x[:, 0]
    if state is None:
        hidden = cell = x.new_zeros(len(x), layer.hidden_size)
    else:
        hidden, cell = state[0][0], state[1][0]
    hidden, cell = _Cell.apply(gates(torch.cat([x, hidden], -1)), cell)
    return hidden[:, None], (hidden[None], cell[None])


class _Cell(torch.autograd.Function):
    """`lstm_cell` with gradients, written out: a step's tensors are small, and calls are what they cost."""

    @staticmethod
    def forward(ctx: Any, gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        h, after = lstm_cell(gates, c)
        ctx.save_for_backward(gates, c, after)
        return h, after

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_h: Tensor, grad_after: Tensor) -> tuple[Tensor, Tensor]:
        gates, c, after = ctx.saved_tensors
        size = c.shape[-1]
        keep, forget, new, show = gates.split(size, -1)
        shown = torch.tanh(after)
        grad_c = torch.addcmul(grad_after, grad_h * show, torch.addcmul(c.new_ones(()), shown, shown, value=-1))
        gradient = torch.empty_like(gates)
        torch.mul(grad_c, new, out=gradient[:, :size])
        torch.mul(grad_c, c, out=gradient[:, size : 2 * size])
        torch.mul(grad_c, keep, out=gradient[:, 2 * size : 3 * size])
        torch.mul(grad_h, shown, out=gradient[:, 3 * size :])
        for part in (slice(None, 2 * size), slice(3 * size, None)):
            torch.ops.aten.sigmoid_backward(gradient[:, part], gates[:, part], grad_input=gradient[:, part])
        part = slice(2 * size, 3 * size)
        torch.ops.aten.tanh_backward(gradient[:, part], new, grad_input=gradient[:, part])
        return gradient, grad_c * forget


def _initialise(lstm: nn.Module) -> None:
    """Orthogonal recurrences, and forget gates open at 1: state survives long enough for gradients to find it."""
    for name, parameter in lstm.named_parameters():
        if name.startswith("weight_ih"):
            nn.init.xavier_uniform_(parameter)
        elif name.startswith("weight_hh"):
            for gate in parameter.chunk(4):
                nn.init.orthogonal_(gate)
        else:
            nn.init.zeros_(parameter)
            if name.startswith("bias_ih"):
                with torch.no_grad():
                    parameter.chunk(4)[1].fill_(1.0)
