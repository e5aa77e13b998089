"""A whole loop over time as one CUDA graph. A GPU then gets all its kernels by one call of the host.

A step of such a loop is some dozens of small kernels, and a GPU computes each faster than the host can ask for it. A
graph is the list of kernels of a loop, captured once, and replayed on other numbers in the same memory.

A graph is for one shape: rows, steps, features. So steps are padded to a multiple of `STEPS`, which makes few shapes.
The loop is causal, so what is added does not change the steps before. A shape is captured when it is used again.

A wrong graph gives wrong numbers without an error. Therefore:

- The loop is first run where reading a number is an error. A loop that does, as one that solves equations by rounds,
  is never captured. Its capture would fail, which leaves the allocator in disorder before torch 2.12 (its pull request
  180395).
- The first replay must give the bits of the loop, for numbers that the capture has not seen. If it does not, or if the
  capture fails, a warning says so once, and the loops of this flow run as they are written from then on.
- A graph reads weights from where they were. What the steps lay out of them is computed in the graph, and graphs are
  dropped when a weight has moved or changed. It also reads the constants of `transforms.bounds`, which stay.

Source: https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
"""

import warnings
from collections.abc import Callable
from threading import Lock
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.utils._python_dispatch import TorchDispatchMode

from lnfgen.nn.stepper import Loop

STEPS = 64
"""Steps are padded to multiples of this. A larger number makes fewer graphs, and more steps that nobody needs."""

MOST_STEPS, MOST_ROW_STEPS = 1024, 1 << 15
"""A loop of more steps, or of more rows times steps, is not captured: a graph keeps all the memory that it uses."""

MOST_GRAPHS = 8
"""Of one flow. Further shapes are not captured: to drop one graph for another would capture again and again."""

READING = torch.ops.aten._local_scalar_dense.default
"""What torch calls for `item()` and `bool(...)`."""

Outcome = tuple[Tensor, Tensor]


class Graph(Protocol):
    """What captures work on a kind of device."""

    def __init__(self, device: torch.device) -> None: ...

    def capture(self, work: Callable[[], Outcome]) -> Outcome:
        """The tensors that `replay` fills. It may raise a RuntimeError."""

    def replay(self) -> None: ...


class GraphOnCUDA:
    """A `Graph` on an NVIDIA GPU."""

    def __init__(self, device: torch.device) -> None:
        self._device, self._graph = device, torch.cuda.CUDAGraph()

    def capture(self, work: Callable[[], Outcome]) -> Outcome:
        # A capture needs another stream. If it fails, torch does not go back to the one before, so the second context
        # does. What other threads ask of the device is no part of it and does not disturb it.
        with (
            torch.cuda.device(self._device),
            torch.cuda.stream(torch.cuda.current_stream(self._device)),
            torch.cuda.graph(self._graph, stream=torch.cuda.Stream(self._device), capture_error_mode="thread_local"),
        ):
            return work()

    def replay(self) -> None:
        with torch.cuda.device(self._device):
            self._graph.replay()


GRAPHS: dict[str, type[Graph]] = {"cuda": GraphOnCUDA}
"""How work is captured on each type of device. On others, loops run as they are written."""


def captured(loop: Loop, module: nn.Module, x: Tensor, known: Tensor) -> Outcome:
    """`loop(x, known)`, from a graph if there is one. The loop is one of the module, and depends on nothing else.

    A module has one such loop. Gradients, dropout and autocast are not supported.
    """
    graph, num_steps = GRAPHS.get(x.device.type), x.shape[1]
    padded = -(-num_steps // STEPS) * STEPS
    if graph is None or padded > MOST_STEPS or padded * len(x) > MOST_ROW_STEPS:
        return loop(x, known)
    # The loop gets this too, because products of other numbers of rows can round otherwise. So a sample has the same
    # bits whether it comes from the loop or from a graph.
    known = pad(known, (0, 0, 0, padded - num_steps))
    graphs = _of_module.setdefault(module, _Graphs(graph))
    with torch.inference_mode(False), torch.no_grad():  # so that memory that is kept can be written to in any mode
        return graphs.run(loop, module, x, known) or loop(x, known)


class _Graphs:
    """The graphs of a module, by shape."""

    def __init__(self, graph: type[Graph]) -> None:
        self._graph = graph
        self._seen: set[tuple[object, ...]] = set()
        self._replays: dict[tuple[object, ...], _Replay] = {}
        self._weights: list[tuple[int, int]] = []
        self._lock = Lock()  # two threads must not write to the same memory
        self._gave_up = False

    def run(self, loop: Loop, module: nn.Module, x: Tensor, known: Tensor) -> Outcome | None:
        """What the loop gives, or None if it must run as it is written."""
        with self._lock:
            weights = [(weight.data_ptr(), _version(weight)) for weight in (*module.parameters(), *module.buffers())]
            if weights != self._weights:
                self._seen.clear()
                self._replays.clear()
                self._weights = weights
            shape = (len(x), x.shape[2], *known.shape[1:], x.dtype, known.dtype, x.device)
            replay = self._replays.get(shape)
            if replay is not None:
                return replay.run(x, known)
            if self._gave_up or len(self._replays) == MOST_GRAPHS or shape not in self._seen:
                self._seen.add(shape)
                return None
            return self._capture(shape, loop, x, known)

    def _capture(self, shape: tuple[object, ...], loop: Loop, x: Tensor, known: Tensor) -> Outcome | None:
        num_steps = x.shape[1]
        x = pad(x, (0, 0, 0, known.shape[1] - num_steps))
        self._gave_up = True
        try:
            with _NoReading():
                expected = loop(x, known)
        except _ReadingError:
            return None
        try:
            replay = _Replay(self._graph(x.device), loop, x, known)
            same = all(torch.equal(*pair) for pair in zip(replay.run(x, known), expected, strict=True))
            problem = "" if same else "its values differ"
        except RuntimeError as error:
            problem = str(error).partition("\n")[0]
        if problem:
            warnings.warn(f"a loop over time runs without a CUDA graph, so more slowly: {problem}", stacklevel=2)
        else:
            self._replays[shape], self._gave_up = replay, False
        return _copied(expected, num_steps)


class _Replay:
    """A graph and the memory that it reads and writes."""

    def __init__(self, graph: Graph, loop: Loop, x: Tensor, known: Tensor) -> None:
        """x has as many steps as `known`. Their values are not read."""
        self._graph = graph
        self._x, self._known = read = torch.zeros_like(x), torch.zeros_like(known)
        self._outcome = graph.capture(lambda: loop(*read))

    def run(self, x: Tensor, known: Tensor) -> Outcome:
        num_steps = x.shape[1]
        self._x[:, :num_steps] = x  # what is left of earlier numbers comes after these
        self._known.copy_(known)
        self._graph.replay()
        return _copied(self._outcome, num_steps)


class _NoReading(TorchDispatchMode):
    """Within it, on this thread, reading a number of a tensor raises `_ReadingError`."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is READING:
            raise _ReadingError
        return func(*args, **(kwargs or {}))


class _ReadingError(Exception):
    """A loop has read a number."""


def _copied(outcome: Outcome, num_steps: int) -> Outcome:
    values, ladjs = outcome
    return values[:, :num_steps].clone(), ladjs[:, :num_steps].clone()


def _version(weight: Tensor) -> int:
    """How often it was changed in place; tensors of inference mode do not count."""
    return 0 if weight.is_inference() else weight._version


_of_module: WeakKeyDictionary[nn.Module, _Graphs] = WeakKeyDictionary()
