"""The data that a user names: its content digest, read again only where its files changed."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from components.planning.ledger import Ledger
from components.store.artifact import Stamp
from components.store.folder import sha256


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A file or folder and the digest of what is in it."""

    path: str = field(metadata={"in_key": False})
    digest: str


def look_at(path: Path, ledger: Ledger) -> Source | None:
    """Return the source at the path, or None where nothing is there.

    A folder's digest is over the relative paths and contents of its files; hidden ones don't count.
    """
    if path.is_file():
        return Source(path=str(path), digest=_digest(path, ledger))
    if not path.is_dir():
        return None
    files = sorted(file for file in path.rglob("*") if file.is_file() and not _is_hidden(file, path))
    known = _folder_stamp(files, path)
    digest = ledger.digest(str(path), known)
    if digest is None:
        lines = [f"{sha256(file)} {file.relative_to(path).as_posix()}" for file in files]
        digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        ledger.remember(str(path), known, digest)
    return Source(path=str(path), digest=digest)


def _digest(path: Path, ledger: Ledger) -> str:
    status = path.stat()
    stamp = Stamp(status.st_size, str(status.st_mtime_ns))
    digest = ledger.digest(str(path), stamp)
    if digest is None:
        digest = sha256(path)
        ledger.remember(str(path), stamp, digest)
    return digest


def _is_hidden(file: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(root).parts)


def _folder_stamp(files: list[Path], root: Path) -> Stamp:
    """One stamp for all files: their names, sizes and times."""
    text, size = hashlib.sha256(), 0
    for file in files:
        status = file.stat()
        size += status.st_size
        text.update(f"{file.relative_to(root).as_posix()} {status.st_size} {status.st_mtime_ns}\n".encode())
    return Stamp(size, text.hexdigest())
