"""A server elsewhere is met before its client is."""

import socket
from contextlib import closing
from pathlib import Path

import pytest

from components.errors import Refusal
from components.home import Home
from components.production import Ports, Production, new_secrets, write_down
from components.settings import Settings
from flows.doctor.probes import try_prefect
from flows.doctor.trials import Trials
from flows.servers import reaching
from flows.servers.backend import backend, enter_registry
from flows.servers.login import check_login
from flows.servers.reaching import masked, reach


def test_a_server_that_is_not_there_is_told_at_once_without_its_login(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reaching, "PATIENCE_SECONDS", 0.1)
    for name, needed in (("prefect_api_url", "runs"), ("mlflow_tracking_uri", "runs, and every command")):
        monkeypatch.setenv(f"STEELYARD_{name.upper()}", "http://me:hush-hush@127.0.0.1:9/api")
        with pytest.raises(Refusal, match=f"needed by {needed}") as caught, backend(Home(tmp_path)):
            pass
        assert f"from STEELYARD_{name.upper()}" in str(caught.value)
        assert "hush-hush" not in str(caught.value)
        monkeypatch.delenv("STEELYARD_PREFECT_API_URL", raising=False)
    with pytest.raises(Refusal, match=r"http://\*\*\*@127\.0\.0\.1:9/api: can't be reached"):
        enter_registry(Home(tmp_path))


def test_of_a_missing_server_of_up_production_its_command_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It starts what is missing; an address that nobody wrote isn't there to be mended."""
    home, ports = Home(tmp_path), Ports(postgres=9, s3=9, prefect=9, mlflow=9)
    write_down(Production(ports=ports, secrets=new_secrets()), home)
    monkeypatch.setattr(reaching, "PATIENCE_SECONDS", 0.1)
    told = r"to do:   `steelyard up --production` starts what is missing \(the address is from .*production\.json\)"
    with pytest.raises(Refusal, match=told):
        enter_registry(home)
    with pytest.raises(Refusal, match=told):
        check_login(home, patience=0.0)
    with pytest.raises(Refusal, match=told):
        try_prefect("http://127.0.0.1:9/api", home)
    found = next(Trials(lambda _: None).mlflow(home))
    assert "does not answer; to do: `steelyard up --production` starts what is missing" in found.detail
    assert "or mend" not in found.detail


def test_a_server_that_is_there_a_database_and_nothing_are_let_pass() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        reach(Settings(prefect_api_url=f"http://127.0.0.1:{listener.getsockname()[1]}/api"), "prefect_api_url")
    for uri in (None, "sqlite:////nowhere/mlflow.db"):
        reach(Settings(mlflow_tracking_uri=uri), "mlflow_tracking_uri")


def test_what_only_a_proxy_reaches_is_left_to_the_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reaching, "PATIENCE_SECONDS", 0.1)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    reach(Settings(prefect_api_url="http://server.invalid/api"), "prefect_api_url")
    monkeypatch.setenv("no_proxy", "server.invalid")
    with pytest.raises(Refusal, match="can't be reached"):
        reach(Settings(prefect_api_url="http://server.invalid/api"), "prefect_api_url")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://me:hush@host:5432/db?sslmode=require", "postgresql://***@host:5432/db"),
        ("s3://bucket/a b", "s3://bucket/a b"),
        ("/mnt/a?b", "/mnt/a?b"),
    ],
)
def test_an_address_is_shown_without_what_may_be_secret(address: str, shown: str) -> None:
    assert masked(address) == shown
