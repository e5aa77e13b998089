"""The models that are measured: fresh ones with random weights, and trained ones from runs."""

from collections.abc import Sequence
from pathlib import Path

import torch

from lnfgen.bench.plan import OBSERVATIONS, Variant
from lnfgen.compute import resolve_device
from lnfgen.config import build_config
from lnfgen.models import LengthModel, SequenceModel, build_model
from lnfgen.runs.folder import RunFolder


def fresh_model(variant: Variant, preset: str, kind: str) -> SequenceModel:
    """A model with random weights, at a preset's sizes, for a kind of data."""
    config = build_config(variant.model, preset, variant.backbone)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # orthogonal weights are many small factorisations, which several threads slow down
    try:
        torch.manual_seed(0)
        return build_model(config.model, OBSERVATIONS[kind], LengthModel())
    finally:
        torch.set_num_threads(threads)


def trained_models(runs: Sequence[Path]) -> dict[Variant, SequenceModel]:
    """The models of runs, on the CPU, each under the name of its run's folder.

    Raises:
        RunError: if a folder is not a run, or has no model.
    """
    folders = [RunFolder(path) for path in runs]
    device = resolve_device("cpu")
    return {Variant(run.path.name, run.config.model.backbone): run.load_model(device) for run in folders}
