"""Runs torchrun for a parent: `python -P -m components.training.distributed.launcher FOLDER PROCESSES`.

The same as `torchrun --standalone --nproc-per-node PROCESSES …`, but for what becomes of an error: it is left in the
folder. Each process is leashed to the same parent, since torchrun starts it in a session of its own.
"""

import resource
import sys
from pathlib import Path
from typing import Final

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import parse_args, run

from components.training.distributed.work import LOGS, Lost, write_lost

RANK: Final = ("-P", "-m", "components.leashed", "components.training.distributed.rank")


def main() -> None:
    """Start the processes and wait for their end."""
    folder, processes = Path(sys.argv[1]), int(sys.argv[2])
    share_memory(processes)
    try:
        run(parse_args([*options(processes, logs=folder / LOGS), sys.executable, *RANK, str(folder)]))  # type: ignore[no-untyped-call]
    except ChildFailedError as error:
        losses = [Lost(rank=rank, code=failure.exitcode) for rank, failure in error.failures.items()]
        write_lost(losses, folder, by="torchrun")
        sys.exit(1)


def share_memory(processes: int) -> None:
    """Let each process have its share of what this one may take, where that is limited."""
    most, beyond = resource.getrlimit(resource.RLIMIT_DATA)
    if most != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_DATA, (most // processes, beyond))


def options(processes: int, *, logs: Path) -> list[str]:
    """Return torchrun's options: on this machine alone, nothing is started again, errors go to files."""
    return [
        "--standalone",
        "--local-addr=127.0.0.1",
        f"--nproc-per-node={processes}",
        "--max-restarts=0",
        f"--log-dir={logs}",
        "--redirects=2",
        "--no-python",
    ]


if __name__ == "__main__":
    main()
