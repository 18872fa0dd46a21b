"""What is set for a home: where its bytes, its records and its servers are, where they aren't in the home itself.

`STEELYARD_` variables go before the home's `config.toml`, and that before what `up --production` made. PREFECT_* and
MLFLOW_* variables of the shell count last, and only where `inherit` is true: one left over from another project must
not send a run, or its secrets, to that project.
"""

import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from components.database.address import address_of
from components.errors import Problem, Refusal, nearest, refuse
from components.home import Home
from components.production import production_of
from components.store.address import bucket_and_prefix
from components.store.s3.access import Access

PREFIX: Final = "STEELYARD_"
# The home itself, the mark of what `up` started, what runs a worker's stages, and what a pool says that they may take.
OTHERS: Final = frozenset(
    {"STEELYARD_HOME", "STEELYARD_SERVICE", "STEELYARD_PYTHON", "STEELYARD_GPUS", "STEELYARD_MEMORY_GB"}
)
SHELL: Final = {"prefect_api_url": "PREFECT_API_URL", "mlflow_tracking_uri": "MLFLOW_TRACKING_URI"}
# What Kubernetes tells each pod of a Service that is called `steelyard-...`.
_LINK: Final = re.compile(r".*_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)")
_SERVERS: Final = {
    "s3_endpoint_url": ("http", "https"),
    "prefect_api_url": ("http", "https"),
    "mlflow_tracking_uri": ("http", "https", "sqlite", "postgresql"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What is set; None stands for the home's own. As any address may hold a password, none is part of the text."""

    store: str | None = field(default=None, repr=False)
    ledger: str | None = field(default=None, repr=False)
    dvc_remote: str | None = field(default=None, repr=False)
    s3_endpoint_url: str | None = field(default=None, repr=False)
    mlflow_tracking_uri: str | None = field(default=None, repr=False)
    mlflow_artifacts: str | None = field(default=None, repr=False)
    prefect_api_url: str | None = field(default=None, repr=False)
    inherit: bool = False
    origins: Mapping[str, str] = field(default_factory=dict)  # the file or variable of each that is set

    def origin(self, name: str) -> str:
        """Return where a setting came from, in words for `doctor`."""
        return self.origins.get(name, "default")


NAMES: Final = tuple(one.name for one in fields(Settings) if one.name != "origins")
NEEDED_BY: Final = {
    "store": "every stage",
    "ledger": "every command that looks at runs or releases",
    "dvc_remote": "ingest, and `data restore`",
    "s3_endpoint_url": "what is on an S3 other than Amazon's",
    "mlflow_tracking_uri": "runs, and every command that uses a release",
    "mlflow_artifacts": "registration, and every command that uses a release",
    "prefect_api_url": "runs",
    "inherit": "those who set Prefect and MLflow up by their own variables",
}
# In which processes. Servers need none of these: what they are told, infra/compose.yaml has.
NEEDED_AT: Final[dict[str, tuple[str, ...]]] = {
    "store": ("client", "worker"),
    "ledger": ("client", "worker"),
    "dvc_remote": ("client",),
    "s3_endpoint_url": ("client", "worker"),
    "mlflow_tracking_uri": ("client", "worker"),
    "mlflow_artifacts": ("client",),
    "prefect_api_url": ("client",),  # a worker has it as PREFECT_API_URL
    "inherit": ("client", "worker"),
}


def variable(name: str) -> str:
    """Return the environment variable of a setting."""
    return f"{PREFIX}{name.upper()}"


def settings_of(home: Home) -> Settings:
    """Read what is set for the home.

    Raises:
        Refusal: the file isn't TOML, a name is unknown, or a value isn't what it should be; with every such problem.
    """
    problems: list[Problem] = []
    given = [*_in_production(home), *_in_file(home, problems), *_in_variables(problems)]
    found = _checked(given, problems)
    if "inherit" in found and found["inherit"].value:
        found = _checked(_in_shell(), problems) | found
    if problems:
        raise Refusal(problems)
    texts = {name: one.value for name, one in found.items() if isinstance(one.value, str)}
    inherit = "inherit" in found and bool(found["inherit"].value)
    return Settings(**texts, inherit=inherit, origins={name: one.where for name, one in found.items()})


def logins_of(home: Home) -> dict[str, str]:
    """Return the variables by which clients log in at the servers of `up --production`, for those that are used."""
    production, settings = production_of(home), settings_of(home)
    known = {} if production is None else production.logins()
    used = [variables for name, variables in known.items() if settings.origin(name) == str(home.secrets)]
    return {name: value for variables in used for name, value in variables.items()}


@dataclass(frozen=True, slots=True)
class _Given:
    """A value as somebody wrote it down."""

    name: str
    value: object
    where: str


def _in_production(home: Home) -> list[_Given]:
    production = production_of(home)
    told = {} if production is None else production.settings()
    return [_Given(name, value, str(home.secrets)) for name, value in told.items()]


def _in_file(home: Home, problems: list[Problem]) -> list[_Given]:
    path = home.root / "config.toml"
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problems.append(Problem(what=f"not TOML: {error}", where=str(path)))
        return []
    except OSError as error:
        problems.append(Problem(what=f"can't be read: {error.strerror}", where=str(path)))
        return []
    for name in sorted(told.keys() - set(NAMES)):
        what, allowed = f"unknown key {name}", ", ".join(NAMES)
        problems.append(Problem(what=what, where=str(path), allowed=allowed, do=nearest(name, NAMES)))
    return [_Given(name, told[name], str(path)) for name in NAMES if told.get(name, "") != ""]


def _in_variables(problems: list[Problem]) -> list[_Given]:
    known = {*map(variable, NAMES), *OTHERS}
    for name in sorted(name for name in os.environ if name.startswith(PREFIX)):
        if name in known or _LINK.fullmatch(name):
            continue
        if near := nearest(name.removeprefix(PREFIX), [name.upper() for name in NAMES]):  # others may be anybody's
            problems.append(Problem(what="unknown setting", where=name, do=near.replace("'", f"'{PREFIX}", 1)))
    given = {name: os.environ.get(variable(name)) for name in NAMES}
    return [
        _Given(name, _flag(text) if name == "inherit" else text, variable(name)) for name, text in given.items() if text
    ]


def _flag(text: str) -> bool | str:
    return {"true": True, "1": True, "false": False, "0": False}.get(text.lower(), text)


def _in_shell() -> list[_Given]:
    return [_Given(name, value, shell) for name, shell in SHELL.items() if (value := os.environ.get(shell))]


def _checked(given: Iterable[_Given], problems: list[Problem]) -> dict[str, _Given]:
    """Return what counts of the given values, which is the last of a name, and note what is wrong with any."""
    found = {}
    for one in given:
        try:
            found[one.name] = replace(one, value=_value(one.name, one.value))
        except Refusal as refusal:
            problems += [replace(problem, where=one.where) for problem in refusal.problems]
    return found


def _value(name: str, value: object) -> str | bool:
    """Return the value as it will be used. No refusal repeats what may hold a password."""
    wanted = bool if name == "inherit" else str
    if not isinstance(value, wanted):
        shown = {bool: "true or false", str: "a text"}[wanted]
        raise refuse(f"{name} is of the type {type(value).__name__}", allowed=shown)
    if isinstance(value, bool):
        return value
    match name:
        case "store" | "dvc_remote" | "mlflow_artifacts":
            return _place(name, value)
        case "ledger":
            address_of(value)
            return value.strip()
        case "s3_endpoint_url":
            return _endpoint(value)
        case _:
            return _server(name, value)


def _place(name: str, value: str) -> str:
    """Return the address of a folder or in S3. A relative folder would be another one for each process."""
    if bucket_and_prefix(value) is None and not Path(value).is_absolute():
        raise refuse(f"{name} is a relative path", allowed="s3://BUCKET/PREFIX, or the whole path of a folder")
    return value.rstrip("/") or "/"


def _endpoint(value: str) -> str:
    _server("s3_endpoint_url", value)
    try:
        Access(endpoint_url=value)
    except ValueError:  # its text may repeat the address
        do = "leave both to AWS's own variables and files"
        raise refuse("s3_endpoint_url holds a name, a password or a query", allowed="http://HOST:PORT", do=do) from None
    return value


def _server(name: str, value: str) -> str:
    schemes = _SERVERS[name]
    try:
        parts = urlsplit(value)
        fits = parts.scheme.partition("+")[0] in schemes and (
            parts.scheme not in ("http", "https") or bool(parts.hostname)
        )
        fits = fits and (parts.port is None or parts.port > 0)
    except ValueError:  # a port that is no number, half an address of IPv6
        fits = False
    if not fits:
        raise refuse(f"{name} is no address of a server", allowed=", ".join(f"{scheme}://" for scheme in schemes))
    return value
