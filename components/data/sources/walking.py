"""The files in a folder and in those within, while other programs may change it."""

import os
from collections.abc import Iterator
from pathlib import Path

from components.errors import refuse


def files_below(folder: Path, *, forgiving: bool = False) -> Iterator[Path]:
    """Yield what is no folder. Folders that vanish meanwhile are passed over, as are unreadable ones if `forgiving`.

    Raises:
        Refusal: a folder may not be read.
    """
    for place, _, names in os.walk(folder, onerror=None if forgiving else refuse_unreadable):
        yield from (Path(place, name) for name in names)


def refuse_unreadable(error: OSError) -> None:
    """Refuse a folder that may not be read: going on without it would be a release of less than was given."""
    if not isinstance(error, FileNotFoundError):
        do = "mend its rights, move it elsewhere, or name another folder"
        raise refuse(
            f"can't be read ({error.strerror})", where=str(error.filename), allowed="folders that you may read", do=do
        )


def is_file(path: Path) -> bool:
    """Say whether a file is there; one that can't be looked at is none."""
    try:
        return path.is_file()
    except OSError:
        return False
