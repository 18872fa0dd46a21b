"""The stand-in for what a stage that has yet to run would hand over."""

from collections.abc import Iterator

from components.planning.nested import nested

UNDECIDED = "a flow can't decide by what a stage has yet to say: put the decision into a stage, or use `run.ask`"


class Unknown:
    """Any part of it is unknown too. The planner gives it where a flow gets outputs.

    A flow can pass it on, and can't decide by it or go through it: it would plan something else than it then runs.
    """

    def __getattr__(self, name: str) -> "Unknown":
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __getitem__(self, key: object) -> "Unknown":
        return self

    def __bool__(self) -> bool:
        raise TypeError(UNDECIDED)

    def __iter__(self) -> Iterator[object]:
        raise TypeError(UNDECIDED)

    def __len__(self) -> int:
        raise TypeError(UNDECIDED)

    def __eq__(self, other: object) -> bool:
        raise TypeError(UNDECIDED)

    __hash__ = object.__hash__


UNKNOWN = Unknown()


def has_unknown(value: object) -> bool:
    """Say whether the value is unknown, or holds something that is."""
    return isinstance(value, Unknown) or any(map(has_unknown, nested(value)))
