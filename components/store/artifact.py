"""The handle of stored bytes: what stages pass to each other instead of the bytes."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class Artifact:
    """A file or a folder in the store, named by its content.

    `digest` is the SHA-256 of the file, or of the folder's manifest (a sorted JSON list of relative path,
    SHA-256 and size of each file). `name` is what a person calls it; it is no part of the identity.
    """

    digest: str
    kind: Literal["file", "folder"]
    size_bytes: int
    name: str


@dataclass(frozen=True, slots=True)
class Stored:
    """Something that takes room in a store: a blob, a local copy of one that is elsewhere, or half of one."""

    kind: Literal["object", "copy", "upload"]  # upload: begun, and not ended
    name: str  # the blob's digest; of an upload what the place calls it
    size_bytes: int
    at: float  # when it was put or grew the last time, in seconds since 1970


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a look without reading tells of a stored blob; where it changed, the blob is hashed again."""

    size_bytes: int
    changed: str  # the file's time in ns, or what an object store has in its place
