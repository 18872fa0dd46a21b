"""`up --production`: what a company has, on one machine and its loopback.

PostgreSQL and S3 keep everything; Prefect and MLflow on them want a login; two workers serve the pool. Ports and
secrets lie in one file of the home, by which every command of that home finds and enters these servers.
"""

import os
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from components.disk import check_space, full_disk_refused
from components.errors import refuse
from components.home import Home
from components.production import BUCKET, HOST, USER, Ports, Production, new_secrets, production_of, write_down
from components.settings import NAMES, settings_of
from flows.servers import postgres_server, s3_server
from flows.servers.environment import environment, server_environment
from flows.servers.pool import POOL, Pool, worker, worker_variables
from flows.servers.processes import HEALTH, Name, Service, await_answer, launch, spawn
from flows.servers.reaching import listens
from flows.servers.recorded import alive, begin, log_of, stop_all, turn
from flows.servers.services import MLFLOW, await_server, check_free, serve_prefect
from flows.servers.watchman import watch_set_up

DATABASES: Final = ("ledger", "prefect", "mlflow", "mlflow_auth")
WORKERS: Final[tuple[Name, ...]] = ("worker-1", "worker-2")
MLFLOW_LOGIN: Final = Path(__file__).with_name("mlflow-auth.ini")
Say = Callable[[str], None]


def up_production(home: Home, *, ports: Mapping[str, int], say: Say) -> Production:
    """Start all servers and workers, or those that have ended, and return when they answer.

    `ports` are those that were asked for. The first time it makes secrets and databases; a first time that fails leaves
    nothing of them behind.

    Raises:
        Refusal: all is up, or set otherwise, a port is taken, a program is missing, or a server ended at its start.
    """
    with turn(home), full_disk_refused(home.root):
        check_space(home.root)
        before, up = production_of(home), alive(home)
        kept = before or Production(ports=Ports(), secrets=new_secrets())
        production = replace(kept, ports=replace(kept.ports, **ports))
        _check(home, before, up)
        if up and production != before:
            names = ", ".join(service.name for service in up)
            what = f"up, and known to each other by the ports that they have: {names}"
            raise refuse(what, where=str(home.root), do="leave the ports out, or `steelyard down` first")
        stop_all(home, but=up)  # what is left of those that ended
        _check_ports(production.ports, {service.name for service in up})
        try:
            write_down(production, home)
            _start(production, home, say, up={service.name for service in up})
        except BaseException:  # also Ctrl-C
            stop_all(home, but=up)
            if before is None:
                home.secrets.unlink(missing_ok=True)
                shutil.rmtree(home.production, ignore_errors=True)
            else:
                write_down(before, home)
            raise
        return production


def _check(home: Home, before: Production | None, up: Sequence[Service]) -> None:
    """Refuse what can't work, before anything is made."""
    settings = settings_of(home)
    others = {
        name: settings.origin(name) for name in NAMES if settings.origin(name) not in ("default", str(home.secrets))
    }
    others.pop("inherit", None)
    if others:
        what = f"set otherwise: {', '.join(others)}: the servers of `up --production` would not be used"
        raise refuse(what, where=", ".join(dict.fromkeys(others.values())), do="remove these settings")
    if up and (before is None or {service.name for service in up} >= {*asdict(before.ports), *WORKERS}):
        raise refuse("already up", where=str(home.root), do="use it, or `steelyard down` first")
    if before is None and home.production.exists():
        what = f"what the servers keep is there, and its secrets, {home.secrets.name}, are not"
        raise refuse(what, where=str(home.production), do="put a backup of the file back, or move the folder away")
    postgres_server.program("initdb")
    postgres_server.check_reachable(home.production / "postgres")
    s3_server.rclone()
    if find_spec("flask_wtf") is None:
        raise refuse("MLflow's login needs flask-wtf", do="`pip install flask-wtf` into this environment")


def _check_ports(ports: Ports, up: Collection[str]) -> None:
    taken = asdict(ports)
    for name, port in taken.items():
        if twice := [other for other in taken if other != name and taken[other] == port]:
            raise refuse(
                f"{name} and {twice[0]} can't both have port {port}", do=f"choose another with --{name}-port PORT"
            )
        if name not in up:
            check_free(port, option=f"--{name}-port")


def _start(production: Production, home: Home, say: Say, *, up: Collection[Name]) -> None:
    _close(home)
    for name, start in _KEEPERS.items():
        if name not in up:
            start(production, home, say)
    servers = [serve(production, home) for name, serve in _PAGES.items() if name not in up]
    if servers:
        say(f"starting {' and '.join(server.name for server in servers)}, some 15 seconds")
    kept = [service for service in alive(home) if service.name in HEALTH and service not in servers]
    for server in (*kept, *servers):
        await_server(server, home)
        say(f"{server.name} answers at {server.url}")
    _start_workers(production, home, say, [name for name in WORKERS if name not in up])


