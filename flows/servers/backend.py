"""The servers of one run: those that are configured or up, else a Prefect server of its own that ends with it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from components.home import Home
from components.settings import SHELL, settings_of
from flows.servers.environment import enter
from flows.servers.login import check_login
from flows.servers.reaching import reach
from flows.servers.services import running, serving, temporary
from flows.servers.watchman import watch_from_here


@dataclass(frozen=True, kw_only=True, slots=True)
class Backend:
    """Where a run reports to. `wait` returns when Prefect answers."""

    mlflow_uri: str | None  # None: the database in the home
    wait: Callable[[], None]
    shared: bool  # others may be on this Prefect server: workers


@contextmanager
def backend(home: Home) -> Iterator[Backend]:
    """Make this process talk to the right servers. A server that has to be started is on its way when this returns."""
    settings = settings_of(home)
    for name in SHELL:
        reach(settings, name)
    check_login(home)
    if settings.prefect_api_url is not None:
        enter(home)
        wait = watch_from_here  # nobody else does it there
        yield Backend(mlflow_uri=settings.mlflow_tracking_uri, wait=wait, shared=True)
    elif up := serving(home):
        enter(home, prefect_url=up.prefect_api_url, mlflow_uri=up.mlflow_tracking_uri)
        uri = settings.mlflow_tracking_uri or up.mlflow_tracking_uri
        yield Backend(mlflow_uri=uri, wait=lambda: None, shared=True)
    else:
        with temporary(home) as server:
            enter(home, prefect_url=server.api_url)
            yield Backend(mlflow_uri=settings.mlflow_tracking_uri, wait=server.ready, shared=False)


def starts_a_server(home: Home) -> bool:
    """Say whether a run would have to start a Prefect server of its own."""
    return settings_of(home).prefect_api_url is None and serving(home) is None


def enter_registry(home: Home) -> None:
    """Make this process talk to the registry of models alone: of the server configured or up, or of the home.

    Raises:
        Refusal: it denies us, or doesn't answer.
    """
    reach(settings_of(home), "mlflow_tracking_uri")
    uri = enter_record(home)
    from tasks.tracking.connecting import connect

    connect(home, uri=uri)


def enter_record(home: Home) -> str | None:
    """Make this process one that may talk to that server, and return its address, None where it is the home's file."""
    settings, up = settings_of(home), running(home)
    uri = settings.mlflow_tracking_uri or (None if up is None else up.mlflow_tracking_uri)
    enter(home, mlflow_uri=uri)
    return uri
