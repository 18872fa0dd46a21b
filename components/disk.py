"""What a full disk is to a person: something to mend, not a bug."""

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EDQUOT, ENOSPC
from pathlib import Path
from typing import Final

from components.errors import GO_ON, Refusal, causes, refuse

LEAST_FREE: Final = 64 << 20  # bytes: with less, a database could be left half made
FULL: Final = 1 << 20  # bytes: with less, nothing is to be had any more
_DO: Final = f"free some space, or move the state with STEELYARD_HOME; {GO_ON}"


def check_space(folder: Path) -> None:
    """Refuse to begin on a disk that is full, or soon will be. The folder may have to be made yet."""
    free = shutil.disk_usage(there(folder)).free
    if free < LEAST_FREE:
        allowed = f"{LEAST_FREE >> 20} MB or more"
        raise refuse(f"{free >> 20} MB are left on the disk", where=str(folder), allowed=allowed, do=_DO)


def is_full(folder: Path) -> bool:
    """Say whether so little is left that a database's own files don't fit: SQLite may end the process over that.

    It maps a file into memory whose blocks a small file system gives only when they are written to: SIGBUS.
    """
    return shutil.disk_usage(folder).free < FULL


def full(what: Path) -> Refusal:
    """Return what to say where no space is left. `what` was being written."""
    return refuse("no space left on the disk", where=str(what), do=_DO)


def check_rights(folder: Path) -> None:
    """Refuse a folder that can't be written to. It may have to be made yet."""
    try:
        tempfile.TemporaryFile(dir=there(folder)).close()
    except OSError as error:
        do = "name another folder with STEELYARD_HOME, or mend its rights"
        raise refuse(f"can't be written: {error.strerror}", where=str(folder), do=do) from None


def there(path: Path) -> Path:
    """Return the folder, or its nearest parent that is there."""
    return next(one for one in (path, *path.parents) if one.is_dir())


@contextmanager
def full_disk_refused(what: Path) -> Iterator[None]:
    """Turn what a full disk, or a used-up quota, raises into a Refusal. `what` was being written."""
    try:
        yield
    except Refusal:
        raise
    except Exception as error:
        if not any(_says_full(one) for one in causes(error)):
            raise
        raise full(what) from error


def _says_full(error: BaseException) -> bool:
    if isinstance(error, sqlite3.Error):
        return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL
    return isinstance(error, OSError) and error.errno in (ENOSPC, EDQUOT)
