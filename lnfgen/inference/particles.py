"""Sequential Monte Carlo: draw sequences step by step so that they agree with what is known.

K particles of each sequence go through the steps of a model (`WeighedSteps`), which draws them and
weighs what is known. Where the effective sample size falls under half of K, particles are
resampled, those with great weights more often. In the end one is drawn by its weight. As K grows,
the distribution of the result tends to p(hidden | known); with a potential that weighs what is
drawn so far, to p(hidden | known) exp(potential of the whole).

Sources: Gordon, Salmond & Smith (1993); Carpenter, Clifford & Fearnhead (1999) for systematic
resampling.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lnfgen.models.observation import Known
from lnfgen.models.sequence_model import SequenceModel, WeighedSteps
from lnfgen.nn.positions import NO_OUTLINE, Outline

# Takes the number t of steps that are drawn, and a function that gives what each row has drawn,
# `[N, t, ...]`. Returns the logarithms of weights, float64 `[N]`; or None where the earlier ones
# still hold.
Potential = Callable[[int, Callable[[], Tensor]], Tensor | None]

# Particles are resampled where the effective sample size is under this share of their number.
RESAMPLE_BELOW = 0.5

# The steps of the first known stretch after a hidden step.
FIRST_STRETCH = 4


class Weighed(NamedTuple):
    """One drawn sequence for each of G generators."""

    x: Tensor  # [G, T] or [G, T, P], on the CPU
    # float64 [G], an estimate of log p(known), or of log E[exp(potential); known]; the estimate of
    # the probability itself is unbiased
    log_evidence: Tensor


# The arguments are those of `draw_weighed`.
def draw_hidden(  # noqa: PLR0913
    model: SequenceModel,
    known: Known,
    num_particles: int,
    generators: Sequence[torch.Generator],
    temperature: float = 1.0,
    outline: Outline = NO_OUTLINE,
    progress: Callable[[int], None] = lambda done: None,
    potential: Potential | None = None,
) -> Tensor:
    """The sequences that `draw_weighed` draws, `[G, T]` or `[G, T, P]`, on the CPU."""
    return draw_weighed(
        model, known, num_particles, generators, temperature, outline, progress, potential
    ).x


# A model, what is known, and each choice on how the rest is drawn.
@torch.inference_mode()
def draw_weighed(  # noqa: PLR0913
    model: SequenceModel,
    known: Known,
    num_particles: int,
    generators: Sequence[torch.Generator],
    temperature: float = 1.0,
    outline: Outline = NO_OUTLINE,
    progress: Callable[[int], None] = lambda done: None,
    potential: Potential | None = None,
) -> Weighed:
    """Draw one sequence for each of G generators, with K particles.

    Row `g * K + k` of a step is particle k of sequence g. One particle is enough after the last
    step that is known in part, and without a latent before the first hidden one.

    Args:
        known: the first axes of its tensors are G and T.
        outline: what is known of each piece before its notes; see `SequenceModel`.
        progress: called with the number of steps that are done.
        potential: weighs what is drawn so far.
    """
    known = known.each(lambda tensor: tensor.to(model.device))
    groups = len(generators)
    num_steps = known.mask.shape[1]
    steps = model.eval().steps(groups, num_steps, temperature, outline)
    weighs = _steps_that_weigh(known)
    # A latent is drawn for known steps too.
    start = _first_step_of_particles(known) if model.exact else 0
    last = num_steps - 1
    if potential is None:
        last = max((t for t, is_weighed in enumerate(weighs) if is_weighed), default=-1)
    last_hidden = _last_hidden_step(known)
    lines = _Lines(steps, groups, known.mask.device)
    weights = _Weights(groups)
    for stretch in _stretches(known, steps.takes_stretches):
        if stretch.start == start and start <= last:
            lines.move(weights.spread(num_particles))
        log_gain = lines.go_on(stretch, known, generators)
        progress(stretch.stop)
        now = None if potential is None else potential(stretch.stop, lines.so_far)
        t = stretch.stop - 1
        is_weighed = weighs[t] or now is not None or t == last
        if t > last or not is_weighed:
            continue
        weights.add(log_gain, now)
        if t == last:
            lines.move(weights.choose(generators))
            continue
        particles = weights.resample(generators, merge_equal=t >= last_hidden)
        if particles is not None:
            lines.move(particles)
    return Weighed(lines.so_far().cpu(), weights.log_evidence)


def _first_step_of_particles(known: Known) -> int:
    """The first step with something hidden, or T. Before it, rows without a latent are equal."""
    is_known = _are_known(known)
    return next((t for t, is_whole in enumerate(is_known) if not is_whole), len(is_known))


def _last_hidden_step(known: Known) -> int:
    """The last step with something hidden; -1 if all is known."""
    is_known = _are_known(known)
    return max((t for t, is_whole in enumerate(is_known) if not is_whole), default=-1)


def _are_known(known: Known) -> list[bool]:
    """The steps that are known as a whole in all sequences."""
    return known.mask.transpose(0, 1).flatten(1).all(-1).tolist()


def _steps_that_weigh(known: Known) -> list[bool]:
    """The steps with something known."""
    return known.mask.transpose(0, 1).flatten(1).any(-1).tolist()


def _stretches(known: Known, takes_stretches: bool) -> Iterator[range]:
    """The steps, one by one or in known stretches.

    What comes before the first hidden step is one stretch. After a hidden one, they are longer and
    longer: the first steps tell particles apart most, and the others need not be taken by all.
    """
    is_known = _are_known(known)
    num_steps = len(is_known)
    size = num_steps
    t = 0
    while t < num_steps:
        stop = t + 1
        if takes_stretches and is_known[t]:
            while stop < min(t + size, num_steps) and is_known[stop]:
                stop += 1
            size *= 2
        else:
            size = FIRST_STRETCH
        yield range(t, stop)
        t = stop


def _of_step(known: Known, t: int, width: int) -> Known:
    """What is known of a step, for so many particles of each sequence."""
    return known.each(lambda tensor: tensor[:, t].repeat_interleave(width, 0))


class _Weights:
    """The weights of the K particles of each of G sequences, as logarithms on the CPU."""

    def __init__(self, groups: int) -> None:
        self.log_evidence = torch.zeros(groups, dtype=torch.float64)  # see `Weighed`
        self._log_weight = torch.zeros(groups, 1, dtype=torch.float64)  # since the last resampling
        self._log_potential = self._log_weight  # the latest one, which is in the weights

    def spread(self, num_particles: int) -> Tensor:
        """Go on with so many particles of each sequence, all the same: zeros `[G, K]`."""
        groups = len(self.log_evidence)
        self.log_evidence += self._log_weight[:, 0]
        self._log_weight = torch.zeros(groups, num_particles, dtype=torch.float64)
        self._log_potential = self._log_potential.expand(groups, num_particles)
        return torch.zeros(groups, num_particles, dtype=torch.long)

    def add(self, log_gain: Tensor, log_potential: Tensor | None) -> None:
        """Weigh a step by its gain, `[G * K]`, and by what its potential adds to the earlier one.

        The potential is `[G * K]` too; None where the earlier one still holds.
        """
        groups = len(self.log_evidence)
        # some devices have no float64
        gain = log_gain.cpu().double().view(groups, -1)
        self._log_weight = self._log_weight + gain
        if log_potential is not None:
            now = log_potential.view(groups, -1)
            self._log_weight = self._log_weight + now - self._log_potential
            self._log_potential = now

    def choose(self, generators: Sequence[torch.Generator]) -> Tensor:
        """One particle of each sequence, by its weight: `[G, 1]`. Nothing is weighed after it."""
        self.log_evidence += _log_mean(self._log_weight)
        chosen = []
        for weights, generator in zip(torch.softmax(self._log_weight, 1), generators, strict=True):
            chosen.append(torch.multinomial(weights, 1, generator=generator))
        return torch.stack(chosen)

    def resample(
        self, generators: Sequence[torch.Generator], *, merge_equal: bool
    ) -> Tensor | None:
        """The particles `[G, new K]` to go on with; None if all sequences go on as they are.

        With `merge_equal` equal particles become one; see `_distinct`.
        """
        poor = _poor_groups(self._log_weight)
        if not poor:
            return None
        groups, width = self._log_weight.shape
        particles = torch.arange(width).repeat(groups, 1)
        log_means = _log_mean(self._log_weight)
        for g in poor:
            self.log_evidence[g] += log_means[g]
            particles[g] = _resampled(self._log_weight[g], generators[g])
            self._log_weight[g] = 0
        if merge_equal:
            particles, self._log_weight = _distinct(particles, self._log_weight)
        self._log_potential = self._log_potential.gather(1, particles)
        return particles


def _distinct(particles: Tensor, log_weight: Tensor) -> tuple[Tensor, Tensor]:
    """Those of the particles `[G, K]` that differ, and their log weights, `[G, width]` both.

    Where nothing is hidden any more, equal particles stay equal, and one of them is enough: it has
    the weight of all, in which the mean weight of a sequence is as before. Each sequence has as
    many as that with most of them; those beyond its own have no weight.
    """
    found: list[tuple[Tensor, Tensor]] = []
    for own, weights in zip(particles, log_weight, strict=True):
        different, places = own.unique(return_inverse=True)
        greatest = weights.max()
        sums = torch.zeros(len(different), dtype=weights.dtype)
        sums.index_add_(0, places, (weights - greatest).exp())
        found.append((different, sums.log() + greatest))
    width = max(len(different) for different, _ in found)
    chosen = torch.empty(len(found), width, dtype=torch.long)
    log_sums = torch.full((len(found), width), -torch.inf, dtype=log_weight.dtype)
    for g, (different, sums) in enumerate(found):
        chosen[g] = different[0]
        chosen[g, : len(different)] = different
        log_sums[g, : len(different)] = sums
    return chosen, log_sums + math.log(width / particles.shape[1])


def _log_mean(log_weight: Tensor) -> Tensor:
    """The log of the mean weight of the particles of each sequence, `[G]`, from `[G, K]`."""
    return torch.logsumexp(log_weight, 1) - math.log(log_weight.shape[1])


def _poor_groups(log_weight: Tensor) -> list[int]:
    """The sequences whose particles, of log weights `[G, K]`, are to be resampled."""
    effective_size = 1 / (torch.softmax(log_weight, 1) ** 2).sum(1)
    poor = effective_size < RESAMPLE_BELOW * log_weight.shape[1]
    return poor.nonzero()[:, 0].tolist()


def _resampled(log_weight: Tensor, generator: torch.Generator) -> Tensor:
    """The particles to go on with, `[K]`, from log weights `[K]`."""
    weights = torch.softmax(log_weight, 0)
    count = len(log_weight)
    offset = torch.rand(1, generator=generator, dtype=torch.float64)
    points = (torch.arange(count) + offset) / count
    return torch.searchsorted(weights.cumsum(0), points).clamp(max=count - 1)


class _Lines:
    """The lines of descent: what each row has drawn, and from which row it came."""

    def __init__(self, steps: WeighedSteps, groups: int, device: torch.device) -> None:
        self.width = 1  # particles of each sequence
        self.drawn: list[Tensor] = []  # the draws of the rows, a tensor for each step so far
        self._steps = steps
        self._groups = groups
        self._device = device
        self._moves: dict[int, Tensor] = {}  # before step t, the rows that its rows came from

    def move(self, particles: Tensor) -> None:
        """Go on with these particles `[G, new width]` of each sequence."""
        first_rows = self.width * torch.arange(self._groups)[:, None]
        rows = (first_rows + particles).flatten().to(self._device)
        self._moves[len(self.drawn)] = rows
        self.width = particles.shape[1]
        self._steps.reindex(rows)

    def go_on(self, stretch: range, known: Known, generators: Sequence[torch.Generator]) -> Tensor:
        """Draw a step, or take a stretch that is known; what is known is `[G, T, ...]`.

        The result is the log of the weight of each row, `[rows]`.
        """
        start = stretch.start
        if len(stretch) == 1:
            here = _of_step(known, start, self.width)
            x, log_gain = self._steps.draw(start, here, generators)
            self.drawn.append(x)
            return log_gain
        here = known.each(lambda tensor: tensor[:, start : stretch.stop])
        x, log_gain = self._steps.take(start, here, generators)
        self.drawn += x.unbind(1)
        return log_gain

    def so_far(self) -> Tensor:
        """What each row has drawn, `[rows, t, ...]`."""
        rows = torch.arange(self._groups * self.width, device=self._device)
        path: list[Tensor] = []
        for t in reversed(range(len(self.drawn))):
            if t + 1 in self._moves:
                rows = self._moves[t + 1][rows]
            path.append(self.drawn[t][rows])
        return torch.stack(path[::-1], 1)
