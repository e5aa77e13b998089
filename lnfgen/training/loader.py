"""Batches made ahead: while a GPU computes, a thread makes the next ones in pinned memory."""

import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch

from lnfgen.data.batches import Batch

AHEAD = 2
"""So many batches wait, ready to be sent."""


@contextmanager
def prefetched(batches: Iterable[Batch], device: torch.device) -> Iterator[Iterator[Batch]]:
    """The same batches in the same order. On a CPU they are made when they are asked for, as a thread would take turns
    with the computation. An error in making one is raised where it is asked for."""
    if device.type == "cpu":
        yield iter(batches)
        return
    ready: queue.Queue[Batch | BaseException | None] = queue.Queue(AHEAD)
    left = threading.Event()

    def put(item: Batch | BaseException | None) -> None:
        while not left.is_set():
            try:
                return ready.put(item, timeout=0.1)
            except queue.Full:
                continue

    def make() -> None:
        try:
            for batch in batches:
                put(batch)
                if left.is_set():
                    return
            put(None)
        except BaseException as error:  # it must reach the thread that waits for a batch
            put(error)

    def taken() -> Iterator[Batch]:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    thread = threading.Thread(target=make, name="batches", daemon=True)
    thread.start()
    try:
        yield taken()
    finally:
        left.set()
        thread.join()
