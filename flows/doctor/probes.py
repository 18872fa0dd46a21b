"""Tries of what a run will need, from here: something is written, read and removed.

Each returns what was tried, in words, and raises Refusal or OSError where it failed.
"""

import os
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from components.disk import there
from components.errors import refuse
from components.home import Home
from components.planning.ledger import Ledger
from components.settings import settings_of
from components.store.address import blobs_at
from components.store.blobs import Blobs
from components.store.folder import FolderBlobs
from components.store.s3.blobs import S3Blobs
from components.store.store import Store, digest_of
from flows.servers.login import check_login
from flows.servers.processes import answer_of
from flows.servers.reaching import masked, remedy
from flows.state import access_of

SECONDS: Final = 3.0  # for a server's answer
S3_SECONDS: Final = 4.0  # for one of S3's, which is asked once more
CLOSE_SECONDS: Final = 5.0  # clocks that differ by more order what happened otherwise than it did


def try_place(address: str, home: Home) -> str:
    """Put something into a folder or an S3, have it back and remove it."""
    blobs = _blobs(address, home)
    if isinstance(blobs, S3Blobs):
        blobs.probe()
        return f"{address}: an object was written, read and removed"
    _try_folder(Path(address))
    return f"{address}: a file went in and came out the same"


def _blobs(address: str, home: Home) -> Blobs:
    access = replace(access_of(home), timeout_seconds=S3_SECONDS, attempts=2)
    return blobs_at(address, cache=home.store, access=access)


@contextmanager
def left_in_store(home: Home) -> Iterator[str]:
    """Put something into the store for the time of the block, and return its digest."""
    blobs = _blobs(settings_of(home).store or str(home.store), home)
    with tempfile.TemporaryDirectory() as place:
        probe = Path(place) / "probe"
        probe.write_bytes(os.urandom(64))
        digest = blobs.put(probe)
    try:
        yield digest
    finally:
        blobs.discard(digest)


def lies_in_store(home: Home, digest: str) -> bool:
    """Say whether the store has what another process has left there."""
    return _blobs(settings_of(home).store or str(home.store), home).stamp(digest) is not None


def _try_folder(folder: Path) -> None:
    """Put a file into a store beside the folder, on the same disk, and have it back."""
    with tempfile.TemporaryDirectory(prefix=".steelyard-doctor-", dir=there(folder)) as place:
        probe = Path(place) / "probe"
        probe.write_bytes(os.urandom(1 << 16))
        store = Store(FolderBlobs(Path(place) / "store"), Path(place) / "folders")
        if digest_of(store.get(store.put(probe))) != digest_of(probe):
            raise refuse("a file came out DIFFERENT from what went in", where=str(folder), do="look at the disk")


def try_lease(ledger: Ledger) -> str:
    """Take a lease and give it back, and compare the database's clock with this machine's."""
    lease = ledger.acquire(f"doctor {uuid.uuid4().hex}", seconds=15.0)
    if lease is None:
        raise refuse("a lease that nobody holds was not given", where=ledger.database.name)
    ledger.release(lease)
    before = time.time()
    ((clock,),) = ledger.database.ask("SELECT clock()")
    behind = (before + time.time()) / 2 - clock
    if abs(behind) > CLOSE_SECONDS:
        what = f"its clock and this machine's differ by {abs(behind):.0f} s"
        raise refuse(what, where=ledger.database.name, do="set the clocks: both by the same time server")
    return f"a lease was taken and given back, the clocks differ by {abs(behind):.1f} s"


def try_record(home: Home) -> str:
    """Create a run in the MLflow that is set, read it and delete it."""
    from flows.servers.environment import enter
    from tasks.tracking.connecting import probe

    enter(home)
    probe(home, uri=settings_of(home).mlflow_tracking_uri)
    return "a run was created, read and deleted"


def try_server(url: str, *, health: str, do: str) -> str:
    """Ask a server whether it is well. It isn't told who asks. `do` is what helps where it is silent."""
    parts = urlsplit(url)
    address = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/") + health, "", ""))
    status = answer_of(address, seconds=SECONDS).status
    if status == 0:
        raise refuse("does not answer", where=masked(url), do=do)
    if status >= 300:
        do = "look at its log, and whether its database is up; or mend its address"
        raise refuse(f"it, or a proxy before it, answers with an error ({status})", where=masked(url), do=do)
    return f"{masked(url)} answers"


def try_prefect(url: str, home: Home) -> str:
    """Ask Prefect's server whether it is well, and for something that wants a login."""
    answers = try_server(url, health="/health", do=remedy(settings_of(home), "prefect_api_url"))
    check_login(home, patience=0.0)
    return answers
