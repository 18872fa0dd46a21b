"""Results in the ledger: listed as they are, and forgotten unless somebody uses them meanwhile."""

import threading
import time
from pathlib import Path

import pytest

from components.database.database import Connection
from components.planning.history import results
from components.planning.key import Json
from components.planning.ledger import Ledger, Record, ledger_at
from components.reap import recorded
from components.reap.recorded import forget, results_of
from components.store.artifact import Stamp

AGO = 1000.0


@pytest.fixture
def ledger(address: Path | str) -> Ledger:
    return ledger_at(address)


def record(ledger: Ledger, key: str, *, stage: str = "train", outputs: Json = None, ago: float = 0.0) -> None:
    """Record something, as if that had been so many seconds ago."""
    lease = ledger.acquire(key, seconds=5)
    assert lease is not None
    one = Record(
        key=key,
        stage=stage,
        label=stage,
        model="m",
        run="r",
        outputs=outputs,
        stamps={"d" * 64: Stamp(3, "17"), "e" * 64: Stamp(4, "17")},
        parts={},
        seconds=1.0,
        at=time.time() - ago,
    )
    ledger.commit(lease, one)
    ledger.database.change("UPDATE uses SET at = at - ? WHERE key = ?", (ago, key))


def test_results_are_listed_in_pages_with_what_they_name(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded, "PAGE", 2)
    folder = {"digest": "f" * 64, "kind": "folder"}
    record(ledger, "1", stage="ingest", outputs={"folder": folder, "dvc_md5": "a.dir"})
    record(ledger, "2", stage="split", outputs={"dataset": {"folder": folder}, "assignments": {"digest": "a" * 64}})
    record(ledger, "3", ago=AGO)
    found = {one.key: one for one in results_of(ledger)}
    assert list(found) == ["1", "2", "3"]
    assert (found["1"].data, found["1"].dvc_md5) == ("f" * 64, "a.dir")
    assert (found["2"].data, found["2"].assignments) == ("f" * 64, "a" * 64)
    assert (set(found["3"].digests), found["3"].size_bytes) == ({"d" * 64, "e" * 64}, 7)
    assert found["3"].used == pytest.approx(time.time() - AGO, abs=5)
    ledger.note_use("other", "train", "3")
    assert {one.key: one for one in results_of(ledger)}["3"].used == pytest.approx(time.time(), abs=5)


def test_what_is_old_is_forgotten_with_its_uses_and_what_was_used_since_is_not(ledger: Ledger) -> None:
    record(ledger, "old", ago=AGO)
    record(ledger, "used", ago=AGO)
    assert ledger.note_use("other", "train", "used")
    before = ledger.now() - AGO / 2
    assert forget(ledger, "old", used_before=before)
    assert not forget(ledger, "used", used_before=before)
    assert forget(ledger, "never there", used_before=before)
    assert [one.key for one in results_of(ledger)] == ["used"]
    assert {key for (key,) in ledger.database.ask("SELECT key FROM uses")} == {"used"}


def test_a_result_whose_data_stays_is_found_by_nobody_and_still_says_which_data_that_is(ledger: Ledger) -> None:
    before = ledger.now() - AGO / 2
    for _ in range(2):  # it is taken in again before its data is gone
        record(ledger, "k", stage="ingest", outputs={"dvc_md5": "a.dir"}, ago=AGO)
        assert forget(ledger, "k", used_before=before, data_stays=True)
    assert (ledger.record("k"), ledger.note_use("m", "ingest", "k"), results(ledger, "ingest")) == (None, False, [])
    (left,) = results_of(ledger)
    assert (left.going, left.dvc_md5, left.digests) == (True, "a.dir", ())
    assert forget(ledger, left.key, used_before=before)
    assert list(results_of(ledger)) == []


def test_a_use_that_meets_the_forgetting_waits_for_it_and_finds_nothing(address: Path | str) -> None:
    """Between the two statements of the one that forgets, another says that it uses the result."""
    ledger, other = ledger_at(address), ledger_at(address)
    record(ledger, "k", ago=AGO)
    said: list[bool] = []
    user = threading.Thread(target=lambda: said.append(other.note_use("m", "train", "k")))
    with ledger.transaction() as connection:
        connection.execute(recorded.LOCK_RECORD, ("k",))
        user.start()
        user.join(0.3)
        assert said == []
        connection.execute(recorded._FORGET, ("k", ledger_time(connection), ledger_time(connection)))
        connection.execute("DELETE FROM uses WHERE key = ?", ("k",))
    user.join(10)
    assert said == [False]


def ledger_time(connection: Connection) -> float:
    return float(connection.execute("SELECT clock()").fetchone()[0]) - AGO / 2


def test_a_forgetting_that_meets_a_use_waits_for_it_and_leaves_the_result(address: Path | str) -> None:
    ledger, other = ledger_at(address), ledger_at(address)
    record(ledger, "k", ago=AGO)
    before, said = ledger.now() - AGO / 2, []
    reaper = threading.Thread(target=lambda: said.append(forget(other, "k", used_before=before)))
    with ledger.transaction() as connection:
        connection.execute(recorded.LOCK_RECORD, ("k",))
        reaper.start()
        reaper.join(0.3)
        assert said == []
        connection.execute("UPDATE uses SET at = clock() WHERE key = 'k'")
    reaper.join(10)
    assert said == [False]
    assert ledger.record("k") is not None
