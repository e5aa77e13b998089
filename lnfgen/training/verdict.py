"""What the validations of a run say about its model, in a line for a person."""

from collections.abc import Iterable, Sequence

import numpy as np

from lnfgen.conventions import ONSET_SHIFT, SOUNDING

LITTLE = 0.9  # a model whose cost is over this share of the floor has learned little
RISEN = 1.05  # valid has got worse if its cost at the end is so many times the lowest one


def verdict(costs: Sequence[float], floor: float) -> str:
    """A line if the model has learned little or nothing, or its pieces by heart; else empty.

    `costs` are the ELBO of valid at each validation that counts, in order, and `floor` that of a
    very simple model.
    """
    best = min(costs, default=0.0)
    if best > LITTLE * floor:
        learned = "next to nothing" if best > floor else "little more than that"
        return (
            f"the best valid ELBO is {best:.2f}, "
            f"and of single keys or characters, each on its own, {floor:.2f}: "
            f"the model has learned {learned}; "
            "more data helps most, or more --max-steps"
        )
    if costs and costs[-1] > RISEN * best:
        number = costs.index(best) + 1
        return (
            f"the valid ELBO was best ({best:.2f}) at validation {number} of {len(costs)}, "
            f"and ended at {costs[-1]:.2f}: "
            "after its best the model learned the train split by heart; "
            "more data helps most, or a smaller --preset, or fewer --max-steps"
        )
    return ""


def cost_of_drones(train: Iterable[np.ndarray], valid: Sequence[np.ndarray]) -> float:
    """The NLL of music in nats per time step where a key depends on itself a step before alone.

    This model, which is fitted on `train`, knows how long notes last. What it makes is drones.

    Args:
        train, valid: sequences, uint8 [T, R, P].
    """
    counts = 0.5 + np.sum([_counts_of_moves(x) for x in train], axis=0)  # [9, R * P]
    counts_before = counts.reshape(3, 3, -1).sum(1)
    log_probs = np.log(counts / counts_before.repeat(3, 0))
    log_p = 0.0
    num_steps = 0
    for x in valid:
        log_p += float(np.take_along_axis(log_probs, _moves(x), 0).sum())
        num_steps += len(x) + 1
    return -log_p / num_steps


def _moves(x: np.ndarray) -> np.ndarray:
    """How each key of x `[T, R, P]` goes on: three times its state a step before, plus its state.

    The result is `[T, R * P]`. The states are 0 (silent), 1 (held) and 2 (struck). Before the first
    step all keys are silent.
    """
    states = ((x & SOUNDING) + (x >> ONSET_SHIFT)).reshape(len(x), -1)
    before = np.concatenate([np.zeros_like(states[:1]), states[:-1]])
    return 3 * before + states


def _counts_of_moves(x: np.ndarray) -> np.ndarray:
    """How often each key makes each of the nine moves, `[9, R * P]`."""
    moves = _moves(x)
    return np.stack([(moves == move).sum(0) for move in range(9)])
