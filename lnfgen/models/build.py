"""`build_model` builds a model from its configuration, and one function for each part builds that part."""

from torch import nn

from lnfgen.config import EMISSIONS, ModelConfig
from lnfgen.errors import ConfigError
from lnfgen.flows.blockwise import BlockwiseFlow
from lnfgen.flows.codebook import Codebook, CodeMixture, CodeReading
from lnfgen.flows.coupling import CouplingFlow
from lnfgen.flows.features import FeaturePrior, build_feature_flow
from lnfgen.flows.temporal import AutoregressiveFlow, IndependentFlow, InverseAutoregressiveFlow, TemporalFlow
from lnfgen.models.latent_flow import LatentFlow
from lnfgen.models.length import LengthModel
from lnfgen.models.lstm import AutoregressiveLSTM
from lnfgen.models.observation import Frames, Observation, Symbols
from lnfgen.models.output import Emission, IndependentHead, NADEHead, OutputHead, SymbolHead
from lnfgen.models.posterior import Posterior, SymbolPosterior
from lnfgen.models.sequence_model import SequenceModel
from lnfgen.models.time_signatures import TimeSignatures
from lnfgen.models.voices import VoiceHead
from lnfgen.nn.backbones import BACKBONES
from lnfgen.nn.causal_lstm import CausalLSTM
from lnfgen.nn.copying import CopyingNetwork
from lnfgen.nn.positions import POSITION_SIZE, Positions
from lnfgen.transforms import TRANSFORMS


def build_model(
    config: ModelConfig,
    observation: Observation,
    length: LengthModel,
    time_signatures: TimeSignatures | None = None,
) -> SequenceModel:
    """A model with fresh weights, drawn from torch's global generator.

    A model with `in_metre` reads the time signature of each sequence. It knows `time_signatures`, by default 4/4 alone.

    Example:
        model = build_model(ModelConfig(), Symbols(50), LengthModel.fit(torch.tensor([5, 8])))
        x = model.sample(num_steps=8, generator=torch.Generator().manual_seed(0), temperature=1.0)  # [8]

    Raises:
        ConfigError: if the configuration does not fit the observation.
    """
    _require_fitting_output(config, observation)
    if config.in_metre and isinstance(observation, Symbols):
        raise ConfigError("model.in_metre: found true for text, which has no bars; expected false")
    if config.features == "codes" and not config.baseline and not isinstance(observation, Symbols):
        raise ConfigError("model.features: found codes for music, which has no symbols; expected af, scf or none")
    build = _build_baseline if config.baseline else _build_latent_flow
    model = build(config, observation, length)
    if config.in_metre:
        model.time_signatures = time_signatures or TimeSignatures([1])
    return model


def _require_fitting_output(config: ModelConfig, observation: Observation) -> None:
    """Raise a `ConfigError` if the output is of another kind of data."""
    if isinstance(observation, Symbols):
        kind, reason = "text", "a step is one symbol, with no keys in it"
    else:
        kind, reason = "music", "a frame is a set of keys, not one of a list of symbols"
    fitting = EMISSIONS[kind]
    if config.emission not in fitting:
        raise ConfigError(
            f"model.emission: found {config.emission} for {kind}, where {reason}; expected {' or '.join(fitting)}"
        )


def _build_baseline(config: ModelConfig, observation: Observation, length: LengthModel) -> AutoregressiveLSTM:
    num_inputs = config.embedding_size + POSITION_SIZE
    return AutoregressiveLSTM(
        observation,
        length,
        positions=_build_positions(config),
        lstm=CausalLSTM(num_inputs, config.hidden_size, config.num_layers, config.dropout),
        head=_build_head(config, observation, config.hidden_size + POSITION_SIZE),
        embedding=config.embedding_size,
        dropout=config.dropout,
        input_dropout=config.input_dropout,
        note_noise=config.note_noise,
    )


def _build_latent_flow(config: ModelConfig, observation: Observation, length: LengthModel) -> LatentFlow:
    positions = _build_positions(config)
    posterior: Posterior | SymbolPosterior
    if config.features == "codes":
        assert isinstance(observation, Symbols)
        posterior, prior = (
            SymbolPosterior(observation, config.latent_size),
            build_prior(config, observation.num_symbols),
        )
        for module in prior.modules():
            if isinstance(module, Codebook):
                module.begin_as(posterior.codebook)
        decoder = Emission(None, SymbolHead(observation, posterior.codebook))
    else:
        posterior, prior = _build_posterior(config, observation), build_prior(config)
        decoder = _build_emission(config, observation)
    return LatentFlow(observation, length, positions=positions, posterior=posterior, prior=prior, emission=decoder)


