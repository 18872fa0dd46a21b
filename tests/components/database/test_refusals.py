"""What is told of a PostgreSQL database that can't be reached or used: never its password."""

import socket
import threading
import time
from contextlib import closing, nullcontext, suppress
from dataclasses import replace
from unittest.mock import patch

import psycopg2
import pytest

from components.database import connecting, session
from components.database.postgres import PostgreSQL
from components.errors import Refusal
from components.planning.ledger import TABLES, Ledger, ledger_at
from tests.servers.faults import wait_until
from tests.servers.postgres import PASSWORD, PostgresServer


def refused(address: str, *, at_once: bool = True) -> str:
    waited = AssertionError("it was waited for")
    with (
        pytest.raises(Refusal) as refusal,
        patch.object(time, "sleep", side_effect=waited) if at_once else nullcontext(),
    ):
        ledger_at(address).record("k")
    return f"{refusal.value}"


def test_a_wrong_password_or_name_is_told_at_once_and_not_repeated(postgres: PostgresServer) -> None:
    text = refused(postgres.address(password="hunter2"))
    assert "denies the user's name or password" in text
    assert f"postgresql://steelyard@127.0.0.1:{postgres.port}/postgres" in text
    assert "hunter2" not in text
    assert "denies the user's name or password" in refused(postgres.address(user="nobody"))
    assert "asks for a password" in refused(f"postgresql://steelyard@127.0.0.1:{postgres.port}/postgres")


def test_a_database_that_is_not_there_is_told_at_once(postgres: PostgresServer) -> None:
    assert "no such database" in refused(postgres.address("nothing"))


def test_an_option_that_cannot_be_is_told_at_once(postgres: PostgresServer) -> None:
    assert "no such value" in refused(postgres.address() + "?sslmode=perhaps")
    assert "encryption" in refused(postgres.address() + "?sslmode=require")


def test_where_no_server_is_some_seconds_pass_before_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting, "FIRST_SECONDS", 0.5)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        text = refused(f"postgresql://u:hunter2@127.0.0.1:{nobody.getsockname()[1]}/db", at_once=False)
    assert "can't be reached" in text
    assert "refused" in text
    assert "hunter2" not in text


def test_a_server_that_does_not_come_back_is_given_up(
    postgres: PostgresServer, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "FIRST_SECONDS", 0.0)
    monkeypatch.setattr(connecting, "PATIENCE_SECONDS", 1.0)
    ledger.record("k")
    postgres.stop()
    try:
        started = time.monotonic()
        with pytest.raises(Refusal, match="can't be reached"):
            ledger.record("k")
        assert time.monotonic() - started > 1.0
    finally:
        postgres.start()


def test_a_server_that_is_waited_for_is_told_of_once_with_how_long_and_its_return_too(
    postgres: PostgresServer, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "QUIET_SECONDS", 0.0)
    said: list[str] = []
    ledger = ledger_at(address, say=said.append)
    ledger.record("k")
    postgres.stop()
    several = [threading.Thread(target=ledger.record, args=("k",)) for _ in range(3)]
    try:
        for one in several:
            one.start()
        wait_until(lambda: said)
        time.sleep(0.5)
    finally:
        postgres.start()
    for one in several:
        one.join()
    away, back = said
    assert away.startswith("the ledger's server can't be reached (")
    assert away.endswith("; it is waited for, 70 s at most")
    assert PASSWORD not in away
    assert back == "the ledger's server answers"


