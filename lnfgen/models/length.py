"""The length model p(T)."""

import math
from typing import Any

import torch
from torch import Tensor, nn

SPREADS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
WIDTHS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)


class LengthModel(nn.Module):
    """A histogram of the training lengths, partly smoothed, positive for every T >= 1.

    `p(T) = mean over n of (1 - s) [T = T_n] + s r^|T - T_n| / Z_n`, where `Z_n` lets the second
    term sum to 1 over all T >= 1. The spread s and the width -1 / log r are chosen from `SPREADS`
    and `WIDTHS` by leave-one-out likelihood. The spread is small if lengths are whole bars and
    large if they are scattered.
    """

    lengths: Tensor  # float64 [U], the distinct training lengths
    counts: Tensor  # float64 [U]
    kernel: Tensor  # float64 [2]: spread, width

    def __init__(self, num_distinct: int = 1) -> None:
        """Have room for `num_distinct` lengths before `fit` or `load_state_dict`."""
        super().__init__()
        self.register_buffer("lengths", torch.ones(num_distinct, dtype=torch.float64))
        self.register_buffer("counts", torch.ones(num_distinct, dtype=torch.float64))
        self.register_buffer("kernel", torch.tensor([1.0, 16.0], dtype=torch.float64))

    def _apply(self, fn: Any, recurse: bool = True) -> "LengthModel":
        return self  # these few numbers stay on the CPU in float64, which not every device supports

    @classmethod
    def fit(cls, lengths: Tensor, kernel: Tensor | None = None) -> "LengthModel":
        """Fit to the lengths `[N]` of the training split; choose the kernel if none is given."""
        # A sort would need several copies of a large corpus's lengths.
        counts = torch.bincount(lengths)
        distinct = counts.nonzero().flatten()
        counts = counts[distinct]
        model = cls(len(distinct))
        model.lengths.copy_(distinct)
        model.counts.copy_(counts)
        if kernel is not None:
            model.kernel.copy_(kernel)
        elif len(lengths) > 1:
            model.kernel.copy_(model._best_kernel())
        return model

    def _best_kernel(self) -> Tensor:
        """The spread and width with the greatest leave-one-out likelihood of the lengths."""
        best = -torch.inf
        kernel = self.kernel
        for width in WIDTHS:
            distance = (self.lengths[:, None] - self.lengths).abs()
            smooth = torch.exp(-distance / width) / self._normalisers(width)
            smooth = smooth @ self.counts - smooth.diagonal()
            for spread in SPREADS:
                left_out = (1 - spread) * (self.counts - 1) + spread * smooth
                score = float((self.counts * left_out.clamp(min=1e-300).log()).sum())
                if score > best:
                    best = score
                    kernel = torch.tensor([spread, width], dtype=torch.float64)
        return kernel

    def _normalisers(self, width: float) -> Tensor:
        """Z_n of each distinct training length T_n, `[U]`."""
        ratio = torch.exp(torch.tensor(-1 / width, dtype=torch.float64))
        return (1 + ratio - ratio**self.lengths) / (1 - ratio)

    def log_prob(self, lengths: Tensor) -> Tensor:
        """log p(T) in float64 on the CPU: lengths `[B]` -> `[B]`."""
        lengths = lengths.cpu().double()
        spread, width = self.kernel.tolist()
        same = (lengths[:, None] == self.lengths).double()
        weights = self.counts / self.counts.sum()
        unsmoothed = ((1 - spread) * same * weights).sum(-1)
        # Logarithms, because the smoothed term underflows more than about 700 widths away from
        # every training length.
        log_ratio = -(lengths[:, None] - self.lengths).abs() / width
        smoothed = torch.logsumexp(
            log_ratio + (1 / self._normalisers(width)).log() + weights.log(), -1
        )
        return torch.logaddexp(unsmoothed.log(), smoothed + math.log(spread))

    def _log_probs_up_to(self, longest: int) -> Tensor:
        """`log_prob` of all lengths from 1 to `longest`, `[longest]`, up to round-off.

        The part of shorter training lengths in the smoothed term falls by r with each step up, and
        that of longer ones with each step down, so a sum in each direction is enough. `log_prob`
        compares each length with each training length, which takes seconds and gigabytes here where
        pieces are long and many.
        """
        spread, width = self.kernel.tolist()
        places = self.lengths.long() - 1
        weights = self.counts / self.counts.sum()
        steps = torch.arange(longest, dtype=torch.float64) / width
        given = torch.full_like(steps, -torch.inf)
        given[places] = (spread * weights / self._normalisers(width)).log()
        # Both have what a length gives to itself.
        from_shorter = torch.logcumsumexp(given + steps, 0) - steps
        from_longer = torch.logcumsumexp((given - steps).flip(0), 0).flip(0) + steps
        log_probs = torch.logaddexp(from_shorter[:-1], from_longer[1:] - 1 / width)
        log_probs = torch.cat([log_probs, from_shorter[-1:]])
        log_probs[places] = torch.logaddexp(log_probs[places], ((1 - spread) * weights).log())
        return log_probs

    def sample(self, generator: torch.Generator, beyond: int = 0) -> int:
        """Draw one length that is greater than `beyond`, with a CPU generator.

        It is at most 16 more than twice the longest training length, or 16 more than `beyond` if
        that is greater.
        """
        longest = max(2 * int(self.lengths.max()), beyond) + 16
        chances = torch.softmax(self._log_probs_up_to(longest)[beyond:], 0)
        return beyond + 1 + int(torch.multinomial(chances, 1, generator=generator))
