"""A stage that a worker is asked for by a real Prefect. The worker is a thread that does what flows/remote.py does."""

import json
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

import pytest

from components.errors import Refusal
from components.memory import OutOfMemory
from components.store.artifact import Artifact
from components.workers import Worker, Workers
from flows.servers.pool import TEMPLATE
from tasks.perform import Done, perform
from tasks.remote import attempt, request
from tasks.remote.call import perform_elsewhere
from tasks.remote.endings import name_of
from tasks.remote.request import got, understood
from tasks.runner import PrefectRun
from tasks.stage import Yard
from tests.servers.faults import once, proxy, wait_until
from tests.servers.prefect import shared_server
from tests.tasks.test_smaller_batches import HALF, LOG, SAID, WHOLE, Listening, train_by, tried
from tests.tasks.tiny import Summed, train, yard_at

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun, State

pytestmark = pytest.mark.xdist_group("runs")  # where the Prefect server is
CREATION = "create_flow_run"


@dataclass(frozen=True, kw_only=True, slots=True)
class Pool:
    """A work pool of Prefect's, with one worker at most."""

    name: str
    api_url: str
    ended: Event = field(default_factory=Event)

    def client(self) -> "SyncPrefectClient":
        from prefect.client.orchestration import SyncPrefectClient

        return SyncPrefectClient(self.api_url, httpx_settings={"trust_env": False})

    def asked(self) -> "list[FlowRun]":
        """What it was asked for, the first first."""
        from prefect.client.schemas.filters import WorkPoolFilter, WorkPoolFilterName
        from prefect.client.schemas.sorting import FlowRunSort

        wanted = WorkPoolFilter(name=WorkPoolFilterName(any_=[self.name]))
        with self.client() as client:
            return client.read_flow_runs(work_pool_filter=wanted, sort=FlowRunSort.EXPECTED_START_TIME_ASC)

    @contextmanager
    def served(self, yard: Yard, *, dies: Sequence[str] = ()) -> Iterator[None]:
        """Have a worker do what it is asked for. Its first processes die, and Prefect says these words of them."""
        thread = Thread(target=self._serve, args=(yard, list(dies)), daemon=True)
        thread.start()
        try:
            yield
        finally:
            self.ended.set()
            thread.join()

    def _serve(self, yard: Yard, dies: list[str]) -> None:
        from prefect.states import Crashed

        with self.client() as client:
            while not self.ended.wait(0.05):
                for one in self.asked():
                    if one.state is not None and one.state.is_scheduled():
                        state = Crashed(message=dies.pop(0)) if dies else _done(one, yard)
                        client.set_flow_run_state(one.id, state, force=True)


def _done(one: "FlowRun", yard: Yard) -> "State":
    """Do what is asked for, and return the state that its process ends with."""
    from prefect.states import Completed, Failed

    try:
        stage, inputs = understood(asked := got(Artifact(**one.parameters["request"]), yard.store))
        perform(stage, inputs, replace(yard, run=asked.run), log=LOG)
    except Exception as error:
        return Failed(name=name_of(error), message=str(error))
    return Completed()


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pool]:
    from prefect.client.schemas.actions import WorkPoolCreate

    monkeypatch.setattr(request, "HOME", "tests.")  # where the stage is
    monkeypatch.setattr(attempt, "POLL_SECONDS", 0.1)
    with shared_server() as server:
        pool = Pool(name=uuid.uuid4().hex, api_url=server.api_url)
        template = json.loads(TEMPLATE.read_text("utf-8"))
        with pool.client() as client:
            client.create_work_pool(WorkPoolCreate(name=pool.name, type="process", base_job_template=template))
        yield pool


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    return replace(yard_at(tmp_path / "home"), tracker=Listening())


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def said(yard: Yard) -> list[str]:
    assert isinstance(yard.tracker, Listening)
    return yard.tracker.said


def asked_for(worker: Worker, yard: Yard, journal: Path, *, fits: int = 64) -> Done[Summed]:
    """Ask for the training, and wait for it."""
    inputs = train.bind(WHOLE, journal=str(journal), fits=fits)
    return perform_elsewhere(train, inputs, yard, worker=worker, log=LOG)


def test_a_worker_whose_gpu_is_too_small_is_asked_for_half_the_batch_and_that_is_found_from_then_on(
    pool: Pool, yard: Yard, journal: Path, tmp_path: Path
) -> None:
    workers = Workers(train=Worker(pool=pool.name, memory_gb=4))
    with pool.served(yard):
        made = train_by(PrefectRun(yard, workers=workers), journal)
    asked = f"train: asked of pool '{pool.name}'"
    assert said(yard) == [asked, SAID, asked]
    assert [line.partition(" beside")[0] for line in tried(journal)] == ["3 x 64", "6 x 32"]
    half = train.bind(HALF, journal=str(journal), fits=32)
    assert made == perform(train, half, yard_at(tmp_path / "direct"), log=LOG).outputs
    again = PrefectRun(replace(yard, run="r2"), workers=workers)
    assert train_by(again, journal) == made
    assert [one.cached for one in again.done] == [True]
    assert len(pool.asked()) == 2


def test_gpu_memory_that_is_short_is_not_mended_by_main_memory(pool: Pool, yard: Yard, journal: Path) -> None:
    with pool.served(yard), pytest.raises(OutOfMemory, match="out of GPU memory: CUDA out of memory") as caught:
        asked_for(Worker(pool=pool.name, memory_gb=4), yard, journal, fits=32)
    assert caught.value.of == "GPU"
    assert len(pool.asked()) == 1


