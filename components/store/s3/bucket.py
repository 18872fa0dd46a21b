"""The few calls that a bucket must understand, in plain Python: no versions, no conditions, no tags."""

import base64
import hashlib
import logging
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Final

from components.errors import GO_ON, refuse
from components.store.s3.access import Access, connect, waits
from components.store.s3.refusals import DENIED, code_of, refusals

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import GetObjectOutputTypeDef, PutObjectOutputTypeDef, UploadPartOutputTypeDef

CHUNK: Final = 1 << 20  # bytes read at a time
CONNECTIONS: Final = 16
PAGE: Final = 1000  # objects of a listing, the most that S3 gives at once
NO_LISTING: Final = DENIED | {"NotImplemented", "MethodNotAllowed", "501", "405"}
IS_MD5: Final = re.compile(r"[0-9a-f]{32}").fullmatch
_new_md5 = partial(hashlib.md5, usedforsecurity=False)
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
        return refusals(self._place(key), self.access.endpoint_url or "S3", origin=self.access.origin)

    def _place(self, key: str) -> str:
        return f"s3://{self.name}/{key}"

    @property
    def _look(self) -> str:
        return f"look at {self.access.endpoint_url or 'S3'}; {GO_ON}"

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
        """Store a small object. Bytes that arrive other than they were sent are sent again."""
        for failures in range(1, self.access.attempts + 1):
            with self._refusals(key):
                answer = self._s3.put_object(Bucket=self.name, Key=key, Body=content, ContentMD5=_md5(content))
            if _arrived(content, answer) or self.read(key, 0, max(len(content), 1)).content == content:
                return  # a tag may be another thing than a digest
            if failures < self.access.attempts:
                time.sleep(waits(failures))
        raise refuse("S3 took other bytes than were sent, time and again", where=self._place(key), do=self._look)

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
            answer = self._s3.get_object(Bucket=self.name, Key=key, Range=f"bytes={start}-{stop - 1}")
        except ClientError as error:
            if code_of(error) in ("InvalidRange", "416"):
                return None
            raise
        if "ContentRange" not in answer:
            answer["Body"].close()
            what = "the endpoint was asked for a part of the object, and answers with the whole"
            raise refuse(what, where=self._place(key), do="use an S3, or a proxy before it, that understands Range")
        return answer

    def begin(self, key: str) -> str:
        """Begin a multipart upload and return its id."""
        with self._refusals(key):
            return self._s3.create_multipart_upload(Bucket=self.name, Key=key)["UploadId"]

    def send(self, key: str, upload: str, number: int, content: bytes) -> str:
        """Store a part (numbers begin with 1) and return its tag.

        Raises:
            FileNotFoundError: the upload isn't there any more; or it was aborted here, since the part arrived other
                than it was sent, and not every S3 lets a part be replaced.
        """
        with self._refusals(key):
            answer = self._s3.upload_part(
                Bucket=self.name, Key=key, UploadId=upload, PartNumber=number, Body=content, ContentMD5=_md5(content)
            )
        if not _arrived(content, answer):
            self.abort(key, upload)
            raise FileNotFoundError(self._place(key))
        return answer["ETag"].strip('"')

    def finish(self, key: str, upload: str, etags: Sequence[str], *, size_bytes: int) -> None:
        """Make the object of its parts, all at once, and look whether it has that size.

        Raises:
            FileNotFoundError: the upload, or one of its parts, isn't there any more: somebody else ended it.
            Refusal: the object has another size, and keeps it.
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
        for failures in range(1, self.access.attempts + 1):
            found = self.head(key)
            if found is not None and found.size_bytes == size_bytes:
                return
            if failures < self.access.attempts:  # rclone shows it in the making where another finishes the same
                time.sleep(waits(failures))
        what = f"parts of {size_bytes} bytes became {f'{found.size_bytes} bytes' if found else 'nothing'}"
        raise refuse(what, where=self._place(key), do=self._look)

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


def _arrived(content: bytes, answer: "PutObjectOutputTypeDef | UploadPartOutputTypeDef") -> bool:
    """Say whether S3 has the bytes as they were sent, where its tag is their MD5: not every S3 looks at Content-MD5."""
    etag = answer["ETag"].strip('"')
    if "SSECustomerAlgorithm" in answer or answer.get("ServerSideEncryption", "").startswith("aws:kms"):
        return True  # the tag is an MD5 of something else
    return not IS_MD5(etag) or etag == _new_md5(content).hexdigest()


def _md5(content: bytes) -> str:
    return base64.b64encode(_new_md5(content).digest()).decode()
