"""What a run does to its model after its updates, and whether that is done. It loads no model and no torch.

A flow for `fill` is fitted (`lnfgen.training.matching`), and rules are calibrated (`lnfgen.training.calibration`).
"""

from collections.abc import Iterable
from pathlib import Path

from lnfgen.config import TrainingConfig
from lnfgen.files import sha256_of
from lnfgen.runs.facts import CONDITIONAL, MODEL, weight_shapes
from lnfgen.runs.records import read_record

CALIBRATION = "calibration.json"


def is_complete(run: Path, training: TrainingConfig, step: int) -> bool:
    """Whether the model of a run that has ended after `step` updates has all that its settings ask for.

    Raises:
        RunError: if a file of the run is missing or damaged.
    """
    fitted = not training.filling_steps or has_conditional(weight_shapes(run / MODEL))
    return fitted and (not training.pieces_a_round(step) or is_calibrated(run))


def has_conditional(names: Iterable[str]) -> bool:
    """Whether the flow that `fill` draws from is among the weights of these names."""
    return any(name.startswith(CONDITIONAL) for name in names)


def is_calibrated(run: Path) -> bool:
    """Whether the rules of the run's model were calibrated. They are not after training has chosen other weights.

    Raises:
        RunError: if the record of it is damaged.
    """
    record, model = run / CALIBRATION, run / MODEL
    if not record.is_file() or not model.is_file():
        return False
    return bool(read_record(record).get("model_sha256") == sha256_of(model))
