"""Where a store is, in one word: a folder, or `s3://bucket/prefix`."""

import re
from pathlib import Path
from typing import Final

from components.errors import Refusal, refuse
from components.store.blobs import Blobs
from components.store.folder import FolderBlobs
from components.store.s3.access import Access
from components.store.s3.blobs import S3Blobs
from components.store.s3.bucket import Bucket

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX: Final = re.compile(r"[A-Za-z0-9_.=-]+(/[A-Za-z0-9_.=-]+)*")


def blobs_at(address: str, *, cache: Path, access: Access | None = None) -> Blobs:
    """Return the blobs at the address. `cache` and `access` are for S3. Nothing is asked or made yet.

    Raises:
        Refusal: the address is malformed.
    """
    place = bucket_and_prefix(address)
    if place is None:
        return FolderBlobs(Path(address))
    name, prefix = place
    return S3Blobs(Bucket(name, access or Access()), prefix=prefix, cache=cache)


def bucket_and_prefix(address: str) -> tuple[str, str] | None:
    """Return where in S3 the address is, or None for a folder. Raises Refusal where it is malformed."""
    if not _SCHEME.match(address):
        if not address.strip():
            raise _malformed(address)
        return None
    scheme, _, rest = address.partition("://")
    name, _, prefix = rest.rstrip("/").partition("/")
    if scheme != "s3" or not _BUCKET.fullmatch(name) or not _is_prefix(prefix):
        raise _malformed(address)
    return name, prefix


def _is_prefix(text: str) -> bool:
    return not text or (bool(_PREFIX.fullmatch(text)) and not {".", ".."} & set(text.split("/")))


def _malformed(address: str) -> Refusal:
    shown = re.sub(r"//.*@", "//***@", address).partition("?")[0]
    allowed = "a folder, or s3://BUCKET/PREFIX in letters, digits and . _ = - (the bucket: small letters, digits, . -)"
    do = "keep credentials out of it: boto3 finds them in its own variables and files"
    return refuse(f"{shown!r} is no address of a store", allowed=allowed, do=do)
