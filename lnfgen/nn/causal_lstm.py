"""The LSTM backbone, which the paper uses."""

from typing import cast

import torch
from torch import Tensor, nn

from lnfgen.device.drawing import without_onednn
from lnfgen.device.replacements import Dropout

LSTMState = list[tuple[Tensor, Tensor]]
"""The hidden state and the cell state of each layer, each `[1, B, hidden]`."""


class CausalLSTM(nn.Module):
    """LSTM layers with dropout after each: x `[B, T, F]` -> `[B, T, hidden]`.

    Step t sees x_<=t. It is sequential in T.
    """

    def __init__(self, num_inputs: int, hidden: int, num_layers: int, dropout: float) -> None:
        super().__init__()
        sizes = [num_inputs] + [hidden] * (num_layers - 1)
        self.layers = nn.ModuleList(nn.LSTM(size, hidden, batch_first=True) for size in sizes)
        # The dropout of nn.LSTM is not used, because on a GPU it draws from a random state of its
        # own.
        self.dropout = Dropout(dropout)
        for layer in self.layers:
            _initialise(layer)

    def forward(self, x: Tensor, state: LSTMState | None = None) -> tuple[Tensor, LSTMState]:
        """The outputs `[B, T, hidden]`, and the state after the last step.

        A later call with that state continues from there.
        """
        states: LSTMState = []
        for index, layer in enumerate(cast(list[nn.LSTM], self.layers)):
            before = None if state is None else state[index]
            # oneDNN has no LSTM in bfloat16 on many processors; without it the LSTM computes in
            # float32.
            with without_onednn(torch.is_autocast_enabled("cpu")):
                if x.shape[1] > 1:
                    x, layer_state = layer(x, before)
                else:
                    x, layer_state = _one_step(layer, x, before)
            x = self.dropout(x)
            states.append(layer_state)
        return x, states


def _one_step(
    layer: nn.LSTM, x: Tensor, state: tuple[Tensor, Tensor] | None
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """`layer(x, state)` for one step: x `[B, 1, F]` -> `[B, 1, hidden]`.

    nn.LSTM lays out its weights anew at every call, which costs more than a step.
    """
    if state is None:
        hidden = cell = x.new_zeros(len(x), layer.hidden_size)
    else:
        hidden = state[0][0]
        cell = state[1][0]
    hidden, cell = torch.lstm_cell(x[:, 0], (hidden, cell), *layer.all_weights[0])
    return hidden[:, None], (hidden[None], cell[None])


def _initialise(lstm: nn.Module) -> None:
    """Make recurrent weights orthogonal and forget biases 1.

    Then early gradients reach far back in time.
    """
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
