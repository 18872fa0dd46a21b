"""The environment of this process and its children: which Prefect, MLflow and S3 they talk to."""

import os
from collections.abc import Mapping
from typing import Final

from components.home import Home
from components.settings import logins_of, settings_of

FOREIGN: Final = ("PREFECT_", "MLFLOW_")
QUIET: Final = {
    "DO_NOT_TRACK": "1",
    "GIT_PYTHON_REFRESH": "quiet",  # without git, MLflow would fill three screens at each registration
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # standard output is for results
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_SERVER_LEVEL": "WARNING",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",  # its lines go to its pages; the console shows ours
    "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",  # else each event that a server missed is a screen of text
}
# Threads that wait spin for 10,000 turns, not 300,000: on a busy machine they only keep each other from working.
CALM: Final = {"GOMP_SPINCOUNT": "10000"}
# MLflow's client tries for 4 minutes by default, the last pause 2 of them: waiting is done where it is known what for.
# A Prefect server that restarts is waited for by its client: 2, 4, ... 128 seconds; else it gives up after 62.
RETRIES: Final = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "PREFECT_CLIENT_MAX_RETRIES": "7"}
# Any S3: newer checksums are only sent and looked for where a call can't do without, by MLflow's client and DVC too.
ANY_S3: Final = {
    "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
    "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
}


def environment(
    home: Home,
    *,
    prefect_url: str | None = None,
    mlflow_uri: str | None = None,
    base: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the whole environment for this process or a child: the base's, less what is foreign, plus ours.

    The addresses given are those of running local servers; an address that is set wins over them.
    """
    given = os.environ if base is None else base
    settings, logins = settings_of(home), logins_of(home)
    other_s3 = ("AWS_",) if "AWS_ACCESS_KEY_ID" in logins else ()  # a profile, or a token
    foreign = (*other_s3, *(() if settings.inherit else FOREIGN))
    kept = {name: value for name, value in given.items() if not name.startswith(foreign)}
    direct = [given.get("NO_PROXY") or given.get("no_proxy") or "", "127.0.0.1", "localhost"]
    ours = {
        "NO_PROXY": ",".join(dict.fromkeys(filter(None, ",".join(direct).split(",")))),
        "PREFECT_API_URL": settings.prefect_api_url or prefect_url,
        "PREFECT_HOME": str(home.prefect),
        "MLFLOW_TRACKING_URI": settings.mlflow_tracking_uri or mlflow_uri or home.mlflow_uri,
        "MLFLOW_S3_ENDPOINT_URL": settings.s3_endpoint_url,
        "STEELYARD_HOME": str(home.root),
    }
    told = {name: value for name, value in ours.items() if value is not None}
    return {**CALM, **RETRIES, **(ANY_S3 if settings.s3_endpoint_url else {}), **kept, **QUIET, **logins, **told}


def server_environment(home: Home, *, needs: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the environment of a server, a client of nobody's: it has no logins but those it `needs`, by prefix."""
    logins = logins_of(home)
    return {name: value for name, value in environment(home).items() if name not in logins or name.startswith(needs)}


def enter(home: Home, *, prefect_url: str | None = None, mlflow_uri: str | None = None) -> None:
    """Make that environment this process's own. Prefect reads it at import: call this before."""
    wanted = environment(home, prefect_url=prefect_url, mlflow_uri=mlflow_uri)
    for name in [name for name in os.environ if name not in wanted]:
        del os.environ[name]
    os.environ.update(wanted)
