"""What memory an update needs, which is asked before a run begins.

A few of the longest sequences of train go through an update of a model of the same settings, and
the memory of its tensors is measured. Each sequence of a batch needs as much as any other of its
length.
"""

import numpy as np
import torch

from lnfgen.config import Config
from lnfgen.data.batches import collate
from lnfgen.data.dataset import Dataset, Split
from lnfgen.device.memory import peak_bytes, shortage
from lnfgen.device.preparation import prepare_machine
from lnfgen.errors import ConfigError
from lnfgen.models.sequence_model import SequenceModel
from lnfgen.runs.checkpoint import new_model
from lnfgen.training.objective import accumulate_gradients
from lnfgen.wording import counted, gigabytes

# The sequences of the two trials.
FEW = 2
MORE = 4

# A process takes so many times as much as its tensors: it keeps what was freed in pieces.
OVERHEAD = 1.2


def require_memory(config: Config, dataset: Dataset, device: str) -> None:
    """Refuse a batch size if memory is too small for it.

    Raises:
        ConfigError: if the longest sequences of train do not fit; it has the size that does.
    """
    train = dataset.split("train")
    batch_size = min(config.training.batch_size, len(train))
    longest = int(train.lengths.max())
    if batch_size <= MORE:
        return
    machine = prepare_machine(device, config.model.hidden_size, config.model.emission)
    model = new_model(config, dataset).to(machine).train()
    few = _bytes_of_update(model, config, train, FEW)
    more = _bytes_of_update(model, config, train, MORE)
    of_sequence = OVERHEAD * (more - few) / (MORE - FEW)
    missing = shortage(of_sequence, batch_size, machine)
    if missing is None:
        return
    sequences = counted(batch_size, "sequence")
    steps = counted(longest, dataset.encoding.step_noun)
    raise ConfigError(
        f"training.batch_size: found {config.training.batch_size:,}; {sequences} of up to {steps} "
        f"need about {gigabytes(missing.needed)} of memory, and {gigabytes(missing.available)} are "
        "free; "
        f"expected at most --set training.batch_size={missing.fitting}"
    )


def _bytes_of_update(model: SequenceModel, config: Config, train: Split, num: int) -> int:
    """The memory of an update of so many of the longest sequences."""
    by_length = np.argsort(train.lengths, kind="stable")
    indices = by_length[-num:].tolist()
    sequences = [train[index] for index in indices]
    homes = None
    if train.homes is not None:
        homes = train.homes[indices]
    batch = collate(sequences, indices, train.bar_shapes, homes)
    batch = batch.to(model.device)

    def update() -> None:
        generator = torch.Generator(model.device).manual_seed(0)
        noise = model.draw_noise(1, num, batch.x.shape[1], generator)
        model.zero_grad(set_to_none=True)
        accumulate_gradients(
            model,
            batch,
            noise,
            1.0,
            precision=config.training.precision,
            free_bits=config.training.free_bits,
        )

    return peak_bytes(update)
