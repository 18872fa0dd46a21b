"""The parent hears how its processes do, gets their weights or one error, and leaves nothing running."""

import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Thread

import psutil
import pytest
import torch

from components.errors import ProcessLost, Refusal
from components.memory import OutOfMemory
from components.models.config import CNN, Custom
from components.training.config import DDP, SGD, Constant, PowerSGD, TrainConfig
from components.training.distributed.launcher import found
from components.training.distributed.lost import cause_of
from components.training.distributed.work import Lost
from tests.components.models.cases import VALUE
from tests.components.training.cases import train, weights
from tests.components.training.distributed.cases import ROOT, SHORT, SURE, spread
from tests.components.training.test_loop import Notes
from tests.flows.servers.test_services import gone

SLOW = Custom(path="tests.components.training.distributed.slow:Slow")
LONG = replace(SHORT, epochs=12, distributed=DDP(compress=PowerSGD(rank=1, start_step=3)))  # 60 steps


@pytest.fixture(autouse=True)
def _path(monkeypatch: pytest.MonkeyPatch) -> None:
    """The network is found as a user's is: beside their recipe, on this process's path alone."""
    monkeypatch.syspath_prepend(ROOT)


class Watch(Notes):
    """Remembers what it was told, and whom it saw run; does something at a step."""

    def __init__(self, *, at: int = 0) -> None:
        super().__init__()
        self.at, self.seen, self.gone_on = at, list[psutil.Process](), list[tuple[int, int]]()
        self.others = children()  # servers of other tests

    def resumed(self, epochs: Sequence[Mapping[str, float]], *, step: int) -> None:
        self.gone_on.append((len(epochs), step))

    def step(self, *, step: int, steps: int) -> None:
        super().step(step=step, steps=steps)
        self.seen = self.seen or [one for one in children() if one not in self.others]
        if self.at and step >= self.at:
            self.at = 0
            self.act()

    def act(self) -> None:
        """What is done."""


class Ends(Watch):
    """Sends a signal to the process of a rank, or to the launcher, at step 20."""

    def __init__(self, rank: str, sent: signal.Signals) -> None:
        super().__init__(at=20)
        self.rank, self.sent = rank, sent

    def act(self) -> None:
        next(one for one in self.seen if one.environ().get("RANK", "launcher") == self.rank).send_signal(self.sent)


class Interrupts(Watch):
    def act(self) -> None:
        raise KeyboardInterrupt


def children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


PARENT = """
import sys
from pathlib import Path
from tests.components.training.cases import train
from tests.components.training.distributed.test_parent import LONG, SLOW, Watch

class Tells(Watch):
    def step(self, *, step, steps):
        super().step(step=step, steps=steps)
        print("at", step, *(one.pid for one in self.seen), flush=True)

train(LONG, Path(sys.argv[1]), network=SLOW, observer=Tells())
"""


@pytest.mark.slow
def test_a_killed_process_and_a_killed_parent_lose_no_byte_and_leave_nothing_running(tmp_path: Path) -> None:
    whole = Watch()
    model, fitted = train(LONG, tmp_path / "whole", network=SLOW, observer=whole)
    assert whole.steps == [(step, 60) for step in range(1, 61)]
    assert whole.epochs == list(enumerate(fitted.history))
    assert not whole.gone_on
    assert len(whole.seen) == 3  # torchrun and two processes
    assert all(gone(one.pid, seconds=1.0) for one in whole.seen)
    assert fitted.device == "2 x cpu"
    assert model.network.body.network.unused.equal(torch.ones(3))  # type: ignore[union-attr]

    watch = Ends("1", signal.SIGKILL)
    with pytest.raises(ProcessLost, match=r"process 2 of 2 was killed by SIGKILL .status code -9.\n  to do: .* memory"):
        train(LONG, tmp_path / "killed", network=SLOW, observer=watch)
    assert all(gone(one.pid) for one in watch.seen)

    command, reached = [sys.executable, "-c", PARENT, str(tmp_path / "killed")], list[int]()
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        for line in filter(lambda line: line.startswith("at "), parent.stdout):
            reached = [int(number) for number in line.split()[1:]]
            if reached[0] >= 40:
                parent.kill()
                break
    assert 40 <= reached[0] < 60
    assert len(reached) == 4
    assert all(gone(pid, seconds=5.0) for pid in reached[1:])

    last = Watch()
    again, refitted = train(LONG, tmp_path / "killed", network=SLOW, observer=last)
    assert last.gone_on
    assert last.gone_on[0] >= (7, 0)
    assert weights(again, tmp_path / "a") == weights(model, tmp_path / "b")
    assert refitted.history == fitted.history
    assert not (tmp_path / "killed" / "processes").exists()


