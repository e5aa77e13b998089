"""For how long notes have been held, and how much likelier than by the networks they go on."""

import torch
from torch import Tensor, nn

from lnfgen.conventions import ONSET, SOUNDING

NUM_CASES = 10
"""The cases of a duration: 0 steps, then from 1, 2, 4, ... and 256 steps on."""


def steps_held(before: Tensor, x: Tensor) -> Tensor:
    """The steps for which each key has sounded since its onset, at each of n steps.

    The frames x `[B, n, R, P]` come after a step at which it was `before`, `[B, R, P]`. A key that
    is silent has 0, and one that is struck 1.
    """
    sounding = (x & SOUNDING) > 0
    sounded = torch.cat([before[:, None] > 0, sounding[:, :-1]], 1)
    begins = (x >= ONSET) | (sounding & ~sounded)
    steps = torch.arange(1, x.shape[1] + 1, device=x.device)[:, None, None]
    begun_before = 1 - before[:, None]
    begun = torch.where(begins, steps, begun_before).cummax(1).values
    return torch.where(sounding, steps - begun + 1, 0)


def case_of(held: Tensor) -> Tensor:
    """The case of each number of steps `[...]`, under `NUM_CASES`: it grows where they double."""
    # A float is m 2^e with 0.5 <= m < 1, so e is 1 for one step, 2 for two or three.
    exponent = torch.frexp(held.float()).exponent
    return exponent.clamp(max=NUM_CASES - 1).long()


class HeldNotes(nn.Module):
    """What is added to the score of a key of each part, by the steps for which it has been held.

    It is taken from the logit of the onset, so that the note goes on, and is not struck anew.
    Training leaves all at 0, and `lnfgen.training.note_lengths` finds them.
    """

    added: Tensor  # [R, NUM_CASES]

    def __init__(self, parts: int) -> None:
        super().__init__()
        self.register_buffer("added", torch.zeros(parts, NUM_CASES))

    def forward(self, held: Tensor) -> Tensor:
        """What is added for keys that have been held for these steps, `[S, R, P]` -> `[S R, P]`."""
        parts = torch.arange(held.shape[-2], device=held.device)[:, None]
        return self.added[parts, case_of(held)].flatten(0, 1)
