"""Where state is, by what is set."""

from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from components.database import connecting
from components.database.postgres import PostgreSQL
from components.errors import Refusal
from components.home import Home
from components.production import Ports, Production, new_secrets, write_down
from components.settings import variable
from components.store.folder import FolderBlobs
from components.store.s3.blobs import S3Blobs
from flows.state import artifacts_of, ledger_of, remote_of, store_of
from tasks.versioning import _s3_refused
from tests.servers.postgres import PostgresServer
from tests.servers.s3 import S3Server


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def test_with_nothing_set_all_of_it_is_in_the_home(home: Home) -> None:
    blobs = store_of(home).blobs
    assert isinstance(blobs, FolderBlobs)
    assert blobs.root == home.store
    assert store_of(home).checkouts == home.checkouts
    assert ledger_of(home).database.name == str(home.ledger)
    assert (remote_of(home).url, remote_of(home).endpoint_url) == (str(home.dvc_remote), None)
    assert artifacts_of(home) == home.mlflow_artifacts.as_uri()
    assert not home.root.exists()


def test_what_is_set_is_elsewhere_and_the_home_is_a_cache(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {
        "store": "s3://bucket/store",
        "ledger": "postgresql://me@host/db",
        "dvc_remote": "s3://bucket/dvc",
        "s3_endpoint_url": "http://127.0.0.1:9000",
    }
    for name, value in settings.items():
        monkeypatch.setenv(variable(name), value)
    blobs = store_of(home).blobs
    assert isinstance(blobs, S3Blobs)
    assert (blobs.prefix, blobs.cache.root, blobs.bucket.access.endpoint_url) == (
        "store",
        home.store,
        settings["s3_endpoint_url"],
    )
    assert store_of(home).checkouts == home.checkouts
    assert isinstance(ledger_of(home).database, PostgreSQL)
    assert (remote_of(home).url, remote_of(home).endpoint_url) == (settings["dvc_remote"], settings["s3_endpoint_url"])
    monkeypatch.setenv("STEELYARD_DVC_REMOTE", "/mnt/dvc")
    assert remote_of(home).endpoint_url is None


def test_a_person_hears_of_a_ledger_that_is_waited_for(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(connecting, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr(connecting, "FIRST_SECONDS", 1.0)
    monkeypatch.setenv("STEELYARD_LEDGER", "postgresql://me@127.0.0.1:9/db")
    with pytest.raises(Refusal, match="can't be reached"):
        ledger_of(home).now()
    out, err = capsys.readouterr()
    assert (out, err.count("it is waited for, 11 s at most")) == ("", 1)


def test_a_login_that_is_denied_is_told_with_where_it_came_from(
    home: Home, postgres: PostgresServer, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has written an address, or has seen a key, where `up --production` made them."""
    ports = Ports(postgres=postgres.port, s3=int(s3.endpoint_url.rpartition(":")[2]))
    home.root.mkdir()
    write_down(Production(ports=ports, secrets=new_secrets()), home)
    with pytest.raises(Refusal, match=r"denies the user(.|\n)*\(the address is from .*/production\.json\)"):
        ledger_of(home).now()
    with pytest.raises(Refusal, match=r"\(the keys are from .*/production\.json\)"):
        store_of(home).blobs.stamp("0" * 64)
    denied = ClientError({"Error": {"Code": "SignatureDoesNotMatch"}}, "PutObject")
    with pytest.raises(Refusal, match=r"\(the keys are from .*/production\.json\)"), _s3_refused(remote_of(home)):
        raise denied
    monkeypatch.setenv("STEELYARD_LEDGER", postgres.address(password="hunter2"))
    with pytest.raises(Refusal, match=r"denies the user(.|\n)*\(the address is from STEELYARD_LEDGER\)"):
        ledger_of(home).now()


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({"mlflow_tracking_uri": "https://mlflow"}, None),
        ({"mlflow_tracking_uri": "sqlite:////mnt/mlflow.db"}, "the home's"),
        ({"mlflow_tracking_uri": "https://mlflow", "mlflow_artifacts": "s3://bucket/mlflow/"}, "s3://bucket/mlflow"),
        ({"mlflow_artifacts": "/mnt/artifacts"}, "/mnt/artifacts"),
    ],
)
def test_artifacts_go_where_it_is_set_or_the_server_likes_or_into_the_home(
    home: Home, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], place: str | None
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(variable(name), value)
    assert artifacts_of(home) == (home.mlflow_artifacts.as_uri() if place == "the home's" else place)
