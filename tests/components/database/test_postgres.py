"""A ledger on a server that restarts, is reached through a bad network, and is shared by workers of all kinds."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator

import pytest

from components.database import session
from components.database.database import Connection, repeated
from components.planning.ledger import LeaseLost, Ledger, Record, ledger_at
from components.release.releases import Releases
from components.store.artifact import Stamp
from tests.servers.faults import wait_until
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import Cut, Proxy, proxy_to

START = """
    import sys, time
    from components.planning.ledger import *
    from components.release.releases import Releases
    from components.store.artifact import Stamp
    ledger = ledger_at(sys.argv[1])
    def record(key):
        return Record(key=key, stage="s", label="s", model="m", run="r", outputs=None, stamps={}, parts={}, seconds=1.0, at=1.0)
"""


@pytest.fixture
def proxy(postgres: PostgresServer) -> Iterator[Proxy]:
    with proxy_to(postgres.port) as proxy:
        yield proxy


def record(key: str) -> Record:
    facts = {"stage": "s", "label": "s", "model": "m", "run": "r", "outputs": None, "stamps": {}, "parts": {}}
    return Record(key=key, seconds=1.0, at=1.0, **facts)  # type: ignore[arg-type]


# The sessions of other processes that stand in the middle of a transaction.
MIDDLE = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND pid <> pg_backend_pid()"


def child(body: str, address: str, *more: str) -> "subprocess.Popen[str]":
    code = textwrap.dedent(START) + textwrap.dedent(body)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-c", code, address, *more], text=True, **pipes)  # type: ignore[call-overload,no-any-return]


def told(process: "subprocess.Popen[str]", given: str = "") -> str:
    out, err = process.communicate(given, timeout=120)
    assert process.returncode == 0, err
    return out.strip()


def restart(server: PostgresServer, how: signal.Signals) -> None:
    server.stop(how)
    server.start()


# Who holds a lease


def test_a_worker_whose_clock_is_an_hour_off_takes_no_live_lease(ledger: Ledger, address: str) -> None:
    lease = ledger.acquire("work", seconds=60)
    assert lease is not None
    for hours in (1, -1):
        ahead = f"""
            real = time.time
            time.time = lambda: real() + {3600 * hours}
            assert abs(time.time() - real()) > 3000
            print(ledger.acquire("work", seconds=60), ledger.acquire("work {hours}", seconds=60) is not None)
        """
        assert told(child(ahead, address)) == "None True"
    assert ledger.holds(lease)
    assert ledger.acquire("work -1", seconds=60) is None  # what was taken an hour ago, by that worker's clock, is live


def test_a_lease_of_a_server_ends_by_its_time(ledger: Ledger) -> None:
    assert ledger.acquire("work", seconds=0.1)
    time.sleep(0.2)
    assert ledger.acquire("work", seconds=60)
    assert ledger.acquire("work", seconds=60) is None


def test_who_was_stopped_past_its_lease_commits_nothing(ledger: Ledger, address: str) -> None:
    body = """
        lease = ledger.acquire("k", seconds=1)
        print("began", flush=True)
        sys.stdin.readline()
        try:
            ledger.commit(lease, record("k"))
        except LeaseLost:
            print("lost")
    """
    stopped = child(body, address)
    assert stopped.stdout is not None
    assert stopped.stdout.readline() == "began\n"
    stopped.send_signal(signal.SIGSTOP)
    time.sleep(1.1)
    quick = ledger.acquire("k", seconds=60)
    assert quick is not None
    stopped.send_signal(signal.SIGCONT)
    assert told(stopped, "\n") == "lost"
    assert ledger.record("k") is None
    ledger.commit(quick, record("k"))


def test_a_commit_waits_for_whom_is_taking_its_lease_and_is_lost_then(ledger: Ledger) -> None:
    """The taker has changed the lease, and its transaction isn't over."""
    lease = ledger.acquire("k", seconds=60)
    assert lease is not None
    ended: list[str] = []

    def commit() -> None:
        try:
            ledger.commit(lease, record("k"))
        except LeaseLost:
            ended.append("lost")

    with ledger.transaction() as taker:
        taker.execute("UPDATE leases SET token = 'another' WHERE name = 'k'")
        thread = threading.Thread(target=commit)
        thread.start()
        thread.join(0.5)
        assert thread.is_alive()
    thread.join(10)
    assert ended == ["lost"]
    assert ledger.record("k") is None


