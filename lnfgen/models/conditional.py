"""The conditional prior p(z | known, T): a flow that draws z so that it fits with what is known of x.

It has the form of the prior. Beside the positions it reads features of what is known, from a bidirectional network. It
begins as a copy of the prior that does not listen, and is fitted afterwards to q(z | x) of a trained model, which stays
as it is: `lnfgen.training.matching`. So a known step has a z that says it, and a hidden one what the prior makes of the
known steps before and after it.

Source: posterior matching, Strauss & Oliva (2022, arXiv 2201.12414).
"""

import torch
from torch import Tensor, nn

from lnfgen.flows.temporal import TemporalFlow
from lnfgen.models.observation import Known, Observation, Symbols


class ConditionalPrior(nn.Module):
    """p(z | known, T)."""

    def __init__(
        self,
        observation: Observation,
        network: nn.Module,
        embedding: int,
        num_states: int,
        features: int,
        flow: TemporalFlow,
    ) -> None:
        """`network` is bidirectional, from the embedding and positions to `num_states` features.

        `flow` reads `features` numbers beside each position.
        """
        super().__init__()
        self.embed = KnownEmbedding(observation, embedding)
        self.network = network
        self.head = nn.Linear(num_states + embedding, features)
        self.flow = flow

    def context(self, known: Known, lengths: Tensor, positions: Tensor) -> Tensor:
        """What the flow is given in place of the positions `[B, T, F]`: these, and features of known `[B, T, ...]`.

        The result is `[B, T, F + features]`; the positions come first.
        """
        embedded = self.embed(known)
        states = self.network(torch.cat([embedded, positions], -1), lengths)
        return torch.cat([positions, self.head(torch.cat([states, embedded], -1))], -1)

    def begin_as(self, prior: TemporalFlow) -> None:
        """Take the weights of a prior. Those that read what is known are 0, so at first this flow is the prior."""
        own = self.flow.state_dict()
        for name, weights in prior.state_dict().items():
            grown = torch.zeros_like(own[name])
            grown[tuple(slice(size) for size in weights.shape)] = weights  # these features come last
            own[name] = grown
        self.flow.load_state_dict(own)


class KnownEmbedding(nn.Module):
    """Features of what is known of each step: `[..., T, features]`. A symbol may be hidden; a frame has hidden bits."""

    def __init__(self, observation: Observation, features: int) -> None:
        super().__init__()
        self.observation = observation
        self.embed: nn.Module
        if isinstance(observation, Symbols):
            self.embed = nn.Embedding(observation.num_symbols + 1, features)
        else:
            self.embed = nn.Linear(2 * observation.num_logits, features)

    def forward(self, known: Known) -> Tensor:
        if isinstance(self.observation, Symbols):
            return self.embed(torch.where(known.mask, known.values.long(), self.observation.num_symbols))
        both = torch.cat([known.values & known.mask, known.mask], -1)
        return self.embed(both.to(next(self.embed.parameters()).dtype))
