"""Blobs in a bucket: `PREFIX/objects/ab/cdef…`. Any S3 will do: content-addressed puts, and nothing conditional."""

import uuid
from collections.abc import Iterator
from pathlib import Path

from components.errors import refuse
from components.store.artifact import Stamp, Stored
from components.store.folder import IS_DIGEST, object_name
from components.store.s3.bucket import Bucket, Head, Unfinished
from components.store.s3.cache import Cache
from components.store.s3.download import digest_now, download
from components.store.s3.upload import upload


class S3Blobs:
    """Blobs under a prefix of a bucket, which has to be there. What was put or got is kept in a local cache too.

    A blob is copied into the cache first and sent from there: the source may change at any time, and who puts a file
    and gets it back on one machine downloads nothing.
    """

    at_once = 8  # small blobs wait for answers, not for bytes

    def __init__(self, bucket: Bucket, *, prefix: str, cache: Path) -> None:
        self.bucket = bucket
        self.prefix = prefix
        self.cache = Cache(cache)

    def key(self, digest: str) -> str:
        """Return where in the bucket the blob of that digest is, or would be."""
        return self._below(object_name(digest))

    def put(self, source: Path) -> str:
        """Store the file, unless it is large and the bucket vouches for it by its MD5."""
        digest, copy = self.cache.put(source)
        upload(self.bucket, self.key(digest), copy, digest=digest, below=self._below("objects/"))
        return digest

    def get(self, digest: str) -> Path:
        """Return the cached copy, and download it where there is none that is sound."""
        key = self.key(digest)
        return self.cache.get(digest) or download(self.bucket, key, digest=digest, cache=self.cache)

    def stamp(self, digest: str) -> Stamp | None:
        """Return the size and the tag of the object."""
        head = self.bucket.head(self.key(digest))
        return None if head is None else Stamp(head.size_bytes, head.etag)

    def digest_now(self, digest: str) -> str | None:
        """Hash the object itself; the cached copy is hashed when it is got the next time."""
        self.cache.doubt(digest)
        return digest_now(self.bucket, self.key(digest), digest=digest)

    def discard(self, digest: str) -> None:
        """Remove the object and the cached copy."""
        self.cache.discard(digest)
        self.bucket.delete(self.key(digest))

    def stored(self) -> Iterator[Stored]:
        """Yield the objects, the uploads that were begun, and what the local cache has."""
        for one in self.bucket.listed(self._below("objects/")):
            if IS_DIGEST(digest := "".join(one.key.rsplit("/", 2)[-2:])):
                yield Stored("object", digest, one.size_bytes, one.at)
        for begun in self.bucket.unfinished(self._below("objects/")):
            parts = self._parts(begun).values()
            at = max([begun.begun.timestamp(), *(part.at for part in parts)])
            yield Stored("upload", f"{begun.key} {begun.id}", sum(part.size_bytes for part in parts), at)
        yield from self.cache.stored()

    def remove(self, one: Stored, *, before: float) -> bool:
        """Remove it. Of an object the time is asked once more, and the cached copy goes along."""
        if one.kind == "copy" or (one.kind == "upload" and " " not in one.name):
            return self.cache.remove(one, before=before)
        if one.kind == "upload":
            self.bucket.abort(*one.name.split(" ", 1))
            return True
        head = self.bucket.head(self.key(one.name))
        if head is not None and head.at >= before:
            return False
        self.discard(one.name)
        return True

    def sign(self, ledger: str) -> None:
        """Put an empty object of that name."""
        if self.bucket.head(key := self._below(f"ledgers/{ledger}")) is None:
            self.bucket.put(key, b"")

    def signed(self) -> list[str]:
        """Return the names of such objects."""
        return [one.key.rsplit("/", 1)[-1] for one in self.bucket.listed(self._below("ledgers/"))]

    def _parts(self, upload: Unfinished) -> dict[int, Head]:
        try:
            return self.bucket.parts(upload.key, upload.id)
        except FileNotFoundError:  # it has just ended
            return {}

    def probe(self) -> None:
        """Write a small object, read it and remove it. Raises Refusal where any of that fails."""
        key, content = self._below(f"probe/{uuid.uuid4().hex}"), uuid.uuid4().bytes
        self.bucket.put(key, content)
        try:
            found = self.bucket.read(key, 0, len(content) + 1).content
        finally:
            self.bucket.delete(key)
        if found != content:
            raise refuse("an object came back other than it was put", where=f"s3://{self.bucket.name}/{key}")

    def _below(self, name: str) -> str:
        return f"{self.prefix}/{name}" if self.prefix else name