def _close(home: Home) -> None:
    """Keep what servers ask a login for from other users of this machine: runs leave much of it in the home as well."""
    for folder in (*home.folders, home.production):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in home.root.iterdir():
        if path.stat().st_uid == os.getuid():
            path.chmod(path.stat().st_mode & ~0o007)
    home.production.chmod(0o711)  # the user who runs PostgreSQL goes through


def _start_postgres(production: Production, home: Home, say: Say) -> None:
    folder = home.production / "postgres"
    cluster, port, password = folder / postgres_server.CLUSTER, production.ports.postgres, production.secrets.postgres
    if not cluster.exists():
        say("making PostgreSQL's cluster")
        postgres_server.make_cluster(folder, user=USER, password=password)
    command, user = postgres_server.server_command(cluster, port=port), postgres_server.server_user()
    service = begin(
        "postgres",
        home,
        production.urls["postgres"],
        lambda output, mark: launch(command, mark, output, user=user),
    )
    login = postgres_server.Login(port=port, user=USER, password=password)
    await_server(service, home, called="PostgreSQL", ask=partial(postgres_server.takes_login, login))
    postgres_server.make_databases(DATABASES, login)
    say(f"postgres answers at {service.url}")


def _start_s3(production: Production, home: Home, say: Say) -> None:
    folder, url = home.production / "s3", production.urls["s3"]
    folder.mkdir(mode=0o700, exist_ok=True)
    command = s3_server.server_command(folder, address=f"{HOST}:{production.ports.s3}")
    keys = {"access_key": USER, "secret_key": production.secrets.s3}
    variables = s3_server.server_variables(**keys)
    service = begin("s3", home, url, lambda output, mark: launch(command, {**variables, **mark}, output))
    await_server(service, home, called="S3", ask=lambda: listens(url))
    s3_server.make_bucket(BUCKET, endpoint_url=url, **keys)
    say(f"s3 answers at {url}")


def _database_login(production: Production) -> dict[str, str]:
    """Return the variables of libpq's and asyncpg's: no password is in an address, which a log may repeat."""
    port, password = str(production.ports.postgres), production.secrets.postgres
    return {"PGHOST": HOST, "PGPORT": port, "PGUSER": USER, "PGPASSWORD": password}


def _begin_prefect(production: Production, home: Home) -> Service:
    variables = {
        **_database_login(production),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"postgresql+asyncpg://{USER}@{HOST}:{production.ports.postgres}/prefect",
        "PREFECT_SERVER_API_AUTH_STRING": production.prefect_login,
    }
    port = production.ports.prefect
    return begin(
        "prefect",
        home,
        production.urls["prefect"],
        lambda output, mark: serve_prefect(port, home, output, extra={**variables, **mark}),
    )


def _begin_mlflow(production: Production, home: Home) -> Service:
    at, artifacts = ("--host", HOST, "--port", str(production.ports.mlflow)), f"s3://{BUCKET}/mlflow"
    command = ("flows.servers.mlflow_server", *at, "--default-artifact-root", artifacts)
    of_server = server_environment(home, needs=("AWS_",))
    variables = {
        **{name: value for name, value in of_server.items() if not name.startswith("MLFLOW_TRACKING_")},
        **MLFLOW,
        **_database_login(production),
        "MLFLOW_AUTH_CONFIG_PATH": str(MLFLOW_LOGIN),
        "MLFLOW_AUTH_ADMIN_USERNAME": USER,
        "MLFLOW_AUTH_ADMIN_PASSWORD": production.secrets.mlflow,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": production.secrets.mlflow_forms,
    }
    return begin(
        "mlflow", home, production.urls["mlflow"], lambda output, mark: spawn(command, {**variables, **mark}, output)
    )


_KEEPERS: Final[Mapping[Name, Callable[[Production, Home, Say], None]]] = {
    "postgres": _start_postgres,
    "s3": _start_s3,
}
_PAGES: Final[Mapping[Name, Callable[[Production, Home], Service]]] = {
    "prefect": _begin_prefect,
    "mlflow": _begin_mlflow,
}


def _start_workers(production: Production, home: Home, say: Say, names: Sequence[Name]) -> None:
    pool = Pool(f"{production.urls['prefect']}/api", production.prefect_login)
    pool.make()
    variables = {**environment(home), **worker_variables(home)}
    with watch_set_up(home):
        crew = [_begin_worker(name, home, variables) for name in names]
        for service in crew:
            polls = partial(pool.is_polled_by, service.name, service)
            await_answer(service.name, "", service, log_of(home, service.name), ask=polls)
    say(f"{len(WORKERS)} workers serve the work pool '{POOL}'")


def _begin_worker(name: Name, home: Home, variables: Mapping[str, str]) -> Service:
    return begin(name, home, "", lambda output, mark: spawn(worker(name), {**variables, **mark}, output))