# A server that restarts


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["stopped", "crashed"])
def test_a_ledger_goes_on_after_a_restart(postgres: PostgresServer, ledger: Ledger, how: signal.Signals) -> None:
    lease = ledger.acquire("k", seconds=60)
    assert lease is not None
    restart(postgres, how)
    ledger.commit(lease, record("k"))
    restart(postgres, how)
    assert ledger.record("k") == record("k")


def test_a_server_that_is_away_is_waited_for(postgres: PostgresServer, ledger: Ledger) -> None:
    lease = ledger.acquire("k", seconds=60)
    assert lease is not None
    ledger.commit(lease, record("k"))
    ledger.database.change("DELETE FROM uses")
    postgres.stop()
    waiting = threading.Thread(target=ledger.note_use, args=("m", "s", "k"))
    waiting.start()
    time.sleep(2)
    postgres.start()
    waiting.join(30)
    assert ledger.database.ask("SELECT key FROM uses") == [("k",)]


def test_processes_that_work_while_the_server_restarts_lose_and_repeat_nothing(
    postgres: PostgresServer, ledger: Ledger, address: str
) -> None:
    body = """
        me = sys.argv[2]
        releases = Releases(ledger, "digits")
        print("began", flush=True)
        for i in range(300):
            key = f"{me}-{i}"
            lease = ledger.acquire(key, seconds=60)
            assert lease is not None, "it was taken by a try of its own that had taken effect"
            ledger.commit(lease, record(key))
            releases.note("hold", i, actor=me, reason="", basis="")
            assert ledger.record(key) is not None
    """
    children = [child(body, address, str(number)) for number in range(4)]
    for one in children:
        assert one.stdout is not None
        assert one.stdout.readline() == "began\n"
    for how in (signal.SIGINT, signal.SIGQUIT, signal.SIGQUIT):
        time.sleep(0.3)
        restart(postgres, how)
    for one in children:
        told(one)
    assert ledger.database.ask("SELECT count(*) FROM records") == [(1200,)]
    notes = [(move.actor, move.version) for move in Releases(ledger, "digits").moves()]
    assert len(notes) == len(set(notes)) == 1200


# A network that fails


@pytest.mark.parametrize("cut", ["before", "after", "silent"])
def test_a_change_whose_commit_meets_a_failing_network_happens_once(
    postgres: PostgresServer, proxy: Proxy, cut: Cut, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "SETTINGS", session.SETTINGS.replace("'10s'", "'2s'"))  # of silent clients
    address = postgres.emptied()
    direct, ledger = ledger_at(address), ledger_at(address.replace(f":{postgres.port}/", f":{proxy.port}/"))
    releases = Releases(ledger, "digits")
    ledger.record("k")
    proxy.cut = cut
    lease = ledger.acquire("k", seconds=60)
    assert lease is not None
    assert direct.holds(lease)
    proxy.cut = cut
    ledger.commit(lease, record("k"))
    assert direct.record("k") == record("k")
    proxy.cut = cut
    seq = releases.begin("promote", 1, expected=None, actor="me", reason="", basis="")
    proxy.cut = cut
    releases.end(seq, "done")
    proxy.cut = cut
    releases.note("hold", 2, actor="me", reason="", basis="")
    assert proxy.cuts == 5
    assert [move.action for move in Releases(direct, "digits").moves()] == ["promote", "hold"]


def test_a_transaction_that_was_cut_off_is_done_again_from_its_beginning(
    postgres: PostgresServer, ledger: Ledger
) -> None:
    tries: list[int] = []

    @repeated
    def work() -> None:
        with ledger.transaction() as connection:
            tries.append(backend(connection))
            connection.execute("INSERT INTO digests VALUES (?, 's', 'd')", (f"try {len(tries)}",))
            if len(tries) == 1:
                postgres.tell(f"SELECT pg_terminate_backend({tries[0]}, 5000)")
            connection.execute("INSERT INTO digests VALUES ('more', 's', 'd')")

    work()
    assert len(tries) == 2
    assert sorted(ledger.database.ask("SELECT path FROM digests")) == [("more",), ("try 2",)]


