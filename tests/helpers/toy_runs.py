"""Run folders at toy sizes with a model and a state, none of which was trained."""

from pathlib import Path
from typing import Any

import torch
from toy_config import model_config, training_config

from lnfgen.config import NAMED_MODELS, Config
from lnfgen.data.dataset import Dataset
from lnfgen.runs.checkpoint import STATE_PARTS, State, new_model, save_model, save_state
from lnfgen.runs.folder import RunFolder

SIZES = {
    "num_flow_layers": 1,
    "latent_size": 2,
    "hidden_size": 4,
    "num_layers": 1,
    "embedding_size": 4,
}


def state_of(step: int, **values: Any) -> State:
    """Something of the form of a trainer's state, all parts of which hold the step."""
    tensors = {part: {"value": torch.full((3,), step)} for part in STATE_PARTS}
    return tensors, {"step": step, **values}


def make_run(
    path: Path,
    dataset: Dataset,
    step: int = 1,
    name: str = "af-scf",
    max_steps: int = 40,
    **values: Any,
) -> RunFolder:
    """A run of `max_steps` updates with the state of one of them, in which `values` stand too."""
    config = Config(
        model_config(**(SIZES | NAMED_MODELS[name])), training_config(max_steps=max_steps)
    )
    run = RunFolder.create(path, config, dataset)
    save_model(run, new_model(config, dataset).state_dict())
    save_state(run, *state_of(step, **values))
    return run