def _build_positions(config: ModelConfig) -> Positions:
    return Positions(POSITION_SIZE, near_end=config.near_end, in_metre=config.in_metre)


def _build_posterior(config: ModelConfig, observation: Observation) -> Posterior:
    network = BACKBONES[config.backbone].bidirectional(
        config.embedding_size + POSITION_SIZE, config.hidden_size, config.num_layers, config.dropout
    )
    return Posterior(
        observation,
        network,
        num_states=2 * config.hidden_size,
        embedding=config.embedding_size,
        latent=config.latent_size,
        dropout=config.dropout,
        input_dropout=config.input_dropout,
    )


def _build_emission(config: ModelConfig, observation: Observation) -> Emission:
    backbone, num_inputs = BACKBONES[config.backbone], config.latent_size + POSITION_SIZE
    each_way = _half(config.hidden_size) if backbone.halved else config.hidden_size
    network = backbone.bidirectional(num_inputs, each_way, config.num_layers, config.dropout, exclusive=True)
    return Emission(network, _build_head(config, observation, 2 * each_way + num_inputs), config.note_noise)


def _build_head(config: ModelConfig, observation: Observation, num_context: int) -> OutputHead:
    if config.emission == "past":
        assert isinstance(observation, Frames)
        return VoiceHead(
            observation,
            num_context,
            config.hidden_size,
            config.dropout,
            copies=config.copy_attention,
            copies_melody=config.copy_melody,
        )
    if config.emission == "nade":
        assert isinstance(observation, Frames)
        return NADEHead(observation, num_context, config.hidden_size, config.dropout)
    return IndependentHead(observation, num_context, config.hidden_size, config.dropout)


def build_prior(config: ModelConfig, num_codes: int = 1) -> TemporalFlow:
    """The prior p(z | T), a flow with fresh weights, by the configured `time`, `features`, `transform` and backbone.

    If `features` is `codes`, there are `num_codes` of them.
    """
    if config.time == "coupling":
        return _build_couplings(config)
    if config.time == "none":
        features = _build_feature_flow(config, POSITION_SIZE, num_codes)
        return IndependentFlow(config.latent_size, features)
    reading: nn.Module = nn.Identity()
    num_read = config.latent_size
    if config.features == "codes":
        reading = CodeReading(config.latent_size, num_codes, config.embedding_size)
        num_read += config.embedding_size
    if config.time == "blocks":
        return _build_blocks(config, num_codes, reading, num_read)
    network, num_context = _build_causal(config, num_read), config.hidden_size
    if config.copy_attention and config.time == "af" and config.emission != "past":  # `past` copies by itself
        network = CopyingNetwork(network, num_read, _half(config.hidden_size))
        num_context += _half(config.hidden_size)
    features = _build_feature_flow(config, num_context, num_codes)
    kind = AutoregressiveFlow if config.time == "af" else InverseAutoregressiveFlow
    return kind(config.latent_size, features, network, config.input_dropout, reading)


def _build_couplings(config: ModelConfig) -> TemporalFlow:
    backbone, each_way = BACKBONES[config.backbone], _half(config.hidden_size)
    return CouplingFlow(
        config.latent_size,
        config.num_flow_layers,
        2 * each_way,
        config.conditioner_size,
        TRANSFORMS[config.transform](),
        # Narrow, and of one layer, because each coupling has a network.
        lambda kept: backbone.bidirectional(kept + POSITION_SIZE, each_way, 1, config.dropout),
    )


def _build_blocks(config: ModelConfig, num_codes: int, reading: nn.Module, num_read: int) -> TemporalFlow:
    each_way = _half(config.hidden_size)
    num_context = config.hidden_size + 2 * each_way + POSITION_SIZE
    return BlockwiseFlow(
        config.latent_size,
        _build_feature_flow(config, num_context, num_codes),
        _build_causal(config, num_read),
        BACKBONES[config.backbone].bidirectional(config.hidden_size, each_way, 1, config.dropout),
        config.input_dropout,
        reading,
    )


def _build_causal(config: ModelConfig, num_read: int) -> nn.Module:
    """The prior's network through time, which reads `num_read` features of z and the positions."""
    causal = BACKBONES[config.backbone].causal
    return causal(num_read + POSITION_SIZE, config.hidden_size, config.num_layers, config.dropout)


def _build_feature_flow(config: ModelConfig, num_context: int, num_codes: int) -> FeaturePrior:
    if config.features == "codes":
        return CodeMixture(config.latent_size, num_codes, num_context, config.hidden_size)
    return build_feature_flow(
        config.features,
        config.latent_size,
        num_context,
        config.conditioner_size,
        config.num_flow_layers,
        TRANSFORMS[config.transform](),
    )


def _half(hidden: int) -> int:
    return -(-hidden // 2)
