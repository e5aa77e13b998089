"""Sequential Monte Carlo: draw a sequence step by step so that it agrees with what is known of it.

A bootstrap filter of K particles for each sequence. At each step the known part is set, the rest is drawn by the model,
and the particle's weight is multiplied by the probability of the known part given what was drawn before it. Where the
effective sample size falls under half of K, particles are resampled, those with great weights more often. In the end
one particle is drawn by its weight. As K grows, the distribution of the result tends to p(hidden | known).

The mean weights, multiplied over the resampling steps, estimate p(known). The estimate is unbiased with any K, so its
log is too low on average, by about half of its variance where that is small (Jensen), and both shrink as 1 / K.

With a sequence to keep, it is a conditional filter: particle 0 is that sequence and always survives. Then the result is
a move of a Markov chain that leaves p(hidden | known) as it is, with any K. If the sequence to keep is itself drawn
from p(hidden | known), whatever the proposals are, the mean of 1 / estimate is 1 / p(known), so the log of the estimate
is too high on average. So p(known) is between the two filters.

With a guess at the whole sequence, a particle takes the step of the guess with probability `GUESSED`, and is drawn by
the model otherwise. Its weight is divided by how much likelier that made it, so the estimate stays unbiased. This
matters where what is hidden of a step is drawn before what is known of it, and hardly any draw fits.

Sources: Gordon, Salmond & Smith (1993); systematic resampling, Carpenter, Clifford & Fearnhead (1999); the estimate of
p(known), Del Moral (2004), "Feynman-Kac formulae", proposition 7.4.1; the conditional filter, Andrieu, Doucet &
Holenstein (2010), "Particle Markov chain Monte Carlo methods"; bounds from both sides, Grosse, Ghahramani & Adams
(2015, arXiv 1511.02543), "Sandwiching the marginal likelihood using bidirectional Monte Carlo"; draws from a model or
from a safe guess, Hesterberg (1995), "Weighted average importance sampling and defensive mixture distributions".
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from lnfgen.models.observation import Known, Observation
from lnfgen.models.output import Drawn

RESAMPLE_BELOW = 0.5
"""Particles are resampled where the effective sample size is under this share of their number."""

GUESSED = 0.25
"""By 16 particles and the model of chorales in the box, the deviation of log p(lower voices) was 26, 12, 5 and 1 nats
with 0, 0.1, 0.25 and 0.5, where the guess is the true piece (the first of test), and that of log p(melody) 4, 4, 5
and 8."""


class Steps(Protocol):
    """A model's way to draw a batch of sequences step by step, first step first."""

    def draw(self, t: int, uniform: Tensor, known: Known) -> Drawn:
        """Draw step t of each of the N sequences, from uniform `[N, ...]`; what is known of them is set."""

    def keep(self, rows: Tensor) -> None:
        """Go on with these sequences `[N]`: row i continues what row `rows[i]` was."""


class Filtered(NamedTuple):
    """The result for G sequences.

    Attributes:
        x: the sequences drawn, `[G, T]` or `[G, T, P]`.
        rows: of the rows at the start, the one that each of them comes from, `[G]`.
        ess: the effective sample size as a share of K, the mean over the steps where particles were weighed, float64
            `[G]` on the CPU.
        log_known: the log of the estimate of p(known), at the temperature, float64 `[G]` on the CPU. It is too low on
            average, and that of a conditional filter too high if what it keeps is drawn from p(hidden | known) alone.
    """

    x: Tensor
    rows: Tensor
    ess: Tensor
    log_known: Tensor


