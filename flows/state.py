"""Where the state of a home is: in the home itself, or where its settings say."""

from collections.abc import Callable

from components.home import Home
from components.planning.ledger import Ledger, ledger_at
from components.settings import logins_of, settings_of
from components.store.address import blobs_at
from components.store.blobs import Blobs
from components.store.s3.access import Access
from components.store.store import Store
from flows.console import tell
from flows.servers.reaching import check_up
from tasks.stage import Remote, Yard


def ledger_of(home: Home, *, say: Callable[[str], object] = tell) -> Ledger:
    """Return the ledger: records, leases, releases. `say` hears of a server that is waited for.

    Raises:
        Refusal: it is that of `up --production`, and down.
    """
    settings = settings_of(home)
    if settings.origin("ledger") == str(home.secrets):
        check_up(home)
    return ledger_at(settings.ledger or home.ledger, say=say, origin=settings.origin("ledger"))


def store_of(home: Home) -> Store:
    """Return the store. What goes to S3 or comes from there is kept in the home too."""
    settings = settings_of(home)
    blobs = blobs_at(settings.store or str(home.store), cache=home.store, access=access_of(home))
    return Store(blobs, home.checkouts)


def remote_blobs(home: Home) -> Blobs:
    """Return the DVC remote as a place for bytes, which is to say: who uses it."""
    return blobs_at(remote_of(home).url, cache=home.store, access=access_of(home))


def sign(yard: Yard) -> None:
    """Note in the store and in the DVC remote that the yard's ledger has records about them: see `reap`."""
    for place in (yard.store.blobs, remote_blobs(yard.home)):
        place.sign(yard.ledger.identity())


def access_of(home: Home) -> Access:
    """Return how the S3 that is set is reached."""
    logins = logins_of(home)
    return Access(
        endpoint_url=settings_of(home).s3_endpoint_url,
        access_key=logins.get("AWS_ACCESS_KEY_ID"),
        secret_key=logins.get("AWS_SECRET_ACCESS_KEY"),
        origin=str(home.secrets) if "AWS_ACCESS_KEY_ID" in logins else "",
    )


def remote_of(home: Home) -> Remote:
    """Return the DVC remote."""
    settings = settings_of(home)
    url = settings.dvc_remote or str(home.dvc_remote)
    if not url.startswith("s3://"):
        return Remote(url=url)
    return Remote(url=url, endpoint_url=settings.s3_endpoint_url, origin=access_of(home).origin)


def artifacts_of(home: Home) -> str | None:
    """Return below which address MLflow's artifacts go, or None where the server is to say that itself."""
    settings = settings_of(home)
    if settings.mlflow_artifacts is not None:
        return settings.mlflow_artifacts
    serves = (settings.mlflow_tracking_uri or "").startswith("http")
    return None if serves else home.mlflow_artifacts.as_uri()
