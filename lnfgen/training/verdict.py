"""What the validations of a run say about its model, in a line for a person."""

from collections.abc import Iterable, Sequence

import numpy as np

from lnfgen.conventions import ONSET_SHIFT, SOUNDING

NOTHING = 0.9  # a model whose cost is over this share of the floor has learned next to nothing
RISEN = 1.05  # valid has got worse if its cost at the end is so many times the lowest one


def verdict(costs: Sequence[float], floor: float) -> str:
    """A line if the model has learned next to nothing, or its pieces by heart; else empty.

    `costs` are the ELBO of valid at each validation that counts, in order, and `floor` that of a
    very simple model.
    """
    best = min(costs, default=0.0)
    if best > NOTHING * floor:
        found = f"the best valid ELBO is {best:.2f}, and of single keys or characters, each on its own, {floor:.2f}"
        return f"{found}: the model has learned next to nothing; more data helps most, or more --max-steps"
    if costs and costs[-1] > RISEN * best:
        found = f"the valid ELBO was best ({best:.2f}) at validation {costs.index(best) + 1} of {len(costs)}"
        found = f"{found}, and ended at {costs[-1]:.2f}: after its best the model learned the train split by heart"
        return f"{found}; more data helps most, or a smaller --preset, or fewer --max-steps"
    return ""


def cost_of_drones(train: Iterable[np.ndarray], valid: Sequence[np.ndarray]) -> float:
    """The NLL of music in nats per step where a key depends on itself a step before, and on nothing
    else.

    Such a model, which is fitted on `train`, knows how long notes last. What it makes is drones.
    """

    def moves(x: np.ndarray) -> np.ndarray:
        states = (x & SOUNDING) + (x >> ONSET_SHIFT)  # silent, held, struck
        return 3 * np.concatenate([np.zeros_like(states[:1]), states[:-1]]) + states

    counts = 0.5 + np.sum([[(moves(x) == move).sum(0) for move in range(9)] for x in train], axis=0)
    log_probs = np.log(counts / counts.reshape(3, 3, -1).sum(1).repeat(3, 0))
    log_p = sum(float(np.take_along_axis(log_probs, moves(x), 0).sum()) for x in valid)
    return -log_p / sum(len(x) + 1 for x in valid)
