"""A run beside its work: it gives signs of life to Prefect, and hears there that it was cancelled, or deleted."""

import contextvars
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal
from uuid import UUID

from components.every import every
from tasks.living.deleted import DELETED, is_deleted
from tasks.living.signs import ALIVE, ENDED, SILENT, tell, time_of
from tasks.living.stopping import Stop

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

TURN_SECONDS: Final = 5.0  # from one look at the run's state to the next
SIGN_SECONDS: Final = 10.0  # from one sign to the next
ANSWER_SECONDS: Final = 10.0  # for Prefect's answer
CANCELLED: Final = "cancelled in Prefect"
Meaning = Literal["go on", "end", "not so"]


def meaning_of(kind: str, message: str) -> Meaning:
    """Return what a state in Prefect says to the process of the run, which lives."""
    if kind in ("CANCELLING", "CANCELLED"):
        return "end"
    return "not so" if kind == "CRASHED" and message == SILENT else "go on"


@dataclass(slots=True)
class Pulse:
    """What is done at each turn."""

    client: "SyncPrefectClient"
    flow_run: UUID
    stop: Stop
    patience: float  # seconds for somebody else to end this process when it was cancelled
    _signed: float = field(default=float("-inf"))  # when the last sign was given
    _told: float | None = None  # when it was first seen that it is to end

    def turn(self) -> None:
        """Look at the state of the run, and give a sign of life where it is time for one."""
        from prefect.states import Running

        try:
            answer = self.client.request("GET", "/flow_runs/{id}", path_params={"id": str(self.flow_run)})
        except Exception as error:
            if not is_deleted(error):
                raise
            self.stop(DELETED)  # at once: who doesn't find it any more ends no process of it
            return
        state = answer.json()["state"] or {}
        now = time.monotonic()
        match meaning_of(state.get("type", ""), state.get("message") or ""):
            case "end":
                self._told = now if self._told is None else self._told
                if now - self._told >= self.patience:
                    self.stop(CANCELLED)
            case "not so":  # the server was away for longer than it waits
                self.client.set_flow_run_state(self.flow_run, Running())
            case "go on":
                self._told = None
        if now - self._signed >= SIGN_SECONDS:
            tell(self.client, ALIVE, [self.flow_run], at=time_of(answer))
            self._signed = now

    def end(self) -> None:
        """Say that no further sign comes."""
        tell(self.client, ENDED, [self.flow_run], at=time_of(self.client.hello()))


@contextmanager
def pulse(flow_run: object, stop: Stop, *, patience: float = 0.0) -> Iterator[None]:
    """Give signs of life until the block ends, and stop it where the run is to end. Without Prefect it goes on."""
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    with get_client(sync_client=True, httpx_settings={"timeout": ANSWER_SECONDS}) as client:
        beside = Pulse(client, UUID(str(flow_run)), stop, patience)
        with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}):  # each turn is a new attempt
            own = contextvars.copy_context()
        try:
            with every(TURN_SECONDS, lambda: own.run(beside.turn), name=f"pulse of {flow_run}"):
                yield
        finally:
            with suppress(Exception):
                own.run(beside.end)
