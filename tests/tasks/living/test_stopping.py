"""An end that a thread asks for: met as Ctrl-C is, once, within the block; who doesn't hear it is ended."""

import subprocess
import sys
import threading
import time

import pytest

from tasks.living.stopping import EXIT_CODE, Stopped, stoppable

DEAF = """
import signal, sys
from tasks.living.stopping import SIGNAL, stoppable
signal.pthread_sigmask(signal.SIG_BLOCK, [SIGNAL])  # as a library that doesn't come back
with stoppable(deaf_seconds=0.2) as stop:
    stop("cancelled")
    signal.sigtimedwait([signal.SIGALRM], 60)
"""


def test_the_main_thread_meets_it_in_the_middle_of_what_it_waits_for() -> None:
    began = time.monotonic()
    with pytest.raises(Stopped, match="cancelled in Prefect"), stoppable() as stop:
        threading.Timer(0.1, stop, ["cancelled in Prefect"]).start()
        time.sleep(60)
    assert time.monotonic() - began < 30


def test_it_is_met_once_and_what_ends_the_block_is_done_to_its_end() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), stoppable() as stop:
        try:
            threading.Timer(0.05, stop, ["first"]).start()
            time.sleep(60)
        finally:
            stop("second")
            time.sleep(0.2)
            done.append(stop.why)
    assert done == ["first"]


def test_after_the_block_nobody_hears_of_it() -> None:
    with stoppable(deaf_seconds=0.05) as stop:
        pass
    stop("too late")
    time.sleep(0.2)
    assert stop.why == ""


def test_a_process_that_does_not_hear_it_is_ended() -> None:
    child = subprocess.run([sys.executable, "-c", DEAF], timeout=60, check=False)
    assert child.returncode == EXIT_CODE
