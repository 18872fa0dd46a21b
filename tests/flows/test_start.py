"""A process of ours leaves at once, and loses nothing by it."""

import gc
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import atexit, gc, sys, threading, time
from flows.start import swift

class Late:
    def __del__(self):
        sys.stderr.write("taken apart\\n")

with swift():
    late = Late()
    atexit.register(print, "called at the end")
    threading.Thread(target=lambda: (time.sleep(0.2), print("a thread that lasts longer"))).start()
    print(gc.get_threshold()[0])
    {end}
"""


def told(end: str) -> tuple[int, list[str], str]:
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM.format(end=end)], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout.splitlines(), done.stderr


@pytest.mark.parametrize(
    ("end", "code"), [("sys.exit(3)", 3), ("sys.exit(0)", 0), ("sys.exit()", 0), ("pass", 0)], ids=str
)
def test_threads_end_and_what_is_registered_is_called_and_then_nothing_is_taken_apart(end: str, code: int) -> None:
    threshold, *said = told(end)[1]
    assert int(threshold) > gc.get_threshold()[0]
    assert told(end)[::2] == (code, "")
    assert said == ["a thread that lasts longer", "called at the end"]


@pytest.mark.parametrize(
    ("end", "code", "words"),
    [("1 / 0", 1, "ZeroDivisionError"), ('sys.exit("a word")', 1, "a word"), ("sys.stdout.close()", 0, "")],
    ids=str,
)
def test_an_end_that_python_has_words_for_is_left_to_it(end: str, code: int, words: str) -> None:
    returned, _, said = told(end)
    assert words in said
    assert "taken apart" in said
    assert returned == code


def test_words_that_can_not_be_written_are_not_passed_over() -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-P", "-m", "flows.start", "--version"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode != 0
    assert "No space left on device" in done.stderr


def test_the_process_of_a_worker_is_prefects_engine() -> None:
    done = subprocess.run([sys.executable, "-P", "-m", "flows.engine"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Invalid flow run id" in done.stderr
