"""An object out of a bucket: hashed on the way, and from where an earlier try was killed."""

import hashlib
from collections.abc import Generator
from contextlib import closing
from io import FileIO
from pathlib import Path
from typing import Final

from components.disk import full_disk_refused
from components.store.s3.bucket import Bucket
from components.store.s3.cache import Cache
from components.store.s3.parts import PART, in_order

TRIES: Final = 2  # a wrong byte may be the network's, or that of an earlier try


def download(bucket: Bucket, key: str, *, digest: str, cache: Cache) -> Path:
    """Fetch the object, whose SHA-256 should be the digest, into the cache, and return its place there.

    Raises:
        FileNotFoundError: there is no such object.
        ValueError: it has another SHA-256, time and again.
        Refusal: S3 refuses or can't be reached, or the disk is full.
    """
    with full_disk_refused(cache.root), cache.partial(digest) as partial:
        if there := cache.get(digest):  # another process was faster
            return there
        for _ in range(TRIES):
            if _fill(partial, bucket, key) == digest:
                return cache.keep(digest)
            partial.truncate(0)
    raise ValueError(f"the blob s3://{bucket.name}/{key} is damaged")


def digest_now(bucket: Bucket, key: str, *, digest: str) -> str | None:
    """Read the object, twice where it hasn't the digest, and return the one that it has. None: it isn't there."""
    found = hashlib.sha256()
    for _ in range(TRIES):
        found = hashlib.sha256()
        try:
            with closing(_pieces(bucket, key)) as pieces:
                for piece in pieces:
                    found.update(piece)
        except FileNotFoundError:
            return None
        if found.hexdigest() == digest:
            break
    return found.hexdigest()


def _fill(partial: FileIO, bucket: Bucket, key: str) -> str:
    """Append what the file lacks of the object, and return the SHA-256 of it all."""
    partial.seek(0)
    found = hashlib.file_digest(partial, "sha256")
    with closing(_pieces(bucket, key, partial.tell())) as pieces:
        for piece in pieces:
            found.update(piece)
            rest = memoryview(piece)
            while rest:  # a nearly full disk takes a part
                rest = rest[partial.write(rest) :]
    return found.hexdigest()


def _pieces(bucket: Bucket, key: str, start: int = 0) -> Generator[bytes | bytearray]:
    """Yield the object's bytes from start on, in order: the first piece alone, the rest in parallel."""
    first = bucket.read(key, start, start + PART)
    yield first.content
    starts = range(start + PART, first.total_bytes, PART)
    if starts:
        with bucket.turn:
            yield from in_order(lambda at: bucket.read(key, at, at + PART).content, starts)
