"""Prefect's login is tried before its client is: a denial is one message, with what was tried and no secret."""

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from components.errors import Refusal
from components.home import Home
from flows.servers.login import check_login


@contextmanager
def prefect(*, wants: str = "", answers: int = 200, first: int = 0) -> Iterator[str]:
    """Serve what a login is tried with; `wants` is the header that is let in, `first` the first answer of all."""
    before = [first] if first else []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            denied = wants and self.headers.get("Authorization") != wants
            there = self.path == "/api/flows/count"
            self.send_response(401 if denied else before.pop() if before else answers if there else 404)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}/api"
        server.shutdown()


def basic(login: str) -> str:
    return f"Basic {base64.b64encode(login.encode()).decode()}"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    for name in ("PREFECT_API_AUTH_STRING", "PREFECT_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    return Home(tmp_path)


def refused(home: Home) -> str:
    with pytest.raises(Refusal) as refusal:
        check_login(home, patience=0.0)
    return str(refusal.value)


def test_the_login_is_the_one_that_the_client_will_use(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with prefect(wants=basic("me:right")) as address:
        monkeypatch.setenv("STEELYARD_PREFECT_API_URL", f"http://{address}/")
        assert "denies the login (401; none was given), and is needed by runs" in refused(home)
        monkeypatch.setenv("PREFECT_API_AUTH_STRING", "me:right")
        assert "none was given" in refused(home), "another project's variables count only with `inherit`"
        monkeypatch.setenv("STEELYARD_INHERIT", "true")
        check_login(home)
        monkeypatch.setenv("PREFECT_API_AUTH_STRING", "me:hush-hush")
        told = refused(home)
        assert "PREFECT_API_AUTH_STRING is from the shell" in told
        assert "hush-hush" not in told
        monkeypatch.delenv("PREFECT_API_AUTH_STRING")
        monkeypatch.setenv("STEELYARD_PREFECT_API_URL", f"http://me:right@{address}")
        check_login(home)
        monkeypatch.setenv("STEELYARD_PREFECT_API_URL", f"http://me:hush-hush@{address}")
        assert f"http://***@{address}: Prefect's server denies the login (401; it is in the address)" in refused(home)


def test_a_key_is_tried_as_a_key(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with prefect(wants="Bearer pnu_key") as address:
        monkeypatch.setenv("STEELYARD_PREFECT_API_URL", f"http://{address}")
        monkeypatch.setenv("STEELYARD_INHERIT", "true")
        monkeypatch.setenv("PREFECT_API_KEY", "pnu_key")
        check_login(home)


def test_what_is_no_server_of_prefect_is_told_as_such(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with prefect() as address:
        monkeypatch.setenv("STEELYARD_PREFECT_API_URL", f"http://{address.removesuffix('/api')}")
        told = refused(home)
        assert "answers 404, where Prefect's API should be" in told
        assert "allowed: http://HOST:PORT/api" in told


@pytest.mark.parametrize("status", [500, 503])
def test_an_address_is_not_blamed_for_what_ails_the_server_and_that_is_waited_for(
    home: Home, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """500 is the answer while PostgreSQL is away."""
    with prefect(answers=status) as address:
        monkeypatch.setenv("STEELYARD_PREFECT_API_URL", f"http://{address}")
        told = refused(home)
    assert f"answers with an error ({status})" in told
    assert "look at its log, and whether its database is up" in told
    assert "HOST:PORT" not in told
    with prefect(first=status) as address:
        monkeypatch.setenv("STEELYARD_PREFECT_API_URL", f"http://{address}")
        check_login(home)


def test_without_a_server_that_is_set_nothing_is_asked(home: Home) -> None:
    check_login(home)
