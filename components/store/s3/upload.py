"""A file into a bucket: whole or not at all, and from where an earlier try was killed."""

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import Final

from components.errors import refuse
from components.store.s3.bucket import Bucket, Head
from components.store.s3.parts import PART, in_order, part_bytes

ABANDONED: Final = timedelta(days=1)
# An object's time says that somebody has use for it, and an upload may lend it the time at which it was begun: what is
# older than this isn't relied on but sent anew. Whoever removes old objects leaves those of a day.
YOUNG: Final = timedelta(hours=12)
TRIES: Final = 5  # who puts the same at once may go on with our upload, and finish it
_new_md5 = partial(hashlib.md5, usedforsecurity=False)  # S3's tags: damage is found by them, not fraud


def upload(bucket: Bucket, key: str, source: Path, *, digest: str, below: str) -> None:
    """Store the file, whose SHA-256 is the digest, under the key.

    A large one that the bucket vouches for by its MD5 isn't sent again within hours. Uploads of other keys that begin
    with `below`, abandoned for a day, are aborted on the way.

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
            for _ in range(TRIES):
                if _is_there(bucket.head(key), file):
                    return
                with suppress(FileNotFoundError):  # another process has ended that upload, or a part came in damaged
                    _send(bucket, key, file, digest=digest, begun=begun)
                    return
                begun = None
    what = "its upload was ended by others, or its parts arrived other than they were sent, time and again"
    raise refuse(what, where=str(source), do="run again")


def _send(bucket: Bucket, key: str, file: BufferedReader, *, digest: str, begun: str | None = None) -> None:
    """Send the parts that the upload lacks, and finish it if what was read is what the digest says."""
    there = bucket.parts(key, begun) if begun else {}
    if begun and not _are_of(file, there):
        bucket.abort(key, begun)
        begun, there = None, {}
    upload = begun or bucket.begin(key)

    def send(part: tuple[int, bytes]) -> str:
        number, content = part
        return there[number].etag if number in there else bucket.send(key, upload, number, content)

    whole = hashlib.sha256()
    etags = list(in_order(send, enumerate(_hashed(_parts(file), whole), start=1)))
    if whole.hexdigest() != digest:
        bucket.abort(key, upload)
    _check(Path(file.name), whole.hexdigest(), digest)
    bucket.finish(key, upload, etags, size_bytes=file.seek(0, 2))


def _parts(file: BufferedReader) -> Iterator[bytes]:
    length = part_bytes(file.seek(0, 2))
    file.seek(0)
    while part := file.read(length):
        yield part


def _are_of(file: BufferedReader, there: dict[int, Head]) -> bool:
    """Say whether all of these parts are parts of the file, by size and MD5. Not every S3 lets a part be replaced."""
    numbered = enumerate(_parts(file), start=1)
    found = {number: Head(len(part), _md5(part)) for number, part in numbered if number in there}
    return found == there


def _hashed(parts: Iterator[bytes], whole: "hashlib._Hash") -> Iterator[bytes]:
    for part in parts:
        whole.update(part)
        yield part


def _check(source: Path, found: str, digest: str) -> None:
    if found != digest:
        what = f"the file changed while it was stored: its SHA-256 was {digest}, and is {found}"
        raise refuse(what, where=str(source), do="run again, with nothing else writing there")


def _is_there(head: Head | None, file: BufferedReader) -> bool:
    """Say whether the object is young, and has the file's size and MD5, in one of the two ways in which S3 gives it."""
    if head is None or head.size_bytes != file.seek(0, 2) or not _is_young(datetime.fromtimestamp(head.at, UTC)):
        return False
    if "-" in head.etag:  # of an object in parts: the MD5 of their MD5s
        ends = [bytes.fromhex(_md5(part)) for part in _parts(file)]
        return head.etag == f"{_md5(b''.join(ends))}-{len(ends)}"
    file.seek(0)
    return head.etag == hashlib.file_digest(file, _new_md5).hexdigest()


def _unfinished(bucket: Bucket, key: str, below: str) -> str | None:
    """Return the id of the last upload of the key that was killed, and abort those that were abandoned."""
    uploads = sorted(bucket.unfinished(below), key=lambda one: one.begun)
    abandoned = [one for one in uploads if datetime.now(UTC) - one.begun > ABANDONED]
    for one in abandoned:
        bucket.abort(one.key, one.id)
    mine = [one for one in uploads if one.key == key and one not in abandoned]
    return next((one.id for one in reversed(mine) if _is_young(one.begun)), None)


def _is_young(at: datetime) -> bool:
    return datetime.now(UTC) - at < YOUNG


def _md5(content: bytes) -> str:
    return _new_md5(content).hexdigest()
