"""What the parent and its processes hand to each other: a folder of files.

job.json, model/, train/ and validation/ go in; fitted.safetensors comes out, or refused.json, or lost.RANK.json.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from components.errors import Problem, Refusal
from components.memory import Memory
from components.models.model import Model, ModelSpec, save
from components.models.tensors import write_bytes
from components.training.distributed.rows import write_rows
from components.training.examples import Dataset
from components.training.job import Job

JOB: Final = "job.json"
MODEL: Final = "model"
TRAIN: Final = "train"
VALIDATION: Final = "validation"
FITTED: Final = "fitted.safetensors"  # the best weights, with how it went as the note
REFUSED: Final = "refused.json"
LOGS: Final = "logs"
MEETING: Final = "meeting"  # the file by which the processes find each other


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """A job with what its parent has found already: the kind of device, and the fingerprint."""

    job: Job
    device: str
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Lost:
    """How one process was lost. `code` is its exit code, or the negative number of the signal that ended it."""

    rank: int
    code: int = 1
    at: float = 0.0  # seconds since 1970; 0: it had no time to say
    short_of: Memory | None = None

    @property
    def killed(self) -> bool:
        """Whether a signal ended it."""
        return self.code < 0


def write_work(work: Work, folder: Path, *, model: Model, spec: ModelSpec, train: Dataset, validation: Dataset) -> None:
    """Write all that the processes need."""
    save(model, spec, folder / MODEL)
    write_rows(train, folder / TRAIN)
    write_rows(validation, folder / VALIDATION)
    write_bytes(folder / JOB, TypeAdapter(Work).dump_json(work))


def read_work(folder: Path) -> Work:
    """Return what the parent wrote."""
    return TypeAdapter(Work).validate_json((folder / JOB).read_bytes())


def write_refusal(refusal: Refusal, folder: Path) -> None:
    """Leave the refusal for the parent. Several processes may say the same."""
    write_bytes(folder / REFUSED, json.dumps([asdict(problem) for problem in refusal.problems]).encode())


def read_refusal(folder: Path) -> Refusal | None:
    """Return what a process refused, if one did."""
    path = folder / REFUSED
    return Refusal(TypeAdapter(list[Problem]).validate_json(path.read_bytes())) if path.exists() else None


def write_lost(losses: Iterable[Lost], folder: Path, *, by: str) -> None:
    """Leave word of lost processes: one that can still speak for itself, torchrun for those that it found."""
    write_bytes(folder / f"lost.{by}.json", TypeAdapter(list[Lost]).dump_json(list(losses)))


def read_lost(folder: Path) -> list[Lost]:
    """Return all that was said of lost processes."""
    said = [TypeAdapter(list[Lost]).validate_json(path.read_bytes()) for path in sorted(folder.glob("lost.*.json"))]
    return [loss for losses in said for loss in losses]
