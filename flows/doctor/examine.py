"""`doctor`: is this machine fit, is the state sound, can all that is set be used from here? It shows no secret.

A worker's process looks at the same: `flows/doctor/workers.py` asks for it.
"""

import hashlib
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from components.disk import there
from components.errors import Refusal
from components.home import Home
from components.planning.machine import device_kind, gpus, this_machine
from components.settings import NAMES, NEEDED_AT, NEEDED_BY, Settings, logins_of, settings_of
from flows.doctor.finding import Finding, State, bad
from flows.doctor.masking import masking
from flows.doctor.trials import Trials
from flows.servers.environment import FOREIGN, environment
from flows.servers.reaching import masked

PACKAGES: Final = ("components", "tasks", "flows")
LIBRARIES: Final = ("torch", "onnx", "onnxruntime", "numpy", "pyarrow", "scikit-learn", "prefect", "mlflow", "dvc")
KEYED: Final = frozenset({"code", *LIBRARIES[:6]})  # where these differ, so do the keys of stages
LITTLE_DISK_BYTES: Final = 2 << 30  # below that, a warning
NO_DISK_BYTES: Final = 200 << 20
Process = Literal["client", "worker"]
# By what clients log in at the server of a setting, and which processes need it.
LOGINS: Final = {
    "s3_endpoint_url": (
        ("AWS_ACCESS_KEY_ID", "AWS_PROFILE"),
        "client and worker, and for MLflow's server where it sends artifacts itself",
    ),
    "mlflow_tracking_uri": (
        ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_TOKEN"),
        "client and worker, and for MLflow's server, which knows it",
    ),
    "prefect_api_url": (
        ("PREFECT_API_AUTH_STRING", "PREFECT_API_KEY"),
        "client and worker, and for Prefect's server as PREFECT_SERVER_API_AUTH_STRING",
    ),
}


def examine(
    home: Home, process: Process = "client", *, tell: Callable[[str], object] = lambda _what: None
) -> list[Finding]:
    """Look, from this process, at everything that a run needs, or a worker's process for a stage.

    `tell` hears what is waited for, before it is asked.
    """
    hidden = masking(home)
    found = _all(home, process, lambda what: tell(hidden(what)))
    return [replace(one, detail=hidden(one.detail), fact=hidden(one.fact)) for one in found]


def _all(home: Home, process: Process, tell: Callable[[str], object]) -> list[Finding]:
    found = [finding for look in (_versions, _machine, _home, _disk) for finding in _looked(look, home)]
    try:
        settings = settings_of(home)
    except Refusal as refusal:  # until they are mended, nothing can be said of what they lead to
        return [*found, *(bad("settings", Refusal([one])) for one in refusal.problems)]
    found += [*(_setting(settings, name) for name in NAMES if process in NEEDED_AT[name]), *_logins(home)]
    tried = Trials(tell)
    of_client = (_shared, tried.dvc_remote, tried.prefect, _foreign, tried.artifacts) if process == "client" else ()
    looks = (tried.store, tried.ledger, *of_client, tried.mlflow)  # the last one enters MLflow's environment
    return [*found, *(finding for look in looks for finding in _looked(look, home))]


def _looked(look: Callable[[Home], Iterator[Finding]], home: Home) -> Iterator[Finding]:
    """Yield what a look finds; what it refuses, or the system denies, is a finding too."""
    try:
        yield from look(home)
    except (Refusal, OSError) as error:
        yield bad(look.__name__.removeprefix("_"), error)


def _setting(settings: Settings, name: str) -> Finding:
    """Show what is set, by whom, and no secret."""
    value = getattr(settings, name)
    shown = str(value).lower() if isinstance(value, bool) else "the home's own" if value is None else masked(value)
    needed = f"for {' and '.join(NEEDED_AT[name])}: {NEEDED_BY[name]}"
    detail = f"{shown} (from {settings.origin(name)}), {needed}"
    return Finding(name=f"setting {name}", state="ok", detail=detail, fact=shown)


