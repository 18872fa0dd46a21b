"""What a worker's process is kept to."""

import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from components.database import connecting
from components.errors import Refusal
from components.gpus import taken
from components.home import Home
from components.planning.held import RUN, living
from components.settings import variable
from flows import remote
from flows.remote import GPUS, MEMORY, _done, _gpus, _limits, _met, _Told
from flows.running import yard_of
from tasks.living.stopping import Stop, Stopped, stoppable
from tasks.remote.asker import GONE, Asker
from tasks.remote.endings import ABANDONED
from tasks.remote.patience import reached
from tasks.remote.request import Request
from tasks.tracking.runs import Live
from tasks.tracking.sending import Sender, unsent
from tests.servers.postgres import PostgresServer

ROOT = Path(__file__).parents[2]
LIMITED = """
from flows.remote import _limits
with _limits(None, stage="train"):
    import pyarrow
    pyarrow.array(range(1000))
    with open("/proc/self/status") as status:
        print(next(line.split()[1] for line in status if line.startswith("VmData")))
"""


def test_a_time_limit_is_heard_by_work_that_catches_every_exception() -> None:
    """Such is logging, and a training that says a line an epoch is there for a good part of its time."""
    with (
        pytest.raises(Refusal, match=r"train: it took longer(.|\n)*workers\.train\.time_limit_minutes"),
        _limits(0.001, stage="train"),
    ):
        end = time.monotonic() + 20
        while time.monotonic() < end:
            with suppress(Exception):
                time.sleep(20)


def test_without_a_limit_work_takes_its_time() -> None:
    with _limits(None, stage="train"):
        time.sleep(0.1)


def test_a_memory_limit_counts_no_reserve_of_pyarrows() -> None:
    """It takes a gigabyte at once by itself, which the system counts though nothing is in it."""
    environment = {**os.environ, MEMORY: "8"}
    told = subprocess.run(
        [sys.executable, "-c", LIMITED], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert int(told.stdout) * 1024 < 700e6


def test_two_stages_on_one_machine_see_gpus_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    names = (f"{os.getpid()} a", f"{os.getpid()} b")
    monkeypatch.setenv(GPUS, "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(remote, "gpus", lambda: names)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with _gpus(log(), stage="train"):
        first = os.environ["CUDA_VISIBLE_DEVICES"]
        with _gpus(log(), stage="train"):
            assert (first, os.environ["CUDA_VISIBLE_DEVICES"]) == names


def test_more_gpus_than_the_worker_has_or_torch_can_use_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv(GPUS, "2")
    monkeypatch.setattr(remote, "gpus", lambda: ("0",))
    with (
        pytest.raises(Refusal, match="train: 2 GPUs are asked for, and the worker's process sees 1"),
        _gpus(log(), stage="train"),
    ):
        pass
    monkeypatch.setenv(GPUS, "1")
    monkeypatch.setattr(remote, "gpus", lambda: ())
    refused = r"prune: 1 GPU is asked for, and the worker's process sees 0\n.*workers\.prune\.gpus"
    with pytest.raises(Refusal, match=refused), _gpus(log(), stage="prune"):
        pass
    monkeypatch.setenv(GPUS, "2")
    monkeypatch.setattr(remote, "gpus", lambda: (f"{os.getpid()} a", f"{os.getpid()} b"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with (
        pytest.raises(Refusal, match="2 GPUs are asked for, and PyTorch on the worker can use 0"),
        _gpus(log(), stage="train"),
    ):
        pass


REQUEST = Request(stage="elsewhere:train", inputs={}, parts={}, model="m", run="r1", force=False)


def log() -> logging.Logger:
    return logging.getLogger(__name__)


def test_a_process_that_starts_while_its_ledger_restarts_begins_when_that_is_back(
    postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "FIRST_SECONDS", 0.0)
    monkeypatch.setenv(variable("ledger"), postgres.emptied())
    said: list[str] = []

    def back(line: str) -> None:
        said.append(line)
        postgres.start()

    postgres.stop()
    yard = reached(lambda: _met(Home(tmp_path)), say=back)
    assert yard.ledger.now() > 0
    assert [line.count("the ledger's server can't be reached") for line in said] == [1]


def test_the_epochs_before_are_passed_on_where_a_stage_is_taken_up_again(tmp_path: Path) -> None:
    """The process that did them may have been killed before they were sent: they lie in the file until they are."""
    sender = Sender(send=print, file=tmp_path / "run" / "unsent.jsonl")
    told = _Told(Live(sender), logging.getLogger(__name__))
    told.past("train", [{"train.loss": 2.0}, {"train.loss": 1.0}], step=4)
    sender.finish(0)
    (left,) = unsent(tmp_path, but=tmp_path)
    assert [(value, step) for _, value, _, step in left.points] == [(2.0, 0), (1.0, 1)]


def test_what_a_run_that_is_gone_has_asked_for_is_not_begun(tmp_path: Path) -> None:
    """It may wait for days in Prefect until a worker is there."""
    yard, stop = yard_of(Home(tmp_path), ""), Stop(10.0)
    ended = _done(REQUEST, yard, stop, log(), minutes=None)
    assert (ended.is_cancelled(), ended.name, ended.message) == (True, ABANDONED, GONE)
    with living(RUN + "r1", yard.ledger, seconds=15.0), pytest.raises(Refusal, match="is no stage"):
        _done(REQUEST, yard, stop, log(), minutes=None)


@pytest.fixture
def busy_gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose only GPU another stage has."""
    names = (f"{os.getpid()} busy",)
    monkeypatch.setenv(GPUS, "1")
    monkeypatch.setattr(remote, "gpus", lambda: names)
    with taken(1, of=names, say=print):
        yield


@pytest.mark.usefixtures("busy_gpu")
def test_for_a_run_that_is_gone_no_gpu_is_waited_for(tmp_path: Path) -> None:
    def waits(_line: str) -> None:
        raise AssertionError("it waits for GPUs")

    ended = _done(
        REQUEST, yard_of(Home(tmp_path), ""), Stop(10.0), cast(Any, SimpleNamespace(info=waits)), minutes=None
    )
    assert (ended.name, ended.message) == (ABANDONED, GONE)


@pytest.mark.usefixtures("busy_gpu")
def test_a_run_that_goes_while_its_stage_waits_for_gpus_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "TURN_SECONDS", 0.1)
    monkeypatch.setattr(remote, "Asker", partial(Asker, gone_seconds=0.2))
    yard = yard_of(Home(tmp_path), "")
    lease = yard.ledger.acquire(RUN + "r1", seconds=60.0)
    assert lease is not None
    told = SimpleNamespace(info=lambda _line: yard.ledger.release(lease))  # it says that it waits for GPUs
    with pytest.raises(Stopped, match=GONE), stoppable() as stop:
        _done(REQUEST, yard, stop, cast(Any, told), minutes=None)
