import os
import subprocess
import sys
import threading
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Final

import pytest

from components import gpus
from components.gpus import taken

MINE: Final = f"test {os.getpid()}"  # names that no other process has


def names(*numbers: int) -> list[str]:
    return [str(number) for number in numbers]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(gpus, "NAMES", MINE)


def test_each_has_gpus_of_its_own_and_they_are_free_behind_it() -> None:
    said: list[str] = []
    with taken(1, of=names(0, 1, 2), say=said.append) as first:
        with taken(2, of=names(0, 1, 2), say=said.append) as second:
            assert (list(first), list(second)) == (names(0), names(1, 2))
        with taken(1, of=names(0, 1, 2), say=said.append) as third:
            assert list(third) == names(1)
    assert not said


def test_who_finds_too_few_waits_for_them_says_so_once_and_holds_none_meanwhile() -> None:
    said: list[str] = []
    waits, got = threading.Event(), threading.Event()

    def want() -> None:
        with taken(2, of=names(0, 1), say=lambda line: (said.append(line), waits.set())) as both:
            assert list(both) == names(0, 1)
            got.set()

    with ExitStack() as held:
        held.enter_context(taken(1, of=names(0), say=said.append))
        thread = threading.Thread(target=want)
        thread.start()
        assert waits.wait(20)
        with ExitStack() as found:
            for _ in range(1000):  # the one that waits tries it now and then
                if gpus._alone(names(1)[0], found):
                    break
            else:
                pytest.fail("the one that waits holds a GPU")
            assert not gpus._alone("turn", found)
        assert not got.wait(0.1)
    thread.join(20)
    assert got.is_set()
    assert said == ["waits for 2 of 2 GPUs, which other processes on this machine have"]


def test_nothing_is_said_of_one_that_others_have_for_a_moment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as held:
        assert gpus._alone("turn", held)
        monkeypatch.setattr(gpus, "time", SimpleNamespace(sleep=lambda _: held.close()))
        with taken(1, of=names(0), say=lambda _: pytest.fail("it says so")) as mine:
            assert list(mine) == names(0)


def test_those_of_a_process_that_was_killed_are_free() -> None:
    code = f"""
from components import gpus
gpus.NAMES = {MINE!r}
with gpus.taken(1, of={names(0)}, say=print):
    print("has it", flush=True)
    input()
"""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "has it\n"
        with ExitStack() as held:
            assert not gpus._alone(names(0)[0], held)
        other.kill()
        other.wait()
        with taken(1, of=names(0), say=lambda _: pytest.fail("it waits")) as mine:
            assert list(mine) == names(0)
