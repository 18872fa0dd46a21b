"""A process of ours leaves at once, and loses nothing by it."""

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows.start import YOUNG

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


def test_files_that_are_left_open_are_written(tmp_path: Path) -> None:
    opened = ", ".join(f"open('{tmp_path}/{name}', '{mode}')" for name, mode in (("a", "w"), ("b", "wb"), ("c", "w+b")))
    end = f"files = {opened}; [one.write('text' if one.mode == 'w' else b'text') for one in files]"
    assert told(end)[::2] == (0, "")
    assert [(tmp_path / name).read_text() for name in "abc"] == ["text"] * 3


def test_what_was_registered_before_is_called_though_it_takes_longer(tmp_path: Path) -> None:
    """As instruments do that begin with Python itself."""
    (tmp_path / "sitecustomize.py").write_text("import atexit; atexit.register(print, 'sent')", "utf-8")
    command = [sys.executable, "-P", "-m", "flows.start", "--version"]
    variables = {**os.environ, "PYTHONPATH": str(tmp_path)}
    assert subprocess.run(command, env=variables, capture_output=True, text=True, check=True).stdout.endswith("sent\n")


def test_the_command_line_is_one_as_a_module_too() -> None:
    command = [sys.executable, "-P", "-m", "flows.cli", "--version"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.startswith("steelyard ")


def test_a_wish_to_end_that_comes_while_it_ends_changes_nothing() -> None:
    program = """
import atexit, os, signal, sys
from flows.start import main
sys.argv = ["steelyard", "--version"]
try:
    main()
except SystemExit:
    atexit.register(os.kill, os.getpid(), signal.SIGTERM)
    raise
"""
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("times", ["once", "twice"])
def test_sigterm_ends_a_run_with_143_and_a_word_behind_what_has_to_be_ended(times: str) -> None:
    """`timeout` sends it to the process and to its group: that is twice."""
    program = """
import os, signal, sys
from flows import running, start

def run(*_):
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        if sys.argv[2] == "twice.yaml":
            os.kill(os.getpid(), signal.SIGTERM)
        sys.stderr.write("servers are stopped\\n")

running.run, running.recipe_at = run, lambda *_: None
start.main()
"""
    command = [sys.executable, "-P", "-c", program, "run", f"{times}.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    last = "stopped; what was done is kept, and the next run goes on from there"
    assert (done.returncode, done.stderr.splitlines()) == (143, ["servers are stopped", last])


ENGINE = """
import gc, runpy, sys
from flows import engine

class Late:
    def __del__(self):
        sys.stderr.write("taken apart")

late = Late()
runpy.run_module = lambda name, run_name: print(name, run_name, gc.get_threshold()[0])
engine.main()
"""


def test_the_process_of_a_worker_is_prefects_engine_and_as_swift() -> None:
    done = subprocess.run([sys.executable, "-P", "-c", ENGINE], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == (f"prefect.engine __main__ {YOUNG}\n", "")
    variables = {name: value for name, value in os.environ.items() if name != "PREFECT__FLOW_RUN_ID"}
    command = [sys.executable, "-P", "-m", "flows.engine"]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Invalid flow run id" in done.stderr