def _logins(home: Home) -> Iterator[Finding]:
    """Say by what the clients of servers elsewhere log in, and not how."""
    settings, production, given = settings_of(home), logins_of(home), environment(home)
    for setting, (names, needed) in LOGINS.items():
        if getattr(settings, setting) is None:
            continue
        found = [name for name in names if name in given]
        if "@" in urlsplit(getattr(settings, setting)).netloc:
            found = ["the address"]
        origin = home.secrets if found and found[0] in production else "the shell's variables"
        shown = f"{', '.join(found)}: *** (from {origin})" if found else f"none of {', '.join(names)} is given"
        yield Finding(
            name=f"login {setting}", state="ok", detail=f"{shown}, for {needed}", fact="given" if found else "none"
        )


def _versions(_home: Home) -> Iterator[Finding]:
    fits = sys.version_info[:2] == (3, 11)
    yield Finding(name="steelyard", state="ok", detail=version("steelyard"), fact=version("steelyard"))
    yield Finding(name="code", state="ok", detail=_code(), fact=_code())
    number = platform.python_version()
    told = f"{number} at {sys.executable}"
    detail = told if fits else f"{told}: 3.11 is needed"
    yield Finding(name="python", state="ok" if fits else "bad", detail=detail, fact=number)
    for name in LIBRARIES:
        try:  # a build for another processor or GPU, `2.13.0+cpu`, is the same version
            yield Finding(name=name, state="ok", detail=version(name), fact=version(name).partition("+")[0])
        except PackageNotFoundError:
            yield Finding(name=name, state="bad", detail="not installed: `make env` installs everything")


@cache
def _code() -> str:
    """Return a digest of the code that this process runs."""
    digest = hashlib.sha256()
    for name in PACKAGES:
        spec = find_spec(name)
        folder = Path(next(iter(spec.submodule_search_locations or ()))) if spec else Path()
        for file in sorted(folder.rglob("*.py")):
            digest.update(f"{name}/{file.relative_to(folder).as_posix()}\n".encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def _machine(_home: Home) -> Iterator[Finding]:
    machine = this_machine()
    faster = f", {' '.join(machine.instructions)}" if machine.instructions else ""
    yield Finding(name="processor", state="ok", detail=f"{machine.processor}, {machine.cores} cores{faster}")
    if "avx512f" in machine.instructions and "avx512_vnni" not in machine.instructions:
        yield Finding(name="int8", state="note", detail="no VNNI: keep reduce_range on, or sums of products saturate")
    yield Finding(name="device", state="ok", detail=f"training with `device: auto` uses {device_kind('auto')}")
    yield Finding(name="gpus", state="ok", detail=str(len(gpus())), fact=str(len(gpus())))


def _home(home: Home) -> Iterator[Finding]:
    origin = "STEELYARD_HOME" if os.environ.get("STEELYARD_HOME") else "the current folder"
    with tempfile.TemporaryFile(dir=there(home.root)):
        made = "" if home.root.is_dir() else ", to be made by the first run"
        yield Finding(name="home", state="ok", detail=f"{home.root}, writable{made} (from {origin})")


def _disk(home: Home) -> Iterator[Finding]:
    free = shutil.disk_usage(there(home.root)).free
    state: State = "bad" if free < NO_DISK_BYTES else "note" if free < LITTLE_DISK_BYTES else "ok"
    yield Finding(name="disk", state=state, detail=f"{free / 2**30:.1f} GiB free")


def _shared(home: Home) -> Iterator[Finding]:
    """Note a ledger for many machines whose records speak of what only this one has."""
    settings = settings_of(home)
    own = [name for name in ("store", "dvc_remote", "mlflow_tracking_uri") if getattr(settings, name) is None]
    if settings.ledger is not None and own:
        detail = f"{', '.join(own)}: not set, though the ledger is: no other machine can use what it will record"
        yield Finding(name="shared ledger", state="note", detail=detail)


def _foreign(home: Home) -> Iterator[Finding]:
    """Name, without their values, variables that another project may have left."""
    names = sorted(name for name in os.environ if name.startswith(FOREIGN))
    if names and not settings_of(home).inherit:
        detail = (
            f"{', '.join(names)}: of no effect here; `inherit = true` in {home.root / 'config.toml'} lets them count"
        )
        yield Finding(name="variables", state="note", detail=detail)
