"""Models of discrete sequences, and `build_model`, which builds one from its configuration."""

from torch import nn

from lnfgen.config import EMISSIONS, ModelConfig
from lnfgen.errors import ConfigError
from lnfgen.flows.blockwise import BlockwiseFlow
from lnfgen.flows.codebook import Codebook, CodeMixture, CodeReading
from lnfgen.flows.coupling import build_coupling_flow
from lnfgen.flows.features import FeatureFlow, build_feature_flow
from lnfgen.flows.temporal import (
    AutoregressiveFlow,
    IndependentFlow,
    InverseAutoregressiveFlow,
    TemporalFlow,
)
from lnfgen.models.codes import SymbolHead, SymbolPosterior
from lnfgen.models.conditional import ConditionalPrior
from lnfgen.models.emission import Emission
from lnfgen.models.latent_flow import LatentFlow
from lnfgen.models.length import LengthModel
from lnfgen.models.lstm import AutoregressiveLSTM
from lnfgen.models.observation import Frames, Observation, Symbols
from lnfgen.models.output import IndependentHead, NADEHead, OutputHead
from lnfgen.models.posterior import Posterior
from lnfgen.models.sequence_model import SequenceModel, Terms
from lnfgen.models.time_signatures import TimeSignatures
from lnfgen.models.voices import KeywiseHead
from lnfgen.nn.backbones import BACKBONES
from lnfgen.nn.copying import CopyingNetwork
from lnfgen.nn.lstm import CausalLSTM
from lnfgen.nn.positions import Positions
from lnfgen.transforms import TRANSFORMS

__all__ = [
    "Frames",
    "LatentFlow",
    "LengthModel",
    "Observation",
    "SequenceModel",
    "Symbols",
    "Terms",
    "TimeSignatures",
    "add_conditional",
    "build_model",
    "build_prior",
]


def build_model(
    config: ModelConfig,
    observation: Observation,
    length: LengthModel,
    time_signatures: TimeSignatures | None = None,
) -> SequenceModel:
    """A model with fresh weights, drawn from torch's global generator.

    With `in_metre` it is told time signatures: those given, by default 4/4 alone.

    Example:
        model = build_model(ModelConfig(), Symbols(50), LengthModel.fit(torch.tensor([5, 8])))
        x = model.sample(num_steps=8, generator=torch.Generator().manual_seed(0), temperature=1.0)  # [8]

    Raises:
        ConfigError: if the configured emission or kind of latent does not fit the observation.
    """
    model = _build_model(config, observation, length)
    if config.in_metre:
        if isinstance(observation, Symbols):
            raise ConfigError("model.in_metre: found true for text, which has no bars; expected false")
        model.time_signatures = time_signatures or TimeSignatures([1])
    return model


def _build_model(config: ModelConfig, observation: Observation, length: LengthModel) -> SequenceModel:
    emission = _emission_name(config, observation)
    if config.baseline:
        return AutoregressiveLSTM(
            observation,
            length,
            _build_positions(config),
            CausalLSTM(
                config.embedding_size + config.position_size, config.hidden_size, config.num_layers, config.dropout
            ),
            _build_head(emission, observation, config, config.hidden_size + config.position_size),
            config.embedding_size,
            config.dropout,
            config.input_dropout,
            config.note_noise,
        )
    positions = _build_positions(config)
    posterior: Posterior | SymbolPosterior
    if config.features == "codes":
        if not isinstance(observation, Symbols):
            raise ConfigError("model.features: found codes for music, which has no symbols; expected af, scf or none")
        posterior = SymbolPosterior(observation, config.latent_size)
        prior = build_prior(config, observation.num_symbols)
        for module in prior.modules():
            if isinstance(module, Codebook):
                module.begin_as(posterior.codebook)
        decoder = Emission(None, SymbolHead(observation, posterior.codebook))
    else:
        posterior, prior = _build_posterior(config, observation), build_prior(config)
        decoder = _build_emission(emission, observation, config)
    return LatentFlow(observation, length, positions, posterior, prior, decoder, config.latent_size)


def _build_positions(config: ModelConfig) -> Positions:
    return Positions(config.position_size, near_end=config.near_end, in_bars=config.in_bars, in_metre=config.in_metre)


