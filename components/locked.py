"""A file that one process at a time writes to, though others may move it away."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path


@contextmanager
def locked(path: Path) -> Iterator[FileIO]:
    """Open the file to append to it, or a new one, and lock it for the block: no other process has it meanwhile.

    The lock ends with the process. Who waited for it may find the file moved away: then it is opened anew.
    """
    while True:
        with FileIO(path, "a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if is_at(path, file):
                yield file
                return


def is_at(path: Path, file: FileIO) -> bool:
    """Say whether the open file is still the one at the path."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