def test_killed_while_its_processes_start_a_parent_leaves_none(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE) as parent:
        started: list[psutil.Process] = []
        while len(started) < 3:  # torchrun and two processes, which load torch for seconds before they do anything
            started = psutil.Process(parent.pid).children(recursive=True)
            time.sleep(0.02)
        parent.kill()
        assert all(gone(one.pid) for one in started)
    assert not list(tmp_path.glob("*.safetensors")), "they trained to the end"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rank", "sent", "told"),
    [
        ("launcher", signal.SIGKILL, "torchrun was killed by SIGKILL"),
        ("launcher", signal.SIGTERM, "torchrun was killed by SIGTERM"),
        ("1", signal.SIGTERM, "process 2 of 2 was killed by SIGTERM"),
        ("0", signal.SIGSEGV, "process 1 of 2 was killed by SIGSEGV"),
    ],
)
def test_whichever_process_a_signal_ends_none_is_left_and_training_goes_on_from_there(
    rank: str, sent: signal.Signals, told: str, tmp_path: Path
) -> None:
    watch, last = Ends(rank, sent), Interrupts(at=1)
    with pytest.raises(ProcessLost, match=rf"(?s){told}.*to do: *run again: it goes on from its last checkpoint"):
        train(LONG, tmp_path, network=SLOW, observer=watch)
    assert watch.steps[-1][0] < 40
    assert len(watch.seen) == 3
    assert all(gone(one.pid, seconds=1.0) for one in watch.seen)
    with pytest.raises(KeyboardInterrupt):
        train(LONG, tmp_path, network=SLOW, observer=last)
    assert last.gone_on[0] >= (3, 0)


SOONER, LATER = (pytest.param(seconds, marks=pytest.mark.slow) for seconds in (0.0, 3.0))


@pytest.mark.parametrize("seconds", [SOONER, 1.5, LATER])
def test_a_launcher_that_is_killed_while_its_processes_start_takes_them_along(seconds: float, tmp_path: Path) -> None:
    """They load torch, or meet each other, or are at their first steps."""
    before, started = children(), list[psutil.Process]()

    def kill() -> None:
        while len(started) < 3:
            started[:] = [one for one in children() if one not in before]
            time.sleep(0.02)
        time.sleep(seconds)
        started[0].kill()

    killer = Thread(target=kill, daemon=True)
    killer.start()
    with pytest.raises(ProcessLost, match="torchrun was killed by SIGKILL"):
        train(LONG, tmp_path, network=SLOW)
    killer.join()
    assert all(gone(one.pid, seconds=1.0) for one in started)


class Listens(Interrupts):
    """Notes where the processes of a training can be reached, before it interrupts it."""

    addresses: frozenset[str] = frozenset()

    def act(self) -> None:
        found = [socket for one in self.seen for socket in one.net_connections("inet") if socket.status == "LISTEN"]
        self.addresses = frozenset(socket.laddr.ip for socket in found)
        super().act()


@pytest.mark.slow
def test_what_ends_the_parent_ends_its_processes_which_listen_to_this_machine_alone(tmp_path: Path) -> None:
    watch = Listens(at=5)
    with pytest.raises(KeyboardInterrupt):
        train(LONG, tmp_path, network=SLOW, observer=watch)
    assert len(watch.seen) == 3
    assert watch.addresses <= {"127.0.0.1"}
    assert all(gone(one.pid, seconds=1.0) for one in watch.seen)


