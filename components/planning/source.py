"""The data that a user names: its content digest, read again only where its files changed."""

import hashlib
import time
from dataclasses import dataclass, field
from pathlib import Path

from components.data.card import NAME as CARD
from components.data.file_names import says_no_image
from components.planning.ledger import Ledger
from components.store.artifact import Stamp
from components.store.folder import sha256

SETTLED_NS = 100_000_000  # file systems keep times to some milliseconds


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A file or folder and the digest of what is in it."""

    path: str = field(metadata={"in_key": False})
    digest: str


def look_at(path: Path, ledger: Ledger) -> Source | None:
    """Return the source at the path, or None where nothing is there.

    A folder's digest is over the relative paths and contents of its files; hidden ones don't count, nor do those that
    are passed over among images. A file is read again where its size, one of its times or its inode differ.
    """
    path = path.absolute()
    if path.is_file():
        return Source(path=str(path), digest=_digest(path, ledger))
    if not path.is_dir():
        return None
    files = sorted(file for file in path.rglob("*") if file.is_file() and _counts(file, path))
    known = _folder_stamp(files, path)
    digest = ledger.digest(str(path), known)
    if digest is None:
        began = time.time_ns()
        lines = [f"{sha256(file)} {file.relative_to(path).as_posix()}" for file in files]
        digest = hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
        _remember(ledger, path, known, digest, settled=_latest(files) < began - SETTLED_NS)
    return Source(path=str(path), digest=digest)


def _digest(path: Path, ledger: Ledger) -> str:
    stamp = _folder_stamp([path], path.parent)
    digest = ledger.digest(str(path), stamp)
    if digest is None:
        began = time.time_ns()
        digest = sha256(path)
        _remember(ledger, path, stamp, digest, settled=_latest([path]) < began - SETTLED_NS)
    return digest


def _remember(ledger: Ledger, path: Path, stamp: Stamp, digest: str, *, settled: bool) -> None:
    """Keep the digest, unless the files are so new that a further change might leave their times as they are."""
    if settled:
        ledger.remember(str(path), stamp, digest)


def _latest(files: list[Path]) -> int:
    return max((file.stat().st_ctime_ns for file in files), default=0)


def _counts(file: Path, root: Path) -> bool:
    hidden = any(part.startswith(".") for part in file.relative_to(root).parts)
    return not hidden and (file.name == CARD or not says_no_image(file.name))


def _folder_stamp(files: list[Path], root: Path) -> Stamp:
    """One stamp for all files: their names, sizes and times."""
    text, size = hashlib.sha256(), 0
    for file in files:
        status = file.stat()
        size += status.st_size
        facts = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        text.update(f"{file.relative_to(root).as_posix()} {facts}\n".encode("utf-8", "surrogateescape"))
    return Stamp(size, text.hexdigest())
