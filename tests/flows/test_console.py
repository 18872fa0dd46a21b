"""What a person sees of a run: lines where there is no terminal, one live line on a terminal."""

import logging
import os
import pty
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest

from flows.console import Show, in_turn, waiting
from flows.remote import _Told
from tasks.perform import Done

ROOT = Path(__file__).parents[2]
ON_A_TERMINAL = """
import time
from flows.console import Show, in_turn, waiting
from tasks.perform import Done
from tasks.tracker import Silent
with in_turn("looking at this machine") as tell:
    time.sleep(0.4)
    tell("trying store")
    time.sleep(0.4)
with waiting("preparing [the] servers"):
    time.sleep(0.4)
show = Show(Silent())
show.begins("train")
time.sleep(0.3)
show.progress(30, 40)
time.sleep(0.5)
show.past("train", [{"train.loss": 1.0}], step=2)
show.ends(Done("train", "train", "k", None, False, 1.25))
show.total()
"""


class Kept:
    """Keeps figures in a list."""

    def __init__(self) -> None:
        self.figures: list[tuple[int, dict[str, float]]] = []

    def metrics(self, values: Mapping[str, float], *, step: int) -> None:
        self.figures.append((step, dict(values)))


class Told:
    """Outputs of which a person is told."""

    def told(self) -> str:
        return "train 3 rows"


def test_without_a_terminal_every_epoch_and_stage_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    kept = Kept()
    show = Show(kept)
    with waiting("preparing Prefect and MLflow"):
        pass
    with in_turn("looking at this machine") as tell:
        tell("trying store")
        tell("trying ledger")
    show.begins("train")
    show.progress(1, 2)
    show.metrics({"train.loss": 0.5, "train.lr": 0.1}, step=0)
    show.ends(Done("train", "train", "k", None, False, 1.25))
    show.ends(Done("split", "split", "k", Told(), True, 7.0))
    show.total()
    out, err = capsys.readouterr()
    assert out == ""
    assert [re.sub(r"\d+\.\d s", "N s", line.strip()) for line in err.splitlines()] == [
        "preparing Prefect and MLflow",
        "N s  preparing Prefect and MLflow",
        "trying store",
        "trying ledger",
        "train epoch 1: loss 0.5  lr 0.1",
        "N s  train",
        "cached  split: train 3 rows",
        "N s  in all, N s of it in stages",
    ]
    assert kept.figures == [(0, {"train.loss": 0.5, "train.lr": 0.1})]


class Clock:
    """Stands still until a test moves it."""

    now = 0.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("flows.console.time", SimpleNamespace(monotonic=lambda: made.now))
    return made


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> tuple[_Told, list[str]]:
    """What shows a stage on a worker, and the lines of its log."""
    log, lines = logging.getLogger("told"), list[str]()
    monkeypatch.setattr(log, "info", lambda _, line: lines.append(line))
    return _Told(Kept(), log), lines


@pytest.mark.parametrize(
    ("steps", "step_seconds", "epoch_seconds", "lines"),
    [
        (10, 0.1, 0.0, ["epoch 1", "epoch 2", "epoch 3"]),  # 4 s are no news
        (10, 1.0, 0.0, ["epoch 1", "epoch 2", "at this pace it takes about 6 min more", "epoch 3"]),  # 9 s are too few
        (10, 2.0, 0.0, ["epoch 1", "at this pace it takes about 13 min more", "epoch 2", "epoch 3"]),
        (10, 1.0, 30.0, ["epoch 1", "at this pace it takes about 28 min more", "epoch 2", "epoch 3"]),
        (10, 50.0, 0.0, ["at this pace it takes about 5.5 h more", "epoch 1", "epoch 2", "epoch 3"]),
        (1, 60.0, 240.0, ["epoch 1", "epoch 2", "at this pace it takes about 3.2 h more", "epoch 3"]),
    ],
)
def test_a_long_training_says_once_how_long_it_takes(
    clock: Clock,
    elsewhere: tuple[_Told, list[str]],
    capsys: pytest.CaptureFixture[str],
    steps: int,
    step_seconds: float,
    epoch_seconds: float,
    lines: list[str],
) -> None:
    here, (there, logged) = Show(Kept()), elsewhere
    here.begins("train")
    for epoch in range(3):
        for step in range(steps * epoch + 1, steps * (epoch + 1) + 1):
            clock.now += step_seconds if step > 1 else 100.0  # the first one loads what it needs
            here.progress(step, 40 * steps)
            there.progress(step, 40 * steps)
        clock.now += epoch_seconds  # of validation
        here.metrics({"train.loss": 0.5}, step=epoch)
        there.metrics({"train.loss": 0.5}, step=epoch)
    told = capsys.readouterr().err.splitlines()
    assert told == logged
    assert [line.strip().removeprefix("train ").removesuffix(": loss 0.5") for line in told] == lines


