"""Named tensors in one safetensors file with a small JSON beside them in its header, replaced atomically."""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from components.errors import refuse

COPIES: Final = 2  # of what is written, in memory at the least while it is: the tensors', and the file's content


def write_bytes(path: Path, content: bytes) -> None:
    """Write the file so that a reader sees the old content or the new one, never a part, also after a crash.

    Raises:
        Refusal: it can't be written, say because the disk is full; what was there before is left.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise refuse(
            f"can't write {len(content)} bytes: {error}", where=str(path), do="make room, or mend the folder"
        ) from error


def write_tensors(path: Path, tensors: Mapping[str, Tensor], *, note: object = None) -> None:
    """Write tensors by name, and `note` (anything JSON can hold) in the header. Equal input gives equal bytes."""
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    write_bytes(path, save(plain, metadata={"note": json.dumps(note, sort_keys=True)}))


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of the file, on the CPU."""
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, FileNotFoundError) as error:
        raise refuse(f"can't read tensors: {error}", where=str(path), do="make the file again") from error


def read_note(path: Path) -> object:
    """Return what `write_tensors` was given as `note`."""
    try:
        with safe_open(path, framework="pt") as file:
            note: object = json.loads((file.metadata() or {}).get("note", "null"))
            return note
    except (SafetensorError, FileNotFoundError) as error:
        raise refuse(f"can't read tensors: {error}", where=str(path), do="make the file again") from error


def same_layout(tensor: Tensor, like: Tensor) -> Tensor:
    """Return the tensor on the device and in the memory layout of another one of its shape."""
    return torch.empty_like(like, dtype=tensor.dtype).copy_(tensor)
