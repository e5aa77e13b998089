"""Pieces from a model: each from its own random stream, so that sample i is the same whatever else is drawn."""

from collections.abc import Iterator

import torch

from lnfgen.data.encoding import Encoding
from lnfgen.formats import Piece
from lnfgen.models import SequenceModel
from lnfgen.streams import stream_seed


@torch.inference_mode()
def sample_pieces(
    model: SequenceModel,
    encoding: Encoding,
    *,
    count: int = 1,
    length: int | None = None,
    temperature: float = 1.0,
    seed: int = 0,
) -> Iterator[Piece]:
    """Draw `count` pieces, one at a time.

    Args:
        length: steps of each; drawn from p(T) if not given.
        temperature: scales eps and divides the emission's logits; 0 is the likeliest piece.
        seed: decides everything, together with a piece's place among them.
    """
    model.eval()
    for index in range(count):
        generator = torch.Generator().manual_seed(stream_seed(seed, index))
        num_steps = model.length.sample(generator) if length is None else length
        yield encoding.decode(model.sample(num_steps, generator, temperature).numpy())
