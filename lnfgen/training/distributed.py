"""Training, scoring and sampling in several processes, on one machine or many, which `torchrun` starts.

All processes make the same updates with the same seeds, each on its part of the sequences of every batch, and
DistributedDataParallel adds up their gradients. So N processes make the update that one makes with the whole batch,
up to round-off:

    noise       each process draws the noise of the whole batch, as one would, and keeps that of its own sequences;
                sequences are transposed in the same way
    loss        it is the mean over the batch, so a process with n of its B sequences has the share n / B
    figures     are sums over sequences, added up over the processes
    dropout     is drawn in each process by itself, by the seed, the update and the process

The first process, rank 0, makes what must be made once, and alone writes and prints. Where there is one process, as
without torchrun, the functions here do nothing or just call what they are given.
"""

import re
import warnings
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from lnfgen.conventions import stream_seed
from lnfgen.data.batches import Batch, lengths_of
from lnfgen.errors import LnfgenError, RunError, is_out_of_memory
from lnfgen.models import SequenceModel
from lnfgen.models.sequence_model import Encoded
from lnfgen.training import torchrun as launch

Result = TypeVar("Result")

_LOST = re.compile("gloo|nccl|connection|broken pipe|socket|timed? ?out|store", re.IGNORECASE)
"""What torch says in a process that waits for another one which has ended. Its errors have no class of their own."""


def join() -> None:
    """Join the processes that torchrun has started together with this one, if it has.

    Raises:
        RunError: if they cannot be reached.
    """
    if not launch.launched() or dist.is_initialized():
        return
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and dist.is_nccl_available() else "gloo"
    with _lost_said_plainly():
        store, rank, size = next(rendezvous("env://"))
        dist.init_process_group(backend, store=store, rank=rank, world_size=size)

    def claim() -> bool:
        try:
            return store.add("failed", 1) == 1
        except RuntimeError:  # the store has ended with the process that it was in, and that one has told why
            return False

    launch.claim = claim


def leave() -> None:
    """End what `join` began, when all work is done."""
    if dist.is_initialized():
        launch.claim = launch.is_main
        dist.destroy_process_group()


