"""What one look of `doctor` found."""

from dataclasses import dataclass
from typing import Literal

from components.errors import Refusal

State = Literal["ok", "note", "bad"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What one look found. `bad`: it has to be mended before a run can work."""

    name: str
    state: State
    detail: str
    fact: str = ""  # what of it has to be the same in every process of a run; "" is nothing
    pool: str = ""  # whose worker has looked; "" is this process


def bad(name: str, error: Refusal | OSError, needed: str = "") -> Finding:
    """Return what failed, and who needs it."""
    said = ": ".join(filter(None, [error.filename, error.strerror])) if isinstance(error, OSError) else str(error)
    told = " ".join(said.split())
    return Finding(name=name, state="bad", detail=f"{told}{needed}")
