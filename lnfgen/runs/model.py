"""A model that fits a dataset: what it sees of a sequence, and its first weights."""

import torch

from lnfgen.config import Config
from lnfgen.data.encoding import Encoding
from lnfgen.data.storage import Dataset
from lnfgen.models import Frames, LengthModel, Observation, SequenceModel, Symbols, build_model


def observation_of(encoding: Encoding) -> Observation:
    """What a model sees of sequences in this encoding."""
    if encoding.kind == "text":
        return Symbols(encoding.num_symbols)
    return Frames(encoding.num_pitches, encoding.has_onsets)


def new_model(config: Config, dataset: Dataset) -> SequenceModel:
    """An untrained model for a dataset: weights are drawn with the configuration's seed, lengths fitted on train."""
    torch.manual_seed(config.training.seed)
    lengths = LengthModel.fit(torch.from_numpy(dataset.split("train").lengths.copy()))
    return build_model(config.model, observation_of(dataset.encoding), lengths)
