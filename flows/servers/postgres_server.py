"""A PostgreSQL server of one's own: Debian's programs, a private cluster in a folder, passwords, loopback only."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from components.errors import refuse
from flows.servers.processes import User

if TYPE_CHECKING:
    from psycopg2.extensions import connection

SETTINGS: Final[Mapping[str, str]] = {"listen_addresses": "127.0.0.1", "unix_socket_directories": ""}
CLUSTER: Final = "cluster"


def program(name: str, *, version: str = "*") -> str:
    """Return the path of one of the server's programs, which Debian keeps away from PATH. The newest, unless told.

    Raises:
        Refusal: it isn't installed.
    """
    debian = sorted(Path("/usr/lib/postgresql").glob(f"{version}/bin/{name}"), key=_major)
    found = str(debian[-1]) if debian else shutil.which(name)
    if not found:
        wanted = "" if version == "*" else f" {version}"
        do = f"`apt-get install postgresql{wanted.replace(' ', '-')}`, or put its {name} on PATH"
        raise refuse(f"PostgreSQL's server{wanted} isn't installed", do=do)
    return found


def _major(path: Path) -> float:
    with suppress(ValueError):
        return float(path.parts[-3])
    return 0.0


def server_user() -> User | None:
    """Return who runs the server, if that isn't who we are: it refuses root."""
    if os.getuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    entry = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    return User(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid)


def check_reachable(folder: Path) -> None:
    """Refuse a folder whose way is closed to the user who will run the server."""
    user = server_user()
    closed = [] if user is None else [one for one in folder.parents if one.exists() and not one.stat().st_mode & 0o001]
    if user and closed:
        what = f"the user '{user.name}', who runs PostgreSQL where root starts it, can't enter this folder"
        do = "name another home with STEELYARD_HOME, or start it as an ordinary user"
        raise refuse(what, where=str(closed[-1]), do=do)


def make_cluster(folder: Path, *, user: str, password: str, options: Iterable[str] = ()) -> Path:
    """Make a cluster in the folder, whole or not at all, and return it. Its one user is `user`."""
    cluster, fresh, words = folder / CLUSTER, folder / "cluster.new", folder / "password"
    folder.mkdir(mode=0o700, exist_ok=True)
    shutil.rmtree(fresh, ignore_errors=True)
    runner = server_user()
    try:
        words.touch(mode=0o600)
        words.write_text(password, "utf-8")
        if runner:
            for path in (folder, words):
                os.chown(path, runner.uid, runner.gid)
        command = [program("initdb"), "--auth=scram-sha-256", f"--username={user}", f"--pwfile={words}", *options]
        _initdb([*command, "--encoding=UTF8", "--locale=C.UTF-8", f"--pgdata={fresh}"], folder, runner)
    finally:
        words.unlink(missing_ok=True)
    fresh.rename(cluster)
    return cluster


def _initdb(command: list[str], folder: Path, runner: User | None) -> None:
    told = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        user=runner.uid if runner else None,
        group=runner.gid if runner else None,
        extra_groups=[] if runner else None,
    )
    if told.returncode:
        raise refuse(f"initdb failed: {told.stderr.strip().splitlines()[-1:]}", where=str(folder))


def server_command(cluster: Path, *, port: int, settings: Mapping[str, str] = SETTINGS) -> tuple[str, ...]:
    """Return the command of the server, of the version that made the cluster."""
    version = (cluster / "PG_VERSION").read_text("ascii").strip()
    told = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    return (program("postgres", version=version), "-D", str(cluster), "-p", str(port), *told)


@dataclass(frozen=True, kw_only=True, slots=True)
class Login:
    """Who asks a server of this machine."""

    port: int
    user: str
    password: str = field(repr=False)

    def connect(self) -> "connection":
        """Connect to the database that every cluster has."""
        import psycopg2

        return psycopg2.connect(
            host="127.0.0.1", port=self.port, dbname="postgres", user=self.user, password=self.password
        )


def takes_login(login: Login) -> bool:
    """Whether the server answers to this user."""
    import psycopg2

    with suppress(psycopg2.OperationalError):
        login.connect().close()
        return True
    return False


def make_databases(names: Iterable[str], login: Login) -> None:
    """Make those of the databases that aren't there."""
    connection = login.connect()
    try:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute("SELECT datname FROM pg_database")
        there = {name for (name,) in cursor.fetchall()}
        for name in names:
            if name not in there:
                cursor.execute(f"CREATE DATABASE {name}")
    finally:
        connection.close()
