"""An MLflow server of the tests' own, on loopback: its record in a database, its artifacts where its clients say."""

import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from flows.servers.processes import HEALTH, MARK, Service, await_answer, spawn, stop
from flows.servers.services import LOOPBACK, MLFLOW


@contextmanager
def mlflow_server(folder: Path, database: str) -> Iterator[Service]:
    """Serve the record in a PostgreSQL database until the end of the block; artifacts without an address go into the folder."""
    with socket.create_server((LOOPBACK, 0)) as probe:
        port = probe.getsockname()[1]
    mark, url, log = secrets.token_hex(8), f"http://{LOOPBACK}:{port}", folder / "mlflow.log"
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "AWS_"))}
    command = (
        *("mlflow", "server", "--host", LOOPBACK, "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", f"postgresql+psycopg2:{database.partition(':')[2]}"),
        *("--artifacts-destination", (folder / "artifacts").as_uri()),
    )
    with log.open("wb") as output:
        process = spawn(command, {**variables, **MLFLOW, "MLFLOW_DISABLE_TELEMETRY": "true", MARK: mark}, output)
    created = psutil.Process(process.pid).create_time()
    service = Service(name="mlflow", pid=process.pid, created=created, mark=mark, url=url)
    try:
        await_answer("mlflow", url + HEALTH["mlflow"], process, log)
        yield service
    finally:
        stop([service])
        process.wait()