def filter_particles(
    steps: Steps,
    observation: Observation,
    known: Known,
    num_particles: int,
    generators: Sequence[torch.Generator],
    *,
    alone: bool = False,
    kept: Tensor | None = None,
    log_weight: Tensor | None = None,
    guess: Tensor | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Filtered:
    """Draw one sequence for each of G generators, with K particles: row `g * K + k` is particle k of sequence g.

    After the last step where something is known, one particle goes on alone, because no weight changes any more.

    Args:
        known: what is known of each of them: the first axes of its tensors are G and T.
        alone: `steps` has one row for each sequence at the start, because all particles are equal until something is
            drawn. They become K there.
        kept: sequences `[G, T, ...]` to keep as particle 0, which makes the filter a conditional one.
        log_weight: the log weights of the particles at the start, where they do not come from the model itself but from
            a proposal, float64 `[G, K]` on the CPU. By default all are 0.
        guess: sequences `[G, T, ...]` that agree with what is known and may be right, so that particles take steps of
            them.
        progress: told how many steps are done.
    """
    groups, device = len(generators), known.mask.device
    by_step = known.mask.transpose(0, 1).flatten(1)
    informed = by_step.any(-1).tolist()
    last = max((t for t, is_informed in enumerate(informed) if is_informed), default=-1)
    whole = by_step.all(-1).tolist()
    spread = whole.index(False) if alone and False in whole else -1  # the step where particles begin to differ
    lines = _Lines(steps, groups, 1 if alone else num_particles, device)
    if last < 0 and lines.width > 1:  # nothing is known, so their weights at the start decide
        lines.move(torch.zeros(groups, 1, dtype=torch.long) if log_weight is None else one_of(log_weight, generators))
    if log_weight is None:
        log_weight = torch.zeros(groups, lines.width, dtype=torch.float64)
    log_known = torch.zeros(groups, dtype=torch.float64)
    shares = []
    for t, is_informed in enumerate(informed):
        if t == spread and t <= last:
            lines.move(torch.zeros(groups, num_particles, dtype=torch.long))
            log_weight = log_weight.expand(-1, num_particles)
        width = lines.width
        each = [observation.uniform(width, 1, generator)[:, 0] for generator in generators]
        here = Known(*(part[:, t].repeat_interleave(width, 0) for part in known))
        set_to = here
        if guess is not None and t <= last:
            takes = torch.cat([torch.rand(width, generator=one) < GUESSED for one in generators]).to(device)
            set_to = _with_step(set_to, observation, guess[:, t], takes)
        if kept is not None and t <= last:
            is_first = torch.arange(groups * width, device=device) % width == 0
            set_to = _with_step(set_to, observation, kept[:, t], is_first)
        x, logits = steps.draw(t, torch.cat(each).to(device), set_to)
        lines.drawn.append(x)
        progress(t + 1)
        if t > last or (guess is None and not is_informed):
            continue
        log_prob = observation.log_prob(logits, x, here.mask)
        if guess is not None:
            log_hidden = observation.log_prob(logits, x) - log_prob
            log_prob = log_prob - _log_excess(log_hidden, x, guess[:, t].repeat_interleave(width, 0))
        log_weight = log_weight + log_prob.cpu().double().view(groups, width)  # some devices have no float64
        share = _effective_share(log_weight)
        if width > 1:
            shares.append(share)
        if t == last:
            log_known = log_known + _log_mean(log_weight)
            lines.move(one_of(log_weight, generators))
        elif bool((share < RESAMPLE_BELOW).any()):
            poor = share < RESAMPLE_BELOW
            rows = torch.arange(width).repeat(groups, 1)
            for g in poor.nonzero()[:, 0].tolist():
                rows[g] = _resampled(log_weight[g], generators[g], kept is not None)
            log_known = torch.where(poor, log_known + _log_mean(log_weight), log_known)
            log_weight = torch.where(poor[:, None], torch.zeros_like(log_weight), log_weight)
            lines.move(rows)
    share = torch.stack(shares).mean(0) if shares else torch.ones(groups, dtype=torch.float64)
    return Filtered(*lines.traced(), share, log_known)


class _Lines:
    """The lines of descent of the particles: what each row drew, and which row it came from.

    Attributes:
        width: how many particles each of the G sequences has now.
        drawn: what the rows drew, a tensor for each step so far.
    """

    def __init__(self, steps: Steps, groups: int, width: int, device: torch.device) -> None:
        self.width = width
        self.drawn: list[Tensor] = []
        self._steps, self._groups, self._device = steps, groups, device
        self._moves: dict[int, Tensor] = {}  # before step t, the rows that its rows came from

    def move(self, particles: Tensor) -> None:
        """Go on with these particles `[G, new width]` of each sequence, the steps of the model too."""
        rows = (particles + self.width * torch.arange(self._groups)[:, None]).flatten().to(self._device)
        self._moves[len(self.drawn)] = rows
        self.width = particles.shape[1]
        self._steps.keep(rows)

    def traced(self) -> tuple[Tensor, Tensor]:
        """The sequence that the one particle left of each has drawn, `[G, T, ...]`, and its row at the start, `[G]`."""
        rows = torch.arange(self._groups, device=self._device)
        path: list[Tensor] = []
        for t in reversed(range(len(self.drawn))):
            rows = self._moves[t + 1][rows] if t + 1 in self._moves else rows
            path.append(self.drawn[t][rows])
        rows = self._moves[0][rows] if 0 in self._moves else rows
        return torch.stack(path[::-1], 1), rows


def one_of(log_weight: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
    """One of the particles of each sequence, by their log weights `[G, K]` on the CPU: `[G, 1]`."""
    each = zip(torch.softmax(log_weight, 1), generators, strict=True)
    return torch.stack([torch.multinomial(weights, 1, generator=generator) for weights, generator in each])


def _with_step(known: Known, observation: Observation, x: Tensor, rows: Tensor) -> Known:
    """What is known of a step. In the given rows, a bool `[G * K]`, all of it is known to be as in x `[G, ...]`."""
    rows = rows.view(-1, *[1] * (known.mask.dim() - 1))
    values = observation.known(x, known.mask).values.repeat_interleave(len(known.mask) // len(x), 0)
    return Known(torch.where(rows, values, known.values), known.mask | rows)


def _log_excess(log_hidden: Tensor, x: Tensor, guess: Tensor) -> Tensor:
    """log q(x) - log p(x) of a step x `[N, ...]` that was drawn from `q(x) = GUESSED [x = guess] + (1 - GUESSED) p(x)`.

    `log_hidden` `[N]` is log p(x) by the model.
    """
    by_model = math.log1p(-GUESSED)
    as_guessed = torch.logaddexp(torch.full_like(log_hidden, math.log(GUESSED)), by_model + log_hidden) - log_hidden
    return torch.where((x == guess).view(len(x), -1).all(1), as_guessed, by_model)


def _log_mean(log_weight: Tensor) -> Tensor:
    """The log of the mean weight: `[G, K]` -> `[G]`."""
    return torch.logsumexp(log_weight, 1) - math.log(log_weight.shape[1])


def _effective_share(log_weight: Tensor) -> Tensor:
    """`1 / sum(w^2)` as a share of K, for weights that sum to 1: `[G, K]` -> `[G]`."""
    return 1 / (torch.softmax(log_weight, 1) ** 2).sum(1) / log_weight.shape[1]


def _resampled(log_weight: Tensor, generator: torch.Generator, keeps_first: bool) -> Tensor:
    """The particles to go on with, `[K]`, from log weights `[K]`."""
    weights, count = torch.softmax(log_weight, 0), len(log_weight)
    if keeps_first:
        others = torch.multinomial(weights, count - 1, replacement=True, generator=generator)
        return torch.cat([torch.zeros(1, dtype=torch.long), others])
    points = (torch.arange(count) + torch.rand(1, generator=generator, dtype=torch.float64)) / count
    return torch.searchsorted(weights.cumsum(0), points).clamp(max=count - 1)