def place() -> tuple[int, int]:
    """The rank of this process, and the number of processes."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def is_main() -> bool:
    """Whether this is the first process, which alone writes and prints."""
    return place()[0] == 0


@contextmanager
def _lost_said_plainly() -> Iterator[None]:
    """Turn what torch raises in this block when another process has ended into a `RunError` that says so."""
    try:
        yield
    except RuntimeError as error:
        if is_out_of_memory(error) or not _LOST.search(str(error)):
            raise
        found = " ".join(str(error).split())
        raise RunError(
            f"another process of this job has ended, or cannot be reached ({found:.100}); see to what ended it; "
            "a run goes on with: lnfgen train --resume"
        ) from error


# What is made once. ---------------------------------------------------------------------------------------------------


def from_main(make: Callable[[], Result]) -> Result:
    """What `make` gives in the first process, or the error that it raises there, in all processes."""
    if not dist.is_initialized():
        return make()
    outcome: list[Any] = [None, None]
    if is_main():
        try:
            outcome[0] = make()
        except (LnfgenError, OSError) as error:
            outcome[1] = error
    with _lost_said_plainly():
        dist.broadcast_object_list(outcome)
    if outcome[1] is not None:
        raise outcome[1]
    return outcome[0]


def after_main(make: Callable[[], Result]) -> Result:
    """What `make` gives in each process. It is called in the first process, and when that is done, in the others.

    So these may read what the first one has written.
    """
    made: list[Result] = []
    from_main(lambda: made.append(make()))
    return made[0] if made else make()


def on_main(do: Callable[..., None]) -> Callable[..., None]:
    """`do`, which only the first process does."""
    return do if is_main() else lambda *args: None


def require_same(fingerprint: str) -> None:
    """Raise a `RunError` if this process has opened another dataset than the first one."""
    if from_main(lambda: fingerprint) != fingerprint:
        raise RunError(
            f"process {place()[0]} found another dataset than process 0 at the same path; expected the same files on "
            "all machines; copy the dataset folder to each, or use a shared one"
        )


def gathered(value: Result) -> list[Result]:
    """In the first process, the values of all in their order; nothing in the others."""
    if not dist.is_initialized():
        return [value]
    found: list[Any] | None = [None] * place()[1] if is_main() else None
    with _lost_said_plainly():
        dist.gather_object(value, found)
    return found or []


# What is added up. ----------------------------------------------------------------------------------------------------


def summed(values: Tensor) -> Tensor:
    """The sum over all processes; it replaces the values."""
    if dist.is_initialized():
        with _lost_said_plainly():
            dist.all_reduce(values)
    return values


def summed_array(values: np.ndarray) -> np.ndarray:
    """The same of an array."""
    return summed(torch.from_numpy(values)).numpy()


def any_process(yes: bool) -> bool:
    """Whether any process says yes."""
    return bool(summed(torch.tensor(int(yes)))) if dist.is_initialized() else yes


# What is parted. ------------------------------------------------------------------------------------------------------


class Part(NamedTuple):
    """The part of a batch that a process has."""

    batch: Batch
    rows: slice  # its place in the whole batch
    sequences: int  # how many it has; 0 if there are too few, and `batch` then holds one that must not count
    share: float  # its sequences / B


def own_part(batch: Batch) -> Part:
    """The part of this process, cut by `even_cuts` and with no more padding than it needs itself."""
    rank, size = place()
    total = len(batch.indices)
    if size == 1:
        return Part(batch, slice(0, total), total, 1.0)
    rows = even_cuts(batch.lengths.tolist(), size)[rank]
    count = rows.stop - rows.start
    rows = rows if count else slice(0, 1)
    lengths = batch.lengths[rows]
    x = batch.x[rows, : int(lengths.max())].contiguous()
    metres = None if batch.metres is None else batch.metres[rows]
    return Part(Batch(x, lengths, batch.indices[rows], metres), rows, count, count / total)


def even_cuts(lengths: Sequence[int], parts: int) -> list[slice]:
    """Cut a batch into parts of consecutive sequences such that the largest has as few padded steps as possible.

    The sequences of a batch have their lengths in order, so a part has little padding. Some parts may be empty.
    """

    def cut(limit: int) -> list[slice]:
        starts, longest = [0], 0
        for row, length in enumerate(lengths):
            longest = max(longest, length)
            if row > starts[-1] and (row - starts[-1] + 1) * longest > limit:
                starts, longest = [*starts, row], length
        stops = [*starts[1:], len(lengths)]
        return [slice(start, stop) for start, stop in zip(starts, stops, strict=True)]

    limits = range(max(lengths), len(lengths) * max(lengths) + 1)
    found = cut(limits[bisect_left(limits, True, key=lambda limit: len(cut(limit)) <= parts)])
    return found + [slice(0, 0)] * (parts - len(found))


def own_places(sequences: Sequence[np.ndarray]) -> list[int] | None:
    """The places of the sequences that this process, one of N, scores; None where it is alone and scores all.

    All sequences are put in the order of their lengths, and each process takes every N-th one of them, so that all have
    about as much work.
    """
    rank, size = place()
    if size == 1:
        return None
    return np.argsort(lengths_of(sequences), kind="stable")[rank::size].tolist()


def reseed(seed: int, step: int) -> None:
    """Give dropout in this process random numbers of its own, which follow from the update."""
    rank, size = place()
    if size > 1:
        torch.manual_seed(stream_seed(seed, step * size + rank))


class Replica:
    """A model whose gradients DistributedDataParallel averages over the processes.

    It has the parts of a model that the objective calls, and sums the gradients of all passes in this process first.
    `finish` is the last pass, through `encode`; in it the gradients are averaged, also those of the other passes.
    """

    def __init__(self, model: SequenceModel) -> None:
        self.size = dist.get_world_size()
        self.loops_to_score = model.loops_to_score
        # Of `finish`, most parameters are unused: they have their gradients from the passes before it.
        with _lost_said_plainly(), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # newer torch has another word for `broadcast_buffers`
            self._parts = DistributedDataParallel(_Parts(model), broadcast_buffers=False, find_unused_parameters=True)

    def encode(self, *arguments: Any) -> Encoded:
        return self._summed_here("encode", *arguments)

    def kl(self, *arguments: Any) -> Tensor:
        return self._summed_here("kl", *arguments)

    def reconstruction(self, *arguments: Any) -> tuple[Tensor, Tensor | None]:
        return self._summed_here("reconstruction", *arguments)

    def _summed_here(self, part: str, *arguments: Any) -> Any:
        with self._parts.no_sync():
            return self._parts(part, *arguments)

    def finish(self, encoded: Encoded, gradients: Sequence[Tensor | None]) -> None:
        """Go back from the results of `encode`, whose gradients are known, and average all gradients."""
        with _lost_said_plainly():
            outputs = self._parts(None, *encoded)
            torch.autograd.backward(outputs, [*gradients, None])


class _Parts(nn.Module):
    """The parts of a model behind one `forward`, which is what DistributedDataParallel follows."""

    def __init__(self, model: SequenceModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, part: str | None, *arguments: Any) -> Any:
        if part is not None:
            return getattr(self.model, part)(*arguments)
        # A gradient of 0, so that the averaging begins also where `encode` has no results.
        return *arguments, 0 * next(self.model.parameters()).sum()


def replica_of(model: SequenceModel) -> Replica | None:
    """The model as one of several processes trains it; None where there is one process."""
    return Replica(model) if dist.is_initialized() else None
