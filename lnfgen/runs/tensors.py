"""Files of tensors that carry their own checksum, so that damage which leaves a file readable is found as well.

A file is safetensors (https://huggingface.co/docs/safetensors): 8 bytes with the length of the header, a header in
JSON, and the bytes of the tensors. Its metadata hold the SHA-256 of the whole file, taken with zeros in the place of
the checksum itself. A file without one, as older versions wrote it, is read too.
"""

import hashlib
import json
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from lnfgen.errors import RunError

_CHECKSUM = "sha256"
_UNKNOWN = "0" * 64


def serialise(tensors: dict[str, Tensor]) -> bytes:
    """The content of a file that holds these tensors and a checksum."""
    content = save_tensors(
        {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, {_CHECKSUM: _UNKNOWN}
    )
    return content.replace(_UNKNOWN.encode(), hashlib.sha256(content).hexdigest().encode(), 1)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors in a file, on the CPU.

    Raises:
        RunError: if the file is missing or damaged, or its checksum is not that of its content.
    """
    try:
        content = path.read_bytes()
        tensors = load_tensors(content)
        _require_checksum(content)
    except FileNotFoundError as error:
        raise RunError(f"{path} is missing; restore it, or train again") from error
    except (SafetensorError, ValueError, KeyError) as error:
        raise RunError(
            f"{path} is damaged ({error}); expected a whole safetensors file; restore it, or train again"
        ) from error
    return tensors


def require_finite(tensors: dict[str, Tensor], where: Path) -> None:
    """Raise a `RunError`, with `where` and the tensor's name, if one of them holds a NaN or an infinity."""
    for name, value in tensors.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise RunError(f"{where}: {name} is not finite; train again with a smaller learning rate")


def _require_checksum(content: bytes) -> None:
    size = int.from_bytes(content[:8], "little")
    found = json.loads(content[8 : 8 + size]).get("__metadata__", {}).get(_CHECKSUM)
    if found is None:
        return
    unsealed = content.replace(found.encode(), _UNKNOWN.encode(), 1) if len(found) == len(_UNKNOWN) else b""
    if hashlib.sha256(unsealed).hexdigest() != found:
        raise ValueError("its checksum is not that of its content")