def test_a_server_that_is_silent_is_told_of_before_it_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one whose machine is stopped: it takes connections, and says nothing."""
    for name, seconds in (("QUIET_SECONDS", 0.0), ("SHORT_SECONDS", 2), ("FIRST_SECONDS", 3.0), ("ANSWER_SECONDS", 3)):
        monkeypatch.setattr(connecting, name, seconds)
    said: list[str] = []
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        address = f"postgresql://u@127.0.0.1:{silent.getsockname()[1]}/db"
        with pytest.raises(Refusal, match="can't be reached"):
            ledger_at(address, say=said.append).record("k")
    assert len(said) == 1


def test_a_user_without_rights_is_told_which(postgres: PostgresServer, ledger: Ledger, address: str) -> None:
    postgres.tell("DROP ROLE IF EXISTS guest")
    postgres.tell("CREATE ROLE guest LOGIN PASSWORD 'hunter2'")
    guest = address.replace(address.split("@", maxsplit=1)[0], "postgresql://guest:hunter2")
    assert "may not be read or written" in refused(guest)  # it may make no schema
    ledger.record("k")
    assert "schema 'steelyard'" in refused(guest)


def test_a_server_that_only_reads_is_told(postgres: PostgresServer) -> None:
    address = postgres.fresh()
    postgres.tell(f"ALTER DATABASE {address.rpartition('/')[2]} SET default_transaction_read_only = on")
    assert "read-only" in refused(address)


def test_who_waits_too_long_for_another_is_told(ledger: Ledger, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "SETTINGS", session.SETTINGS.replace("'60s'", "'200ms'"))
    hasty = ledger_at(address)
    with ledger.transaction(alone="topic"):
        with hasty.transaction(alone="another topic"):
            pass
        with pytest.raises(Refusal, match="held the ledger for too long"), hasty.transaction(alone="topic"):
            pass


def test_a_ledger_of_a_later_version_is_refused_and_one_of_an_earlier_is_brought_up(
    ledger: Ledger, address: str
) -> None:
    ledger.record("k")
    read = ledger.database._address  # type: ignore[attr-defined]
    later = replace(TABLES, version=TABLES.version + 1, statements=f"{TABLES.statements} CREATE TABLE more (a TEXT);")
    newer = PostgreSQL(read, later, say=print)
    assert newer.ask("SELECT * FROM more") == []
    assert newer.ask("SELECT max(number) FROM version") == [(TABLES.version + 1,)]
    assert "later version" in refused(address)


def test_who_waited_while_a_later_version_made_the_tables_leaves_them_alone(ledger: Ledger, address: str) -> None:
    told: list[str] = []

    def ask() -> None:
        try:
            ledger.record("k")
        except Refusal as refusal:
            told.append(str(refusal))

    with closing(psycopg2.connect(address)) as later, later.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (session.MAKING,))
        cursor.execute("CREATE SCHEMA steelyard; CREATE TABLE steelyard.version AS SELECT 99 AS number")
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join(0.5)
        assert thread.is_alive()
        later.commit()
        thread.join(10)
    assert "later version" in "".join(told)


def test_a_mistake_of_ours_is_no_refusal(ledger: Ledger) -> None:
    with pytest.raises(psycopg2.ProgrammingError):
        ledger.database.ask("SELECT * FROM nothing")


def test_a_failure_that_was_passed_over_is_noticed_at_the_end(ledger: Ledger) -> None:
    with (
        pytest.raises(AssertionError, match="passed over"),
        ledger.transaction() as connection,
        suppress(psycopg2.Error),
    ):
        connection.execute("SELECT * FROM nothing")


def test_no_password_is_in_what_a_ledger_shows_of_itself(ledger: Ledger) -> None:
    assert PASSWORD not in f"{ledger.database.name} {ledger.database!r} {vars(ledger.database)}"


def test_signs_of_other_languages_are_what_they_were(ledger: Ledger) -> None:
    """The drivers' own signs stand for themselves in values, and % in statements."""
    ledger.end_run("r?%s%%", model="ü", flow_run="日本 ?%s")
    assert ledger.flow_run("r?%s%%") == "日本 ?%s"
    assert ledger.database.ask("SELECT model FROM runs WHERE run LIKE 'r%' AND model = ?", ("ü",)) == [("ü",)]
    assert ledger.database.ask("SELECT model FROM runs WHERE run LIKE 'r%'") == [("ü",)]


def test_threads_share_a_ledger(ledger: Ledger) -> None:
    got: list[bool] = []
    threads = [
        threading.Thread(target=lambda: got.append(ledger.acquire("work", seconds=60) is not None)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(got) == [False] * 7 + [True]
