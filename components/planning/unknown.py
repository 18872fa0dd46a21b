"""The stand-in for what a stage that has yet to run would hand over."""


class Unknown:
    """Any part of it is unknown too. The planner gives it where a flow gets outputs."""

    def __getattr__(self, name: str) -> "Unknown":
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __getitem__(self, key: object) -> "Unknown":
        return self


UNKNOWN = Unknown()


def has_unknown(value: object) -> bool:
    """Say whether the value is unknown, or holds something that is, in a list or a dictionary."""
    match value:
        case Unknown():
            return True
        case list() | tuple():
            return any(map(has_unknown, value))
        case dict():
            return any(map(has_unknown, value.values()))
    return False
