"""`doctor`, asked of workers: a process of theirs looks at the same things, and its findings are told beside ours.

The answer is the message of a state in Prefect. That takes neither store nor ledger, which may be what is wrong.
"""

import json
import socket
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from components.errors import Refusal
from components.home import Home
from components.planning.ledger import Ledger
from components.settings import settings_of
from flows.doctor.examine import KEYED, examine
from flows.doctor.finding import Finding, State
from flows.doctor.masking import masking
from flows.doctor.probes import CLOSE_SECONDS, left_in_store, lies_in_store
from flows.servers.environment import enter, environment
from flows.servers.login import ask_prefect
from flows.servers.services import running
from flows.state import ledger_of
from tasks.remote.pools import DOCTOR, deployment_of, is_busy, is_polled, knows_stages
from tasks.remote.rows import LEDGER, TAG

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import State as RunState
    from prefect.client.schemas.objects import WorkPool

ANSWER_SECONDS: Final = 60.0
PREFECT_SECONDS: Final = 20.0  # for an answer of Prefect's, which is asked once more
POLL_SECONDS: Final = 0.5
NOT_ASKED: Final = "not asked, since that takes Prefect's server: mend what is bad here first"
SAID: Final = 300  # letters of what went wrong


# What a worker's process does.


def opinion(home: Home, *, blob: str, lease: str) -> list[Finding]:
    """Look at what a stage needs from this process, and for what the asking one has left in the store and the ledger.

    `blob` is the digest of what it put, `lease` the name of what it holds; "" where it couldn't.
    """
    looked = examine(home, "worker")
    bad = {one.name for one in looked if one.state == "bad"}
    again = [
        *([] if "store" in bad else _store_again(home, blob)),
        *([] if "ledger" in bad else _ledger_again(home, lease)),
    ]
    clock = Finding(name="clock", state="ok", detail="", fact=str(time.time()))
    host = Finding(name="host", state="ok", detail=socket.gethostname())
    return [host, *looked, *again, clock]


def _store_again(home: Home, blob: str) -> Iterator[Finding]:
    with suppress(Refusal, OSError):  # `store` tells of it
        if blob and lies_in_store(home, blob):
            yield Finding(name="same store", state="ok", detail="it has what was put into the store by `doctor`")
        elif blob:
            detail = "it lacks what `doctor` has just put into the store: it is another store"
            yield Finding(name="same store", state="bad", detail=detail)


def _ledger_again(home: Home, lease: str) -> Iterator[Finding]:
    with suppress(Refusal, OSError):
        ledger = ledger_of(home)
        if lease and ledger.database.exists() and ledger.is_taken(lease):
            yield Finding(name="same ledger", state="ok", detail="it knows the lease that `doctor` holds")
        elif lease:
            detail = "it doesn't know the lease that `doctor` holds: it is another ledger"
            yield Finding(name="same ledger", state="bad", detail=detail)


# What the asking process does.


def second_opinions(
    home: Home, here: Sequence[Finding], *, tell: Callable[[str], object] = lambda _what: None
) -> list[Finding]:
    """Ask a worker of each pool to which stages can go, where there is a server.

    `here` is what this process found; `tell` hears what is waited for.
    """
    up, server = running(home), {one.name: one for one in here}.get("prefect server")
    if server is None or server.state == "bad":
        return [Finding(name="workers", state="note", detail=NOT_ASKED)]
    url = settings_of(home).prefect_api_url or (up.prefect_api_url if up else None)
    if url is None:
        return []
    tell("asking Prefect which work pools there are")
    pools = ask_prefect(url, "/work_pools/filter", home)
    if pools.status != 200:
        return [_unasked(pools.status)]
    if pools.body == b"[]":
        return []
    enter(home, prefect_url=url, mlflow_uri=up.mlflow_tracking_uri if up else None)
    with suppress(OSError):  # Prefect makes no more than the last folder of the path, and warns
        home.prefect.mkdir(parents=True, exist_ok=True)
    from httpx import HTTPError, HTTPStatusError

    hidden = masking(home)
    try:
        with _client(url, home) as client:
            found = list(_of_pools(client, home, here, tell))
    except HTTPError as error:
        found = [_unasked(error.response.status_code if isinstance(error, HTTPStatusError) else 0)]
    return [replace(one, detail=hidden(one.detail)) for one in found]


@contextmanager
def _client(url: str, home: Home) -> "Iterator[SyncPrefectClient]":
    """Have a client for the block that soon gives up: Prefect's own would try for minutes."""
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    variables = environment(home)
    login, key = variables.get("PREFECT_API_AUTH_STRING"), variables.get("PREFECT_API_KEY")
    brief = {"timeout": PREFECT_SECONDS}
    with (
        temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 1}),
        SyncPrefectClient(url, auth_string=login, api_key=key, httpx_settings=brief) as client,
    ):
        yield client


def _unasked(status: int) -> Finding:
    """Return why workers can't be asked. The status is 0 where Prefect's server gave none."""
    told = f"answers with an error ({status})" if status else "doesn't answer"
    detail = f"they can't be asked: Prefect's server {told}; look at its log, and whether its database is up"
    return Finding(name="workers", state="bad", detail=detail)


def start_of(home: Home) -> str:
    """Return how a worker is started. `up` refuses where its servers would not be those that are set."""
    ways = {"default": "`steelyard up`; ", str(home.secrets): "`steelyard up --production`; "}
    up = ways.get(settings_of(home).origin("prefect_api_url"), "")
    return f"start one ({up}docs/production.md for others): stages that are sent there wait"


