"""The way to MLflow leaves nothing behind when the process ends at once."""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

PROGRAM = """
import sys
from pathlib import Path
from components.home import Home
from flows.start import swift
from tasks.tracking.connecting import connect

with swift():
    home, elsewhere = Home(Path(sys.argv[1])), sys.argv[2:]
    connect(home, uri=elsewhere[0] if elsewhere else None).create_experiment(f"another {len(elsewhere)}")
"""


def test_the_database_is_one_file_when_the_process_is_gone_wherever_it_is(tmp_path: Path) -> None:
    """SQLite keeps what was written beside the file until the last one closes it."""
    folder = tmp_path / "home" / "mlflow"
    for where in ([], [f"sqlite:///{folder / 'mlflow.db'}"]):
        place = tmp_path / ("other" if where else "home")
        subprocess.run([sys.executable, "-P", "-c", PROGRAM, str(place), *where], check=True, capture_output=True)
        assert [path.name for path in folder.glob("mlflow.db*")] == ["mlflow.db"]


ENDS = """
import sys
from pathlib import Path
from components.home import Home
from flows.servers.environment import enter
from tasks.tracking.connecting import client_here
from tasks.tracking.unended import end_open

client = client_here()
if "entered" in sys.argv:  # again, as `reap` does on its way to Prefect
    enter(Home(Path(sys.argv[1])), mlflow_uri=sys.argv[2])
print(end_open(client, "1"))
"""


class Answers(BaseHTTPRequestHandler):
    """MLflow's server, as far as it takes to end a run."""

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        info = {"run_id": "1", "run_name": "one", "experiment_id": "0", "status": "RUNNING", "start_time": 1}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"run": {"info": info, "data": {}}, "run_info": info}).encode())

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("how", ["", "entered"])
def test_what_ends_a_run_leaves_standard_output_to_results(tmp_path: Path, how: str) -> None:
    """MLflow prints where a server shows the run, and `reap --json` is read by programs."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        variables = {
            name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "STEELYARD_"))
        }
        command = [sys.executable, "-P", "-c", ENDS, str(tmp_path), url, how]
        told = {**variables, "MLFLOW_TRACKING_URI": url}
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=told)
        server.shutdown()
    assert done.stdout == "True\n"