def test_long_work_without_epochs_says_now_and_then_what_it_is_at(
    clock: Clock, elsewhere: tuple[_Told, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    here, (there, logged) = Show(Kept()), elsewhere
    here.begins("profile")
    for step in range(10):
        here.progress(step, 100, f"round {step}")
        there.progress(step, 100, f"round {step}")
        clock.now += 12.0
    told = capsys.readouterr().err.splitlines()
    assert told == logged
    assert [line.strip() for line in told] == [
        "round 3",
        "round 6",
        "at this pace it takes about 19 min more",
        "round 9",
    ]


@pytest.mark.parametrize("left", [4, 1])
def test_a_resumed_training_tells_no_pace_of_what_is_left_of_an_epoch(
    clock: Clock, capsys: pytest.CaptureFixture[str], left: int
) -> None:
    """Its few steps have a process that warms up, and all of a validation."""
    show, step = Show(Kept()), 500 - left
    show.begins("train")
    for epoch in range(3):
        while step < 500 + 100 * epoch:
            step += 1
            clock.now += 0.3 if epoch else 3.0
            show.progress(step, 1500)
        clock.now += 5.0
        show.metrics({"train.loss": 0.5}, step=epoch)
    told = capsys.readouterr().err.splitlines()
    assert [line.strip().removeprefix("train ").removesuffix(": loss 0.5") for line in told] == [
        "epoch 1",
        "epoch 2",
        "at this pace it takes about 5 min more",
        "epoch 3",
    ]


def test_time_in_stages_is_that_between_their_begin_and_their_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([2.0, 5.0, 6.0, 10.0, 12.0])
    monkeypatch.setattr("flows.console.time", SimpleNamespace(monotonic=lambda: next(clock)))
    show = Show(Kept(), started=0.0)
    for name in ("train", "evaluate"):
        show.begins(name)
        show.ends(Done(name, name, "k", None, False, 1.0))
    show.total()
    assert capsys.readouterr().err.splitlines()[-1].strip() == "12.0 s  in all, 7.0 s of it in stages"


def test_a_resumed_training_says_where_it_goes_on_and_its_earlier_figures_are_kept(
    capsys: pytest.CaptureFixture[str],
) -> None:
    kept = Kept()
    Show(kept).past("train", [{"train.loss": 2.0}, {"train.loss": 1.0}], step=4)
    assert kept.figures == [(0, {"train.loss": 2.0}), (1, {"train.loss": 1.0})]
    assert capsys.readouterr().err.strip() == "train goes on from epoch 3, step 5"


def test_a_terminal_shows_what_is_done_and_how_far_it_is() -> None:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    environment.pop("NO_COLOR", None)
    with subprocess.Popen([sys.executable, "-c", ON_A_TERMINAL], stderr=theirs, cwd=ROOT, env=environment) as process:
        os.close(theirs)
        seen = b""
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # the other end was closed
                break
            seen += part
            if not part:
                break
    os.close(ours)
    text = seen.decode()
    assert process.returncode == 0, text
    for wanted in (
        "looking at this machine",
        "trying store",
        "preparing [the] servers",
        " s  preparing [the] servers",
        "75%",
        "train goes on from epoch 2, step 3",
        "1.2 s  train",
        "in all",
    ):
        assert wanted in text, text
