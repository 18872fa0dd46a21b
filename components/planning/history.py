"""Questions to the ledger about what was: which models and stages it knows, and what a run did."""

from typing import TypeVar

from components.planning.ledger import Ledger, Record

T = TypeVar("T")


def models(ledger: Ledger) -> list[str]:
    """Return the models that any stage was run for."""
    return sorted(_texts(ledger, "SELECT DISTINCT model FROM uses"))


def released(ledger: Ledger) -> list[str]:
    """Return the models that have a release."""
    return sorted(_texts(ledger, "SELECT DISTINCT model FROM releases"))


def labels(ledger: Ledger, model: str) -> list[str]:
    """Return the stages that the model's runs went through, with the names of their candidates."""
    return _texts(ledger, "SELECT label FROM uses WHERE model = ? GROUP BY label ORDER BY min(at)", model)


def latest_run(ledger: Ledger, model: str) -> str | None:
    """Return the model's run that did something last, or None where there is none."""
    return next(iter(_texts(ledger, _LATEST, model, model)), None)


def model_of(ledger: Ledger, run: str) -> str | None:
    """Return whose run that is, or None where no run of that id did anything."""
    return next(iter(_texts(ledger, _MODEL, run, run)), None)


def began(ledger: Ledger, run: str) -> float:
    """Return when a run's first stage ended, in seconds since 1970: infinity where it did none."""
    return min(map(float, _texts(ledger, "SELECT at FROM records WHERE run = ?", run)), default=float("inf"))


def results(ledger: Ledger, stage: str) -> list[Record]:
    """Return everything that is recorded of a stage, whatever the model, the latest first."""
    keys = _texts(ledger, "SELECT key FROM records WHERE stage = ? ORDER BY at DESC", stage)
    return [record for key in keys if (record := ledger.record(key))]


def models_of(ledger: Ledger, key: str) -> list[str]:
    """Return the models whose runs used what is recorded under the key."""
    return sorted(_texts(ledger, "SELECT DISTINCT model FROM uses WHERE key = ?", key))


def outputs_as(record: Record, kind: type[T]) -> T:
    """Return of the recorded outputs what the type asks for. What else is there, or is no longer, doesn't matter.

    A stage's own type changes with its code; what a later version of it wants to know of the past must not.
    """
    from pydantic import TypeAdapter

    return TypeAdapter(kind).validate_python(record.outputs)


_LATEST = """
    SELECT run FROM (SELECT run, at FROM runs WHERE model = ? UNION ALL SELECT run, at FROM records WHERE model = ?)
    AS acts WHERE run != '' ORDER BY at DESC LIMIT 1
"""
_MODEL = "SELECT model FROM runs WHERE run = ? UNION SELECT model FROM records WHERE run = ? LIMIT 1"


def _texts(ledger: Ledger, query: str, *values: str) -> list[str]:
    if not ledger.database.exists():  # a question makes no file
        return []
    return [str(row[0]) for row in ledger.database.ask(query, values)]
