"""Models from their configurations: `build_model`, and a function for each of their parts."""

from collections.abc import Sequence

from torch import nn

from lnfgen.config import EMISSIONS, ModelConfig
from lnfgen.errors import ConfigError
from lnfgen.flows.blockwise import IN_TRAINING, Ahead, BlockwiseFlow
from lnfgen.flows.codebook import Codebook, CodeMixture, SoftEmbedding
from lnfgen.flows.coupling import CouplingFlow
from lnfgen.flows.features import FeaturePrior, build_feature_flow
from lnfgen.flows.temporal import (
    AutoregressiveFlow,
    IndependentFlow,
    InverseAutoregressiveFlow,
    TemporalFlow,
)
from lnfgen.flows.wordwise import Foresight, WordStarts, WordwiseFlow
from lnfgen.models.autoregressive import AutoregressiveHead
from lnfgen.models.homes import Homes
from lnfgen.models.latent_flow import LatentFlow
from lnfgen.models.length import LengthModel
from lnfgen.models.lstm import AutoregressiveLSTM
from lnfgen.models.observation import Frames, Observation, Symbols
from lnfgen.models.output import Emission, IndependentHead, NADEHead, OutputHead, SymbolHead
from lnfgen.models.posterior import Posterior, SymbolPosterior
from lnfgen.models.sequence_model import SequenceModel
from lnfgen.models.time_signatures import TimeSignatures
from lnfgen.nn.backbones import BACKBONES, Bidirectional
from lnfgen.nn.causal_lstm import CausalLSTM
from lnfgen.nn.copying import CopyingNetwork
from lnfgen.nn.positions import NUM_HOMES, POSITION_SIZE, Positions
from lnfgen.transforms import TRANSFORMS


def build_model(
    config: ModelConfig,
    observation: Observation,
    length: LengthModel,
    time_signatures: TimeSignatures | None = None,
    homes: Homes | None = None,
) -> SequenceModel:
    """A model with fresh weights, drawn from torch's global generator.

    A model with `reads_time_signature` reads the time signature of each sequence. It knows
    `time_signatures`, by default 4/4 alone.

    Example:
        model = build_model(run.config.model, Symbols(50), LengthModel.fit(torch.tensor([5, 8])))
        numbers = model.random_numbers([8], [torch.Generator().manual_seed(0)])
        (x,) = model.generate([8], *numbers, temperature=1.0, outline=NO_OUTLINE)  # [8]

    Raises:
        ConfigError: if the configuration does not fit the observation.
    """
    _require_fit(config, observation)
    positions = Positions(
        POSITION_SIZE,
        near_end=config.near_end,
        reads_time_signature=config.reads_time_signature,
        reads_home=config.reads_home,
    )
    build = _build_baseline if config.baseline else _build_latent_flow
    model = build(config, observation, length, positions)
    if config.reads_time_signature:
        model.time_signatures = time_signatures or TimeSignatures([1])
    if config.reads_home:
        model.homes = homes or Homes()
    return model


def _require_fit(config: ModelConfig, observation: Observation) -> None:
    """Raise a `ConfigError` if the configuration does not fit the observation."""
    is_text = isinstance(observation, Symbols)
    if is_text:
        kind = "text"
        reason = "a step is one symbol, with no keys in it"
    else:
        kind = "music"
        reason = "a frame is a set of keys, not one of a list of symbols"
    if config.emission not in EMISSIONS[kind]:
        found = f"model.emission: found {config.emission} for {kind}, where {reason}"
        raise ConfigError(f"{found}; expected {' or '.join(EMISSIONS[kind])}")
    if config.reads_time_signature and is_text:
        raise ConfigError(
            "model.reads_time_signature: found true for text, which has no bars; expected false"
        )
    if config.reads_home and is_text:
        raise ConfigError("model.reads_home: found true for text, which has no key; expected false")
    if config.features == "codes" and not config.baseline and not is_text:
        found = "model.features: found codes for music, which has no symbols"
        raise ConfigError(f"{found}; expected af, scf or none")


def _build_baseline(
    config: ModelConfig, observation: Observation, length: LengthModel, positions: Positions
) -> AutoregressiveLSTM:
    num_inputs = config.embedding_size + _position_size(config)
    lstm = CausalLSTM(num_inputs, config.hidden_size, config.num_layers, config.dropout)
    head = _build_head(config, observation, config.hidden_size + _position_size(config))
    return AutoregressiveLSTM(observation, length, positions, lstm, head, config)


def _build_latent_flow(
    config: ModelConfig, observation: Observation, length: LengthModel, positions: Positions
) -> LatentFlow:
    posterior: Posterior | SymbolPosterior
    if config.features == "codes":
        assert isinstance(observation, Symbols)
        posterior = SymbolPosterior(observation, config.latent_size)
        prior = build_prior(config, observation.num_symbols, observation.separators)
        for module in prior.modules():
            if isinstance(module, Codebook):
                module.load_state_dict(posterior.codebook.state_dict())
        emission = Emission(None, SymbolHead(observation, posterior.codebook))
    else:
        num_inputs = config.embedding_size + _position_size(config)
        sizes = (num_inputs, config.hidden_size, config.num_layers)
        network = Bidirectional(config.backbone, *sizes, config.dropout)
        posterior = Posterior(observation, network, config)
        prior = build_prior(config)
        emission = _build_emission(config, observation)
    return LatentFlow(
        observation,
        length,
        positions=positions,
        posterior=posterior,
        prior=prior,
        emission=emission,
    )


