"""The way to MLflow leaves nothing behind when the process ends at once."""

import subprocess
import sys
from pathlib import Path

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
