"""The data sets that runs have taken in, and how one is had back."""

import os
import shutil
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from components.errors import refuse
from components.home import Home
from components.planning.history import models_of, outputs_as, results
from components.store.artifact import Artifact
from components.store.store import digest_of
from flows.servers.environment import enter
from flows.state import ledger_of, remote_of

SHORTEST = 4  # letters of a digest's beginning
DIGEST_LETTERS = 12  # of a digest, in a list and in the name of a folder


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """A data set that was taken in."""

    sha256: str  # of the packed folder's manifest
    dvc_md5: str
    rows: int
    quarantined: int
    size_bytes: int  # packed
    source: str
    models: tuple[str, ...]  # whose runs used it
    at: str  # ISO 8601


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """What ingest has recorded, in any version of it."""

    folder: Artifact
    dvc_md5: str
    rows: int
    source: str
    quarantined: int = 0


def datasets(home: Home) -> list[Listed]:
    """Return the data sets, the latest first; one that was taken in twice is one."""
    ledger = ledger_of(home)
    found: dict[str, Listed] = {}
    for record in results(ledger, "ingest"):
        dataset, users = outputs_as(record, Taken), models_of(ledger, record.key)
        before = found.get(dataset.folder.digest)
        found[dataset.folder.digest] = Listed(
            sha256=dataset.folder.digest,
            dvc_md5=dataset.dvc_md5,
            rows=dataset.rows,
            quarantined=dataset.quarantined,
            size_bytes=dataset.folder.size_bytes,
            source=dataset.source,
            models=tuple(sorted({*users, *(before.models if before else ())})),
            at=datetime.fromtimestamp(record.at).astimezone().isoformat(timespec="seconds"),
        )
    return list(found.values())


def taken_from(home: Home, model: str, source: Path) -> Listed | None:
    """Return what runs of the model took in last from a source of that name, if they did."""
    return next((one for one in datasets(home) if one.source == source.name and model in one.models), None)


def restore(home: Home, digest: str, *, output: Path | None) -> Path:
    """Have a data set back from the DVC remote, in a new folder, and return the folder.

    `digest` is its SHA-256 or DVC's MD5, or the beginning of one. Without an `output` the folder is made here, and
    named after the data.

    Raises:
        Refusal: no or more than one data set has it, the folder is there already, or the remote lost the data.
    """
    wanted = _named(digest, datasets(home))
    output = output or Path(wanted.sha256[:DIGEST_LETTERS])
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise refuse("there is something at this place", where=str(output), do="name a new folder with --output")
    enter(home)
    from tasks.versioning import restore as pull

    remote = remote_of(home)
    output.absolute().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".steelyard-", dir=output.absolute().parent) as folder:
        text = Path(folder) / "wanted.dvc"
        text.write_text(f"outs:\n- md5: {wanted.dvc_md5}\n  hash: md5\n  path: data\n", "utf-8")
        data = pull(text, workspace=Path(folder) / "workspace", remote=remote)
        if digest_of(data) != wanted.sha256:
            raise refuse(
                "what the DVC remote holds isn't what was taken in: its bytes differ",
                where=remote.url,
                do="take the data in again from where it came",
            )
        shutil.copytree(data, output, dirs_exist_ok=True)  # DVC's own files are read-only links
    for path in output.rglob("*"):
        os.chmod(path, 0o755 if path.is_dir() else 0o644)  # noqa: PTH101
    return output


def _named(digest: str, there: list[Listed]) -> Listed:
    beginning = digest.strip().lower()
    if len(beginning) < SHORTEST:
        raise refuse(f"'{digest}' is too short for a digest", allowed=f"{SHORTEST} letters at least")
    matching = [one for one in there if one.sha256.startswith(beginning) or one.dvc_md5.startswith(beginning)]
    if len(matching) == 1:
        return matching[0]
    shown = ", ".join(f"{one.sha256[:DIGEST_LETTERS]} ({one.source})" for one in (matching or there)[:10])
    if matching:
        raise refuse(f"{len(matching)} data sets begin with '{digest}'", allowed=shown, do="give more of the digest")
    known = shown or "none was taken in yet"
    raise refuse(f"no data set has the digest '{digest}'", allowed=known, do="look at `steelyard data list`")
