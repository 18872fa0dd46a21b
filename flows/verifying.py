"""`verify`: hash again what a release came from and what its version holds, and compare it with what was recorded."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

from components.errors import Refusal, refuse
from components.home import Home
from components.release.files import ONNX, PARTS, check
from components.release.files import digests as digests_of
from components.release.foreign import foreign_code
from components.release.provenance import LinkCheck, stated
from components.release.provenance import verify as verify_chain
from components.release.releases import Release
from components.store.artifact import Artifact
from components.store.store import Store
from flows.releasing import moved_elsewhere, release_of, releases_of
from flows.servers.backend import enter_registry
from flows.state import store_of

FILE: Final = "model.onnx"
STATEMENT: Final = "artifacts/provenance.json"
REPORT: Final = "artifacts/report.html"
STORED: Final[dict[str, Literal["file", "folder"]]] = {"data": "folder", "assignments": "file", "checkpoint": "folder"}


def verify(home: Home, model: str, version: int | None) -> list[LinkCheck]:
    """Return a check for each link of the version's chain, and one for its other files.

    One more says it where the registry's alias names another version than the record of who is champion.

    The version's files are hashed as the registry has them; data, split and checkpoint as the store has them. What
    must be in the version and isn't is broken; what the store no longer has can't be verified, and may be rightly gone.

    Raises:
        Refusal: there is no such version, or it came before provenance.
    """
    release = release_of(home, model, version)
    releases = releases_of(home, model)
    kept = releases.files(release.version)
    enter_registry(home)
    from tasks.registry import bring

    with tempfile.TemporaryDirectory() as folder:
        files = bring(model, release.version, into=Path(folder))
        found = digests_of(files)
        code = foreign_code(files, released=kept or _known(release))
        chain = _chain(files, release, found=found, store=store_of(home))
    others: dict[str, str | None] = {**(kept or _known(release))}
    for name in [STATEMENT, *(ONNX for one in chain if one.name == "onnx")]:  # the chain spoke for it
        others.pop(name, None)
        found.pop(name, None)
    checks = [*chain, check(found, released=others, code=code)]
    if moved := moved_elsewhere(home, releases):
        checks.append(LinkCheck(name="alias", status="broken", text=f"{moved[0].upper()}{moved[1:]}."))
    return checks


def _chain(files: Path, release: Release, *, found: dict[str, str], store: Store) -> list[LinkCheck]:
    """Check the links; without a statement that can be read, that is what is broken."""
    if STATEMENT not in found:
        if not release.provenance:
            where = f"{release.model} version {release.version}"
            raise refuse("the version holds no provenance", where=where, do="release it anew")
        return [LinkCheck(name="statement", status="broken", text=f"{STATEMENT} is gone.")]
    content = (files / STATEMENT).read_bytes()
    try:
        digests = stated(content)
    except Refusal as refusal:
        return [LinkCheck(name="statement", status="broken", text=f"{STATEMENT}: {refusal.problems[0].what}.")]
    digest_of = _hasher(digests, file=found.get(ONNX), store=store)
    return verify_chain(content, digest_of=digest_of, head=release.provenance or None, needed={FILE})


def _known(release: Release) -> dict[str, str | None]:
    """Return what is known of the files of a release that was registered before their digests were kept."""
    report = None if release.report is None else release.report.digest
    return {**dict.fromkeys(PARTS), ONNX: release.onnx.digest, REPORT: report}


def _hasher(digests: dict[str, str], *, file: str | None, store: Store) -> Callable[[str], str | None]:
    """Return what finds the present digest of an artifact of the chain by its name, None where it isn't here."""

    def digest_of(name: str) -> str | None:
        if name == FILE:
            return file
        kind = STORED.get(name)
        if kind is None:
            return None
        return store.digest_now(Artifact(digest=digests[name], kind=kind, size_bytes=0, name=name))

    return digest_of
