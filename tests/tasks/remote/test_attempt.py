"""An attempt of a worker, as Prefect and the ledger tell of it, where the two disagree or one is away.

What Prefect says is said by a small server in its own words: how a real one comes to say so is tried in
tests/flows/production/.
"""

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from components.errors import Refusal
from components.planning.held import living
from components.planning.ledger import Ledger, ledger_at
from tasks.living.signs import SILENT
from tasks.remote import attempt, patience
from tasks.remote.attempt import Attempt, lease_of
from tasks.remote.endings import Lost
from tasks.remote.patience import Patience
from tests.clock import Clock

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State

RUN = uuid.uuid4()


class Prefect(ThreadingHTTPServer):
    """Says these states, one after the other and the last one for ever. None: it isn't well."""

    states: "list[State | None]"
    proposed: "list[str]"
    well: bool = True


class Words(BaseHTTPRequestHandler):
    server: Prefect

    def do_GET(self) -> None:
        from prefect.client.schemas.objects import FlowRun, WorkPool

        if "csrf" in self.path:
            self.answer(404, {})
            return
        if "work_pools" in self.path:
            pool = WorkPool(name="local", type="process", is_paused=True, default_queue_id=uuid.uuid4())
            self.answer(200, pool.model_dump(mode="json"))
            return
        state = self.server.states.pop(0) if len(self.server.states) > 1 else self.server.states[0]
        self.server.well = state is not None
        if state is None:
            self.answer(500, {})
        else:
            self.answer(200, FlowRun(id=RUN, flow_id=uuid.uuid4(), state=state).model_dump(mode="json"))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.endswith("/set_state"):
            self.server.proposed.append(body["state"]["type"])
        self.answer(200 if self.server.well else 500, [])

    def answer(self, status: int, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None: ...


@pytest.fixture
def prefect() -> Iterator[Prefect]:
    server = Prefect(("127.0.0.1", 0), Words)
    server.states, server.proposed = [None], []
    Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return ledger_at(tmp_path / "ledger.db")


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (attempt, patience):
        monkeypatch.setattr(module, "time", clock)
    return clock


def wait(
    prefect: Prefect,
    ledger: Ledger,
    *,
    polls: int = 0,
    done: Callable[[], bool] | None = None,
    alive: bool = True,
    seconds: float = 600.0,
    minutes: float | None = None,
    wait_minutes: float | None = None,
) -> list[str]:
    """Wait for a result that is there after so many looks, or when `done` says so; return what was said meanwhile."""
    from prefect.client.orchestration import SyncPrefectClient

    looks = iter(range(polls))
    said: list[str] = []
    with ExitStack() as stack:
        if alive:
            stack.enter_context(living(lease_of(RUN), ledger, seconds=15.0))
        url = f"http://127.0.0.1:{prefect.server_address[1]}/api"
        settings = {"trust_env": False}
        client = stack.enter_context(SyncPrefectClient(url, httpx_settings=settings))
        patience = Patience(said.append, seconds=seconds)
        one = Attempt(client, ledger, RUN, "train", "local", patience, minutes, wait_minutes)
        one.wait(done or (lambda: next(looks, None) is None))
    return said


def test_a_result_is_taken_though_prefect_is_away(prefect: Prefect, ledger: Ledger) -> None:
    from prefect.states import Running

    prefect.states = [Running(), None]
    said = wait(prefect, ledger, polls=5)
    assert len(said) == 1
    assert "Prefect answers with an error (500)" in said[0]


def test_prefect_may_come_back(prefect: Prefect, ledger: Ledger) -> None:
    from prefect.states import Completed, Running

    prefect.states = [Running(), None, None, Running(), Running(), Completed()]
    said = wait(prefect, ledger, polls=1000)
    assert [line.strip().split(" (")[0] for line in said] == ["Prefect answers with an error", "Prefect answers again"]


def test_a_prefect_that_stays_away_ends_the_wait(prefect: Prefect, ledger: Ledger) -> None:
    with pytest.raises(Refusal, match=r"Prefect answers with an error \(500\), for 2 minutes now"):
        wait(prefect, ledger, polls=1000, seconds=120.0)


@pytest.mark.parametrize("met_by", ["is_taken", "record"])
def test_a_process_that_could_not_renew_its_lease_since_the_ledger_was_away_is_not_lost(
    prefect: Prefect, ledger: Ledger, clock: Clock, monkeypatch: pytest.MonkeyPatch, met_by: str
) -> None:
    """Whichever question it is that waits for the ledger's server."""
    from prefect.states import Completed, Running

    looks = iter([(0.0, True), (60.0, False), *[(0.0, False)] * 3])
    waits = iter([0.0, 60.0])

    def is_taken(_ledger: Ledger, _name: str) -> bool:
        seconds, taken = next(looks, (0.0, True))
        clock.sleep(seconds if met_by == "is_taken" else 0.0)
        return taken

    def is_there() -> bool:
        clock.sleep(next(waits, 0.0) if met_by == "record" else 0.0)
        return False

    monkeypatch.setattr(Ledger, "is_taken", is_taken)
    prefect.states = [*[Running()] * 8, Completed()]
    assert wait(prefect, ledger, done=is_there, alive=False) == []


@pytest.mark.parametrize(("lived", "within"), [(True, attempt.GONE_SECONDS), (False, attempt.BEGIN_SECONDS)])
def test_a_process_whose_lease_is_gone_is_lost_and_one_that_begins_is_given_longer(
    prefect: Prefect, ledger: Ledger, clock: Clock, monkeypatch: pytest.MonkeyPatch, lived: bool, within: float
) -> None:
    """Whatever Prefect still believes."""
    from prefect.states import Running

    looks = iter([lived])
    monkeypatch.setattr(Ledger, "is_taken", lambda _ledger, _name: next(looks, False))
    prefect.states, began = [Running()], clock.monotonic()
    with pytest.raises(Lost, match="its process in pool 'local' is gone"):
        wait(prefect, ledger, polls=1000, alive=False)
    assert within < clock.monotonic() - began < within + 5 * attempt.POLL_SECONDS


def test_a_process_that_lives_is_not_lost_because_prefect_did_not_hear_of_it(prefect: Prefect, ledger: Ledger) -> None:
    from prefect.states import Completed, Crashed, Running

    prefect.states = [Running(), *[Crashed(message=SILENT)] * 10, Running(), Completed()]
    assert wait(prefect, ledger, polls=1000) == []


@pytest.mark.parametrize(("message", "alive"), [(SILENT, False), ("its exit code was 1", True)])
def test_a_process_that_crashed_is_lost(prefect: Prefect, ledger: Ledger, message: str, alive: bool) -> None:
    from prefect.states import Crashed

    prefect.states = [Crashed(message=message)]
    with pytest.raises(Lost, match=message):
        wait(prefect, ledger, polls=1000, alive=alive)


def test_a_stage_that_nobody_is_left_to_cancel_is_cancelled(prefect: Prefect, ledger: Ledger) -> None:
    from prefect.states import Cancelling

    prefect.states = [Cancelling()]
    with pytest.raises(Refusal, match="train: it was cancelled in Prefect"):
        wait(prefect, ledger, polls=1000, alive=False)


def test_a_stage_that_thought_itself_abandoned_is_asked_for_again(prefect: Prefect, ledger: Ledger) -> None:
    from prefect.states import Cancelled

    prefect.states = [Cancelled(name="Abandoned", message="the run that asked for it is gone")]
    with pytest.raises(Lost, match="is gone"):
        wait(prefect, ledger, polls=1000)


def test_a_process_that_is_deaf_to_its_time_limit_is_ended_by_who_waits(prefect: Prefect, ledger: Ledger) -> None:
    from prefect.states import Running

    prefect.states = [Running()]
    with pytest.raises(Refusal, match=r"train: it took longer than 0\.5 minutes"):
        wait(prefect, ledger, polls=1000, minutes=0.5)
    assert prefect.proposed == ["CANCELLING"]


def test_a_stage_that_nobody_takes_up_is_waited_for_as_long_as_is_said_and_cancelled(
    prefect: Prefect, ledger: Ledger
) -> None:
    from prefect.states import Late, Scheduled

    prefect.states = [Scheduled(), *[state for _ in range(1000) for state in (Late(), Scheduled())]]
    with pytest.raises(Refusal, match=r"train: waited 0\.5 minutes for pool 'local' to take it up: it is paused"):
        wait(prefect, ledger, polls=1000, alive=False, wait_minutes=0.5)
    assert prefect.proposed == ["CANCELLED"]


def test_what_a_worker_is_at_was_taken_up(prefect: Prefect, ledger: Ledger) -> None:
    from prefect.states import Completed, Pending, Running, Scheduled

    prefect.states = [Scheduled(), *[Pending()] * 10, *[Running()] * 20, Completed()]
    assert wait(prefect, ledger, polls=1000, wait_minutes=0.1) == []


def test_who_stops_waiting_cancels_it(prefect: Prefect, ledger: Ledger) -> None:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.states import Running

    def interrupted() -> bool:
        raise KeyboardInterrupt

    prefect.states = [Running()]
    url = f"http://127.0.0.1:{prefect.server_address[1]}/api"
    with SyncPrefectClient(url, httpx_settings={"trust_env": False}) as client, pytest.raises(KeyboardInterrupt):
        Attempt(client, ledger, RUN, "train", "local", Patience([].append)).wait(interrupted)
    assert prefect.proposed == ["CANCELLING"]