def add_conditional(model: LatentFlow, config: ModelConfig) -> ConditionalPrior:
    """Give a model a flow that draws z given a part of x. It is the prior until it is fitted (`training.matching`)."""
    observation = model.observation
    each_way, features = _half(config.hidden_size), config.embedding_size
    network = BACKBONES[config.backbone].bidirectional(
        config.embedding_size + config.position_size, each_way, config.num_layers, config.dropout
    )
    num_codes = observation.num_symbols if isinstance(observation, Symbols) else 0
    prior = build_prior(config, num_codes, config.position_size + features)
    model.conditional = ConditionalPrior(observation, network, config.embedding_size, 2 * each_way, features, prior)
    model.conditional.begin_as(model.prior)
    return model.conditional


def _build_posterior(config: ModelConfig, observation: Observation) -> Posterior:
    return Posterior(
        observation,
        BACKBONES[config.backbone].bidirectional(
            config.embedding_size + config.position_size, config.hidden_size, config.num_layers, config.dropout
        ),
        config.embedding_size,
        2 * config.hidden_size,
        config.latent_size,
        config.dropout,
        config.input_dropout,
    )


def _build_emission(kind: str, observation: Observation, config: ModelConfig) -> Emission:
    backbone, num_inputs = BACKBONES[config.backbone], config.latent_size + config.position_size
    each_way = _half(config.hidden_size) if backbone.halved else config.hidden_size
    network = backbone.bidirectional(num_inputs, each_way, config.num_layers, config.dropout, exclusive=True)
    return Emission(network, _build_head(kind, observation, config, 2 * each_way + num_inputs), config.note_noise)


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
        return KeywiseHead(
            observation,
            num_context,
            config.hidden_size,
            config.dropout,
            copies=config.copy_attention,
            copies_melody=config.copy_melody,
        )
    return IndependentHead(observation, num_context, config.hidden_size, config.dropout)


def build_prior(
    config: ModelConfig, num_codes: int = 0, num_positions: int = ModelConfig.position_size
) -> TemporalFlow:
    """The prior p(z | T), a flow with fresh weights, by the configured `time`, `features`, `transform` and backbone.

    With the features `codes`, it has `num_codes` of them, one for each symbol.
    """
    backbone = BACKBONES[config.backbone]

    def feature_flow(num_context: int) -> FeatureFlow:
        if config.features == "codes":
            return CodeMixture(config.latent_size, num_codes, num_context, config.hidden_size)
        sizes = config.latent_size, num_context, config.conditioner_size, config.num_flow_layers
        return build_feature_flow(config.features, *sizes, TRANSFORMS[config.transform]())

    if config.time == "coupling":
        each_way = _half(config.hidden_size)  # narrow, and of one layer, because each coupling has a network
        return build_coupling_flow(
            config.latent_size,
            config.num_flow_layers,
            2 * each_way,
            config.conditioner_size,
            TRANSFORMS[config.transform](),
            lambda kept: backbone.bidirectional(kept + num_positions, each_way, 1, config.dropout),
        )
    if config.time == "none":
        return IndependentFlow(feature_flow(num_positions))
    reading: nn.Module = nn.Identity()
    num_read = config.latent_size
    if config.features == "codes" and config.time != "iaf":  # iaf reads eps, which is not near the codes
        reading = CodeReading(config.latent_size, num_codes, config.embedding_size)
        num_read += config.embedding_size

    def network() -> nn.Module:
        return backbone.causal(num_read + num_positions, config.hidden_size, config.num_layers, config.dropout)

    if config.time == "blocks":
        each_way = _half(config.hidden_size)
        return BlockwiseFlow(
            feature_flow(config.hidden_size + 2 * each_way + num_positions),
            network(),
            backbone.bidirectional(config.hidden_size, each_way, 1, config.dropout),
            config.input_dropout,
            reading,
        )
    causal = {"af": AutoregressiveFlow, "iaf": InverseAutoregressiveFlow}[config.time]
    whole, num_context = network(), config.hidden_size
    if config.prior_copies:
        size = _half(config.hidden_size)
        whole, num_context = CopyingNetwork(whole, num_read, size), num_context + size
    return causal(feature_flow(num_context), whole, config.input_dropout, reading)
