"""`doctor`: is this machine fit, is the state sound, can all that is set be used from here? It shows no secret."""

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Final, Literal

from components.errors import Refusal
from components.home import Home
from components.planning.ledger import Ledger
from components.planning.machine import device_kind, this_machine
from components.settings import NAMES, NEEDED_BY, Settings, settings_of
from components.store.disk import there
from flows.probing import try_lease, try_place, try_record, try_server
from flows.servers.environment import FOREIGN
from flows.servers.processes import HEALTH
from flows.servers.reaching import masked
from flows.servers.services import check_prefect, running
from flows.state import ledger_of

LIBRARIES: Final = ("torch", "onnx", "onnxruntime", "numpy", "pyarrow", "scikit-learn", "prefect", "mlflow", "dvc")
LITTLE_DISK_BYTES: Final = 2 << 30  # below that, a warning
NO_DISK_BYTES: Final = 200 << 20
State = Literal["ok", "note", "bad"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What one look found. `bad`: it has to be mended before a run can work."""

    name: str
    state: State
    detail: str


def examine(home: Home) -> list[Finding]:
    """Look at everything that a run needs."""
    found = [finding for look in (_versions, _machine, _home, _disk) for finding in _looked(look, home)]
    try:
        settings = settings_of(home)
    except Refusal as refusal:  # until they are mended, nothing can be said of what they lead to
        return [*found, *(_bad("settings", Refusal([one])) for one in refusal.problems)]
    found += [_setting(settings, name) for name in NAMES]
    looks = (
        _store,
        _ledger,
        _shared,
        _dvc_remote,
        _prefect,
        _foreign,
        _mlflow,
    )  # the last one enters MLflow's environment
    return [*found, *(finding for look in looks for finding in _looked(look, home))]


def _looked(look: Callable[[Home], Iterator[Finding]], home: Home) -> Iterator[Finding]:
    """Yield what a look finds; what it refuses, or the system denies, is a finding too."""
    try:
        yield from look(home)
    except (Refusal, OSError) as error:
        yield _bad(look.__name__.removeprefix("_"), error)


def _bad(name: str, error: Refusal | OSError, needed: str = "") -> Finding:
    """Return what failed, and who needs it."""
    told = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else " ".join(str(error).split())
    return Finding(name=name, state="bad", detail=f"{told}{needed}")


def _tried(name: str, home: Home, attempt: Callable[[], str], *, setting: str) -> Finding:
    """Return what an attempt came to; where it failed, with who needs the setting behind it, and its origin."""
    origin = settings_of(home).origin(setting)
    try:
        return Finding(name=name, state="ok", detail=f"{attempt()} (from {origin})")
    except (Refusal, OSError) as error:
        return _bad(name, error, f" ({setting}, from {origin}, is needed by {NEEDED_BY[setting]})")


def _setting(settings: Settings, name: str) -> Finding:
    """Show what is set, by whom, and no secret."""
    value = getattr(settings, name)
    shown = str(value).lower() if isinstance(value, bool) else "the home's own" if value is None else masked(value)
    return Finding(name=f"setting {name}", state="ok", detail=f"{shown} (from {settings.origin(name)})")


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
    address = settings_of(home).store or str(home.store)
    yield _tried("store", home, lambda: try_place(address, home), setting="store")


def _ledger(home: Home) -> Iterator[Finding]:
    ledger = ledger_of(home)
    if ledger.database.exists():
        yield _tried("ledger", home, lambda: f"{_records(ledger)}; {try_lease(ledger)}", setting="ledger")
    else:
        yield Finding(name="ledger", state="ok", detail="none yet")


def _records(ledger: Ledger) -> str:
    ledger.database.check()
    ((records,),) = ledger.database.ask("SELECT count(*) FROM records")
    return f"{ledger.database.name}: sound, {records} results of stages"


def _shared(home: Home) -> Iterator[Finding]:
    """Note a ledger for many machines whose records speak of what only this one has."""
    settings = settings_of(home)
    own = [name for name in ("store", "dvc_remote", "mlflow_tracking_uri") if getattr(settings, name) is None]
    if settings.ledger is not None and own:
        detail = f"{', '.join(own)}: not set, though the ledger is: no other machine can use what it will record"
        yield Finding(name="shared ledger", state="note", detail=detail)


def _dvc_remote(home: Home) -> Iterator[Finding]:
    address = settings_of(home).dvc_remote
    if address is not None:
        yield _tried("dvc remote", home, lambda: try_place(address, home), setting="dvc_remote")


def _mlflow(home: Home) -> Iterator[Finding]:
    settings, up = settings_of(home), running(home)
    uri = settings.mlflow_tracking_uri or (None if up is None else up.mlflow_tracking_uri)
    if settings.mlflow_artifacts is not None:
        address = settings.mlflow_artifacts
        yield _tried("mlflow artifacts", home, lambda: try_place(address, home), setting="mlflow_artifacts")
    if settings.mlflow_tracking_uri is None:
        from tasks.tracking import check

        check(home)
        detail = f"{home.mlflow_db}: sound" if home.mlflow_db.exists() else "none yet"
        yield Finding(name="mlflow database", state="ok", detail=detail)
    if uri is not None and uri.startswith("http"):
        health = HEALTH["mlflow"]
        answer = _tried("mlflow server", home, lambda: try_server(uri, health=health), setting="mlflow_tracking_uri")
        yield answer
        if answer.state == "bad":
            return
    if settings.mlflow_tracking_uri is not None:
        yield _tried("mlflow run", home, lambda: try_record(home), setting="mlflow_tracking_uri")


def _prefect(home: Home) -> Iterator[Finding]:
    settings, up = settings_of(home), running(home)
    url = settings.prefect_api_url or (None if up is None else up.prefect_api_url)
    if settings.prefect_api_url is None:
        check_prefect(home)
    if url is None:
        detail = "none is up: each run starts its own, and stops it; `steelyard up` keeps one"
        yield Finding(name="prefect server", state="ok", detail=detail)
    else:
        yield _tried("prefect server", home, lambda: try_server(url, health="/health"), setting="prefect_api_url")


def _foreign(home: Home) -> Iterator[Finding]:
    """Name, without their values, variables that another project may have left."""
    names = sorted(name for name in os.environ if name.startswith(FOREIGN))
    if names and not settings_of(home).inherit:
        detail = (
            f"{', '.join(names)}: of no effect here; `inherit = true` in {home.root / 'config.toml'} lets them count"
        )
        yield Finding(name="variables", state="note", detail=detail)
