"""The identity of a stage's result, computed from what decides it."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, is_dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from typing import Final

from components.store.artifact import Artifact

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

ORDER: Final = "(order)"  # beside a mapping's entries: their names in order
Parts = dict[str, str]  # what a key is made of, by a name that a person understands


def canonical(value: object) -> Json:
    """Return the value as JSON that depends on its content alone.

    Artifacts become their digests. Fields of dataclasses with the metadata `in_key: False` are left out: where
    something lies, or how often it is saved, decides nothing. The order of a mapping counts: columns, say, reach
    a model in theirs.
    """
    match value:
        case Artifact():
            return value.digest
        case None | bool() | int() | float() | str():
            return value
        case Mapping():
            return _canonical_mapping(value)
        case Sequence() if not isinstance(value, bytes | bytearray | memoryview):
            return [canonical(entry) for entry in value]
        case _ if is_dataclass(value) and not isinstance(value, type):
            shown = [field.name for field in fields(value) if field.metadata.get("in_key", True)]
            return {name: canonical(getattr(value, name)) for name in shown}
    raise TypeError(f"{type(value).__name__} can't be part of a stage's inputs")


def _canonical_mapping(value: Mapping[object, object]) -> dict[str, Json]:
    names = [name if isinstance(name, str) else json.dumps(name) for name in value]  # True is "true", as in records
    if len(set(names)) < len(names):
        raise TypeError(f"keys that differ in type alone can't be part of a stage's inputs: {', '.join(names)}")
    entries = dict(zip(names, map(canonical, value.values()), strict=True))
    if ORDER in entries:  # it would take the order's place: pairs keep theirs, and no other mapping has ORDER alone
        return {ORDER: [[name, entry] for name, entry in entries.items()]}
    return {ORDER: list(names), **entries} if len(names) > 1 else entries


def strings(value: Json) -> Iterator[str]:
    """Yield every string within, keys included: the names that choose among the entries of tables."""
    match value:
        case str():
            yield value
        case list():
            for entry in value:
                yield from strings(entry)
        case dict():
            for name, entry in value.items():
                yield name
                yield from strings(entry)


def parts_of(inputs: Mapping[str, object], *, stage: str, code: Mapping[str, str], libraries: Sequence[str]) -> Parts:
    """Return what the key is made of: the stage, its code, its inputs and the versions of its libraries."""
    parts = {"stage": stage}
    parts |= {f"code {name}": digest for name, digest in code.items()}
    for name, value in inputs.items():
        parts |= _flat(f"input {name}", canonical(value))
    parts |= {f"library {name}": _version(name) for name in libraries}
    return parts


@cache
def _version(library: str) -> str:
    return version(library).partition("+")[0]  # without `+cpu`


@cache
def installed_version(package: str) -> str:
    """Return the version of the library that a top-level package comes with, empty where there is none."""
    with suppress(PackageNotFoundError):
        return _version(package)
    names = packages_distributions().get(package, ())  # a library may be called otherwise: sklearn is scikit-learn
    return " ".join(f"{name} {_version(name)}" for name in sorted(set(names)))


def _flat(name: str, value: Json) -> Parts:
    """Spread dictionaries over dotted names, so that a difference can be named."""
    if isinstance(value, dict):
        spread: Parts = {name: "{}"} if not value else {}
        for entry, inner in value.items():
            spread |= _flat(f"{name}.{entry}", inner)
        return spread
    return {name: json.dumps(value, sort_keys=True)}


def key_of(parts: Parts) -> str:
    """Return the SHA-256 of the parts as hex."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
