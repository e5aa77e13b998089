"""Fast steps of the NADE output head."""

from torch import Tensor, nn
from torch.nn.functional import gelu

from lnfgen.models.output import NADEHead, settled
from lnfgen.nn.stepper import Step
from lnfgen.stepping.made import StackedMADE
from lnfgen.stepping.products import product_with_known


def nade_stepper(head: NADEHead, positions: Tensor, uniform: Tensor, temperature: float) -> Step:
    """`(t, states) -> head.sampler(temperature)(cat([states, positions[:, t]]), uniform[:, t])`."""
    first = head.features[0]
    assert isinstance(first, nn.Linear)
    features = product_with_known(first.weight, first.bias, positions)
    made, drawn = StackedMADE([head.made]), uniform.unbind(1)

    def step(t: int, states: Tensor) -> Tensor:
        parameters = made.given(gelu(features(t, states)))
        logits = head.logits(lambda bits: parameters(bits[None])[0], temperature)
        return settled(head.frames, logits, drawn[t]).x

    return step
