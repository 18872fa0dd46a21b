"""The end of a run that was asked to stop early."""

from collections.abc import Sequence
from typing import Any

from tasks.perform import Done


class Reached(Exception):
    """The stage named by `--until` is done, and so are those before it."""

    def __init__(self, until: str | None = None, done: Sequence[Done[Any]] = ()) -> None:
        super().__init__(until)
        self.done = done