def _build_emission(config: ModelConfig, observation: Observation) -> Emission:
    num_inputs = config.latent_size + _position_size(config)
    each_way = config.hidden_size
    if config.backbone != "lstm":  # scans of half the size in each direction make sampling faster
        each_way = _half(config.hidden_size)
    sizes = (num_inputs, each_way, config.num_layers)
    network = Bidirectional(config.backbone, *sizes, config.dropout, exclusive=True)
    head = _build_head(config, observation, 2 * each_way + num_inputs)
    return Emission(network, head, config.note_noise)


def _build_head(config: ModelConfig, observation: Observation, num_context: int) -> OutputHead:
    sizes = num_context, config.hidden_size, config.dropout
    if config.emission == "autoregressive":
        assert isinstance(observation, Frames)
        return AutoregressiveHead(
            observation, *sizes, copies=config.copy_attention, reads_home=config.reads_home
        )
    if config.emission == "nade":
        assert isinstance(observation, Frames)
        return NADEHead(observation, *sizes)
    return IndependentHead(observation, *sizes)


def build_prior(
    config: ModelConfig, num_codes: int = 1, separators: Sequence[int] = ()
) -> TemporalFlow:
    """The prior p(z | T) as configured, a flow with fresh weights.

    If `features` is `codes`, there are `num_codes`, and words begin after those that are
    `separators`.
    """
    if config.time == "coupling":
        return _build_coupling(config)
    if config.time == "none":
        features = _build_features(config, num_codes, _position_size(config))
        return IndependentFlow(config.latent_size, features)
    embedding: nn.Module = nn.Identity()
    num_read = config.latent_size
    if config.features == "codes":
        embedding = SoftEmbedding(config.latent_size, num_codes, config.embedding_size)
        num_read += config.embedding_size
    if config.time == "blocks":
        return _build_blocks(config, num_codes, separators, embedding, num_read)
    network = _build_causal(config, num_read)
    num_context = config.hidden_size
    # The output `autoregressive` copies by itself.
    if config.copy_attention and config.time == "af" and config.emission != "autoregressive":
        size = _half(config.hidden_size)
        network = CopyingNetwork(network, num_read, size)
        num_context += size
    kind = AutoregressiveFlow if config.time == "af" else InverseAutoregressiveFlow
    features = _build_features(config, num_codes, num_context)
    return kind(config.latent_size, features, network, config.input_dropout, embedding)


def _build_features(config: ModelConfig, num_codes: int, num_context: int) -> FeaturePrior:
    """The flow across the features of a step, given `num_context` features of context."""
    latent = config.latent_size
    if config.features == "codes":
        return CodeMixture(latent, num_codes, num_context, config.hidden_size)
    layers = config.num_flow_layers
    transform = TRANSFORMS[config.transform]()
    size = config.conditioner_size
    return build_feature_flow(config.features, latent, num_context, size, layers, transform)


def _build_causal(config: ModelConfig, num_read: int) -> nn.Module:
    """The causal network of a prior, which reads `num_read` features of earlier steps."""
    backbone = BACKBONES[config.backbone]
    num_inputs = num_read + _position_size(config)
    return backbone(num_inputs, config.hidden_size, config.num_layers, config.dropout)


def _build_coupling(config: ModelConfig) -> CouplingFlow:
    half = _half(config.hidden_size)

    def across(num_kept: int) -> Bidirectional:
        num_inputs = num_kept + _position_size(config)
        return Bidirectional(config.backbone, num_inputs, half, 1, config.dropout)

    return CouplingFlow(
        config.latent_size,
        config.num_flow_layers,
        2 * half,
        config.conditioner_size,
        TRANSFORMS[config.transform](),
        across,
    )


def _build_blocks(
    config: ModelConfig,
    num_codes: int,
    separators: Sequence[int],
    embedding: nn.Module,
    num_read: int,
) -> BlockwiseFlow:
    """A prior that draws in blocks. If words begin after `separators`, its blocks do too."""
    half = _half(config.hidden_size)
    # Other blocks say little of a step, and cost much.
    narrow = nn.Linear(config.hidden_size, -(-config.hidden_size // 8))
    size = narrow.out_features
    both_ways = Bidirectional(config.backbone, size, size, 1, config.dropout)
    num_context = config.hidden_size + 2 * size + half + _position_size(config)
    within = _build_causal(config, num_read)
    ahead = Ahead(num_read, half)
    features = _build_features(config, num_codes, num_context)
    networks = (within, narrow, both_ways, ahead)
    components = (config.latent_size, features, *networks, config.input_dropout, embedding)
    if not separators:
        return BlockwiseFlow(*components)
    words = WordStarts(separators, num_codes, IN_TRAINING[:-1])
    foresight = Foresight(num_context, half, num_codes)
    return WordwiseFlow(words, foresight, *components)


def _position_size(config: ModelConfig) -> int:
    """The features of a step's position, the home of its piece among them if it is read."""
    return POSITION_SIZE + NUM_HOMES if config.reads_home else POSITION_SIZE


def _half(hidden: int) -> int:
    return -(-hidden // 2)
