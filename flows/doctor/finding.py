"""What one look of `doctor` found."""

from dataclasses import dataclass, replace
from typing import Literal

from components.errors import GO_ON, Refusal

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
    if isinstance(error, OSError):
        said = " ".join(": ".join(filter(None, [error.filename, error.strerror])).split())
    else:
        said = _said(error)
    return Finding(name=name, state="bad", detail=f"{said}{needed}")


def _said(refusal: Refusal) -> str:
    """Return what a refusal says as one line, without that runs go on: none is at work."""
    ours = (replace(one, do=one.do.removesuffix(GO_ON).rstrip("; ")) for one in refusal.problems)
    return "; ".join(" ".join(line.split()) for one in ours for line in str(one).splitlines())
