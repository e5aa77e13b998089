"""The model of time signatures p(m), and of the lengths p(T | m) of the pieces in each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lnfgen.conventions import TimeSignature
from lnfgen.models.length import LengthModel

# A sample is in no time signature rarer than this beside the most common one, unless that is asked
# for.
MIN_SHARE = 0.02


class TimeSignatures(nn.Module):
    """The time signatures m of the training pieces and their counts, the most common one first.

    The models of notes are given m, as they are given T: p(x | T, m). A sample draws m, but not a
    rare one, and then T, or it has the m that is asked for. Scores are given m too: they leave p(m)
    out, and have the p(T) of all pieces.
    """

    signatures: Tensor  # int64 [M, 2]
    bar_shapes: Tensor  # float32 [M, 3], the inputs of `Positions` for each
    counts: Tensor  # float64 [M]

    def __init__(self, num_lengths: Sequence[int]) -> None:
        """Have room for so many distinct lengths in each signature; before `fit` all are 4/4."""
        super().__init__()
        self.register_buffer("signatures", torch.full((len(num_lengths), 2), 4))
        self.register_buffer("bar_shapes", torch.tensor([16.0, 4, 2]).repeat(len(num_lengths), 1))
        self.register_buffer("counts", torch.ones(len(num_lengths), dtype=torch.float64))
        self.lengths = nn.ModuleList(LengthModel(number) for number in num_lengths)

    def _apply(self, fn: Any, recurse: bool = True) -> TimeSignatures:
        return self  # these few numbers stay on the CPU, as those of the length model

    @classmethod
    def fit(
        cls, signatures: Sequence[TimeSignature], bar_shapes: Tensor, lengths: Tensor
    ) -> TimeSignatures:
        """Fit to N training pieces: their time signatures, bar shapes `[N, 3]` and lengths `[N]`.

        The kernel of p(T) is that of all lengths together. A few pieces do not tell that lengths
        are whole bars.
        """
        counts = Counter(signatures)
        places = {m: place for place, (m, _) in enumerate(counts.most_common())}
        place_of = torch.tensor([places[m] for m in signatures])
        kernel = LengthModel.fit(lengths).kernel
        models = []
        for place in range(len(places)):
            models.append(LengthModel.fit(lengths[place_of == place], kernel))
        fitted = cls([len(model.lengths) for model in models])
        fitted.signatures.copy_(torch.tensor(list(places)))
        fitted.bar_shapes[place_of] = bar_shapes
        fitted.counts.copy_(torch.tensor([counts[m] for m in places]))
        fitted.lengths = nn.ModuleList(models)
        return fitted

    @classmethod
    def with_room_for(cls, weights: Mapping[str, Tensor], prefix: str) -> TimeSignatures:
        """One into which the weights with this prefix can be loaded.

        Raises:
            KeyError: if some are missing.
        """
        count = len(weights[f"{prefix}counts"])
        return cls([len(weights[f"{prefix}lengths.{place}.lengths"]) for place in range(count)])

    @property
    def known(self) -> list[TimeSignature]:
        """The time signatures of the training pieces, the most common one first."""
        return [(beats, unit) for beats, unit in self.signatures.tolist()]

    def sample(self, generator: torch.Generator) -> TimeSignature:
        """Draw one that is not rare, with a CPU generator."""
        weights = self.counts.where(self.counts >= MIN_SHARE * self.counts.max(), 0)
        return self.known[int(torch.multinomial(weights, 1, generator=generator))]

    def lengths_in(self, signature: TimeSignature) -> LengthModel:
        """p(T | m) of one of the known signatures."""
        model = self.lengths[self.known.index(signature)]
        assert isinstance(model, LengthModel)
        return model
