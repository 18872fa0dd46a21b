"""The data sets that runs have taken in, and how one is had back."""

import os
import shutil
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from components.errors import refuse
from components.home import Home
from components.planning.history import models_of, results
from components.planning.key import Json
from components.planning.ledger import Ledger
from components.store.artifact import Artifact
from components.store.folder import FolderBlobs
from components.store.store import Store, digest_of
from tasks.ingest import Dataset, ingest

SHORTEST = 4  # letters of a digest's beginning


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """A data set that was taken in, by whom, and when it was first."""

    dataset: Dataset
    models: tuple[str, ...]
    at: float  # seconds since 1970


def datasets(home: Home) -> list[dict[str, Json]]:
    """Return a row per data set, the latest first."""
    return [
        {
            "sha256": one.dataset.folder.digest,
            "dvc_md5": one.dataset.dvc_md5,
            "rows": one.dataset.rows,
            "quarantined": one.dataset.quarantined,
            "size_bytes": one.dataset.folder.size_bytes,
            "source": one.dataset.source,
            "models": list(one.models),
            "at": datetime.fromtimestamp(one.at).astimezone().isoformat(timespec="seconds"),
        }
        for one in known(home)
    ]


def known(home: Home) -> list[Known]:
    """Return the data sets, the latest first; one that was taken in twice is one."""
    ledger = Ledger(home.ledger)
    found: dict[str, Known] = {}
    for record in results(ledger, ingest.name):
        dataset, users = ingest.outputs(record), models_of(ledger, record.key)
        before = found.get(dataset.folder.digest)
        together = {*users, *(before.models if before else ())}
        found[dataset.folder.digest] = Known(dataset=dataset, models=tuple(sorted(together)), at=record.at)
    return list(found.values())


def restore(home: Home, digest: str, *, output: Path) -> Path:
    """Have a data set back from the DVC remote, in a new folder, and return the folder.

    `digest` is its SHA-256 or DVC's MD5, or the beginning of one.

    Raises:
        Refusal: no or more than one data set has it, the folder is there already, or the remote lost the data.
    """
    dataset = _named(digest, known(home))
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise refuse("there is something at this place", where=str(output), do="name a new folder with --output")
    from tasks.versioning import restore as pull

    output.absolute().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".steelyard-", dir=output.absolute().parent) as folder:
        text = Path(folder) / "wanted.dvc"
        text.write_text(_dvc_text(home, dataset), "utf-8")
        data = pull(text, workspace=Path(folder) / "workspace", remote=home.dvc_remote)
        if digest_of(data) != dataset.folder.digest:
            raise refuse(
                "what the DVC remote holds isn't what was taken in: its bytes differ",
                where=str(home.dvc_remote),
                do="take the data in again from where it came",
            )
        shutil.copytree(data, output, dirs_exist_ok=True)  # DVC's own files are read-only links
    for path in output.rglob("*"):
        os.chmod(path, 0o755 if path.is_dir() else 0o644)  # noqa: PTH101
    return output


def _dvc_text(home: Home, dataset: Dataset) -> str:
    """Return the text by which DVC knows the data: the stored one, or where the store lost it, made from the digest."""
    store = Store(FolderBlobs(home.store), home.checkouts)
    if store.digest_now(dataset.dvc_file) == dataset.dvc_file.digest:
        return _text(store, dataset.dvc_file)
    return f"outs:\n- md5: {dataset.dvc_md5}\n  hash: md5\n  path: data\n"


def _text(store: Store, artifact: Artifact) -> str:
    return store.get(artifact).read_text("utf-8")


def _named(digest: str, there: list[Known]) -> Dataset:
    wanted = digest.strip().lower()
    if len(wanted) < SHORTEST:
        raise refuse(f"'{digest}' is too short for a digest", allowed=f"{SHORTEST} letters at least")
    matching = [one for one in there if (one.dataset.folder.digest.startswith(wanted) or one.dataset.dvc_md5.startswith(wanted))]
    if len(matching) == 1:
        return matching[0].dataset
    shown = ", ".join(f"{one.dataset.folder.digest[:12]} ({one.dataset.source})" for one in (matching or there)[:10])
    if matching:
        raise refuse(f"{len(matching)} data sets begin with '{digest}'", allowed=shown, do="give more of the digest")
    raise refuse(f"no data set has the digest '{digest}'", allowed=shown or "none was taken in yet", do="`steelyard data list`")