@pytest.mark.slow
def test_a_loss_that_is_not_finite_is_refused_once(tmp_path: Path) -> None:
    config = spread(replace(SHORT, epochs=30, optimizer=SGD(lr=1e6), schedule=Constant()))
    with pytest.raises(Refusal, match=r"(?s)at step \d+ \(epoch \d+\), with lr 1e\+06.*lower train.optimizer.lr") as no:
        train(config, tmp_path, target=VALUE, network=SURE)
    assert len(no.value.problems) == 1


@pytest.mark.slow
def test_a_process_that_runs_out_of_memory_says_so(tmp_path: Path) -> None:
    failing = replace(SLOW, options={"fail": "no room for one more"})
    with pytest.raises(OutOfMemory, match=r"(?s)process \d of 2 ended with exit code 1.*no room for one more") as short:
        train(spread(SHORT), tmp_path, network=failing)
    assert short.value.of == "main"


@pytest.mark.slow
def test_a_process_that_fails_is_a_failure_with_its_traceback(tmp_path: Path) -> None:
    failing = replace(SLOW, options={"bug": "no such thing"})
    with pytest.raises(RuntimeError, match=r"(?s)process \d of 2 ended with exit code 1.*ValueError: no such thing"):
        train(spread(SHORT), tmp_path, network=failing)


def test_the_first_of_several_losses_is_the_cause(tmp_path: Path) -> None:
    consequence = Lost(rank=0, at=10.5)
    both = [Lost(rank=0, code=1), Lost(rank=1, code=1)]
    earlier = Lost(rank=1, at=10.0, short_of="GPU")

    def cause(*losses: Lost, launcher: int = 1) -> tuple[type[Exception], str]:
        error = cause_of(losses, tmp_path, processes=2, launcher=launcher)
        return type(error), str(error).partition("\n")[0]

    assert cause(*both, consequence, earlier) == (OutOfMemory, "process 2 of 2 ended with exit code 1")
    assert cause(*both, consequence) == (RuntimeError, "process 1 of 2 ended with exit code 1")
    killed = Lost(rank=1, code=-signal.SIGSEGV)
    assert cause(consequence, killed) == (ProcessLost, "process 2 of 2 was killed by SIGSEGV (status code -11)")
    assert cause(earlier, killed)[0] is OutOfMemory  # it had said so itself
    by = "torchrun was killed by SIGKILL (status code -9)"
    assert cause(launcher=-signal.SIGKILL) == (ProcessLost, by)
    assert cause(consequence, launcher=-signal.SIGKILL) == (ProcessLost, by)
    assert cause(launcher=1) == (RuntimeError, "torchrun ended with exit code 1")


def test_only_of_the_first_that_torchrun_found_sigterm_is_not_its_own() -> None:
    assert found({0: 1, 1: -signal.SIGTERM}) == [Lost(rank=0, code=1)]
    assert found({1: -signal.SIGTERM, 0: -signal.SIGTERM}) == [Lost(rank=1, code=-signal.SIGTERM)]
    assert found({1: -signal.SIGTERM, 0: 1}) == [Lost(rank=1, code=-signal.SIGTERM), Lost(rank=0, code=1)]


def test_half_precision_on_cpus_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="bf16"):
        train(spread(TrainConfig(precision="fp16", device="cpu")), tmp_path)


@pytest.mark.gpu
def test_more_processes_than_gpus_are_refused(tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    with pytest.raises(Refusal, match="a GPU for each process"):
        train(spread(TrainConfig(device="cuda"), processes=torch.cuda.device_count() + 1), tmp_path)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_on_several_gpus_a_training_repeats_itself(precision: str, tmp_path: Path) -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("no two CUDA devices here")
    config = replace(SHORT, device="cuda", precision=precision)  # type: ignore[arg-type]
    network = CNN(width=4, stages=2, dropout=0.0)
    first, fitted = train(spread(config), tmp_path / "a", network=network)
    second, _ = train(spread(config), tmp_path / "b", network=network)
    assert weights(first, tmp_path / "1") == weights(second, tmp_path / "2")
    assert fitted.device == "2 x cuda"
    _, alone = train(config, tmp_path / "c", network=network)
    if precision == "fp32":
        losses = [epoch["train_loss"] for epoch in fitted.history]
        assert losses == pytest.approx([epoch["train_loss"] for epoch in alone.history], rel=1e-3)
