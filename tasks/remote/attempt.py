"""One attempt of a worker at a stage: watched, listened to, and cancelled where nobody waits for it any more.

A worker's process holds a lease for as long as it lives. Where that is gone, so is the process, whatever Prefect
still believes of it. Likewise the run holds one, and a worker's process ends where that is gone.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from components.errors import Refusal
from components.planning.ledger import Ledger
from tasks.living.deleted import deleted, is_deleted
from tasks.living.signs import SILENT
from tasks.remote.endings import Lost, error_of, over, unserved
from tasks.remote.patience import Patience, asked_once
from tasks.remote.pools import why_waiting

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import State, StateType

POLL_SECONDS: Final = 1.0
BEGIN_SECONDS: Final = 120.0  # for a process to start, load its libraries and take its lease
GONE_SECONDS: Final = 10.0  # without the lease: a process gives it back a moment before its end is known
SLOW_SECONDS: Final = 3.0  # for an answer of the ledger: it was away
DEAF_SECONDS: Final = 30.0  # beyond the time limit, of which a process hears only between lines of Python
END_SECONDS: Final = 10.0  # for a process to end after its result is there
NOTICE_SECONDS: Final = 10.0  # until it is said that no worker is there
LINES: Final = 200  # of a log that Prefect gives at once
LOGGER: Final = "prefect.flow_runs.steelyard"  # of a worker's process: what it says is shown where the run was started


def lease_of(flow_run: object) -> str:
    """Return the name of the lease that the process of a Prefect run holds while it lives."""
    return f"worker of {flow_run}"


@dataclass(slots=True)
class Attempt:
    """One run in Prefect. `patience` shows a line to whoever waits."""

    client: "SyncPrefectClient"
    ledger: Ledger
    flow_run: "UUID"
    stage: str
    pool: str
    patience: Patience
    minutes: float | None = None  # that it may take
    wait_minutes: float | None = None  # for a worker to take it up
    _state: "StateType | None" = None
    _since: float = field(default_factory=time.monotonic)  # its state is of this type: Scheduled, later named Late
    _noticed: bool = False
    _alive_at: float | None = None  # its lease was seen the last time
    _heard: int = 0  # lines of its log

    def wait(self, done: Callable[[], bool]) -> None:
        """Wait until the result is there; whoever stops waiting cancels it.

        Raises:
            Refusal, OutOfMemory: the stage ended so, nobody takes it up, its process doesn't end it in time, or it was
                deleted in Prefect.
            Lost: the process is gone.
            RuntimeError: the stage failed.
        """
        try:
            with asked_once():
                while not self._of_ledger(done) and not self._ended():
                    self.patience.ask(self._listen, None)
                    time.sleep(POLL_SECONDS)
                self._see_off()
        except BaseException:
            with suppress(Exception), asked_once():  # what was raised matters more
                cancel(self.client, self.flow_run)
            raise

    def _ended(self) -> bool:
        """Say whether it has done its work; raise what became of it otherwise."""
        taken = self._of_ledger(lambda: self.ledger.is_taken(lease_of(self.flow_run)))
        state = self._asked()
        if state is None:
            return False
        if state.type != self._state:
            self._state, self._since = state.type, time.monotonic()
        if state.is_completed():
            return True
        if state.is_final():
            if taken and state.message == SILENT:  # Prefect was away for too long to hear of it: it lives
                return False
            self.patience.ask(self._listen, None)
            raise error_of(state.name or "", state.message or "", stage=self.stage)
        self._look_after(state, taken=taken)
        return False

    def _asked(self) -> "State | None":
        """Return its state in Prefect, None where that doesn't answer. What went by meanwhile counts for nobody.

        Raises:
            Refusal: it was deleted there.
        """
        try:
            state = self.patience.ask(lambda: self.client.read_flow_run(self.flow_run).state, None)
        except Exception as error:
            if is_deleted(error):
                raise deleted(self.stage) from None
            raise
        if state is None:
            self._begin_again()
        return state

    def _of_ledger(self, ask: Callable[[], bool]) -> bool:
        """Ask the ledger. Where it was away, nobody could renew a lease: its process is given the time to."""
        asked = time.monotonic()
        answer = ask()
        if time.monotonic() - asked > SLOW_SECONDS:
            self._begin_again()
        return answer

    def _begin_again(self) -> None:
        """Count from now on for how long nothing is heard of it."""
        self._since = time.monotonic()
        self._alive_at = None if self._alive_at is None else self._since

    def _look_after(self, state: "State", *, taken: bool) -> None:
        """Raise where its process is gone, or deaf to its time limit, or where there is no worker for it."""
        now = time.monotonic()
        lasted = now - self._since
        if state.is_running() and self.minutes is not None and lasted > 60 * self.minutes + DEAF_SECONDS:
            raise over(self.minutes, stage=self.stage)
        if state.is_running() or state.is_pending():
            self._alive_at = now if taken else self._alive_at
            silent = lasted if self._alive_at is None else now - self._alive_at
            if silent > (BEGIN_SECONDS if self._alive_at is None else GONE_SECONDS):
                raise Lost(f"its process in pool '{self.pool}' is gone")
        elif state.is_cancelling() and not taken and lasted > GONE_SECONDS:  # no worker is left to say that it is done
            raise error_of("Cancelled", "", stage=self.stage)
        elif state.is_scheduled():
            self._look_for_a_worker(lasted)

    def _look_for_a_worker(self, lasted: float) -> None:
        """Say once why nobody takes it up; raise that where it waits for longer than it may."""
        late = self.wait_minutes is not None and lasted > 60 * self.wait_minutes
        if not late and (self._noticed or lasted <= NOTICE_SECONDS):
            return
        why = self.patience.ask(lambda: why_waiting(self.client, self.pool), "no worker of it is there")
        if late:
            raise unserved(self.wait_minutes or 0, stage=self.stage, pool=self.pool, why=why)
        self._noticed = True
        self.patience.say(f"{'':10}waiting for pool '{self.pool}': {why}")

    def _see_off(self) -> None:
        """Wait for the process to send what it has still to say: the result is there, so not for long."""
        end = time.monotonic() + END_SECONDS
        with suppress(Refusal):  # deleted: it has said all
            while time.monotonic() < end:
                state = self._asked()
                if state is None or state.is_final():
                    break
                time.sleep(POLL_SECONDS / 5)
        self.patience.ask(self._listen, None)

    def _listen(self) -> None:
        """Show what the process has said since the last time. It is one process: its lines come in their order."""
        from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId

        asked = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[self.flow_run]))
        while lines := self.client.read_logs(asked, limit=LINES, offset=self._heard):
            self._heard += len(lines)
            for line in lines:
                if line.name == LOGGER:
                    self.patience.say(line.message)


def cancel(client: "SyncPrefectClient", flow_run: "UUID") -> None:
    """Have the process of a run ended by its worker; where it hasn't begun, it never will."""
    from prefect.states import Cancelled, Cancelling

    state = client.read_flow_run(flow_run).state
    if state is None or not state.is_final():
        begun = state is not None and (state.is_running() or state.is_pending())
        client.set_flow_run_state(flow_run, Cancelling() if begun else Cancelled(), force=True)
