"""How many floating-point operations a model needs, so that its speed can be compared with the machine's."""

from torch import nn

from lnfgen.models import SequenceModel


def operations(model: SequenceModel, steps: int, samples: int = 1) -> dict[str, float]:
    """Operations of the matrix products that a model needs to `score`, to `update` by, or to `sample` sequences.

    Every matrix of weights, except an embedding's table, meets each step once, which is `2 * steps * numel` operations.
    Those of the prior and the emission meet each step once for each sample of z. An update counts as three scores: the
    backward pass has one product for the gradient of the weights and one for the gradient of the inputs. Sampling does
    not need the posterior. What a solver repeats counts once, and masked weights count in full.

    Args:
        steps: real steps of all sequences together; padding does not count.
        samples: of z for each sequence.
    """
    of_x, of_z = 0.0, 0.0
    posterior = 0.0
    for name, part in model.named_children():
        needed = 2.0 * steps * matrix_elements(part)
        if name == "posterior":
            posterior = needed
        elif name in ("prior", "emission"):
            of_z += needed
        else:
            of_x += needed
    score = of_x + posterior + samples * of_z
    return {"score": score, "update": 3 * score, "sample": of_x + of_z}


def matrix_elements(part: nn.Module) -> int:
    """How many weights its matrices have, embeddings' tables left out."""
    weights = (p for m in part.modules() if not isinstance(m, nn.Embedding) for p in m.parameters(recurse=False))
    return sum(p.numel() for p in weights if p.dim() == 2)
