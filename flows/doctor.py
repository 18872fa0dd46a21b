"""`doctor`: is this machine fit, and is the state sound? It changes nothing, and shows no secret."""

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit, urlunsplit
from urllib.request import Request

from components.errors import Refusal
from components.home import Home
from components.planning.ledger import ledger_at
from components.planning.machine import device_kind, this_machine
from components.settings import settings_of
from components.store.disk import there
from components.store.folder import FolderBlobs
from components.store.store import Store, digest_of
from flows.servers.environment import FOREIGN
from flows.servers.processes import HEALTH, asked
from flows.servers.services import check_prefect, running

LIBRARIES: Final = ("torch", "onnx", "onnxruntime", "numpy", "pyarrow", "scikit-learn", "prefect", "mlflow", "dvc")
LITTLE_DISK_BYTES: Final = 2 << 30  # below that, a warning
NO_DISK_BYTES: Final = 200 << 20
SECONDS: Final = 3.0  # for a server's answer
State = Literal["ok", "note", "bad"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What one look found. `bad`: it has to be mended before a run can work."""

    name: str
    state: State
    detail: str


def examine(home: Home) -> list[Finding]:
    """Look at everything that a run needs."""
    looks: tuple[Callable[[Home], Iterator[Finding]], ...] = (
        _versions,
        _machine,
        _home,
        _disk,
        _store,
        _ledger,
        _mlflow,
        _prefect,
        _foreign,
    )
    return [finding for look in looks for finding in _looked(look, home)]


def _looked(look: Callable[[Home], Iterator[Finding]], home: Home) -> Iterator[Finding]:
    """Yield what a look finds; what it refuses, or the system denies, is a finding too."""
    name = look.__name__.removeprefix("_")
    try:
        yield from look(home)
    except Refusal as refusal:
        yield Finding(name=name, state="bad", detail=" ".join(str(refusal).split()))
    except OSError as error:
        yield Finding(name=name, state="bad", detail=f"{error.filename or home.root}: {error.strerror}")


def _versions(_home: Home) -> Iterator[Finding]:
    fits = sys.version_info[:2] == (3, 11)
    yield Finding(name="steelyard", state="ok", detail=version("steelyard"))
    told = f"{platform.python_version()} at {sys.executable}"
    yield Finding(name="python", state="ok" if fits else "bad", detail=told if fits else f"{told}: 3.11 is needed")
    for name in LIBRARIES:
        try:
            yield Finding(name=name, state="ok", detail=version(name))
        except PackageNotFoundError:
            yield Finding(name=name, state="bad", detail="not installed: `make env` installs everything")


def _machine(_home: Home) -> Iterator[Finding]:
    machine = this_machine()
    faster = f", {' '.join(machine.instructions)}" if machine.instructions else ""
    yield Finding(name="processor", state="ok", detail=f"{machine.processor}, {machine.cores} cores{faster}")
    if "avx512f" in machine.instructions and "avx512_vnni" not in machine.instructions:
        yield Finding(name="int8", state="note", detail="no VNNI: keep reduce_range on, or sums of products saturate")
    yield Finding(name="device", state="ok", detail=f"training with `device: auto` uses {device_kind('auto')}")


def _home(home: Home) -> Iterator[Finding]:
    origin = "STEELYARD_HOME" if os.environ.get("STEELYARD_HOME") else "the current folder"
    with tempfile.TemporaryFile(dir=there(home.root)):
        made = "" if home.root.is_dir() else ", to be made by the first run"
        yield Finding(name="home", state="ok", detail=f"{home.root}, writable{made} (from {origin})")


def _disk(home: Home) -> Iterator[Finding]:
    free = shutil.disk_usage(there(home.root)).free
    state: State = "bad" if free < NO_DISK_BYTES else "note" if free < LITTLE_DISK_BYTES else "ok"
    yield Finding(name="disk", state=state, detail=f"{free / 2**30:.1f} GiB free")


def _store(home: Home) -> Iterator[Finding]:
    """Put a file into a store beside the home's own, on the same disk, and have it back."""
    with tempfile.TemporaryDirectory(prefix=".steelyard-doctor-", dir=there(home.store)) as folder:
        probe = Path(folder) / "probe"
        probe.write_bytes(os.urandom(1 << 16))
        store = Store(FolderBlobs(Path(folder) / "store"), Path(folder) / "folders")
        same = digest_of(store.get(store.put(probe))) == digest_of(probe)
    detail = f"{home.store}: a file went in and came out {'the same' if same else 'DIFFERENT: look at the disk'}"
    yield Finding(name="store", state="ok" if same else "bad", detail=detail)


def _ledger(home: Home) -> Iterator[Finding]:
    database = ledger_at(home.ledger).database
    if not database.exists():
        yield Finding(name="ledger", state="ok", detail="none yet")
        return
    database.check()
    ((records,),) = database.ask("SELECT count(*) FROM records")
    yield Finding(name="ledger", state="ok", detail=f"{database.name}: sound, {records} results of stages")


def _mlflow(home: Home) -> Iterator[Finding]:
    settings, up = settings_of(home), running(home)
    uri = settings.mlflow_tracking_uri or (None if up is None else up.mlflow_tracking_uri)
    if uri is not None and uri.startswith("http"):
        yield _server("mlflow server", uri, health=HEALTH["mlflow"], origin=settings.origin("mlflow_tracking_uri"))
    if settings.mlflow_tracking_uri is None:
        from tasks.tracking import check

        check(home)
        detail = f"{home.mlflow_db}: sound" if home.mlflow_db.exists() else "none yet"
        yield Finding(name="mlflow database", state="ok", detail=detail)


def _prefect(home: Home) -> Iterator[Finding]:
    settings, up = settings_of(home), running(home)
    url = settings.prefect_api_url or (None if up is None else up.prefect_api_url)
    if settings.prefect_api_url is None:
        check_prefect(home)
    if url is None:
        detail = "none is up: each run starts its own, and stops it; `steelyard up` keeps one"
        yield Finding(name="prefect server", state="ok", detail=detail)
    else:
        yield _server("prefect server", url, health="/health", origin=settings.origin("prefect_api_url"))


def _foreign(home: Home) -> Iterator[Finding]:
    """Name, without their values, variables that another project may have left."""
    names = sorted(name for name in os.environ if name.startswith(FOREIGN))
    if names and not settings_of(home).inherit:
        detail = (
            f"{', '.join(names)}: of no effect here; `inherit = true` in {home.root / 'config.toml'} lets them count"
        )
        yield Finding(name="variables", state="note", detail=detail)


def _server(name: str, url: str, *, health: str, origin: str) -> Finding:
    answered = asked(Request(url.rstrip("/") + health), seconds=SECONDS) is not None  # noqa: S310 - configured
    detail = f"{_masked(url)} {'answers' if answered else 'does not answer'} (from {origin})"
    return Finding(name=name, state="ok" if answered else "bad", detail=detail)


def _masked(url: str) -> str:
    """Return an address without the name, the password and the query that it may hold."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, f"***@{host}" if "@" in parts.netloc else host, parts.path, "", ""))