def _of_pools(
    client: "SyncPrefectClient", home: Home, here: Sequence[Finding], tell: Callable[[str], object]
) -> Iterator[Finding]:
    asked: list[_Asked] = []
    start = start_of(home)
    well = {one.name for one in here if one.state != "bad"}
    ledger = there if "ledger" in well and (there := ledger_of(home)).database.exists() else None
    tags = [TAG] if ledger is None else [TAG, LEDGER + ledger.identity()]  # by which `reap` finds it
    with ExitStack() as stack:
        question = _question(home if "store" in well else None, ledger, stack)
        for pool in client.read_work_pools():
            if why := _not_asked(client, pool):
                yield Finding(name="worker", state="note", detail=why, pool=pool.name)
            elif not is_polled(client, pool.name):
                yield Finding(name="worker", state="bad", detail=f"no worker of it is there: {start}", pool=pool.name)
            else:
                asked.append(_ask(client, pool, question, tags=tags))
        if asked:
            tell(f"asking a worker of {', '.join(one.pool for one in asked)}, for {ANSWER_SECONDS:.0f} s at most")
            _wait(asked, client)
        for one in asked:
            yield from beside(one.found(client, start=start), here, pool=one.pool, asked=(one.began, one.ended))


def _not_asked(client: "SyncPrefectClient", pool: "WorkPool") -> str:
    """Return why no worker of the pool is asked, or ""."""
    if not knows_stages(client, pool):
        return "not asked: no stage was ever sent there, and its template isn't one of infra/"
    if pool.is_paused:
        return "not asked: the pool is paused, and stages that are sent there wait"
    return ""


def _question(home: Home | None, ledger: Ledger | None, stack: ExitStack) -> dict[str, str]:
    """Leave something in store and ledger, as far as they work, for the worker to find until the end."""
    blob = stack.enter_context(left_in_store(home)) if home else ""
    taken = ledger.acquire(f"doctor {uuid.uuid4().hex}", seconds=2 * ANSWER_SECONDS) if ledger else None
    if ledger and taken:
        stack.callback(ledger.release, taken)
    return {"blob": blob, "lease": taken.name if taken else ""}


@dataclass(slots=True)
class _Asked:
    """A worker of a pool that was asked, and how far it is."""

    pool: str
    flow_run: "UUID"
    began: float = field(default_factory=time.time)
    ended: float = 0.0
    state: "RunState[None] | None" = None

    def found(self, client: "SyncPrefectClient", *, start: str) -> list[Finding]:
        """Return what the worker found, or what became of it instead. `start` says how one is started."""
        name, said = (self.state.name or "", self.state.message or "") if self.state else ("", "")
        if self.state is not None and self.state.is_completed():
            return [Finding(**one) for one in json.loads(said)]
        limit = f"within {ANSWER_SECONDS:.0f} s"
        if self.state is None or self.state.is_scheduled():
            if is_busy(client, self.pool):
                return [Finding(name="worker", state="note", detail=f"all of its workers were busy {limit}")]
            told = f"none of its workers took it up {limit}, though nothing runs there: they are gone, or can't start "
            told += "a process, or its queue is paused or limited to nothing. Look at them, or "
            return [Finding(name="worker", state="bad", detail=f"{told}{start}")]
        if not self.state.is_final() or self.state.is_cancelled():
            told = f"a worker took it up, and its process didn't answer {limit}: it is slow, or its log says more"
            return [Finding(name="worker", state="note", detail=told)]
        told = f"a worker's process couldn't look: {name}: {' '.join(said.split())[:SAID]} (run {self.flow_run})"
        return [Finding(name="worker", state="bad", detail=told)]


def _ask(client: "SyncPrefectClient", pool: "WorkPool", question: dict[str, str], *, tags: list[str]) -> _Asked:
    deployment = deployment_of(client, pool, flow=DOCTOR)
    run = client.create_flow_run_from_deployment(deployment, parameters=question, tags=tags)
    return _Asked(pool=pool.name, flow_run=run.id)


def _wait(asked: Sequence[_Asked], client: "SyncPrefectClient") -> None:
    """Wait for all of them, and take back what nobody answered."""
    end = time.monotonic() + ANSWER_SECONDS
    while (open_ := [one for one in asked if one.ended == 0]) and time.monotonic() < end:
        for one in open_:
            one.state = client.read_flow_run(one.flow_run).state
            if one.state is not None and one.state.is_final():
                one.ended = time.time()
        time.sleep(POLL_SECONDS)
    from tasks.remote.attempt import cancel

    for one in open_:
        cancel(client, one.flow_run)


def beside(
    theirs: Sequence[Finding], ours: Sequence[Finding], *, pool: str, asked: tuple[float, float]
) -> list[Finding]:
    """Return a worker's findings, what is otherwise than here pointed out. `asked`: when it was, and was heard."""
    known = {one.name: one for one in ours}
    told = [_timed(one, asked) if one.name == "clock" else _compared(one, known.get(one.name)) for one in theirs]
    return [replace(one, pool=pool) for one in told]


def _timed(one: Finding, asked: tuple[float, float]) -> Finding:
    clock = float(one.fact)
    off = max(asked[0] - clock, clock - asked[1], 0.0)
    if off <= CLOSE_SECONDS:
        return replace(one, detail="as here", fact="")
    return replace(one, state="note", detail=f"{off:.0f} s off from here: set both by the same time server", fact="")


def _compared(one: Finding, mine: Finding | None) -> Finding:
    if mine is None or one.fact == mine.fact or (one.name == "gpus" and int(one.fact) > int(mine.fact)):
        return one
    state: State = "bad" if one.state == "bad" or one.name in KEYED else "note"
    refused = ": a worker refuses stages of another version" if one.name in KEYED else ""
    return replace(one, state=state, detail=f"{one.detail}; here {mine.fact}{refused}")
