"""Sequential Monte Carlo: draw sequences step by step so that they agree with what is known of
them.

K particles of each sequence go through the steps of a model (`WeighedSteps`), which draws them and
weighs what is known. Where the effective sample size falls under half of K, particles are
resampled, those with great weights more often. In the end one is drawn by its weight. As K grows,
the distribution of the result tends to p(hidden | known); with a potential that weighs what is
drawn so far, to p(hidden | known) exp(potential of the whole).

Sources: Gordon, Salmond & Smith (1993); Carpenter, Clifford & Fearnhead (1999) for systematic
resampling.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lnfgen.models.observation import Known
from lnfgen.models.sequence_model import SequenceModel, WeighedSteps

Potential = Callable[[int, Callable[[], Tensor]], Tensor | None]
"""Takes the number t of steps that are drawn, and a function that gives what each row has drawn,
`[N, t, ...]`. Returns the logarithms of weights, float64 `[N]`; or None where the earlier ones
still hold."""

# particles are resampled where the effective sample size is under this share of their number
RESAMPLE_BELOW = 0.5


@torch.inference_mode()
def draw_hidden(
    model: SequenceModel,
    known: Known,
    num_particles: int,
    generators: Sequence[torch.Generator],
    temperature: float = 1.0,
    metres: Tensor | None = None,
    progress: Callable[[int], None] = lambda done: None,
    potential: Potential | None = None,
) -> Tensor:
    """Draw one sequence for each of G generators, with K particles: row `g * K + k` is particle k
    of sequence g.

    One particle is enough after the last step that is known in part, and without a latent before
    the first hidden one.

    Args:
        known: the first axes of its tensors are G and T.
        metres: `[G, 3]`, for a model with time signatures; see `SequenceModel`.
        progress: called with the number of steps that are done.
        potential: weighs what is drawn so far.

    Returns:
        The sequences, `[G, T]` or `[G, T, P]`, on the CPU.
    """
    known = Known(*(part.to(model.device) for part in known))
    steps = model.eval().steps(len(generators), known.mask.shape[1], temperature, metres)
    groups = len(generators)
    mask_by_step = known.mask.transpose(0, 1).flatten(1)
    informed, whole = mask_by_step.any(-1).tolist(), mask_by_step.all(-1).tolist()
    last = max((t for t, is_informed in enumerate(informed) if is_informed), default=-1)
    last = last if potential is None else len(informed) - 1
    # A latent is drawn for known steps too. Without one, rows are equal until something hidden is
    # drawn.
    start = (
        next((t for t, is_whole in enumerate(whole) if not is_whole), len(whole))
        if model.exact
        else 0
    )
    lines = _Lines(steps, groups, known.mask.device)
    log_weight = log_potential = torch.zeros(groups, 1, dtype=torch.float64)
    for t, is_informed in enumerate(informed):
        if t == start and t <= last:
            lines.move(torch.zeros(groups, num_particles, dtype=torch.long))
            log_weight = torch.zeros(groups, num_particles, dtype=torch.float64)
            log_potential = log_potential.expand(groups, num_particles)
        here = Known(*(part[:, t].repeat_interleave(lines.width, 0) for part in known))
        x, log_gain = steps.draw(t, here, generators)
        lines.drawn.append(x)
        progress(t + 1)
        now = None if potential is None else potential(t + 1, lines.so_far)
        if t > last or not (is_informed or now is not None or t == last):
            continue
        # some devices have no float64
        log_weight = log_weight + log_gain.cpu().double().view(groups, -1)
        if now is not None:
            log_weight = log_weight + now.view(groups, -1) - log_potential
            log_potential = now.view(groups, -1)
        if t == last:
            lines.move(_one_of(log_weight, generators))
            continue
        poor = 1 / (torch.softmax(log_weight, 1) ** 2).sum(1) < RESAMPLE_BELOW * lines.width
        if bool(poor.any()):
            rows = torch.arange(lines.width).repeat(groups, 1)
            for g in poor.nonzero()[:, 0].tolist():
                rows[g] = _resampled(log_weight[g], generators[g])
                log_weight[g] = 0
            lines.move(rows)
            log_potential = log_potential.gather(1, rows)
    return lines.so_far().cpu()


class _Lines:
    """The lines of descent of the particles: the draws of each row, and the row that each row came
    from."""

    def __init__(self, steps: WeighedSteps, groups: int, device: torch.device) -> None:
        self.width = 1  # particles of each sequence
        self.drawn: list[Tensor] = []  # the draws of the rows, a tensor for each step so far
        self._steps, self._groups, self._device = steps, groups, device
        self._moves: dict[int, Tensor] = {}  # before step t, the rows that its rows came from

    def move(self, particles: Tensor) -> None:
        """Go on with these particles `[G, new width]` of each sequence."""
        rows = (
            (particles + self.width * torch.arange(self._groups)[:, None])
            .flatten()
            .to(self._device)
        )
        self._moves[len(self.drawn)] = rows
        self.width = particles.shape[1]
        self._steps.keep(rows)

    def so_far(self) -> Tensor:
        """What each row has drawn, `[rows, t, ...]`."""
        rows = torch.arange(self._groups * self.width, device=self._device)
        path: list[Tensor] = []
        for t in reversed(range(len(self.drawn))):
            rows = self._moves[t + 1][rows] if t + 1 in self._moves else rows
            path.append(self.drawn[t][rows])
        return torch.stack(path[::-1], 1)


def _one_of(log_weight: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
    """One of the K of each sequence, by their log weights `[G, K]` on the CPU: `[G, 1]`."""
    each = zip(torch.softmax(log_weight, 1), generators, strict=True)
    return torch.stack(
        [torch.multinomial(weights, 1, generator=generator) for weights, generator in each]
    )


def _resampled(log_weight: Tensor, generator: torch.Generator) -> Tensor:
    """The particles to go on with, `[K]`, from log weights `[K]`."""
    weights, count = torch.softmax(log_weight, 0), len(log_weight)
    points = (torch.arange(count) + torch.rand(1, generator=generator, dtype=torch.float64)) / count
    return torch.searchsorted(weights.cumsum(0), points).clamp(max=count - 1)
