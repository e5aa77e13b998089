"""`build_model` builds a model from its configuration, and one function for each part builds that
part."""

from collections.abc import Sequence

from torch import nn

from lnfgen.config import EMISSIONS, ModelConfig
from lnfgen.errors import ConfigError
from lnfgen.flows.blockwise import IN_TRAINING, Ahead, BlockwiseFlow
from lnfgen.flows.codebook import Codebook, CodeMixture, CodeReading
from lnfgen.flows.coupling import CouplingFlow
from lnfgen.flows.features import FeaturePrior, build_feature_flow
from lnfgen.flows.temporal import (
    AutoregressiveFlow,
    IndependentFlow,
    InverseAutoregressiveFlow,
    TemporalFlow,
)
from lnfgen.flows.wordwise import Foresight, WordStarts, WordwiseFlow
from lnfgen.models.latent_flow import LatentFlow
from lnfgen.models.length import LengthModel
from lnfgen.models.lstm import AutoregressiveLSTM
from lnfgen.models.observation import Frames, Observation, Symbols
from lnfgen.models.output import Emission, IndependentHead, NADEHead, OutputHead, SymbolHead
from lnfgen.models.posterior import Posterior, SymbolPosterior
from lnfgen.models.sequence_model import SequenceModel
from lnfgen.models.time_signatures import TimeSignatures
from lnfgen.models.voices import VoiceHead
from lnfgen.nn.backbones import BACKBONES, Bidirectional
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

    A model with `in_metre` reads the time signature of each sequence. It knows `time_signatures`,
    by default 4/4 alone.

    Example:
        model = build_model(run.config.model, Symbols(50), LengthModel.fit(torch.tensor([5, 8])))
        numbers = model.random_numbers([8], [torch.Generator().manual_seed(0)])
        (x,) = model.generate([8], *numbers, temperature=1.0, metres=None)  # [8]

    Raises:
        ConfigError: if the configuration does not fit the observation.
    """
    kind, reason = "music", "a frame is a set of keys, not one of a list of symbols"
    if isinstance(observation, Symbols):
        kind, reason = "text", "a step is one symbol, with no keys in it"
    if config.emission not in EMISSIONS[kind]:
        expected = " or ".join(EMISSIONS[kind])
        raise ConfigError(
            f"model.emission: found {config.emission} for {kind}, where {reason}; expected {expected}"
        )
    if config.in_metre and kind == "text":
        raise ConfigError("model.in_metre: found true for text, which has no bars; expected false")
    if config.features == "codes" and not config.baseline and kind == "music":
        raise ConfigError(
            "model.features: found codes for music, which has no symbols; expected af, scf or none"
        )
    known = {"near_end": config.near_end, "in_metre": config.in_metre}
    positions = Positions(POSITION_SIZE, **known, parts=observation.parts)
    build = _build_baseline if config.baseline else _build_latent_flow
    model = build(config, observation, length, positions)
    if config.in_metre:
        model.time_signatures = time_signatures or TimeSignatures([1])
    return model


def _build_baseline(
    config: ModelConfig, observation: Observation, length: LengthModel, positions: Positions
) -> AutoregressiveLSTM:
    num_inputs = config.embedding_size + POSITION_SIZE
    lstm = CausalLSTM(num_inputs, config.hidden_size, config.num_layers, config.dropout)
    head = _build_head(config, observation, config.hidden_size + POSITION_SIZE)
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
        num_inputs, hidden = config.embedding_size + POSITION_SIZE, config.hidden_size
        network = Bidirectional(
            config.backbone, num_inputs, hidden, config.num_layers, config.dropout
        )
        posterior, prior = Posterior(observation, network, config), build_prior(config)
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
    num_inputs = config.latent_size + POSITION_SIZE
    # Scans of half the size in each direction make sampling faster.
    each_way = config.hidden_size if config.backbone == "lstm" else _half(config.hidden_size)
    network = Bidirectional(
        config.backbone, num_inputs, each_way, config.num_layers, config.dropout, exclusive=True
    )
    return Emission(
        network, _build_head(config, observation, 2 * each_way + num_inputs), config.note_noise
    )


def _build_head(config: ModelConfig, observation: Observation, num_context: int) -> OutputHead:
    sizes = num_context, config.hidden_size, config.dropout
    if config.emission == "past":
        assert isinstance(observation, Frames)
        return VoiceHead(observation, *sizes, copies=config.copy_attention)
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
    latent, hidden, half = config.latent_size, config.hidden_size, _half(config.hidden_size)

    def features(num_context: int) -> FeaturePrior:
        if config.features == "codes":
            return CodeMixture(latent, num_codes, num_context, hidden)
        layers, transform = config.num_flow_layers, TRANSFORMS[config.transform]()
        return build_feature_flow(
            config.features, latent, num_context, config.conditioner_size, layers, transform
        )

    def across(num_inputs: int) -> Bidirectional:
        return Bidirectional(config.backbone, num_inputs, half, 1, config.dropout)

    if config.time == "coupling":
        return CouplingFlow(
            latent,
            config.num_flow_layers,
            2 * half,
            config.conditioner_size,
            TRANSFORMS[config.transform](),
            lambda kept: across(kept + POSITION_SIZE),
        )
    if config.time == "none":
        return IndependentFlow(latent, features(POSITION_SIZE))
    reading: nn.Module = nn.Identity()
    num_read = latent
    if config.features == "codes":
        reading = CodeReading(latent, num_codes, config.embedding_size)
        num_read += config.embedding_size

    def causal() -> nn.Module:
        return BACKBONES[config.backbone](
            num_read + POSITION_SIZE, hidden, config.num_layers, config.dropout
        )

    if config.time == "blocks":
        # other blocks say little of a step, and cost much
        narrow = nn.Linear(hidden, -(-hidden // 8))
        both_ways = Bidirectional(
            config.backbone, narrow.out_features, narrow.out_features, 1, config.dropout
        )
        num_context = hidden + 2 * narrow.out_features + half + POSITION_SIZE
        within, ahead = causal(), Ahead(num_read, half)
        parts = (
            latent,
            features(num_context),
            within,
            narrow,
            both_ways,
            ahead,
            config.input_dropout,
            reading,
        )
        if separators:
            words = WordStarts(separators, num_codes, IN_TRAINING[:-1])
            return WordwiseFlow(words, Foresight(num_context, half, num_codes), *parts)
        return BlockwiseFlow(*parts)
    network, num_context = causal(), hidden
    # `past` copies by itself
    if config.copy_attention and config.time == "af" and config.emission != "past":
        network = CopyingNetwork(network, num_read, half)
        num_context += half
    kind = AutoregressiveFlow if config.time == "af" else InverseAutoregressiveFlow
    return kind(latent, features(num_context), network, config.input_dropout, reading)


def _half(hidden: int) -> int:
    return -(-hidden // 2)
