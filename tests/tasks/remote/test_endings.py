"""What the end of a worker's process tells."""

import socket
from collections.abc import Callable
from pathlib import Path
from signal import SIGKILL, SIGTERM

import pytest

from components.database import connecting
from components.errors import Refusal
from components.home import Home
from components.planning.ledger import ledger_at
from components.production import Ports, Production, new_secrets, write_down
from components.store.s3.access import Access
from components.store.s3.bucket import Bucket
from components.training.distributed.lost import cause_of
from components.training.distributed.work import Lost as Loss
from flows.servers.reaching import check_up
from tasks.remote.endings import ABANDONED, GPU_MEMORY, LOST, MEMORY, REFUSED, Lost, error_of, name_of, over
from tests.servers.faults import proxy
from tests.servers.postgres import PostgresServer
from tests.servers.s3 import BUCKET, S3Server


@pytest.mark.parametrize(
    ("message", "perhaps"),
    [
        ("Flow run process exited with non-zero status code -9.", True),
        ("Process exited with status code: 137. Typically, this is caused by", True),
        ("Flow run infrastructure exited with non-zero status code -11. It", True),
        ("Flow run process exited with non-zero status code 1.", False),
        ("Flow run process exited with non-zero status code -15.", False),
        ("its process in pool '-9' is gone", False),
    ],
)
def test_a_process_that_was_killed_may_have_been_short_of_memory(message: str, perhaps: bool) -> None:
    lost = error_of("Crashed", message, stage="train")
    assert isinstance(lost, Lost)
    assert lost.perhaps_memory == perhaps
    assert not str(lost).endswith(".")


@pytest.mark.parametrize(
    ("losses", "launcher", "name", "perhaps"),
    [
        ([Loss(rank=1, code=-SIGKILL), Loss(rank=0, at=1.0)], 1, LOST, True),
        ([Loss(rank=1, code=-SIGTERM)], 1, LOST, False),
        ([Loss(rank=0, at=1.0)], -SIGKILL, LOST, True),  # of torchrun
        ([Loss(rank=0, at=1.0, short_of="main")], 1, MEMORY, None),
        ([Loss(rank=0, at=1.0, short_of="GPU")], 1, GPU_MEMORY, None),
        ([Loss(rank=0, at=1.0)], 1, None, None),  # its own failure
    ],
)
def test_a_process_of_several_that_was_killed_is_lost_as_that_of_a_stage_is(
    losses: list[Loss], launcher: int, name: str | None, perhaps: bool | None, tmp_path: Path
) -> None:
    error = cause_of(losses, tmp_path, processes=2, launcher=launcher)
    assert name_of(error) == name
    told = error_of(name or "Failed", str(error), stage="train")
    assert (told.perhaps_memory if isinstance(told, Lost) else None) == perhaps
    assert "to do" not in str(told)


@pytest.mark.parametrize(("message", "said"), [("", "out of memory"), ("no more", "out of memory: no more")])
def test_memory_that_ran_out_is_told_with_what_was_said_of_it(message: str, said: str) -> None:
    assert str(error_of("Out of memory", message, stage="train")) == said


@pytest.fixture
def closed() -> int:
    """A port at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def refusal(work: Callable[[], object]) -> Refusal:
    with pytest.raises(Refusal) as caught:
        work()
    return caught.value


def test_a_worker_that_reaches_no_server_leaves_the_stage_to_another(
    tmp_path: Path, closed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "FIRST_SECONDS", 0.0)
    access = Access(endpoint_url=f"http://127.0.0.1:{closed}", access_key="a", secret_key="b", attempts=1)
    write_down(Production(ports=Ports(postgres=closed), secrets=new_secrets()), Home(tmp_path))
    for work, said in (
        (lambda: ledger_at(f"postgresql://me@127.0.0.1:{closed}/db").now(), "the ledger's server can't be reached"),
        (lambda: Bucket("bucket", access).read("key", 0, 1), "can't be reached, or stopped answering"),
        (lambda: check_up(Home(tmp_path)), "they are down"),
    ):
        error = refusal(work)
        assert name_of(error) == ABANDONED
        lost = error_of(ABANDONED, str(error), stage="train")
        assert isinstance(lost, Lost)
        assert said in str(lost)
        assert "\n" not in str(lost)


def test_what_a_server_denies_a_worker_is_for_a_person_to_mend(postgres: PostgresServer, s3: S3Server) -> None:
    access = Access(endpoint_url=s3.endpoint_url, access_key="nobody", secret_key="wrong", attempts=1)
    for work in (
        lambda: ledger_at(postgres.address(password="wrong")).now(),
        lambda: Bucket(BUCKET, access).read("key", 0, 1),
    ):
        assert name_of(refusal(work)) == REFUSED


@pytest.mark.parametrize(("fault", "name"), [("503 SlowDown", ABANDONED), ("403 ExpiredToken", REFUSED)])
def test_an_s3_that_fails_is_away_and_one_that_denies_is_not(s3: S3Server, fault: str, name: str) -> None:
    with proxy(s3.endpoint_url) as faults:
        faults.fault = lambda request: fault
        bucket = Bucket(BUCKET, Access(endpoint_url=faults.endpoint_url, attempts=1))
        assert name_of(refusal(lambda: bucket.put("key", b"bytes"))) == name


def test_a_stage_that_took_too_long_is_told_with_its_knob_and_with_what_is_kept() -> None:
    told = str(over(0.4, stage="prune 0.5"))
    assert told.startswith("prune 0.5: it took longer than 0.4 minutes")
    assert "raise workers.prune.time_limit_minutes" in told
    assert "what was trained is kept, and the next run goes on from it" in told
    assert "trained" not in str(over(1, stage="export")), "it has no checkpoint"
