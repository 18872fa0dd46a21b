"""The servers of `up --production`: ports and secrets in one file, the settings and logins that follow from them."""

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Final, TypeVar

from components.errors import refuse
from components.home import Home

HOST: Final = "127.0.0.1"
USER: Final = "steelyard"  # of each server
Kind = TypeVar("Kind")
BUCKET: Final = "steelyard"
SECRET_BYTES: Final = 24


@dataclass(frozen=True, kw_only=True, slots=True)
class Ports:
    """Where each server listens."""

    postgres: int = 5432
    s3: int = 9000
    prefect: int = 4200
    mlflow: int = 5000


@dataclass(frozen=True, kw_only=True, slots=True)
class Secrets:
    """A password for each server, and the key by which MLflow signs its forms."""

    postgres: str = field(repr=False)
    s3: str = field(repr=False)
    prefect: str = field(repr=False)
    mlflow: str = field(repr=False)
    mlflow_forms: str = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Production:
    """What is written down in the home."""

    ports: Ports
    secrets: Secrets

    @property
    def urls(self) -> dict[str, str]:
        """The address of each server, by its name."""
        schemes = {"postgres": "postgresql"}
        return {name: f"{schemes.get(name, 'http')}://{HOST}:{port}" for name, port in asdict(self.ports).items()}

    @property
    def prefect_login(self) -> str:
        """The name and the password, as Prefect wants them."""
        return f"{USER}:{self.secrets.prefect}"

    def settings(self) -> dict[str, str]:
        """Return the value of each setting."""
        return {
            "store": f"s3://{BUCKET}/store",
            "ledger": f"postgresql://{USER}:{self.secrets.postgres}@{HOST}:{self.ports.postgres}/ledger",
            "dvc_remote": f"s3://{BUCKET}/dvc",
            "s3_endpoint_url": self.urls["s3"],
            "mlflow_tracking_uri": self.urls["mlflow"],
            "mlflow_artifacts": f"s3://{BUCKET}/mlflow",
            "prefect_api_url": f"{self.urls['prefect']}/api",
        }

    def logins(self) -> dict[str, dict[str, str]]:
        """Return the variables by which clients log in, by the setting that names the server."""
        return {
            "s3_endpoint_url": {
                "AWS_ACCESS_KEY_ID": USER,
                "AWS_SECRET_ACCESS_KEY": self.secrets.s3,
                "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_EC2_METADATA_DISABLED": "true",
            },
            "prefect_api_url": {"PREFECT_API_AUTH_STRING": self.prefect_login},
            "mlflow_tracking_uri": {
                "MLFLOW_TRACKING_USERNAME": USER,
                "MLFLOW_TRACKING_PASSWORD": self.secrets.mlflow,
            },
        }


def new_secrets() -> Secrets:
    """Make secrets that nobody can guess."""
    return Secrets(**{one.name: secrets.token_urlsafe(SECRET_BYTES) for one in fields(Secrets)})


def production_of(home: Home) -> Production | None:
    """Return what is written down in the home, None where nothing is.

    Raises:
        Refusal: the file is damaged, or can't be read. The message repeats nothing of it.
    """
    try:
        told = json.loads(home.secrets.read_text("utf-8"))
        return Production(
            ports=Ports(**_checked(told["ports"], int)), secrets=Secrets(**_checked(told["secrets"], str))
        )
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise refuse(f"can't be read: {error.strerror}", where=str(home.secrets)) from None
    except (ValueError, TypeError, KeyError):
        what = "the file of ports and secrets is damaged"
        raise refuse(what, where=str(home.secrets), do="put a backup in its place") from None


def _checked(told: Mapping[str, Kind], kind: type[Kind]) -> dict[str, Kind]:
    if not all(isinstance(value, kind) for value in told.values()):
        raise TypeError
    return dict(told)


def write_down(production: Production, home: Home) -> None:
    """Write ports and secrets down in the home, for nobody else to read."""
    fresh = home.secrets.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(asdict(production), file, indent=1)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(home.secrets)
