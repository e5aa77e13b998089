"""MADE: a perceptron whose outputs for a feature depend on the features before it alone."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from lnfgen.nn.linear import MaskedLinear


class MADE(nn.Module):
    """Parameters of feature i from x_<i and context: x `[..., D]`, context `[..., C]` -> `[..., D, num_parameters]`.

    A feature may be several numbers: x is then `[..., inputs_per_feature * D]`, the first number of every feature, then
    the second. Leading axes broadcast: the products of an x without samples serve every sample of the context.

    Masked autoencoder of Germain et al. (arXiv 1502.03509), two hidden layers. A unit of degree m sees the first m
    features and units of degree up to m; feature i, from 0, reads units of degree up to i. Context enters every hidden
    unit and every output, or the first features would see it through the few units of degree 0 alone. One pass for all
    features; the arithmetic of a dense perceptron.

    The second hidden layer is tanh, so parameters are bounded however large x is: what runs a MADE feature after
    feature cannot grow without end. Limit: with fewer hidden units than features, runs of D / hidden of them share what
    they see of x, so that they are independent given what comes before the run.
    """

    def __init__(
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
        degrees = torch.arange(hidden) * num_features // hidden  # from 0, as even as can be
        self.first = MaskedLinear((degrees[:, None] > features).repeat(1, inputs_per_feature))
        self.second = MaskedLinear(degrees[:, None] >= degrees)
        self.last = MaskedLinear((features[:, None] >= degrees).repeat_interleave(num_parameters, 0))
        self.hidden_context = nn.Linear(num_context, 2 * hidden)
        self.output_context = nn.Linear(num_context, num_features * num_parameters)
        for layer in (self.last, self.output_context):
            nn.init.xavier_uniform_(layer.weight, gain=output_gain)
        nn.init.zeros_(self.output_context.bias)

    def given(self, context: Tensor) -> Callable[[Tensor], Tensor]:
        """The map from x to parameters at this context, whose products are taken once for all its calls."""
        context_1, context_2 = self.hidden_context(context).chunk(2, -1)
        context_3 = self.output_context(context)

        def parameters(x: Tensor) -> Tensor:
            h = gelu(context_1 + self.first(x))
            h = torch.tanh(context_2 + self.second(h))
            return (context_3 + self.last(h)).unflatten(-1, (-1, self.num_parameters))

        return parameters

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        return self.given(context)(x)
