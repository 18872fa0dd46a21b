"""Which Prefect and MLflow this process and its children talk to, and where each address came from.

PREFECT_* and MLFLOW_* variables of the shell count only when `config.toml` in the home says so: a variable
left over from another project must not send a run, or its secrets, to another project's server.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from components.errors import nearest, refuse
from components.home import Home

FOREIGN: Final = ("PREFECT_", "MLFLOW_")
QUIET: Final = {
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_SERVER_LEVEL": "WARNING",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",  # its lines go to its pages; the console shows ours
}
# Threads that wait spin for 10,000 turns, not 300,000: on a busy machine they only keep each other from working.
CALM: Final = {"GOMP_SPINCOUNT": "10000"}
ADDRESSES: Final = {"prefect_api_url": "PREFECT_API_URL", "mlflow_tracking_uri": "MLFLOW_TRACKING_URI"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Configured:
    """What the home's `config.toml` says. An address that is None is a local server's, or the home's own database."""

    prefect_api_url: str | None = None
    mlflow_tracking_uri: str | None = None
    inherit: bool = False  # PREFECT_* and MLFLOW_* variables of the shell count

    def origin(self, address: str) -> str:
        """Return where an address came from, in words for `doctor`."""
        if getattr(self, address) is None:
            return "local"
        return f"the environment's {ADDRESSES[address]}" if self.inherit else "config.toml"


def configured(home: Home) -> Configured:
    """Read the home's `config.toml`; without one, nothing is configured.

    Raises:
        Refusal: the file isn't TOML, or has an unknown key or a wrong type.
    """
    path = home.root / "config.toml"
    if not path.exists():
        return Configured()
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise refuse(f"not TOML: {error}", where=str(path)) from None
    kinds: dict[str, type] = {**dict.fromkeys(ADDRESSES, str), "inherit": bool}
    for key, value in told.items():
        if key not in kinds:
            raise refuse(f"unknown key {key}", where=str(path), allowed=", ".join(kinds), do=nearest(key, kinds))
        if not isinstance(value, kinds[key]):
            raise refuse(f"{key} is {value!r}", where=str(path), allowed=kinds[key].__name__)
    inherit = told.get("inherit", False)
    found = {key: told.get(key) or (os.environ.get(name) if inherit else None) for key, name in ADDRESSES.items()}
    return Configured(inherit=inherit, **found)


def environment(
    home: Home,
    *,
    prefect_url: str | None = None,
    mlflow_uri: str | None = None,
    base: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the whole environment for this process or a child: the base's, less what is foreign, plus ours.

    The addresses given are those of running local servers; an address in `config.toml` wins over them.
    """
    given = os.environ if base is None else base
    settings = configured(home)
    kept = {name: value for name, value in given.items() if settings.inherit or not name.startswith(FOREIGN)}
    direct = [given.get("NO_PROXY") or given.get("no_proxy") or "", "127.0.0.1", "localhost"]
    ours = {
        "NO_PROXY": ",".join(dict.fromkeys(filter(None, ",".join(direct).split(",")))),
        "PREFECT_API_URL": settings.prefect_api_url or prefect_url,
        "PREFECT_HOME": str(home.prefect),
        "MLFLOW_TRACKING_URI": settings.mlflow_tracking_uri or mlflow_uri or home.mlflow_uri,
        "STEELYARD_HOME": str(home.root),
    }
    return {**CALM, **kept, **QUIET, **{name: value for name, value in ours.items() if value is not None}}


def enter(home: Home, *, prefect_url: str | None = None, mlflow_uri: str | None = None) -> None:
    """Make that environment this process's own. Prefect reads it at import: call this before."""
    wanted = environment(home, prefect_url=prefect_url, mlflow_uri=mlflow_uri)
    for name in [name for name in os.environ if name not in wanted]:
        del os.environ[name]
    os.environ.update(wanted)
