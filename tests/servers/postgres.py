"""A PostgreSQL server of the tests' own, on loopback: its cluster in a folder, its process our child."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psycopg2

from flows.servers.postgres_server import SETTINGS as OWN
from flows.servers.postgres_server import make_cluster, server_command, server_user
from flows.servers.processes import launch

USER, PASSWORD = "steelyard", "weigh/ed & found: 100%"
SETTINGS: Mapping[str, str] = {
    **OWN,
    "fsync": "off",  # a server that is killed loses nothing by that, only a machine that is
    "shared_buffers": "32MB",
}


@dataclass(slots=True)
class PostgresServer:
    """A cluster, whose server can be stopped and started again at the same port."""

    folder: Path
    port: int
    process: "subprocess.Popen[bytes] | None" = None
    made: int = field(default=0)

    def address(self, database: str = "postgres", *, user: str = USER, password: str = PASSWORD) -> str:
        """Return the address of a database on it."""
        return f"postgresql://{quote(user)}:{quote(password, safe='')}@127.0.0.1:{self.port}/{database}"

    def fresh(self) -> str:
        """Make a database, and return its address."""
        self.made += 1
        self.tell(f"CREATE DATABASE fresh_{self.made}")
        return self.address(f"fresh_{self.made}")

    def emptied(self) -> str:
        """Return the address of a database in which no ledger is left, nor anybody who uses one: quicker than a fresh one."""
        self.tell(_END_OTHERS)
        self.tell("DROP SCHEMA IF EXISTS steelyard CASCADE")
        return self.address()

    def tell(self, statement: str, *, database: str = "postgres") -> list[tuple[object, ...]]:
        """Carry out a statement as the server's owner."""
        connection = psycopg2.connect(self.address(database))
        try:
            connection.autocommit = True
            cursor = connection.cursor()
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def start(self) -> None:
        """Start the server, and wait until it answers. It doesn't outlive this process."""
        command = (*LEASH, *server_command(self.folder, port=self.port, settings=SETTINGS))
        with (self.folder / "log").open("ab") as log:
            self.process = launch(command, os.environ, log, user=server_user())
        until = time.monotonic() + 60
        while not self._answers():
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < until, (self.folder / "log").read_text()
            time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server: SIGINT ends its connections, SIGQUIT leaves everything as a crash would."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(60)
            self.process = None

    def _answers(self) -> bool:
        with suppress(psycopg2.OperationalError):
            self.tell("SELECT 1")
            return True
        return False


LEASH = ("setpriv", "--pdeathsig", "INT")  # it ends with the thread that started it
_END_OTHERS = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid != pg_backend_pid()
"""


@contextmanager
def postgres_server(folder: Path) -> Iterator[PostgresServer]:
    """Run a server on a new cluster in an empty folder, which every user must be able to reach."""
    cluster = make_cluster(folder, user=USER, password=PASSWORD, options=("--no-sync",))
    server = PostgresServer(cluster, _free_port())
    try:
        server.start()
        yield server
    finally:
        server.stop(signal.SIGQUIT)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
