"""Where the state of a home is: in the home itself, or where its settings say."""

from components.home import Home
from components.planning.ledger import Ledger, ledger_at
from components.settings import settings_of
from components.store.address import blobs_at
from components.store.s3.access import Access
from components.store.store import Store
from tasks.stage import Remote


def ledger_of(home: Home) -> Ledger:
    """Return the ledger: records, leases, releases."""
    return ledger_at(settings_of(home).ledger or home.ledger)


def store_of(home: Home) -> Store:
    """Return the store. What goes to S3 or comes from there is kept in the home too."""
    settings = settings_of(home)
    access = Access(endpoint_url=settings.s3_endpoint_url)
    return Store(blobs_at(settings.store or str(home.store), cache=home.store, access=access), home.checkouts)


def remote_of(home: Home) -> Remote:
    """Return the DVC remote."""
    settings = settings_of(home)
    url = settings.dvc_remote or str(home.dvc_remote)
    return Remote(url=url, endpoint_url=settings.s3_endpoint_url if url.startswith("s3://") else None)


def artifacts_of(home: Home) -> str | None:
    """Return below which address MLflow's artifacts go, or None where the server is to say that itself."""
    settings = settings_of(home)
    if settings.mlflow_artifacts is not None:
        return settings.mlflow_artifacts
    serves = (settings.mlflow_tracking_uri or "").startswith("http")
    return None if serves else home.mlflow_artifacts.as_uri()
