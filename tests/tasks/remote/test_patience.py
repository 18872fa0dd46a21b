"""A Prefect that doesn't answer is waited for, in words; one of another opinion isn't."""

import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from components.errors import Refusal, Unreachable
from components.home import Home
from components.planning.ledger import ledger_at
from components.production import Ports, Production, new_secrets, write_down
from flows.servers.reaching import check_up
from tasks.remote.patience import Patience, asked_once, reached
from tests.servers.postgres import PostgresServer


class Answers(BaseHTTPRequestHandler):
    """A server that says what it is told to say: of Prefect only the status of its answers is wanted."""

    def do_GET(self) -> None:
        self.send_response(int(self.path.rpartition("/")[2]))
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *arguments: object) -> None: ...


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def away() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def asked(api: str, status: int) -> int:
    from prefect.client.orchestration import SyncPrefectClient

    with SyncPrefectClient(f"{api}/api", httpx_settings={"trust_env": False}) as client, asked_once():
        return client._client.get(f"/{status}").status_code


def test_a_server_that_is_away_or_unwell_is_borne_and_that_is_said_once(url: str, away: str) -> None:
    said: list[str] = []
    patience = Patience(said.append)
    for api, status, answer in ((away, 200, 0), (url, 500, 0), (url, 503, 0), (url, 200, 200), (url, 200, 200)):
        assert patience.ask(lambda api=api, status=status: asked(api, status), 0) == answer
    assert patience.ask(lambda: asked(url, 503), 0) == 0
    silent, back, unwell = said
    assert "Prefect doesn't answer (ConnectError)" in silent
    assert "answers again" in back
    assert "Prefect answers with an error (503)" in unwell


@pytest.mark.parametrize("status", [408, 429])
def test_a_server_that_has_no_time_now_is_borne(url: str, status: int) -> None:
    said: list[str] = []
    patience = Patience(said.append)
    assert [patience.ask(lambda now=now: asked(url, now), 0) for now in (status, 200)] == [0, 200]
    assert len(said) == 2


def test_patience_ends(away: str) -> None:
    patience = Patience([].append, seconds=0.01)
    with pytest.raises(
        Refusal,
        match=r"Prefect doesn't answer \(ConnectError\), for 0 minutes now(.|\n)*run again: what was done is kept",
    ):
        for _ in range(2):
            patience.ask(lambda: asked(away, 200), 0)


def test_it_is_waited_for_before_anything_is_asked_of_it(away: str, url: str) -> None:
    said: list[str] = []
    servers = iter([away, url])
    Patience(said.append).wait(lambda: asked(next(servers), 200))
    assert len(said) == 2


def test_what_a_server_denies_is_no_absence(url: str) -> None:
    from httpx import HTTPStatusError

    with pytest.raises(HTTPStatusError):
        Patience([].append).ask(lambda: asked(url, 403), 0)


def test_a_server_that_a_worker_needs_is_waited_for_and_that_is_said_once(tmp_path: Path, away: str) -> None:
    said: list[str] = []
    servers: list[socket.socket] = []
    port = int(away.rpartition(":")[2])
    write_down(Production(ports=Ports(postgres=port), secrets=new_secrets()), Home(tmp_path))

    def start(line: str) -> None:
        said.append(line)
        servers.append(socket.create_server(("127.0.0.1", port)))

    reached(lambda: check_up(Home(tmp_path)), say=start)
    assert len(said) == 1
    assert "the worker waits" in said[0]
    servers[0].close()
    with pytest.raises(Unreachable, match="they are down"):
        reached(lambda: check_up(Home(tmp_path)), say=said.append, seconds=0.0)


def test_what_a_person_must_mend_is_not_waited_for(postgres: PostgresServer) -> None:
    said: list[str] = []
    with pytest.raises(Refusal, match="denies the user's name"):
        reached(lambda: ledger_at(postgres.address(password="wrong")).now(), say=said.append)
    assert said == []