def test_of_two_that_wait_for_each_other_both_get_through(ledger: Ledger) -> None:
    meeting = threading.Barrier(2)
    tries: list[str] = []

    @repeated
    def work(first: str, second: str) -> None:
        tries.append(first)
        with ledger.transaction() as connection:
            for path in (first, second):
                connection.execute("UPDATE digests SET digest = ? WHERE path = ?", (first, path))
                if path == first and len(tries) <= 2:
                    meeting.wait(10)

    for path in ("a", "b"):
        ledger.remember(path, Stamp(1, "1"), "")
    threads = [threading.Thread(target=work, args=pair) for pair in (("a", "b"), ("b", "a"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(tries) >= 3  # who was turned away came again
    assert {digest for (digest,) in ledger.database.ask("SELECT digest FROM digests")} < {"a", "b"}


# Connections


def test_who_is_stopped_in_the_middle_of_a_transaction_holds_the_others_up_for_seconds_only(
    ledger: Ledger, address: str
) -> None:
    body = """
        from components.database.database import repeated
        @repeated
        def work():
            with ledger.transaction(alone="topic") as connection:
                connection.execute("INSERT INTO digests VALUES ('stopped', 's', 'd')")
                print("began", flush=True)
                sys.stdin.readline()
        work()
        print("ended")
    """
    stopped = child(body, address)
    assert stopped.stdout is not None
    assert stopped.stdout.readline() == "began\n"
    stopped.send_signal(signal.SIGSTOP)
    with ledger.transaction(alone="another topic") as connection:
        assert connection.execute(MIDDLE).fetchone() == (1,)  # this one didn't wait for its end
    with ledger.transaction(alone="topic") as connection:
        assert connection.execute("SELECT count(*) FROM digests").fetchone() == (0,)
    wait_until(lambda: ledger.database.ask(MIDDLE) == [(0,)])  # a connection lets go of its locks before it is gone
    stopped.send_signal(signal.SIGCONT)
    assert told(stopped, "\n\n").endswith("ended")
    assert ledger.database.ask("SELECT count(*) FROM digests") == [(1,)]


def test_one_connection_serves_one_call_after_another(ledger: Ledger) -> None:
    first = ledger.database.ask("SELECT pg_backend_pid()")
    with pytest.raises(RuntimeError), ledger.transaction() as connection:
        assert first == [(backend(connection),)]
        raise RuntimeError
    lease = ledger.acquire("k", seconds=60)
    assert lease is not None
    ledger.commit(lease, record("k"))
    assert ledger.database.ask("SELECT pg_backend_pid()") == first


def test_a_forks_child_has_a_connection_of_its_own_and_leaves_its_parents_alone(ledger: Ledger) -> None:
    before = ledger.database.ask("SELECT pg_backend_pid()")
    child = os.fork()
    if child == 0:
        try:
            same = ledger.database.ask("SELECT pg_backend_pid()") == before
            os._exit(1 if same else 0)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert ledger.database.ask("SELECT pg_backend_pid()") == before


def test_the_tables_lie_in_a_schema_of_their_own(postgres: PostgresServer, ledger: Ledger) -> None:
    ledger.record("k")
    query = "SELECT DISTINCT schemaname FROM pg_tables WHERE tablename IN ('records', 'moves', 'marks')"
    assert postgres.tell(query) == [("steelyard",)]


def test_marks_of_long_ago_are_cleared_away(postgres: PostgresServer, ledger: Ledger, address: str) -> None:
    ledger.note_use("m", "s", "k")
    ledger.database.change("UPDATE marks SET at = at - 100000")
    ledger.note_use("m", "s", "k")
    assert ledger.database.ask("SELECT count(*) FROM marks") == [(3,)]
    ledger_at(address).record("k")
    assert ledger.database.ask("SELECT count(*) FROM marks") == [(1,)]


def backend(connection: Connection) -> int:
    return int(connection.execute("SELECT pg_backend_pid()").fetchone()[0])
