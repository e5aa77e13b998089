"""Posterior matching: fit the conditional prior p(z | known, T) of a trained model, which stays as it is.

For a random part of a sequence as known, z is drawn from q(z | x) of the whole sequence, and log p(z | known, T) of it
is made as great as possible. So the conditional prior comes near to the mean of q(z | x) over all x that agree with the
known part (Strauss & Oliva 2022, arXiv 2201.12414). `fill` draws z from it: see `models.latent_filling`.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from lnfgen.config import Config
from lnfgen.data.batches import batch_of, shuffled_epochs
from lnfgen.data.dataset import Split
from lnfgen.errors import ConfigError, RunError
from lnfgen.models import LatentFlow, SequenceModel, add_conditional
from lnfgen.models.observation import Known
from lnfgen.streams import stream_seed
from lnfgen.training.masks import drawn_known
from lnfgen.training.optimizer import AdamW
from lnfgen.training.schedules import WARMUP_STEPS, cooled_share

LEARNING_RATE = 2e-3
"""It rises at the start, and falls to 0 from `COOLDOWN_START` of the updates on."""

COOLDOWN_START = 0.6

REPORTS = 4
"""So many times it is told how far it is."""

PRIOR_EVERY = 8
"""For the reports, the KL of the prior is computed in one of so many updates. It takes an eighth of an update, and does
not change."""


class Matched(NamedTuple):
    """How far it is: KL divergences from q(z | x), in nats a step.

    That of the conditional prior is the mean since the last report, that of the prior the mean of some batches so far.
    """

    step: int
    total: int
    of_conditional: float
    of_prior: float


def require_latent(model: SequenceModel, steps: int) -> None:
    """Raise a `ConfigError` if `steps` is not 0 and the model has no latent, and so no posterior to match."""
    if steps and not isinstance(model, LatentFlow):
        raise ConfigError(
            f"training.filling_steps: found {steps:,}, but the model has no latent to be drawn; expected 0, or a model "
            "with a latent, as af-scf"
        )


def match_posterior(
    model: LatentFlow,
    config: Config,
    train: Split,
    told: Callable[[Matched], None],
    interrupted: Callable[[], bool] = lambda: False,
) -> bool:
    """Give the model a conditional prior, and fit it. All other weights stay.

    Args:
        config: of the run that trained it; `training.filling_steps` is the number of updates.
        train: the train split.
        told: is given a report `REPORTS` times.
        interrupted: is asked before each update.

    Returns:
        False if `interrupted()` ended it. The model is then not of use.

    Raises:
        RunError: if its weights are not finite in the end.
    """
    steps, device = config.training.filling_steps, model.device
    seed = stream_seed(config.training.seed, steps)
    torch.manual_seed(seed)  # a run that was ended here starts anew, with the same weights and dropout
    conditional = add_conditional(model, config.model).to(device)
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    model.eval().requires_grad_(False)
    conditional.train().requires_grad_(True)
    optimizer = AdamW(conditional.parameters(), weight_decay=0.0)
    of_conditional: list[Tensor] = []
    of_prior: list[Tensor] = []
    order = shuffled_epochs(train.lengths, config.training.batch_size, partial(stream_seed, seed))
    for step, indices in zip(range(1, steps + 1), order, strict=False):
        if interrupted():
            return False
        batch = batch_of(train, indices)
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * cooled_share(step - 1, steps, COOLDOWN_START) * min(1.0, step / WARMUP_STEPS)
        known = drawn_known(model.observation, batch.x, batch.lengths.tolist(), rng)
        noise = torch.randn(1, *batch.x.shape[:2], model.latent, generator=generator).to(device)
        here = batch.to(device)
        x, lengths = here.x, here.lengths
        with torch.no_grad():
            mean, log_variance, positions = encoded = model.encode(x, lengths, here.metres)
        of_known = conditional.context(Known(*(part.to(device) for part in known)), lengths, positions)
        kl = model.kl_from(conditional.flow, lengths, (mean, log_variance, of_known), noise)[0] / (lengths + 1)
        optimizer.zero_grad(set_to_none=True)
        kl.mean().backward()
        nn.utils.clip_grad_norm_(conditional.parameters(), config.training.max_grad_norm)
        optimizer.step()
        of_conditional.append(kl.detach().mean())
        is_due = step * REPORTS // steps > (step - 1) * REPORTS // steps
        if is_due or step % PRIOR_EVERY == 0:
            with torch.no_grad():
                of_prior.append((model.kl(lengths, encoded, noise)[0] / (lengths + 1)).mean())
        if is_due:
            told(Matched(step, steps, *(float(torch.stack(kls).mean()) for kls in (of_conditional, of_prior))))
            of_conditional = []
    if not all(bool(torch.isfinite(weights).all()) for weights in conditional.parameters()):
        raise RunError(
            "fitting for fill ended in weights that are NaN or infinite, so the model stays as it was trained; set "
            "training.filling_steps in config.json to 0, with which fill draws from the prior, or to another number, "
            "and resume the run"
        )
    model.eval().requires_grad_(True)
    return True
