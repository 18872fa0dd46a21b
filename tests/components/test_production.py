import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from components.errors import Refusal
from components.home import Home
from components.production import Ports, Production, new_secrets, production_of, write_down
from components.settings import NAMES, logins_of, settings_of


@pytest.fixture
def production(tmp_path: Path) -> Production:
    made = Production(ports=Ports(postgres=1, s3=2, prefect=3, mlflow=4), secrets=new_secrets())
    write_down(made, Home(tmp_path))
    return made


def test_what_is_written_down_is_read_again_and_nobody_else_can(tmp_path: Path, production: Production) -> None:
    home = Home(tmp_path)
    assert production_of(home) == production
    assert home.secrets.stat().st_mode & 0o777 == 0o600
    home.secrets.chmod(0o644)
    write_down(replace(production, ports=Ports()), home)
    assert home.secrets.stat().st_mode & 0o777 == 0o600


def test_no_secret_is_part_of_the_text(tmp_path: Path, production: Production) -> None:
    assert len(set(asdict(production.secrets).values())) == len(asdict(production.secrets))
    shown = f"{production!r} {settings_of(Home(tmp_path))!r}"
    assert not [secret for secret in asdict(production.secrets).values() if secret in shown]


def test_every_setting_of_a_server_follows_from_it_and_says_so(tmp_path: Path, production: Production) -> None:
    settings = settings_of(Home(tmp_path))
    assert set(production.settings()) == {name for name in NAMES if name != "inherit"}
    assert {settings.origin(name) for name in production.settings()} == {str(tmp_path / "production.json")}
    assert settings.ledger == f"postgresql://steelyard:{production.secrets.postgres}@127.0.0.1:1/ledger"


def test_a_setting_of_another_server_wins_and_gets_no_login(
    tmp_path: Path, production: Production, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "MLFLOW_TRACKING_PASSWORD" in logins_of(Home(tmp_path))
    monkeypatch.setenv("STEELYARD_MLFLOW_TRACKING_URI", "https://mlflow.example")
    (tmp_path / "config.toml").write_text('prefect_api_url = "https://prefect.example/api"\n')
    settings, logins = settings_of(Home(tmp_path)), logins_of(Home(tmp_path))
    assert settings.mlflow_tracking_uri == "https://mlflow.example"
    assert settings.prefect_api_url == "https://prefect.example/api"
    assert {name.partition("_")[0] for name in logins} == {"AWS"}


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"ports": {}}', '{"ports": {"s3": "x"}, "secrets": {}}'])
def test_a_damaged_file_is_refused_without_its_content(tmp_path: Path, production: Production, damage: str) -> None:
    home = Home(tmp_path)
    home.secrets.write_text(damage)
    with pytest.raises(Refusal, match=r"production\.json: the file of ports and secrets is damaged"):
        settings_of(home)
    told = asdict(production)
    told["secrets"]["extra"] = "hush"
    home.secrets.write_text(json.dumps(told))
    with pytest.raises(Refusal) as refusal:
        production_of(home)
    assert "hush" not in str(refusal.value)


def test_a_home_without_it_has_no_logins(tmp_path: Path) -> None:
    assert production_of(Home(tmp_path)) is None
    assert logins_of(Home(tmp_path)) == {}
