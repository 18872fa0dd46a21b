"""`verify`: hash again what a release came from, and compare it with the chain of digests that the version holds."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

from components.errors import refuse
from components.home import Home
from components.release.provenance import LinkCheck, stated
from components.release.provenance import verify as verify_chain
from components.store.artifact import Artifact
from components.store.folder import sha256
from components.store.store import Store
from flows.releasing import release_of
from flows.servers.backend import enter_registry
from flows.state import store_of

FILE: Final = "model.onnx"
STORED: Final[dict[str, Literal["file", "folder"]]] = {"data": "folder", "assignments": "file", "checkpoint": "folder"}


def verify(home: Home, model: str, version: int | None) -> list[LinkCheck]:
    """Return a check for each link of the version's chain, whose end must be the one that was recorded at registration.

    The model's file is hashed as the registry has it; data, split and checkpoint as the store has them.

    Raises:
        Refusal: there is no such version, or what it holds is no chain.
    """
    release = release_of(home, model, version)
    enter_registry(home)
    from tasks.registry import download

    with tempfile.TemporaryDirectory() as folder:
        files = download(model, release.version, into=Path(folder)) / "artifacts"
        statement = files / "provenance.json"
        if not statement.is_file():
            where = f"{model} version {release.version}"
            raise refuse("the version holds no provenance", where=where, do="release it anew")
        content = statement.read_bytes()
        digest_of = _hasher(stated(content), file=files / FILE, store=store_of(home))
        return verify_chain(content, digest_of=digest_of, head=release.provenance or None)


def _hasher(digests: dict[str, str], *, file: Path, store: Store) -> Callable[[str], str | None]:
    """Return what finds the present digest of an artifact of the chain by its name, None where it isn't here."""

    def digest_of(name: str) -> str | None:
        if name == FILE:
            return sha256(file) if file.is_file() else None
        kind = STORED.get(name)
        if kind is None:
            return None
        return store.digest_now(Artifact(digest=digests[name], kind=kind, size_bytes=0, name=name))

    return digest_of
