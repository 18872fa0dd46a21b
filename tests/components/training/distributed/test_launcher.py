"""What torchrun's processes are kept to."""

import subprocess
import sys

SHARES = """
import resource
from components.training.distributed.launcher import share_memory

share_memory(2)
assert resource.getrlimit(resource.RLIMIT_DATA)[0] == resource.RLIM_INFINITY
resource.setrlimit(resource.RLIMIT_DATA, (6 << 30, resource.RLIM_INFINITY))
share_memory(3)
print(resource.getrlimit(resource.RLIMIT_DATA)[0])
"""


def test_processes_share_the_memory_that_is_asked_for() -> None:
    """In a process of its own, whose limit stays."""
    told = subprocess.run([sys.executable, "-c", SHARES], capture_output=True, text=True, check=True)
    assert told.stdout == f"{2 << 30}\n"
