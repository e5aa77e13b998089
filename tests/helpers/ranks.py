"""Several processes as torchrun starts them, forked from this one, because loading torch takes long."""

import multiprocessing
import os
import pickle
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SECONDS = 300
"""Processes that take longer hang, and fail the test."""


def in_ranks(count: int, do: Callable[..., Any], *args: Any) -> list[Any]:
    """What `do(*args)` returns in each of `count` processes, by rank; None where a process ended without."""
    import torch._dynamo  # noqa: F401  # DistributedDataParallel needs it, and each process would load it

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory() as folder:
        results = [Path(folder) / str(rank) for rank in range(count)]
        processes = []
        for rank, result in enumerate(results):
            place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
            place |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "test"}
            processes.append(context.Process(target=_run, args=(place, result, do, args)))
            processes[-1].start()
        end = time.monotonic() + SECONDS
        for process in processes:
            process.join(max(0.0, end - time.monotonic()))
        hung = [process for process in processes if process.is_alive()]
        for process in hung:
            process.kill()
        assert not hung
        return [pickle.loads(result.read_bytes()) if result.exists() else None for result in results]


def _run(place: dict[str, Any], result: Path, do: Callable[..., Any], args: tuple[Any, ...]) -> None:
    os.environ.update({name: str(value) for name, value in place.items()})
    result.write_bytes(pickle.dumps(do(*args)))
