"""What a model's latent says: `python examples/latent_use.py RUN [DATASET]`.

The cost of a split is computed with four kinds of z, beside the KL and the bound:

- its own: drawn from the posterior, which sees the piece;
- drawn: from the prior, which does not;
- anew: at each step from the prior, but of another draw than at the steps beside it;
- held: the posterior of the first step, at all steps.

If the cost with a drawn z is near that with its own, the output does without z. If it is no higher
with a z that is drawn anew at each step, z carries nothing from step to step. Costs are those of
p(x | z) over T + 1, in the unit of the data, as `lnfgen eval` has the reconstruction. RUN is a run
with a latent, or a model in the box.
"""

import argparse
from collections.abc import Callable

import torch
from torch import Tensor

import lnfgen
from lnfgen.data.batches import Batch, batches_by_length, lengths_of
from lnfgen.inference.scoring import per_unit
from lnfgen.models.latent_flow import LatentFlow
from lnfgen.models.posterior import Gaussian
from lnfgen.nn.masking import sum_real
from lnfgen.nn.positions import Outline
from lnfgen.runs.evaluation_data import dataset_of

BATCH_STEPS = 2_000
"""The padded steps that are scored at once."""

LATENTS = ("own", "drawn", "anew", "held")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", help="a run with a latent, or a model in the box")
    parser.add_argument("dataset", nargs="?", help="its dataset, if it was moved")
    parser.add_argument("--split", default="valid", help="the split that is scored (valid)")
    parser.add_argument("--samples", type=int, default=4, help="samples of z of each piece (4)")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    trained = lnfgen.load(given.run, "cpu")
    model = trained.model
    if not isinstance(model, LatentFlow):
        raise SystemExit(f"error: {given.run} has no latent; expected a model that has one")
    sequences = dataset_of(trained.run, given.dataset).split(given.split)
    totals = dict.fromkeys([*LATENTS, "KL"], 0.0)
    torch.manual_seed(given.seed)
    for batch in batches_by_length(sequences, BATCH_STEPS // given.samples):
        for name, cost in costs(model, batch, given.samples).items():
            totals[name] += cost
    num_units = int(lengths_of(sequences).sum()) + len(sequences)
    unit = trained.encoding.unit
    print(f"{given.run}, {given.split}, {unit}")
    for name, total in totals.items():
        print(f"{name:6} {total * per_unit(unit) / num_units:8.4f}")


@torch.inference_mode()
def costs(model: LatentFlow, batch: Batch, num_samples: int) -> dict[str, float]:
    """The costs of the pieces of a batch with each kind of z, and their KL, in nats.

    They are means over the samples, summed over the pieces.
    """
    model.eval()
    x = batch.x
    lengths = batch.lengths
    mean, log_variance, positions = model.encode(x, lengths, Outline(batch.bar_shapes, batch.homes))
    noise = torch.randn(num_samples, *mean.shape)
    own = Gaussian(mean, log_variance).sample(noise)
    positions = positions.repeat(num_samples, 1, 1)
    of_samples = lengths.repeat(num_samples)

    def drawn() -> Tensor:
        """z of the prior, `[K, B, T, D]`."""
        of_prior = torch.randn(len(positions), x.shape[1], model.noise_size)
        z = model.prior.draw(positions, of_samples, of_prior)
        return z.unflatten(0, (num_samples, len(x)))

    def anew() -> Tensor:
        """z of the prior, of which each step is of the next draw."""
        draws = torch.stack([drawn() for _ in range(2)]).flatten(0, 1)
        steps = torch.arange(x.shape[1])
        chosen = [(number + steps) % len(draws) for number in range(num_samples)]
        return torch.stack([draws[of_steps, :, steps].transpose(0, 1) for of_steps in chosen])

    latents: dict[str, Callable[[], Tensor]] = {
        "own": lambda: own,
        "drawn": drawn,
        "anew": anew,
        "held": lambda: own[:, :, :1].expand_as(own),
    }
    found: dict[str, float] = {}
    for name, latent in latents.items():
        z = latent().flatten(0, 1)
        logits = model.emission(z, of_samples, positions, x)
        log_prob = sum_real(model.observation.log_prob(logits, x), lengths)
        found[name] = -float(log_prob.double().mean(0).sum())
    kl = model.kl(lengths, (mean, log_variance, positions[: len(x)]), noise)
    found["KL"] = float(kl.double().mean(0).sum())
    return found


if __name__ == "__main__":
    main()
