"""The recurrent backbone of the paper."""

import torch
from torch import Tensor, nn

from lnfgen.nn.bidirectional import Bidirectional

State = tuple[Tensor, Tensor]


class CausalLSTM(nn.Module):
    """Step t sees inputs up to t: x `[B, T, F]` -> `[B, T, hidden]`. Sequential within, over T."""

    def __init__(self, num_inputs: int, hidden: int, num_layers: int, dropout: float) -> None:
        super().__init__()
        self.lstm = nn.LSTM(
            num_inputs, hidden, num_layers, batch_first=True, dropout=dropout if num_layers > 1 else 0.0
        )
        self.dropout = nn.Dropout(dropout)
        _initialise(self.lstm)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """The outputs, and the state after the last step, with which a later call goes on (None at the start)."""
        output, state = self.lstm(x, state)
        return self.dropout(output), state


class BidirectionalLSTM(Bidirectional):
    """A `CausalLSTM` from each end."""

    causal = CausalLSTM


def _initialise(lstm: nn.LSTM) -> None:
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
                    parameter[lstm.hidden_size : 2 * lstm.hidden_size] = 1.0
