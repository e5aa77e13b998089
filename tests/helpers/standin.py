"""A device that is not there, to see on a CPU where a program would wait for a GPU.

torch takes `standin` for an accelerator. Its tensors are kept on the CPU and computed there, so values are true, but a
tensor of it is not a tensor of the host: the two do not mix, and what passes from one to the other is counted.
"""

import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode

from lnfgen.transforms.bounds import _constant

NAME = "standin"
LISTS = (tuple, list)
aten = torch.ops.aten

READS = {
    aten._local_scalar_dense.default: "a number read",
    aten.equal.default: "a comparison read",
    aten.nonzero.default: "positions found",
    aten.masked_select.default: "elements chosen by a mask",
    aten._unique2.default: "distinct elements",
    aten.unique_dim.default: "distinct elements",
    aten.repeat_interleave.Tensor: "a size read",
}
"""Operations whose result has a size or a value that the host must know, so it waits until the device has it."""


class OnDevice(Tensor):
    """A tensor of the device; `held` is the tensor on the CPU that holds its values."""

    held: Tensor

    @staticmethod
    def __new__(cls, real: Tensor) -> "OnDevice":
        if real.dtype == torch.float64:
            raise TypeError("the stand-in device has no float64, as GPUs of Apple have none")
        made = Tensor._make_wrapper_subclass(
            cls,
            real.size(),
            strides=real.stride(),
            storage_offset=real.storage_offset(),
            dtype=real.dtype,
            device=torch.device(NAME, 0),
        )
        made.held = real
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise AssertionError(f"{func} on the stand-in device outside of `standin`")

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def __repr__(self, **_: Any) -> str:
        return f"OnDevice({self.held!r})"


class Waits(TorchDispatchMode):
    """Computes on the stand-in device, and counts by place what the host would wait for."""

    def __init__(self) -> None:
        super().__init__()
        self.places: Counter[str] = Counter()
        self._pinned: list[Tensor] = []
        self._without_parts: set[Any] = set()

    @property
    def count(self) -> int:
        return self.places.total()

    def _wait(self, what: str) -> None:
        frames = [frame for frame in traceback.extract_stack() if "/lnfgen/" in frame.filename]
        where = f"{frames[-1].filename.rsplit('/lnfgen/')[-1]}:{frames[-1].lineno}" if frames else "?"
        self.places[f"{where}: {what}"] += 1

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if torch.is_inference_mode_enabled():  # where operations come whole, not in the parts that are counted
            with torch.inference_mode(False), torch.no_grad(), self:
                return func(*args, **kwargs)
        if func not in self._without_parts:
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
            self._without_parts.add(func)
        flat = _tensors([*args, *kwargs.values()])
        here = [value for value in flat if isinstance(value, OnDevice)]
        host = [value for value in flat if not isinstance(value, OnDevice)]
        if func is aten.is_pinned.default:
            return any(args[0] is pinned for pinned in self._pinned)
        if func is aten._pin_memory.default:
            self._pinned.append(args[0].clone())
            return self._pinned[-1]
        asked = kwargs.get("device")
        on_device = bool(here) if asked is None else torch.device(asked).type == NAME
        if func in (aten._to_copy.default, aten.copy_.default):
            self._copied(func, args, kwargs, on_device)
        elif here:
            self._computed(func, args, here, host)
        if asked is not None:
            kwargs["device"] = torch.device("cpu")
        if kwargs.get("pin_memory"):
            kwargs["pin_memory"] = False
        by_held = {id(value.held): value for value in here}
        real = _replaced((args, kwargs), OnDevice, lambda value: value.held)
        result = func(*real[0], **real[1])
        if not on_device or (func is aten.copy_.default and not isinstance(args[0], OnDevice)):
            return result
        return _replaced(result, Tensor, lambda t: by_held[id(t)] if id(t) in by_held else OnDevice(t))

    def _copied(self, func: Any, args: Any, kwargs: Any, on_device: bool) -> None:
        target_here = isinstance(args[0], OnDevice) if func is aten.copy_.default else on_device
        source = args[1] if func is aten.copy_.default else args[0]
        unhurried = kwargs.get("non_blocking") or (func is aten.copy_.default and len(args) > 2 and args[2])
        if isinstance(source, OnDevice) and not target_here:
            self._wait("a copy to the host")
        elif target_here and not isinstance(source, OnDevice):
            self._sent(source, unhurried)

    def _sent(self, source: Tensor, unhurried: bool) -> None:
        if not (unhurried and any(source is pinned for pinned in self._pinned)):
            self._wait("a copy from the host")

    def _computed(self, func: Any, args: Any, here: list[OnDevice], host: list[Tensor]) -> None:
        if func in READS:
            self._wait(READS[func])
        indexed = func in (aten.index.Tensor, aten.index_put.default, aten.index_put_.default)
        if indexed and any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1]):
            self._wait("an index that is a mask")
        if indexed and host:
            self._wait("an index on the host")
        elif any(value.dim() for value in host):
            raise RuntimeError(f"{func}: expected all tensors on one device; found {[*map(_kind, here + host)]}")
        elif func in (aten.where.self, aten.masked_fill.Tensor, aten.masked_fill_.Tensor) and host:
            self._wait("a number from the host")


