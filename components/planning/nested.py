"""What a value holds: the way through inputs and outputs of stages."""

from collections.abc import Collection, Mapping
from dataclasses import fields, is_dataclass


def nested(value: object) -> Collection[object]:
    """Return what the value is made of: entries, a mapping's values, a dataclass's fields; of other values nothing."""
    match value:
        case list() | tuple() | set() | frozenset():
            return value
        case Mapping():
            return value.values()
        case _ if is_dataclass(value) and not isinstance(value, type):
            return [getattr(value, field.name) for field in fields(value)]
    return ()
