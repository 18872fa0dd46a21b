"""The results of stages in the ledger: listed in pages, and forgotten one by one where nobody uses them again."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from components.database.database import repeated
from components.planning.ledger import LOCK_RECORD, Ledger
from components.reap.marking import INGEST, SPLIT, Result

PAGE: Final = 1000
GOING: Final = "going"  # the stage, and the beginning of the key, of what stays only until its data is gone


def results_of(ledger: Ledger) -> Iterator[Result]:
    """Yield what is recorded, by key."""
    after = ""
    while rows := ledger.database.ask(_PAGE, (after, PAGE)):
        for key, stage, label, model, outputs, stamps, at, used in rows:
            told = json.loads(outputs) if stage in (INGEST, SPLIT, GOING) else {}
            blobs = json.loads(stamps)
            yield Result(
                key=key,
                stage=stage,
                label=label,
                model=model,
                used=max(at, used or 0.0),
                digests=tuple(blobs),
                size_bytes=sum(size for size, _ in blobs.values()),
                going=stage == GOING,
                **_about_data(stage, told),
            )
        after = rows[-1][0]


def _about_data(stage: str, outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return which data set a result is about. What an older version of the stage didn't say stays empty."""
    if stage in (INGEST, GOING):
        return {"data": _digest(outputs.get("folder")), "dvc_md5": outputs.get("dvc_md5") or ""}
    if stage == SPLIT:
        data = (outputs.get("dataset") or {}).get("folder")
        return {"data": _digest(data), "assignments": _digest(outputs.get("assignments"))}
    return {}


def _digest(artifact: Mapping[str, Any] | None) -> str:
    return str((artifact or {}).get("digest") or "")


@repeated
def forget(ledger: Ledger, key: str, *, used_before: float, data_stays: bool = False) -> bool:
    """Remove a result, unless it was used meanwhile: False.

    With `data_stays` nobody finds it any more, but it is still listed, as `going` and without blobs: a removal of its
    data that is put off, or is broken off, would else be forgotten too.
    The row is taken first. Who uses the result takes it too, and so either this sees that use, or they find nothing.
    """
    with ledger.transaction() as connection:
        connection.execute(LOCK_RECORD, (key,))
        if data_stays:  # it may have been taken in again since it went the last time
            connection.execute("DELETE FROM records WHERE key = ?", (f"{GOING} {key}",))
        values = (key, used_before, used_before)
        gone = (
            connection.execute(_LEAVE, (GOING, GOING, *values)) if data_stays else connection.execute(_FORGET, values)
        )
        if gone.rowcount == 0:
            return connection.execute("SELECT 1 FROM records WHERE key = ?", (key,)).fetchone() is None
        connection.execute("DELETE FROM uses WHERE key = ?", (key,))
    return True


_PAGE = """
    SELECT key, stage, label, model, outputs, stamps, at, (SELECT max(at) FROM uses WHERE uses.key = records.key)
    FROM records WHERE key > ? ORDER BY key LIMIT ?
"""
_FORGET = """
    DELETE FROM records WHERE key = ? AND at < ?
    AND NOT EXISTS (SELECT 1 FROM uses WHERE uses.key = records.key AND uses.at >= ?)
"""
_LEAVE = """
    UPDATE records SET key = ? || ' ' || key, stage = ?, stamps = '{}' WHERE key = ? AND at < ?
    AND NOT EXISTS (SELECT 1 FROM uses WHERE uses.key = records.key AND uses.at >= ?)
"""
