"""A file into a bucket: whole or not at all, and from where an earlier try was killed."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Final

from components.errors import refuse
from components.store.s3.bucket import Bucket, Head
from components.store.s3.parts import PART, in_order, part_bytes

ABANDONED: Final = timedelta(days=1)


def upload(bucket: Bucket, key: str, source: Path, *, digest: str, below: str) -> None:
    """Store the file, whose SHA-256 is the digest, under the key.

    A large one that the bucket vouches for by its MD5 isn't sent again. Uploads of other keys that begin with `below`,
    abandoned for a day, are aborted on the way.

    Raises:
        Refusal: S3 refuses or can't be reached, or the file isn't what the digest says.
    """
    with source.open("rb") as file:
        size = source.stat().st_size
        if size <= PART:
            content = file.read()
            _check(source, hashlib.sha256(content).hexdigest(), digest)
            bucket.put(key, content)
            return
        with bucket.turn:
            begun = _unfinished(bucket, key, below)
            if _is_there(bucket.head(key), file):
                return
            try:
                _send(bucket, key, file, digest=digest, begun=begun)
            except FileNotFoundError:  # another process has finished or aborted that upload
                if not _is_there(bucket.head(key), file):
                    _send(bucket, key, file, digest=digest)


def _send(bucket: Bucket, key: str, file: BinaryIO, *, digest: str, begun: str | None = None) -> None:
    """Send the parts that the upload lacks, and finish it if what was read is what the digest says."""
    upload = begun or bucket.begin(key)
    there = bucket.parts(key, upload) if begun else {}

    def send(part: tuple[int, bytes]) -> str:
        number, content = part
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        is_there = there.get(number) == Head(len(content), md5)
        return md5 if is_there else bucket.send(key, upload, number, content)

    whole = hashlib.sha256()
    etags = list(in_order(send, enumerate(_hashed(_parts(file), whole), start=1)))
    if whole.hexdigest() != digest:
        bucket.abort(key, upload)
    _check(Path(file.name), whole.hexdigest(), digest)
    bucket.finish(key, upload, etags)


def _parts(file: BinaryIO) -> Iterator[bytes]:
    length = part_bytes(file.seek(0, 2))
    file.seek(0)
    while part := file.read(length):
        yield part


def _hashed(parts: Iterator[bytes], whole: "hashlib._Hash") -> Iterator[bytes]:
    for part in parts:
        whole.update(part)
        yield part


def _check(source: Path, found: str, digest: str) -> None:
    if found != digest:
        what = f"the file changed while it was stored: its SHA-256 was {digest}, and is {found}"
        raise refuse(what, where=str(source), do="run again, with nothing else writing there")


def _is_there(head: Head | None, file: BinaryIO) -> bool:
    """Say whether the object has the file's size, and its MD5 in one of the two ways in which S3 gives it."""
    if head is None or head.size_bytes != file.seek(0, 2):
        return False
    whole, ends = hashlib.md5(usedforsecurity=False), []
    for part in _parts(file):
        if "-" in head.etag:  # of an object in parts: the MD5 of their MD5s
            ends.append(hashlib.md5(part, usedforsecurity=False).digest())
        else:
            whole.update(part)
    if ends:
        return head.etag == f"{hashlib.md5(b''.join(ends), usedforsecurity=False).hexdigest()}-{len(ends)}"
    return head.etag == whole.hexdigest()


def _unfinished(bucket: Bucket, key: str, below: str) -> str | None:
    """Return the id of the last upload of the key that was killed, and abort those that were abandoned."""
    uploads = sorted(bucket.unfinished(below), key=lambda one: one.begun)
    abandoned = [one for one in uploads if datetime.now(UTC) - one.begun > ABANDONED]
    for one in abandoned:
        bucket.abort(one.key, one.id)
    return next((one.id for one in reversed(uploads) if one.key == key and one not in abandoned), None)
