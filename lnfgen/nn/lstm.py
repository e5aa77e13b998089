"""The recurrent backbone of the paper."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from lnfgen.nn.deferred import linear
from lnfgen.nn.dropout import Dropout
from lnfgen.nn.elementwise import tanh
from lnfgen.nn.layout import inputs_with_known, product

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

    def steps(self, known: Tensor, state: State | None = None) -> Callable[[int, Tensor], Tensor]:
        """`forward` for a loop over steps: `(t, x) -> out` at input `cat([x, known[:, t]])`, t one after the other.

        x `[B, F - G]`, known `[B, T, G]`, out `[B, hidden]`. Without gradients or dropout.
        """
        steps = LSTMSteps(self, len(known), state)
        gates = inputs_with_known(steps.first_inputs, steps.first_bias, known)
        return lambda t, x: steps(gates(t, x))


def _weights(network: CausalLSTM) -> list[Sequence[Tensor]]:
    """Of each layer: of inputs, recurrent, and two biases."""
    return [layer.all_weights[0] for layer in cast(list[nn.LSTM], list(network.layers))]


class LSTMSteps:
    """A `CausalLSTM` a step after the other, without gradients or dropout, its weights laid out once for all steps.

    An upper layer takes what is below it and its own state in one product. What enters a new state's tanh is doubled,
    so that one sigmoid serves all gates: tanh(x) = 2 sigmoid(2 x) - 1, and on a CPU torch.tanh takes six times as long.
    """

    def __init__(self, network: CausalLSTM, rows: int, state: State | None = None) -> None:
        (inputs, recurrent, *biases), *upper = _weights(network)
        self.first_inputs, self.first_bias = _doubled(inputs), _doubled(torch.add(*biases))
        self._recurrent = product(_doubled(recurrent), None, rows)
        self._upper = [
            product(_doubled(torch.cat([below, own], 1)), _doubled(torch.add(*biases)), rows)
            for below, own, *biases in upper
        ]
        zero = recurrent.new_zeros(rows, recurrent.shape[1])
        before = [(zero, zero)] * (1 + len(upper)) if state is None else [(h[0], c[0]) for h, c in state]
        self._h, self._c = [h for h, _ in before], [c for _, c in before]

    def __call__(self, gates: Tensor) -> Tensor:
        """The output `[rows, H]` of the next step, whose input is given as what it adds to the first layer's gates,
        bias included: `x first_inputs^T + first_bias`, `[rows, 4 H]`."""
        h, c = self._h, self._c
        h[0], c[0] = _cell(self._recurrent(h[0]).add_(gates), c[0])
        for index, upper in enumerate(self._upper, 1):
            h[index], c[index] = _cell(upper(torch.cat([h[index - 1], h[index]], -1)), c[index])
        return h[-1]


def _doubled(rows: Tensor) -> Tensor:
    """Weights or biases of the four gates, the third doubled."""
    rows = rows.detach().clone()
    rows.chunk(4)[2].mul_(2)
    return rows


def _cell(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """h and c `[rows, H]` after a step, of c before it and the sums that enter the gates, which are overwritten."""
    keep, forget, new, show = gates.sigmoid_().chunk(4, -1)
    c = torch.addcmul(forget * c - keep, keep, new, value=2)
    return show * torch.tanh(c), c


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
    """h and c `[rows, H]` after a step, of the sums that enter the gates `[rows, 4 H]` and c before it.

    Its gradient is written out: a step's tensors are small, and calls are what they cost.
    """

    @staticmethod
    def forward(ctx: Any, sums: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        gates = torch.sigmoid(sums)
        keep, forget, new, show = gates.chunk(4, -1)
        new.copy_(tanh(sums.chunk(4, -1)[2]))
        after = torch.addcmul(forget * c, keep, new)
        shown = tanh(after)
        ctx.save_for_backward(gates, c, shown)
        return show * shown, after

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_h: Tensor, grad_after: Tensor) -> tuple[Tensor, Tensor]:
        gates, c, shown = ctx.saved_tensors
        keep, forget, new, show = gates.chunk(4, -1)
        grad_c = torch.addcmul(grad_after, grad_h * show, torch.addcmul(c.new_ones(()), shown, shown, value=-1))
        gradient = torch.empty_like(gates)
        of_keep, of_forget, of_new, of_show = gradient.chunk(4, -1)
        torch.mul(grad_c, new, out=of_keep)
        torch.mul(grad_c, c, out=of_forget)
        torch.mul(grad_c, keep, out=of_new)
        torch.mul(grad_h, shown, out=of_show)
        for part, gate in ((of_keep, keep), (of_forget, forget), (of_show, show)):
            torch.ops.aten.sigmoid_backward(part, gate, grad_input=part)
        torch.ops.aten.tanh_backward(of_new, new, grad_input=of_new)
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
