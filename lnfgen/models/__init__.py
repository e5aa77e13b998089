"""Models of discrete sequences, and `build_model`, which builds one from its configuration."""

from functools import partial

from lnfgen.config import EMISSIONS, ModelConfig
from lnfgen.errors import ConfigError
from lnfgen.flows.codebook import CodeMixture, CodeReading
from lnfgen.flows.coupling import build_coupling_flow
from lnfgen.flows.features import FeatureFlow, build_feature_flow
from lnfgen.flows.temporal import (
    AutoregressiveFlow,
    IndependentFlow,
    InverseAutoregressiveFlow,
    TemporalFlow,
)
from lnfgen.models.emission import Emission
from lnfgen.models.keywise import KeywiseHead
from lnfgen.models.latent_flow import LatentFlow
from lnfgen.models.length import LengthModel
from lnfgen.models.lstm import AutoregressiveLSTM
from lnfgen.models.observation import Frames, Observation, Symbols
from lnfgen.models.output import IndependentHead, NADEHead, OutputHead
from lnfgen.models.posterior import Posterior
from lnfgen.models.sequence_model import SequenceModel, Terms
from lnfgen.nn.backbones import BACKBONES
from lnfgen.nn.lstm import CausalLSTM
from lnfgen.nn.positions import Positions
from lnfgen.transforms import TRANSFORMS

__all__ = [
    "Frames",
    "LengthModel",
    "Observation",
    "SequenceModel",
    "Symbols",
    "Terms",
    "build_model",
    "build_prior",
]


def build_model(config: ModelConfig, observation: Observation, length: LengthModel) -> SequenceModel:
    """A model with fresh weights, drawn from torch's global generator.

    Example:
        model = build_model(ModelConfig(), Symbols(50), LengthModel.fit(torch.tensor([5, 8])))
        x = model.sample(num_steps=8, generator=torch.Generator().manual_seed(0), temperature=1.0)  # [8]

    Raises:
        ConfigError: if the configured emission does not fit the observation.
    """
    head = partial(_build_head, _emission_name(config, observation), observation, config)
    if config.baseline:
        return AutoregressiveLSTM(
            observation,
            length,
            Positions(config.position_size),
            CausalLSTM(
                config.embedding_size + config.position_size, config.hidden_size, config.num_layers, config.dropout
            ),
            head(config.hidden_size + config.position_size),
            config.embedding_size,
            config.dropout,
            config.input_dropout,
            config.note_noise,
        )
    backbone, sizes = BACKBONES[config.backbone], (config.num_layers, config.dropout)
    each_way = _half(config.hidden_size) if backbone.halved else config.hidden_size  # sizes of the emission's network
    return LatentFlow(
        observation,
        length,
        Positions(config.position_size),
        Posterior(
            observation,
            backbone.bidirectional(config.embedding_size + config.position_size, config.hidden_size, *sizes),
            config.embedding_size,
            2 * config.hidden_size,
            config.latent_size,
            config.dropout,
            config.input_dropout,
        ),
        build_prior(config),
        Emission(
            backbone.bidirectional(config.latent_size + config.position_size, each_way, *sizes, exclusive=True),
            config.latent_size,
            config.position_size,
            2 * each_way,
            head,
            config.note_noise,
        ),
        config.latent_size,
    )


def _half(hidden: int) -> int:
    return -(-hidden // 2)


def _emission_name(config: ModelConfig, observation: Observation) -> str:
    """The configured emission, one of `EMISSIONS`, where `auto` stands for the first that fits.

    Raises:
        ConfigError: if it does not fit the observation.
    """
    if isinstance(observation, Symbols):
        kind, reason = "text", "a step is one symbol, with no keys in it"
    else:
        kind, reason = "music", "a frame is a set of keys, not one of a list of symbols"
    fitting = EMISSIONS[kind]
    if config.emission == "auto":
        return fitting[0]
    if config.emission not in fitting:
        raise ConfigError(
            f"model.emission: found {config.emission} for {kind}, where {reason}; "
            f"expected auto or {' or '.join(fitting)}"
        )
    return config.emission


def _build_head(kind: str, observation: Observation, config: ModelConfig, num_context: int) -> OutputHead:
    if kind == "nade":
        assert isinstance(observation, Frames)
        return NADEHead(observation, num_context, config.hidden_size, config.dropout)
    if kind == "past":
        assert isinstance(observation, Frames)
        return KeywiseHead(observation, num_context, config.hidden_size, config.dropout)
    return IndependentHead(observation, num_context, config.hidden_size, config.dropout)


def build_prior(config: ModelConfig) -> TemporalFlow:
    """The prior p(z | T), a flow with fresh weights, by the configured `time`, `features`, `transform` and backbone."""
    backbone, transform = BACKBONES[config.backbone], TRANSFORMS[config.transform]()
    if config.time == "coupling":
        each_way = _half(config.hidden_size)  # narrow, and of one layer, because each coupling has a network
        return build_coupling_flow(
            config.latent_size,
            config.num_flow_layers,
            2 * each_way,
            config.conditioner_size,
            transform,
            lambda kept: backbone.bidirectional(kept + config.position_size, each_way, 1, config.dropout),
        )
    num_context = config.position_size if config.time == "none" else config.hidden_size
    coded, num_read = config.features == "codes", config.latent_size
    features: FeatureFlow
    if coded:
        features = CodeMixture(config.latent_size, config.num_codes, num_context, config.hidden_size)
    else:
        features = build_feature_flow(
            config.features, config.latent_size, num_context, config.conditioner_size, config.num_flow_layers, transform
        )
    if config.time == "none":
        return IndependentFlow(features)
    reading = None
    if coded and config.time == "af":  # eps, which iaf reads, is not near the codes
        reading = CodeReading(config.latent_size, config.num_codes, config.embedding_size)
        num_read += config.embedding_size
    network = backbone.causal(num_read + config.position_size, config.hidden_size, config.num_layers, config.dropout)
    causal = {"af": AutoregressiveFlow, "iaf": InverseAutoregressiveFlow}[config.time]
    return causal(features, network, config.input_dropout, reading)