def _kind(value: Tensor) -> str:
    return f"{value.device.type}{list(value.shape)}"


def _tensors(values: Any) -> list[Tensor]:
    """Those in what an operation is given. torch's own tools for this take half of the time of all that is counted."""
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, LISTS):
            found += _tensors(value)
    return found


def _replaced(values: Any, kind: type[Tensor], change: Callable[[Any], Tensor]) -> Any:
    """The same, with each tensor of a kind changed."""
    if isinstance(values, kind):
        return change(values)
    if isinstance(values, LISTS):
        return type(values)(_replaced(value, kind, change) for value in values)
    if isinstance(values, dict):
        return {name: _replaced(value, kind, change) for name, value in values.items()}
    return values


class _Module:
    """What torch asks of the module of a device."""

    @staticmethod
    def is_available() -> bool:
        return True

    @staticmethod
    def device_count() -> int:
        return 1

    @staticmethod
    def current_device() -> int:
        return 0

    @staticmethod
    def is_autocast_enabled() -> bool:
        return False

    @staticmethod
    def get_amp_supported_dtype() -> list[torch.dtype]:
        return [torch.bfloat16]

    @staticmethod
    def _is_in_bad_fork() -> bool:
        return False

    @staticmethod
    def manual_seed_all(seed: int) -> None: ...


class _Generator(torch.Generator):
    """A generator on the CPU that says it is on the stand-in device, if it was asked for there."""

    def __new__(cls, device: Any = "cpu") -> "_Generator":
        made = super().__new__(cls, "cpu")
        made.asked = torch.device(device)
        return made

    @property
    def device(self) -> torch.device:
        return self.asked


def _lstm_cell(x: Tensor, state: Any, *weights: Tensor) -> tuple[Tensor, Tensor]:
    """`torch.lstm_cell` of plain operations, for the kernel that torch calls here exists on a GPU alone."""
    (hidden, cell), (of_x, of_hidden, bias, other_bias) = state, weights
    gates = x @ of_x.t() + bias + hidden @ of_hidden.t() + other_bias
    inward, forget, candidate, outward = gates.chunk(4, -1)
    cell = torch.sigmoid(forget) * cell + torch.sigmoid(inward) * torch.tanh(candidate)
    return torch.sigmoid(outward) * torch.tanh(cell), cell


def _lstm(x: Tensor, state: Any, weights: Any, *_: Any) -> tuple[Tensor, Tensor, Tensor]:
    """`torch._VF.lstm` of one layer, batch first."""
    hidden, cell, outputs = state[0][0], state[1][0], []
    for step in x.unbind(1):
        hidden, cell = _lstm_cell(step, (hidden, cell), *weights)
        outputs.append(hidden)
    return torch.stack(outputs, 1), hidden[None], cell[None]


_plain_tensor = torch.tensor


def _tensor(values: Any, *, dtype: torch.dtype | None = None, device: Any = None) -> Tensor:
    """`torch.tensor`, which no mode sees. It makes a tensor on the host, and copies it."""
    made = _plain_tensor(values, dtype=dtype)
    return made if device is None else made.to(device)


_registered: list[bool] = []


@contextmanager
def standin(monkeypatch: pytest.MonkeyPatch) -> Iterator[Waits]:
    """Within it, `torch.device("standin")` exists. Tensors of it must not leave."""
    set_up = getattr(backend_registration, "_setup_privateuseone_for_python_backend", None)
    if set_up is None:
        pytest.skip("this torch cannot have a device in Python")
    if not _registered:
        set_up(NAME, _Module())
        _registered.append(True)
    monkeypatch.setattr(torch, "Generator", _Generator)
    monkeypatch.setattr(torch, "tensor", _tensor)
    monkeypatch.setattr(torch, "lstm_cell", _lstm_cell)
    monkeypatch.setattr(torch.nn.modules.rnn._VF, "lstm", _lstm)
    _constant.cache_clear()
    try:
        with Waits() as waits:
            yield waits
    finally:
        _constant.cache_clear()
