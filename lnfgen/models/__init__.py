"""Models of discrete sequences, and `build_model`, which builds one from its configuration."""

from lnfgen.models.build import build_model, build_prior
from lnfgen.models.latent_flow import LatentFlow
from lnfgen.models.length import LengthModel
from lnfgen.models.observation import Frames, Observation, Symbols
from lnfgen.models.sequence_model import SequenceModel, Terms
from lnfgen.models.time_signatures import TimeSignatures

__all__ = [
    "Frames",
    "LatentFlow",
    "LengthModel",
    "Observation",
    "SequenceModel",
    "Symbols",
    "Terms",
    "TimeSignatures",
    "build_model",
    "build_prior",
]