@contextmanager
def cut_once(pool: Pool) -> Iterator[list[int]]:
    """Cut the answer to the first creation of a run; the list says afterwards how many there were."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    count: list[int] = []
    with proxy(pool.api_url) as faults, temporary_settings({PREFECT_API_URL: f"{faults.endpoint_url}/api"}):
        faults.fault = once("cut answer", "POST", CREATION)
        yield count
        count.append(faults.count("POST", CREATION))


def test_a_stage_whose_asking_was_not_answered_is_asked_for_once(pool: Pool, yard: Yard, journal: Path) -> None:
    with cut_once(pool) as count, pool.served(yard):
        done = asked_for(Worker(pool=pool.name), yard, journal)
    assert done.outputs == Summed(total=192)
    assert len(pool.asked()) == 1 < count[0]
    assert len(tried(journal)) == 1


def test_each_new_attempt_is_a_run_of_its_own_in_prefect(pool: Pool, yard: Yard, journal: Path) -> None:
    """One for each process that was lost, and one for more memory; the answer to the first asking is cut as well."""
    dies = ["its process is gone", "Process exited with status code: -9", "its process is gone"]
    with cut_once(pool) as count, pool.served(yard, dies=dies):
        asked_for(Worker(pool=pool.name, memory_gb=4, retries=2), yard, journal)
    asked = pool.asked()
    assert [one.job_variables["memory_gb"] for one in asked if one.job_variables] == ["4", "4", "8", "8"]
    assert len({one.idempotency_key for one in asked}) == 4
    assert [one.state.name for one in asked if one.state] == ["Crashed", "Crashed", "Crashed", "Completed"]
    assert len(asked) < count[0]
    assert len(tried(journal)) == 1


@pytest.mark.timeout(60, func_only=True)
@pytest.mark.parametrize("paused", ["", "pool", "queue"])
def test_a_stage_that_nobody_takes_up_is_refused_when_it_has_waited_for_so_long(
    pool: Pool, yard: Yard, journal: Path, paused: str
) -> None:
    from prefect.client.schemas.actions import WorkPoolUpdate

    with pool.client() as client:
        client.update_work_pool(pool.name, WorkPoolUpdate(is_paused=paused == "pool"))
        queue = client.read_work_pool(pool.name).default_queue_id
        assert queue is not None
        client.update_work_queue(queue, is_paused=paused == "queue")
    with pytest.raises(Refusal) as refused:
        asked_for(Worker(pool=pool.name, wait_minutes=0.01), yard, journal)
    (problem,) = refused.value.problems
    why = {"": "no worker of it is there", "pool": "it is paused", "queue": "its queue 'default' is paused"}
    assert problem.what == f"waited 0.01 minutes for pool '{pool.name}' to take it up: {why[paused]}"
    assert problem.where == "train"
    assert "workers.train.wait_minutes" in problem.do
    assert [one.state.name for one in pool.asked() if one.state] == ["Cancelled"]


def test_a_stage_that_is_taken_up_in_time_may_last(pool: Pool, yard: Yard, journal: Path) -> None:
    with pool.served(yard):
        done = asked_for(Worker(pool=pool.name, wait_minutes=1), yard, journal)
    assert done.outputs == Summed(total=192)


@pytest.mark.timeout(60, func_only=True)
def test_a_stage_whose_run_was_deleted_is_refused_at_once(pool: Pool, yard: Yard, journal: Path) -> None:
    def delete() -> None:
        wait_until(pool.asked)
        with pool.client() as client:
            client.delete_flow_run(pool.asked()[0].id)

    with ThreadPoolExecutor(1) as beside:
        deleting = beside.submit(copy_context().run, delete)
        with pytest.raises(Refusal) as refused:
            asked_for(Worker(pool=pool.name), yard, journal)
        deleting.result()
    (problem,) = refused.value.problems
    assert (problem.where, problem.what) == ("train", "its flow run was deleted in Prefect")
    assert problem.do == "run again: what was done is kept"
    assert pool.asked() == []


def test_a_result_that_is_there_is_taken_though_its_run_was_deleted(pool: Pool, yard: Yard, journal: Path) -> None:
    from prefect.states import Running

    def do_and_delete() -> None:
        wait_until(pool.asked)
        (asked,) = pool.asked()
        with pool.client() as client:
            client.set_flow_run_state(asked.id, Running(), force=True)
            _done(asked, yard)
            time.sleep(1)  # until only the end of the process is waited for
            client.delete_flow_run(asked.id)

    with ThreadPoolExecutor(1) as beside:
        deleting = beside.submit(copy_context().run, do_and_delete)
        assert asked_for(Worker(pool=pool.name), yard, journal).outputs == Summed(total=192)
        deleting.result()


def test_a_forced_run_waits_for_a_result_of_its_own_though_another_run_leaves_one(
    pool: Pool, yard: Yard, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "END_SECONDS", 0.0)  # for what has its result
    forced, worker = replace(yard, force=frozenset(["train"])), Worker(pool=pool.name, wait_minutes=1)
    inputs = train.bind(WHOLE, journal=str(journal), fits=64)
    with ThreadPoolExecutor(1) as beside:
        asking = beside.submit(copy_context().run, lambda: asked_for(worker, forced, journal))  # as Prefect is set here
        wait_until(pool.asked)
        perform(train, inputs, replace(yard, run="another"), log=LOG)
        time.sleep(10 * attempt.POLL_SECONDS)
        assert not asking.done()
        with pool.served(forced):
            done = asking.result()
    record = yard.ledger.record(done.key)
    assert record is not None
    assert record.run == yard.run
    assert len(tried(journal)) == 2
