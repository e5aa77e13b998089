"""Models of discrete sequences, and `build_model`, which makes one of its configuration."""

from lnfgen.config import ModelConfig
from lnfgen.flows.features import build_feature_flow
from lnfgen.flows.temporal import (
    AutoregressiveFlow,
    IndependentFlow,
    InverseAutoregressiveFlow,
    TemporalFlow,
    build_coupling_flow,
)
from lnfgen.models.emission import CausalEmission, Emission
from lnfgen.models.latent_flow import LatentFlow
from lnfgen.models.length import LengthModel
from lnfgen.models.lstm import AutoregressiveLSTM
from lnfgen.models.observation import Frames, Observation, Symbols
from lnfgen.models.posterior import Posterior
from lnfgen.models.sequence_model import SequenceModel, Terms
from lnfgen.nn.backbones import BACKBONES
from lnfgen.nn.lstm import CausalLSTM
from lnfgen.nn.positions import Positions
from lnfgen.transforms import TRANSFORMS

__all__ = ["Frames", "LengthModel", "Observation", "SequenceModel", "Symbols", "Terms", "build_model", "build_prior"]


def build_model(config: ModelConfig, observation: Observation, length: LengthModel) -> SequenceModel:
    """A model with fresh weights, drawn from torch's global generator."""
    if config.prior == "none":
        return AutoregressiveLSTM(
            observation,
            length,
            Positions(config.positions),
            CausalLSTM(config.embedding + config.positions, config.hidden, config.lstm_layers, config.dropout),
            CausalEmission(config.hidden, config.positions, observation.num_logits, config.dropout),
            config.embedding,
            config.dropout,
            config.input_dropout,
        )
    backbone, sizes = BACKBONES[config.backbone], (config.hidden, config.lstm_layers, config.dropout)
    return LatentFlow(
        observation,
        length,
        Positions(config.positions),
        Posterior(
            observation,
            backbone.bidirectional(config.embedding + config.positions, *sizes),
            config.embedding,
            config.hidden,
            config.latent,
            config.dropout,
            config.input_dropout,
        ),
        build_prior(config),
        Emission(
            backbone.bidirectional(config.latent + config.positions, *sizes, exclusive=True),
            config.latent,
            config.positions,
            config.hidden,
            observation.num_logits,
            config.dropout,
        ),
        config.latent,
    )


def build_prior(config: ModelConfig) -> TemporalFlow:
    """p(z | T): a point of the grid, with fresh weights."""
    transform = TRANSFORMS[config.transform]()
    if config.time == "coupling":
        return build_coupling_flow(
            config.latent,
            config.positions,
            config.hidden,
            config.flow_layers,
            config.flow_hidden,
            transform,
            config.dropout,
            BACKBONES[config.backbone].bidirectional,
        )
    context = config.positions if config.time == "none" else config.hidden
    features = build_feature_flow(
        config.features, config.latent, context, config.flow_hidden, config.flow_layers, transform
    )
    if config.time == "none":
        return IndependentFlow(features)
    network = BACKBONES[config.backbone].causal(
        config.latent + config.positions, config.hidden, config.lstm_layers, config.dropout
    )
    return {"af": AutoregressiveFlow, "iaf": InverseAutoregressiveFlow}[config.time](
        features, network, config.input_dropout
    )
