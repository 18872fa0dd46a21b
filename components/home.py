"""Where a laptop keeps its state: one folder, `.steelyard/` here or what STEELYARD_HOME names."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from components.errors import refuse

PRODUCTION: Final = "production.json"


@dataclass(frozen=True, slots=True)
class Home:
    """The paths of the state. Nothing is made before it is needed."""

    root: Path

    @property
    def store(self) -> Path:
        """Bytes between stages."""
        return self.root / "store"

    @property
    def checkouts(self) -> Path:
        """Folders of the store, laid out for reading."""
        return self.root / "store" / "folders"

    @property
    def ledger(self) -> Path:
        """Records, leases, releases."""
        return self.root / "ledger.db"

    @property
    def work(self) -> Path:
        """Folders of stages that are running, or were killed."""
        return self.root / "work"

    @property
    def runs(self) -> Path:
        """A folder per run: its report."""
        return self.root / "runs"

    @property
    def mlflow_db(self) -> Path:
        """MLflow's database."""
        return self.root / "mlflow" / "mlflow.db"

    @property
    def mlflow_uri(self) -> str:
        """MLflow's database as SQLAlchemy is told of it, whatever characters its path has.

        Only what SQLAlchemy would misread is encoded, since MLflow takes the rest of the address literally.
        """
        path = str(self.mlflow_db).replace("%", "%25").replace("?", "%3F")
        return f"sqlite:///{path}"

    @property
    def mlflow_artifacts(self) -> Path:
        """MLflow's artifacts."""
        return self.root / "mlflow" / "artifacts"

    @property
    def prefect(self) -> Path:
        """Prefect's home, with its database."""
        return self.root / "prefect"

    @property
    def dvc_remote(self) -> Path:
        """The DVC remote: a folder."""
        return self.root / "dvc" / "remote"

    @property
    def dvc_imports(self) -> Path:
        """Files that were named by URL."""
        return self.root / "dvc" / "imports"

    @property
    def logs(self) -> Path:
        """What servers say."""
        return self.root / "logs"

    @property
    def folders(self) -> tuple[Path, ...]:
        """All that the home keeps of its own, without what the servers of `up --production` do."""
        return (
            self.store,
            self.work,
            self.runs,
            self.mlflow_db.parent,
            self.prefect,
            self.dvc_remote.parent,
            self.logs,
        )

    @property
    def services(self) -> Path:
        """Which servers `up` has started."""
        return self.root / "services.json"

    @property
    def secrets(self) -> Path:
        """Ports and secrets of the servers of `up --production`. Where it is, the home uses them."""
        return self.root / PRODUCTION

    @property
    def production(self) -> Path:
        """What those servers keep."""
        return self.root / "production"


WHICH: Final = "a home is .steelyard in the current folder, or the folder that STEELYARD_HOME names"


def find_home() -> Home:
    """Return the home that the environment names, or `.steelyard` in the current folder.

    Raises:
        Refusal: its path has a `%`, which Prefect and MLflow each read in another way.
    """
    home = Path(os.environ.get("STEELYARD_HOME") or ".steelyard").expanduser().absolute()
    if "%" in str(home):
        raise refuse("the home's path has a '%'", where=str(home), do="set STEELYARD_HOME to a folder without one")
    return Home(home)
