"""A multi-layer perceptron, and MADE, whose output for a feature depends on earlier ones alone."""

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, linear

from lnfgen.device.replacements import Dropout


class MLP(nn.Module):
    """Linear layers with GELU and dropout between them.

    `[..., num_inputs]` -> `[..., num_outputs]`. `output_gain` scales the initial weights of the
    last layer. With 0 the output is 0 at the start.
    """

    def __init__(
        self,
        num_inputs: int,
        hidden: Sequence[int],
        num_outputs: int,
        *,
        dropout: float = 0.0,
        output_gain: float = 1.0,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        sizes = [num_inputs, *hidden]
        for before, after in itertools.pairwise(sizes):
            layers += [nn.Linear(before, after), nn.GELU(), Dropout(dropout)]
        last = nn.Linear(sizes[-1], num_outputs)
        nn.init.xavier_uniform_(last.weight, gain=output_gain)
        nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(*layers, last)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class MADE(nn.Module):
    """Computes parameters of each feature i from x_<i and context, all features in one pass.

    x `[..., D]`, context `[..., C]` -> `[..., D, num_parameters]`. If each feature consists of
    several numbers, x is `[..., inputs_per_feature * D]`: the first numbers of all features come
    first, then all second numbers. The leading axes of x and context broadcast, so an x without a
    sample axis is multiplied by the weights once for all samples.

    Source: Germain et al. (2015, arXiv 1502.03509), with two hidden layers. A hidden unit of degree
    m sees the first m features, through units of degree up to m. Feature i, counted from 0, reads
    the units of degree up to i. The context enters every hidden unit and every output, because
    otherwise only the units of degree 0 could pass it to feature 0.

    The second hidden layer is tanh, so the parameters are bounded, and values that are computed one
    feature after another cannot grow without limit. Limit: with fewer hidden units than features,
    about D / hidden neighbouring features see the same part of x, so they do not depend on each
    other.
    """

    # All of these sizes differ between the outputs and flows that have a MADE.
    def __init__(  # noqa: PLR0913
        self,
        num_features: int,
        num_context: int,
        hidden: int,
        num_parameters: int,
        *,
        inputs_per_feature: int = 1,
        output_gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.num_parameters = num_parameters
        features = torch.arange(num_features)
        # They are spread evenly from 0 to num_features - 1.
        degrees = torch.arange(hidden) * num_features // hidden
        self.first = MaskedLinear((degrees[:, None] > features).repeat(1, inputs_per_feature))
        self.second = MaskedLinear(degrees[:, None] >= degrees)
        of_parameters = features.repeat_interleave(num_parameters)
        self.last = MaskedLinear(of_parameters[:, None] >= degrees)
        self.hidden_context = nn.Linear(num_context, 2 * hidden)
        self.output_context = nn.Linear(num_context, num_features * num_parameters)
        for layer in (self.last, self.output_context):
            nn.init.xavier_uniform_(layer.weight, gain=output_gain)
        nn.init.zeros_(self.output_context.bias)

    def given(self, context: Tensor) -> Callable[[Tensor], Tensor]:
        """The function from x to parameters for this context, `[..., C]`.

        It multiplies the context by the weights only once.
        """
        context_1, context_2 = self.hidden_context(context).chunk(2, -1)
        context_3 = self.output_context(context)

        def parameters(x: Tensor) -> Tensor:
            h = gelu(context_1 + self.first(x))
            h = torch.tanh(context_2 + self.second(h))
            return (context_3 + self.last(h)).unflatten(-1, (-1, self.num_parameters))

        return parameters

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        return self.given(context)(x)


class MaskedLinear(nn.Linear):
    """A linear layer without bias, whose weights count as 0 where a mask is False.

    The mask is bool `[num_outputs, num_inputs]`.
    """

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        num_outputs, num_inputs = mask.shape
        super().__init__(num_inputs, num_outputs, bias=False)
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, input: Tensor) -> Tensor:
        return linear(input, torch.where(self.mask, self.weight, torch.zeros_like(self.weight)))
