"""Runs torchrun for a parent: `python -P -m components.training.distributed.launcher FOLDER PROCESSES`.

The same as `torchrun --standalone --nproc-per-node PROCESSES …`, but for what becomes of an error: it is left in the
folder. Each process is leashed to this one, as this one to the parent: torchrun starts it in a session of its own.
"""

import resource
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import parse_args, run

from components.leashed import hold_a_leash
from components.training.distributed.work import LOGS, Lost, write_lost

RANK: Final = ("-P", "-m", "components.leashed", "components.training.distributed.rank")


def main() -> None:
    """Start the processes and wait for their end."""
    folder, processes = Path(sys.argv[1]), int(sys.argv[2])
    share_memory(processes)
    hold_a_leash()
    try:
        run(parse_args([*options(processes, folder), sys.executable, *RANK, str(folder)]))  # type: ignore[no-untyped-call]
    except ChildFailedError as error:
        codes = {rank: failure.exitcode for rank, failure in error.failures.items()}
        write_lost(found(codes), folder, by="torchrun")
        sys.exit(1)
    except SignalException as stopped:  # torchrun has ended the processes: end as others do whom a signal ends
        signal.signal(stopped.sigval, signal.SIG_DFL)
        signal.raise_signal(stopped.sigval)


def found(codes: Mapping[int, int]) -> list[Lost]:
    """Return the losses that torchrun found, by its codes in the order of its finding.

    SIGTERM is how it ends the others: only of the first that it found is that somebody else's.
    """
    return [
        Lost(rank=rank, code=code)
        for number, (rank, code) in enumerate(codes.items())
        if number == 0 or code != -signal.SIGTERM
    ]


def share_memory(processes: int) -> None:
    """Let each process have its share of what this one may take, where that is limited."""
    most, beyond = resource.getrlimit(resource.RLIMIT_DATA)
    if most != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_DATA, (most // processes, beyond))


def options(processes: int, folder: Path) -> list[str]:
    """Return torchrun's options: on this machine alone, nothing is started again, errors go to files.

    They meet in a file: a store over TCP, as `--standalone` has it, listens on all addresses of the machine.
    """
    return [
        "--rdzv-backend=c10d",
        "--rdzv-conf=store_type=file",
        f"--rdzv-endpoint={folder / 'launchers'}",
        "--local-addr=127.0.0.1",
        f"--nproc-per-node={processes}",
        "--max-restarts=0",
        f"--log-dir={folder / LOGS}",
        "--redirects=2",
        "--no-python",
    ]


if __name__ == "__main__":
    main()
