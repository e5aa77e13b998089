"""Steps of an LSTM, and of the autoregressive baseline that is built on one."""

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from lnfgen.models.lstm import AutoregressiveLSTM
from lnfgen.models.observation import FrameEmbedding
from lnfgen.nn.lstm import CausalLSTM
from lnfgen.nn.stepper import Step
from lnfgen.stepping.products import product, product_with_known


class LSTMCells:
    """The cells of a `CausalLSTM`, one step after another, from a state of zeros.

    An upper layer multiplies what is below it and its own state in one product. What enters the tanh of a new cell
    state is doubled in the weights, because tanh(x) = 2 sigmoid(2 x) - 1: one call of sigmoid then serves all gates.
    """

    def __init__(self, network: CausalLSTM, rows: int) -> None:
        (inputs, recurrent, *biases), *upper = (layer.all_weights[0] for layer in cast(list[nn.LSTM], network.layers))
        self.input_weight, self.bias = _doubled(inputs), _doubled(torch.add(*biases))  # of the first layer
        self._recurrent = _doubled(recurrent).t().contiguous()
        self._upper = [
            product(_doubled(torch.cat([below, own], 1)), _doubled(torch.add(*biases))) for below, own, *biases in upper
        ]
        zero = recurrent.new_zeros(rows, recurrent.shape[1])
        self._h, self._c = [zero] * len(network.layers), [zero] * len(network.layers)

    def step(self, inputs: Tensor) -> Tensor:
        """The output `[rows, H]` of the next step. `inputs` is `x input_weight^T + bias`, `[rows, 4 H]`."""
        h, c = self._h, self._c
        h[0], c[0] = _cell(torch.addmm(inputs, h[0], self._recurrent), c[0])
        for index, upper in enumerate(self._upper, 1):
            h[index], c[index] = _cell(upper(torch.cat([h[index - 1], h[index]], -1)), c[index])
        return h[-1]


def lstm_stepper(network: CausalLSTM, known: Tensor) -> Step:
    """`(t, x) -> out`, the network's output at step t of input `cat([x, known[:, t]])`."""
    cells = LSTMCells(network, len(known))
    inputs = product_with_known(cells.input_weight, cells.bias, known)
    return lambda t, x: cells.step(inputs(t, x))


def baseline_stepper(model: AutoregressiveLSTM, positions: Tensor) -> Step:
    """`(t, x_{t-1}) -> states`, with None in place of x_{-1}.

    What the embedding adds to the first layer's gates is read from a table of its products.
    """
    cells = LSTMCells(model.lstm, len(positions))
    of_embedding, of_positions = cells.input_weight.split([model.embedding, positions.shape[-1]], -1)
    added = linear(positions, of_positions, cells.bias).transpose(0, 1).contiguous().unbind()
    with_previous = _embedded(model.embed, of_embedding)

    def step(t: int, previous: Tensor | None) -> Tensor:
        return cells.step(added[t] if previous is None else with_previous(previous, added[t]))

    return step


def _embedded(embedding: nn.Embedding | FrameEmbedding, weight: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """`(x, y) -> embedding(x) weight^T + y`, with the products of the embedding's table taken once."""
    if isinstance(embedding, nn.Embedding):
        table = linear(embedding.weight, weight)
        return lambda x, y: y + table.index_select(0, x)
    frames, table = embedding.frames, linear(embedding.linear.weight.t(), weight)
    bias = weight @ embedding.linear.bias
    return lambda x, y: torch.addmm(y, frames.bits(x, table.dtype), table).add_(bias)


def _doubled(rows: Tensor) -> Tensor:
    """Weights or biases of the four gates, those of the new cell state doubled."""
    rows = rows.detach().clone()
    rows.chunk(4)[2].mul_(2)
    return rows


def _cell(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """h and c `[rows, H]` after a step, from what enters the gates (it is overwritten) and c before."""
    keep, forget, new, show = gates.sigmoid_().chunk(4, -1)
    c = torch.addcmul(forget * c - keep, keep, new, value=2)
    return show * torch.tanh(c), c
