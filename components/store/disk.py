"""What a full disk is to a person: something to mend, not a bug."""

from collections.abc import Iterator
from contextlib import contextmanager
from errno import EDQUOT, ENOSPC
from pathlib import Path

from components.errors import refuse


@contextmanager
def full_disk_refused(what: Path) -> Iterator[None]:
    """Turn the system's error for a full disk, or a used-up quota, into a Refusal. `what` was being written."""
    try:
        yield
    except OSError as error:
        if error.errno not in (ENOSPC, EDQUOT):
            raise
        raise refuse(
            f"no space left on the disk: {error.strerror}",
            where=str(what),
            do="free some space, or move the state with STEELYARD_HOME; the next run goes on from here",
        ) from error
