"""A flow across time in any number of passes, each of which draws one step of every block."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from lnfgen.conventions import MAX_LENGTH, PASSES
from lnfgen.device import Dropout
from lnfgen.flows.features import FeaturePrior
from lnfgen.flows.temporal import ContextFlow
from lnfgen.nn.backbones import Bidirectional
from lnfgen.nn.masking import length_mask
from lnfgen.nn.stepper import looping, steps_of

IN_TRAINING = (4, 8, 16, 32, 64, MAX_LENGTH)  # each call in training has blocks of one of these sizes
AHEAD = 8  # a step reads which of so many steps after it are known
AHEAD_SIZE = 32  # features of each of them


class BlockwiseFlow(ContextFlow):
    """`eps_t = g(z_t; c_t)`, where c_t is computed from the earlier steps of every block; `blocks` in `time`.

    Blocks have as many steps as there are `passes`, the last one what is left. Pass p of `forward` draws step p of all
    of them: `within` reads the earlier steps of each block, `across` joins what it made of them, in both directions,
    and `ahead` reads the first steps of the next block, so that a block ends as the next one begins. `forward` takes at
    most `passes` passes; `inverse` is parallel over T. In the order of the passes, the Jacobian is triangular.

    More passes fit better: the first steps of a block follow nothing. One model draws in any number of passes, because
    each call in training has blocks of another size.

    Limit: given the earlier passes, the steps of one pass are independent; they lie `passes` steps apart.
    """

    def __init__(
        self,
        num_features: int,
        features: FeaturePrior,
        within: nn.Module,
        narrow: nn.Linear,
        across: Bidirectional,
        ahead: "Ahead",
        input_dropout: float,
        reading: nn.Module,
    ) -> None:
        """`within` is causal, and reads positions and the `reading` of z; `ahead` reads the latter, and `across` what
        `narrow` leaves of the outputs of `within`. The outputs of the three and positions are the context.
        """
        super().__init__(num_features, features)
        self.within = within
        self.narrow = narrow
        self.across = across
        self.ahead = ahead
        self.reading = reading
        self.input_dropout = Dropout(input_dropout)
        self.passes = PASSES

    def forward(self, eps: Tensor, positions: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        z, ladj = self._in_passes(eps, positions, lengths, self.features)
        return z, ladj

    def draw(self, positions: Tensor, lengths: Tensor, noise: Tensor, temperature: float = 1.0) -> Tensor:
        def move(noise_p: Tensor, context: Tensor) -> tuple[Tensor]:
            return (self.features.draw(noise_p, context, temperature),)

        return self._in_passes(noise, positions, lengths, move)[0]

    def _in_passes(
        self, x: Tensor, positions: Tensor, lengths: Tensor, move: Callable[[Tensor, Tensor], tuple[Tensor, ...]]
    ) -> list[Tensor]:
        """Move eps or noise x `[N, T, ...]`, in each pass its steps with their contexts: first z, then what else.

        `move` returns z and any other results of these steps, `[N, B, ...]` each.
        """
        size = min(self.passes, x.shape[1])
        x_of, positions_of, counts = _folded(x, size), _folded(positions, size), _counts(lengths, size)
        is_real = _folded(length_mask(lengths, x.shape[1])[..., None], size)
        steps = steps_of(self.within, positions_of.flatten(0, 1))
        known = x.new_zeros(len(x), x_of.shape[1] * size + AHEAD, AHEAD_SIZE)
        read, passes = self._read(x.new_zeros(*x_of.shape[:2], self.num_features)), []
        with looping(x):
            for p in range(size):
                own = steps.step(p, read.flatten(0, 1)).unflatten(0, read.shape[:2])
                ahead = self.ahead.joined(known[:, p + 1 :].unfold(1, AHEAD, size))
                row = slice(p, p + 1)
                context = self._contexts(own[:, :, None], ahead[:, :, None], positions_of[:, :, row], counts[:, row])
                passes.append(move(x_of[:, :, p], context.squeeze(2)))
                read = self._read(passes[-1][0])
                known[:, p:-AHEAD:size] = self.ahead.of_each(read * is_real[:, :, p])
        return [torch.stack(part, 2).flatten(1, 2)[:, : x.shape[1]] for part in zip(*passes, strict=True)]

    def contexts(self, z: Tensor, positions: Tensor, lengths: Tensor) -> Tensor:
        size = IN_TRAINING[int(torch.randint(len(IN_TRAINING), ()))] if self.training else self.passes
        size = min(size, z.shape[1])
        read = self._read(z)
        ahead = _folded(self.ahead(read * length_mask(lengths, z.shape[1])[..., None], size), size)
        first = self._read(z.new_zeros(self.num_features)).expand(*ahead.shape[:2], 1, -1)
        earlier, positions = torch.cat([first, _folded(read, size)[:, :, :-1]], 2), _folded(positions, size)
        own, _ = self.within(torch.cat([earlier, positions], -1).flatten(0, 1))
        own = own.unflatten(0, earlier.shape[:2])
        return self._contexts(own, ahead, positions, _counts(lengths, size)).flatten(1, 2)[:, : z.shape[1]]

    def _read(self, z: Tensor) -> Tensor:
        return self.input_dropout(self.reading(z))

    def _contexts(self, own: Tensor, ahead: Tensor, positions: Tensor, counts: Tensor) -> Tensor:
        """The contexts `[N, B, P, C]` of P steps from the outputs of `within` and `ahead` there, and real blocks."""
        others = self.across(self.narrow(own).transpose(1, 2).flatten(0, 1), counts.flatten())  # [N * P, B, ...]
        others = others.unflatten(0, counts.shape).transpose(1, 2)
        return torch.cat([own, others, ahead, positions], -1)


class Ahead(nn.Module):
    """Features of the `AHEAD` steps after each step, as far as they lie in the next block and earlier passes drew them.

    Each place has its own weights, counted from the step itself, so that what lies next to a gap is read as that.
    """

    def __init__(self, num_read: int, size: int) -> None:
        super().__init__()
        self.of_each = nn.Linear(num_read, AHEAD_SIZE, bias=False)
        self.join = nn.Linear(AHEAD_SIZE * AHEAD, size)

    def forward(self, read: Tensor, size: int) -> Tensor:
        """From the reading of z `[N, T, E]`, in blocks of a size: `[N, T, size of the features]`."""
        step = torch.arange(read.shape[1], device=read.device)
        place = step[:, None] + torch.arange(1, AHEAD + 1, device=read.device)
        known = place % size < (step % size)[:, None]
        return self.joined(pad(self.of_each(read), (0, 0, 0, AHEAD))[:, 1:].unfold(1, AHEAD, 1) * known[:, None])

    def joined(self, steps: Tensor) -> Tensor:
        """From the features of each step, 0 where it is not known, `[..., AHEAD_SIZE, AHEAD]`."""
        return torch.tanh(self.join(steps.flatten(-2)))


def _folded(x: Tensor, size: int) -> Tensor:
    """`[N, T, F]` -> `[N, B, P, F]`: B blocks of P = `size` steps."""
    return pad(x, (0, 0, 0, -x.shape[1] % size)).unflatten(1, (-1, size))


def _counts(lengths: Tensor, size: int) -> Tensor:
    """In how many blocks each step of a block is real, `[N, size]`."""
    return (lengths[:, None] + torch.arange(size - 1, -1, -1, device=lengths.device)) // size
