"""Fast steps of an LSTM, and of the autoregressive baseline."""

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
    """The cells of a `CausalLSTM`, from a state of zeros.

    An upper layer multiplies its input and its own state in one product. The input of the tanh for the new cell state
    is doubled in the weights: as tanh(x) = 2 sigmoid(2 x) - 1, one call of sigmoid computes it together with the gates.
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
        """The output `[rows, H]` of the next step, where `inputs` is `x input_weight^T + bias`, `[rows, 4 H]`."""
        h, c = self._h, self._c
        h[0], c[0] = _cell(torch.addmm(inputs, h[0], self._recurrent), c[0])
        for index, upper in enumerate(self._upper, 1):
            h[index], c[index] = _cell(upper(torch.cat([h[index - 1], h[index]], -1)), c[index])
        return h[-1]


def lstm_stepper(network: CausalLSTM, known: Tensor) -> Step:
    """`(t, x) -> output` of the network at step t for the input `cat([x, known[:, t]], -1)`."""
    cells = LSTMCells(network, len(known))
    inputs = product_with_known(cells.input_weight, cells.bias, known)
    return lambda t, x: cells.step(inputs(t, x))


def baseline_stepper(model: AutoregressiveLSTM, positions: Tensor) -> Step:
    """`(t, x_{t-1}) -> states` of the baseline's LSTM, with None for x_{-1}.

    The embedding table is multiplied by the input weights once, so a step only reads rows of that product.
    """
    cells = LSTMCells(model.lstm, len(positions))
    embedding_weight, positions_weight = cells.input_weight.split([model.embedding, positions.shape[-1]], -1)
    added = linear(positions, positions_weight, cells.bias).transpose(0, 1).contiguous().unbind()
    add_embedded = _embedded_product(model.embed, embedding_weight)

    def step(t: int, previous: Tensor | None) -> Tensor:
        return cells.step(added[t] if previous is None else add_embedded(previous, added[t]))

    return step


def _embedded_product(embedding: nn.Embedding | FrameEmbedding, weight: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """`(x, y) -> embedding(x) weight^T + y`. The embedding table is multiplied by the weight only once."""
    if isinstance(embedding, nn.Embedding):
        table = linear(embedding.weight, weight)
        return lambda x, y: y + table.index_select(0, x)
    frames, table = embedding.frames, linear(embedding.linear.weight.t(), weight)
    bias = weight @ embedding.linear.bias
    return lambda x, y: torch.addmm(y, frames.bits(x, table.dtype), table).add_(bias)


def _doubled(rows: Tensor) -> Tensor:
    """A copy of weights or biases `[4 H, ...]`, with those of the new cell state doubled."""
    rows = rows.detach().clone()
    rows.chunk(4)[2].mul_(2)
    return rows


def _cell(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """h and c `[rows, H]` after a step, from the inputs of the gates, which are overwritten, and c before the step."""
    input_gate, forget_gate, candidate, output_gate = gates.sigmoid_().chunk(4, -1)  # tanh is 2 * candidate - 1
    c = torch.addcmul(forget_gate * c - input_gate, input_gate, candidate, value=2)
    return output_gate * torch.tanh(c), c
