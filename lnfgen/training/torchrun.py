"""`torchrun -m lnfgen train`: several processes train one model, on one machine or on many.

All processes make the same updates with the same seeds, each on its share of the sequences of every batch, and
DistributedDataParallel averages their gradients. Each draws the noise of the whole batch, and keeps that of its own
sequences. So N processes make the update of one process with the whole batch, up to round-off. Dropout alone differs,
and the sizes of blocks: each process draws its own, seeded by the update and the process.

Rank 0 makes what must be made once, and alone writes, validates and prints. Without torchrun the functions here do
nothing, or call what they are given. The command line imports this module, so torch is imported inside functions.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from lnfgen.errors import LnfgenError, RunError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from lnfgen.data.batches import Batch

Result = TypeVar("Result")

_store: Any = None  # torch's store that all processes share, while they are joined


def place() -> tuple[int, int]:
    """The rank of this process, and the number of processes that torchrun has started."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return 0, 1
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


def launched() -> bool:
    """True if torchrun has started this process as one of several."""
    return place()[1] > 1


def is_main() -> bool:
    """True in rank 0, or if there is one process. It alone writes and prints."""
    return place()[0] == 0


def restarts() -> tuple[int, int]:
    """How often torchrun has started the processes again because one failed, and the most that it would do so."""
    done, most = (os.environ.get(f"TORCHELASTIC_{name}", "0") for name in ("RESTART_COUNT", "MAX_RESTARTS"))
    return int(done), int(most)


@contextmanager
def joined() -> Iterator[None]:
    """Join the processes that torchrun has started. A `RunError` says that another one is lost in the block."""
    if not launched():
        yield
        return
    import torch
    from torch import distributed
    from torch.distributed.rendezvous import rendezvous

    global _store
    try:
        store, rank, size = next(rendezvous("env://"))
        # The store outlives a restart. Each start has its own part, without the addresses of processes that have ended.
        _store = distributed.PrefixStore(f"start {restarts()[0]}", store)
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        distributed.init_process_group(backend, store=_store, rank=rank, world_size=size)
        yield
    except RuntimeError as error:
        if not isinstance(error, distributed.DistError) and "gloo" not in str(error):
            raise
        found = " ".join(str(error).split())
        raise RunError(
            f"another process of this job has ended, or cannot be reached ({found:.100}); see to what ended it; "
            "a run goes on with: lnfgen train --resume"
        ) from error
    _store = None  # after an error it stays, so that `claim` can ask it
    distributed.destroy_process_group()


def claim() -> bool:
    """Ask to be the one process that reports a failure: the first to ask, or rank 0 if they have not joined."""
    try:
        return is_main() if _store is None else bool(_store.add("failed", 1) == 1)
    except RuntimeError:  # the store was in a process that has ended, and that one has reported
        return False


def from_main(make: Callable[[], Result]) -> Result:
    """Call `make` in rank 0. Return what it gives, or raise the error that it raises, in every process."""
    if not launched():
        return make()
    from torch import distributed

    outcome: list[Any] = [None, None]
    if is_main():
        try:
            outcome[0] = make()
        except (LnfgenError, OSError) as error:
            outcome[1] = error
    distributed.broadcast_object_list(outcome)
    if outcome[1] is not None:
        raise outcome[1]
    return outcome[0]


def main_first(make: Callable[[], Result]) -> Result:
    """Call `make` in rank 0, and then in the other processes, which may read what rank 0 has written."""
    made: list[Result] = []
    from_main(lambda: made.append(make()))
    return made[0] if made else make()


def summed(values: Tensor) -> Tensor:
    """Replace a tensor by its sum over all processes, and return it."""
    if launched():
        from torch import distributed

        distributed.all_reduce(values)
    return values


def own_part(batch: Batch) -> tuple[Batch, slice, float]:
    """The sequences of a batch that this process computes, their rows in the whole batch, and their weight.

    They are every N-th one, padded to the longest of them. Batches are sorted by length, so each of the N processes has
    about as much work. The weight is N times their share of the batch. A process without a sequence gets one of weight
    0, which must not count.
    """
    rank, size = place()
    total = len(batch.indices)
    count = len(range(rank, total, size))
    rows = slice(rank, None, size) if count else slice(0, 1)
    lengths = batch.lengths[rows]
    x = batch.x[rows, : int(lengths.max())].contiguous()
    metres = None if batch.metres is None else batch.metres[rows]
    own = batch._replace(x=x, lengths=lengths, indices=batch.indices[rows], metres=metres)
    return own, rows, size * count / total


def own_device(device: torch.device) -> torch.device:
    """The GPU of this process if several use CUDA, otherwise `device` itself."""
    if device.type != "cuda" or not launched():
        return device
    import torch

    number, count = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if number >= count:
        raise LnfgenError(f"process {number} found {count} GPUs on its machine; expected one for each --nproc-per-node")
    torch.cuda.set_device(number)
    return torch.device("cuda", number)


def averaging(model: nn.Module) -> Callable[[Tensor], Tensor] | None:
    """A function that marks the last of an update's losses: its backward pass averages all gradients; or None."""
    if not launched():
        return None
    from torch import nn
    from torch.nn.parallel import DistributedDataParallel

    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.own = nn.ParameterList(model.parameters())  # without the buffers, which are constants

        def forward(self, loss: Tensor) -> Tensor:
            return loss + 0 * self.own[0].sum()  # the averaging begins also if the loss is a constant

    # Most parameters are unused in the last loss: they have their gradients from the losses before it.
    return DistributedDataParallel(Last(), find_unused_parameters=True)
