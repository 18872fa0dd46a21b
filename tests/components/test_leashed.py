"""What runs on a leash ends with its parent, however that dies."""

import subprocess
import sys

from tests.flows.servers.test_services import gone

PARENT = """
import subprocess, sys, time
command = [sys.executable, "-P", "-m", "components.leashed", "http.server", "0", "--bind", "127.0.0.1"]
child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
print(child.pid, flush=True)
time.sleep(600)
"""


def test_a_leashed_child_ends_when_its_parent_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert not gone(child, seconds=2.0)
        parent.kill()
    assert gone(child)
