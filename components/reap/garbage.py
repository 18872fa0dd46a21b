"""What nothing live refers to, and from which age on it is looked at at all."""

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal[
    "requests",
    "processes",
    "runs",
    "results",
    "checkpoints",
    "objects",
    "copies",
    "folders",
    "uploads",
    "work",
    "temporary",
    "downloads",
    "data",
    "flow runs",
]
MEANING: Final[dict[Kind, str]] = {
    "requests": "in Prefect for stages that no process began, of runs that are gone: cancelled",
    "processes": "of workers, for a run that is gone",
    "runs": "of MLflow, without an end though nobody works at them: marked as killed",
    "results": "of stages, last used longer ago than is kept",
    "checkpoints": "of stages that were killed",
    "objects": "of the store, which no result and no release needs",
    "copies": "of such objects on this machine",
    "folders": "of the store, laid out for reading",
    "uploads": "to the store, begun and not ended",
    "work": "folders of stages that were killed",
    "temporary": "files of workers",
    "downloads": "of data sets by URL, last used longer ago than is kept",
    "data": "versions of data sets in the DVC remote",
    "flow runs": "of Prefect, ended longer ago than is kept, with their logs",
}
DAY: Final = 86_400.0
GRACE_SECONDS: Final = DAY
CLOCKS_SECONDS: Final = 3600.0  # by which clocks of machines, and of the ledger, may differ


@dataclass(frozen=True, slots=True)
class Garbage:
    """One thing that may go."""

    kind: Kind
    name: str  # a digest, a key, a path, an id
    size_bytes: int | None  # None: a row, a process
    at: float  # when it was made or last used, in seconds since 1970
    note: str = ""  # for a person


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """From which age on things may go. Nothing goes that came, or was used, while a run that lives now was at work."""

    now: float  # seconds since 1970
    keep_seconds: float
    oldest_run: float | None = None  # when the run that lives the longest began

    def __post_init__(self) -> None:
        if self.keep_seconds < GRACE_SECONDS:
            raise ValueError("keep_seconds is less than a day")

    @property
    def used_before(self) -> float:
        """Results that were last used before that are old."""
        return self._before_runs(self.now - self.keep_seconds)

    @property
    def made_before(self) -> float:
        """What was made before that, and is recorded nowhere, won't be recorded any more."""
        return self._before_runs(self.now - GRACE_SECONDS)

    def _before_runs(self, at: float) -> float:
        return at if self.oldest_run is None else min(at, self.oldest_run - CLOCKS_SECONDS)
