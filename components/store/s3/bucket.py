"""The few calls that a bucket must understand, in plain Python: no versions, no conditions, no tags."""

import base64
import hashlib
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock
from typing import TYPE_CHECKING, Final

from components.store.s3.access import Access, connect, waits
from components.store.s3.refusals import DENIED, code_of, refusals

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import GetObjectOutputTypeDef

CHUNK: Final = 1 << 20  # bytes read at a time
CONNECTIONS: Final = 16
PAGE: Final = 1000  # objects of a listing, the most that S3 gives at once
NO_LISTING: Final = DENIED | {"NotImplemented", "MethodNotAllowed", "501", "405"}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Head:
    """What S3 tells of an object, or of a part, without its bytes. The tag mostly is an MD5, but needn't be."""

    size_bytes: int
    etag: str
    at: float = field(default=0.0, compare=False)  # when it was put, in seconds since 1970


@dataclass(frozen=True, slots=True)
class Listed:
    """An object in a listing."""

    key: str
    size_bytes: int
    at: float  # when it was put, in seconds since 1970


@dataclass(frozen=True, slots=True)
class Piece:
    """Some bytes of an object, and how many the whole of it has."""

    content: bytes | bytearray
    total_bytes: int


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A multipart upload that was begun, and neither finished nor aborted."""

    key: str
    id: str
    begun: datetime


class Bucket:
    """A bucket and the way to it. Nothing is asked before the first call; threads may share it.

    Every call raises Refusal where S3 refuses or can't be reached, and FileNotFoundError where the key isn't there.
    """

    def __init__(self, name: str, access: Access) -> None:
        self.name = name
        self.access = access
        self.turn = Lock()  # large objects take turns, each in parallel parts: memory stays that of one
        self._lock = Lock()
        self._client: S3Client | None = None

    @property
    def _s3(self) -> "S3Client":
        with self._lock:
            if self._client is None:
                self._client = connect(self.access, connections=CONNECTIONS)
            return self._client

    def _refusals(self, key: str) -> "AbstractContextManager[None]":
        return refusals(f"s3://{self.name}/{key}", self.access.endpoint_url or "S3")

    def head(self, key: str) -> Head | None:
        """Return what is there under the key, if anything."""
        try:
            with self._refusals(key):
                answer = self._s3.head_object(Bucket=self.name, Key=key)
        except FileNotFoundError:
            return None
        return Head(answer["ContentLength"], answer["ETag"].strip('"'), answer["LastModified"].timestamp())

    def listed(self, prefix: str) -> Iterator[Listed]:
        """Yield the objects whose keys begin so, page by page."""
        pages = iter(
            self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=self.name, Prefix=prefix, PaginationConfig={"PageSize": PAGE}
            )
        )
        while True:
            with self._refusals(prefix):
                page = next(pages, None)
            if page is None:
                return
            for one in page.get("Contents", []):
                yield Listed(one["Key"], one["Size"], one["LastModified"].timestamp())

    def put(self, key: str, content: bytes) -> None:
        """Store a small object. S3 refuses bytes that arrive other than they were sent."""
        with self._refusals(key):
            self._s3.put_object(Bucket=self.name, Key=key, Body=content, ContentMD5=_md5(content))

    def delete(self, key: str) -> None:
        """Remove the object; none under the key is fine."""
        with self._refusals(key):
            self._s3.delete_object(Bucket=self.name, Key=key)

    def read(self, key: str, start: int, stop: int) -> Piece:
        """Return the bytes from start up to stop, or to the object's end. It goes on where an answer is cut."""
        from botocore.exceptions import HTTPClientError, IncompleteReadError

        content, failures = bytearray(), 0
        with self._refusals(key):
            while answer := self._answer(key, start + len(content), stop):  # botocore itself asks again for that
                try:
                    with closing(answer["Body"]) as body:  # its own `with` takes a cut for the end
                        while chunk := body.read(CHUNK):
                            content += chunk
                except (HTTPClientError, IncompleteReadError):
                    failures += 1
                    if failures >= self.access.attempts:
                        raise
                    time.sleep(waits(failures))
                else:
                    return Piece(content, int(answer["ContentRange"].rpartition("/")[2]))
        return Piece(content, start + len(content))

    def _answer(self, key: str, start: int, stop: int) -> "GetObjectOutputTypeDef | None":
        """Return what S3 answers before the bytes, or None where the object ends before start."""
        from botocore.exceptions import ClientError

        try:
            return self._s3.get_object(Bucket=self.name, Key=key, Range=f"bytes={start}-{stop - 1}")
        except ClientError as error:
            if code_of(error) in ("InvalidRange", "416"):
                return None
            raise

    def begin(self, key: str) -> str:
        """Begin a multipart upload and return its id."""
        with self._refusals(key):
            return self._s3.create_multipart_upload(Bucket=self.name, Key=key)["UploadId"]

    def send(self, key: str, upload: str, number: int, content: bytes) -> str:
        """Store a part (numbers begin with 1) and return its tag."""
        with self._refusals(key):
            answer = self._s3.upload_part(
                Bucket=self.name, Key=key, UploadId=upload, PartNumber=number, Body=content, ContentMD5=_md5(content)
            )
        return answer["ETag"].strip('"')

    def finish(self, key: str, upload: str, etags: Sequence[str]) -> None:
        """Make the object of its parts, all at once.

        Raises:
            FileNotFoundError: the upload, or one of its parts, isn't there any more: somebody else ended it.
        """
        with self._refusals(key):
            self._s3.complete_multipart_upload(
                Bucket=self.name,
                Key=key,
                UploadId=upload,
                MultipartUpload={
                    "Parts": [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, start=1)]
                },
            )

    def abort(self, key: str, upload: str) -> None:
        """Give up an upload and the room that its parts take; one that isn't there any more is fine."""
        try:
            with self._refusals(key):
                self._s3.abort_multipart_upload(Bucket=self.name, Key=key, UploadId=upload)
        except FileNotFoundError:
            pass

    def unfinished(self, prefix: str) -> list[Unfinished]:
        """Return the uploads under keys with that prefix; none where S3 can't list them, or mayn't for us."""
        from botocore.exceptions import ClientError

        pages = self._s3.get_paginator("list_multipart_uploads").paginate(Bucket=self.name, Prefix=prefix)
        with self._refusals(prefix):
            try:
                found = [upload for page in pages for upload in page.get("Uploads", [])]
            except ClientError as error:
                if code_of(error) == "NoSuchUpload":  # rclone's way to say that there are none
                    return []
                if code_of(error) not in NO_LISTING:
                    raise
                _log.warning("s3://%s doesn't list unfinished uploads: a killed one begins anew", self.name)
                return []
        return [Unfinished(one["Key"], one["UploadId"], one["Initiated"]) for one in found]

    def parts(self, key: str, upload: str) -> dict[int, Head]:
        """Return the parts of an unfinished upload that are there."""
        pages = self._s3.get_paginator("list_parts").paginate(Bucket=self.name, Key=key, UploadId=upload)
        with self._refusals(key):
            found = [part for page in pages for part in page.get("Parts", [])]
        return {
            part["PartNumber"]: Head(part["Size"], part["ETag"].strip('"'), part["LastModified"].timestamp())
            for part in found
        }


def _md5(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
