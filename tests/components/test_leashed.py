"""What runs on a leash ends with its parent, however that dies."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from tests.flows.servers.test_services import gone

PARENT = """
import subprocess, sys, time
command = [sys.executable, "-P", "-m", "components.leashed", "http.server", "0", "--bind", "127.0.0.1"]
child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
print(child.pid, flush=True)
time.sleep(600)
"""


APART = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print(child.pid, flush=True)
time.sleep(600)
"""


def test_what_a_leashed_child_started_in_a_session_of_its_own_ends_as_well(tmp_path: Path) -> None:
    (tmp_path / "apart.py").write_text(APART, "utf-8")
    command = [sys.executable, "-m", "components.leashed", "apart"]
    path = os.pathsep.join([str(tmp_path), *sys.path])
    with subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as leashed:
        assert leashed.stdin is not None
        assert leashed.stdout is not None
        grandchild = int(leashed.stdout.readline())
        assert psutil.pid_exists(grandchild)
        leashed.stdin.close()
        assert leashed.wait(30) == -signal.SIGKILL
        assert gone(grandchild)


def test_a_leashed_child_ends_when_its_parent_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert not gone(child, seconds=2.0)
        parent.kill()
    assert gone(child)
