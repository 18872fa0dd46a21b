import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from components.planning.ledger import LeaseLost, Ledger, Record, ledger_at
from components.store.artifact import Stamp

START = """
    import sys, time
    from pathlib import Path
    from components.planning.ledger import *
    from components.store.artifact import Stamp
    ledger = ledger_at(Path(sys.argv[1]) if sys.argv[1].startswith("/") else sys.argv[1])
    def record(key, **kw):
        given = dict(stage="s", label="s", model="m", run="r", outputs=None, stamps={}, parts={}, seconds=1.0, at=time.time())
        return Record(key=key, **{**given, **kw})
"""


def processes(body: str, address: Path | str, *, count: int) -> list[str]:
    """Run the code in as many processes at once; return what each said."""
    code = textwrap.dedent(START) + textwrap.dedent(body)
    command = [sys.executable, "-c", code, str(address)]
    children = [
        subprocess.Popen([*command, str(i)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for i in range(count)
    ]
    said = [child.communicate(timeout=120) for child in children]
    assert [child.returncode for child in children] == [0] * count, [err for _, err in said]
    return [out.strip() for out, _ in said]


@pytest.fixture
def ledger(address: Path | str) -> Ledger:
    return ledger_at(address)


def record(key: str, *, model: str = "digits", label: str = "train", run: str = "r1", **parts: str) -> Record:
    return Record(
        key=key,
        stage="train",
        label=label,
        model=model,
        run=run,
        outputs={"a": [1, None, 0.5]},
        stamps={"d" * 64: Stamp(3, "17")},
        parts=parts,
        seconds=2.5,
        at=time.time(),
    )


def commit(ledger: Ledger, one: Record) -> None:
    lease = ledger.acquire(one.key, seconds=5)
    assert lease is not None
    ledger.commit(lease, one)


def test_a_record_comes_back_equal(ledger: Ledger) -> None:
    one = record("k", code="1", input="2")
    commit(ledger, one)
    assert ledger.record("k") == one
    assert ledger.record("other") is None


def test_history_is_by_model_and_label_the_latest_use_first(ledger: Ledger) -> None:
    for key, model, label in [("1", "a", "train"), ("2", "a", "train"), ("3", "b", "train"), ("4", "a", "prune")]:
        commit(ledger, record(key, model=model, label=label))
    assert [one.key for one in ledger.history("a", "train")] == ["2", "1"]
    assert [one.key for one in ledger.history("a", "train", limit=1)] == ["2"]
    ledger.note_use("a", "train", "1")
    assert [one.key for one in ledger.history("a", "train")] == ["1", "2"]


def test_a_model_that_uses_another_models_record_has_it_in_its_history(ledger: Ledger) -> None:
    commit(ledger, record("1", model="a", label="split"))
    ledger.note_use("b", "split", "1")
    assert [one.key for one in ledger.history("b", "split")] == ["1"]


def test_a_record_may_be_written_for_another_model_than_the_one_that_made_it(ledger: Ledger) -> None:
    lease = ledger.acquire("1", seconds=5)
    assert lease is not None
    ledger.commit(lease, record("1", model="a", label="split"), model="b")
    assert [[one.model for one in ledger.history(model, "split")] for model in ("a", "b")] == [[], ["a"]]


def test_a_use_of_what_is_not_recorded_is_none(ledger: Ledger) -> None:
    commit(ledger, record("1"))
    assert ledger.note_use("a", "train", "1")
    assert not ledger.note_use("a", "train", "2")
    assert not ledger.note_uses("a", [("train", "1"), ("split", "2")])
    assert ledger.note_uses("a", [])


def test_leases_are_listed_by_how_they_begin(ledger: Ledger) -> None:
    for name in ("run of a", "run of b", "stage run of c"):
        ledger.acquire(name, seconds=5)
    given_back = ledger.acquire("run of d", seconds=5)
    assert given_back is not None
    ledger.release(given_back)
    ledger.acquire("run of e", seconds=0.0)
    assert ledger.taken("run of ") == {"a", "b", "e"}, "the database may have been away"
    ledger.database.change("UPDATE leases SET expires = expires - 300 WHERE name = 'run of e'")
    assert ledger.taken("run of ") == {"a", "b"}


def test_a_ledger_has_one_identity_whoever_asks_first(address: Path | str) -> None:
    said = processes("print(ledger.identity())", address, count=4)
    assert set(said) == {ledger_at(address).identity()}
    assert len(said[0]) == 32


def test_new_stamps_are_kept(ledger: Ledger) -> None:
    commit(ledger, record("k"))
    ledger.restamp("k", {"e" * 64: Stamp(4, "18")})
    found = ledger.record("k")
    assert found is not None
    assert found.stamps == {"e" * 64: Stamp(4, "18")}


def test_a_lease_is_held_by_one_until_it_is_released_or_expires(ledger: Ledger) -> None:
    lease = ledger.acquire("work", seconds=60)
    assert lease is not None
    assert ledger.acquire("work", seconds=5) is None
    assert ledger.acquire("other work", seconds=5) is not None
    assert ledger.holds(lease)
    ledger.release(lease)
    assert not ledger.holds(lease)
    again = ledger.acquire("work", seconds=0.0)
    assert again is not None
    assert ledger.renew(again, seconds=0.0)  # late, but nobody wanted it
    assert ledger.acquire("work", seconds=5) is not None
    assert not ledger.renew(again, seconds=5)


def test_a_lease_that_ran_out_is_not_taken_over_too_late(ledger: Ledger) -> None:
    assert ledger.acquire("work", seconds=0.0) is not None
    assert ledger.acquire("work", seconds=5, over_by=ledger.now() - 1) is None
    assert ledger.acquire("free", seconds=5, over_by=ledger.now() - 1) is not None
    assert ledger.acquire("work", seconds=5, over_by=ledger.now() + 60) is not None


def test_who_lost_the_lease_commits_nothing_and_takes_nothing_away(ledger: Ledger) -> None:
    slow = ledger.acquire("k", seconds=0.0)
    quick = ledger.acquire("k", seconds=5)
    assert slow is not None
    assert quick is not None
    with pytest.raises(LeaseLost):
        ledger.commit(slow, record("k", run="slow"))
    assert ledger.record("k") is None
    ledger.release(slow)
    ledger.commit(quick, record("k", run="quick"))
    with pytest.raises(LeaseLost):
        ledger.commit(slow, record("k", run="slow"))
    found = ledger.record("k")
    assert found is not None
    assert found.run == "quick"


def test_of_many_processes_one_gets_the_lease(address: Path | str) -> None:
    said = processes("print(ledger.acquire('work', seconds=60) is not None)", address, count=8)
    assert sorted(said) == ["False"] * 7 + ["True"]


def test_many_processes_write_at_once_from_the_first_moment_on(address: Path | str) -> None:
    body = """
        for i in range(15):
            key = f"{sys.argv[2]}-{i}"
            lease = ledger.acquire(key, seconds=60)
            ledger.commit(lease, record(key))
            ledger.remember(key, Stamp(1, "1"), "d")
            assert ledger.record(key).key == key
    """
    processes(body, address, count=8)
    assert ledger_at(address).database.ask("SELECT count(*) FROM records") == [(120,)]


def test_twenty_processes_that_want_the_same_work_do_each_piece_once(address: Path | str) -> None:
    body = """
        import random
        pieces = list(range(15))
        random.shuffle(pieces)
        done = 0
        for i in pieces:
            key = f"piece {i}"
            while ledger.record(key) is None:
                if lease := ledger.acquire(key, seconds=60):
                    if ledger.record(key) is None:
                        ledger.commit(lease, record(key))
                        done += 1
                    ledger.release(lease)
            ledger.note_use("m", "s", key)
            ledger.history("m", "s", limit=3)
        print(done)
    """
    said = processes(body, address, count=20)
    assert sum(map(int, said)) == 15
    assert len(ledger_at(address).history("m", "s", limit=100)) == 15


def test_twenty_challengers_that_are_decided_on_at_once_come_one_after_another(address: Path | str) -> None:
    said = processes("print(len(ledger.decide_by((1,), challenger=sys.argv[2], model='m')))", address, count=20)
    assert sorted(map(int, said)) == list(range(20))


def test_readers_wait_for_no_writer(ledger: Ledger) -> None:
    commit(ledger, record("k"))
    with ledger.transaction() as connection:
        connection.execute("DELETE FROM records")
        seen: list[Record | None] = []
        thread = threading.Thread(target=lambda: seen.append(ledger.record("k")))
        thread.start()
        thread.join(30)
        assert seen, "it waits for the writer"
        assert seen[0] is not None


def test_a_transaction_that_fails_leaves_nothing(ledger: Ledger) -> None:
    def fail() -> None:
        with ledger.transaction() as connection:
            connection.execute("INSERT INTO digests VALUES ('p', 's', 'd')")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with ledger.transaction() as connection:
        assert connection.execute("SELECT count(*) FROM digests").fetchone()[0] == 0


def test_decisions_are_kept_once_for_each_challenger_and_its_test_rows(ledger: Ledger) -> None:
    largest = 2**64 - 1
    assert ledger.decide_by((1, largest), challenger="a", model="m") == []
    assert ledger.decide_by((1, largest), challenger="a", model="m") == []
    assert ledger.decide_by((1, largest), challenger="b", model="m") == [(1, largest)]
    assert ledger.decide_by((1, 2), challenger="b", model="m") == [(1, largest)]
    assert len(ledger.decide_by((3,), challenger="c", model="other")) == 3


def test_a_run_remembers_its_flow_run(ledger: Ledger) -> None:
    ledger.end_run("r", model="m", flow_run="f")
    assert ledger.flow_run("r") == "f"
    assert ledger.flow_run("other") == ""


def test_digests_are_known_by_path_and_stamp(ledger: Ledger) -> None:
    ledger.remember("/a", Stamp(1, "2"), "d")
    assert ledger.digest("/a", Stamp(1, "2")) == "d"
    assert ledger.digest("/a", Stamp(1, "3")) is None
    assert ledger.digest("/b", Stamp(1, "2")) is None
