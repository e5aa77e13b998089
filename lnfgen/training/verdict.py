"""What the validations of a run say about its model, in a line for a person."""

from collections.abc import Sequence

NOTHING = 0.9
"""A model whose cost is over this share of the cost of independent symbols has learned next to nothing."""

RISEN = 1.05
"""Valid has got worse if its cost at the end is so many times the lowest one."""

MORE = "more music or text helps most"


def verdict(costs: Sequence[float], floor: float) -> str:
    """A line if the model has learned next to nothing, or its pieces by heart; else empty.

    Args:
        costs: the ELBO of the valid split at each validation with the full KL weight, in order.
        floor: the NLL of independent symbols or keys on the same sequences, as `marginal_nll` computes it.
    """
    if not costs:
        return ""
    best, at = min(costs), costs.index(min(costs))
    if best > NOTHING * floor:
        found = f"the best valid ELBO is {best:.2f}, and {floor:.2f} is what a model costs that knows only how often"
        return f"{found} each key or character comes: this one has learned next to nothing; {MORE}, or more --max-steps"
    if costs[-1] > RISEN * best:
        found = f"the valid ELBO was best ({best:.2f}) at validation {at + 1} of {len(costs)}, and ended at"
        by_heart = f"{found} {costs[-1]:.2f}: after that, the model learned its pieces by heart"
        return f"{by_heart}, and the best weights are kept; {MORE}, or a smaller --preset, or fewer --max-steps"
    return ""
