"""What is set for a home: by whom, and what is refused without repeating a secret."""

import tomllib
from pathlib import Path

import pytest

from components.errors import Refusal
from components.home import Home
from components.settings import NAMES, Settings, settings_of, variable

HIDDEN = "hush-hush"
SET = {
    "store": "s3://bucket/store",
    "ledger": f"postgresql://me:{HIDDEN}@127.0.0.1:5432/steelyard",
    "dvc_remote": "/mnt/dvc",
    "s3_endpoint_url": "http://127.0.0.1:9000",
    "mlflow_tracking_uri": f"https://me:{HIDDEN}@mlflow",
    "mlflow_artifacts": "s3://bucket/mlflow",
    "prefect_api_url": "http://[::1]:4200/api",
}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def write(home: Home, text: str) -> str:
    path = home.root / "config.toml"
    path.write_text(text)
    return str(path)


def refusal(home: Home) -> str:
    with pytest.raises(Refusal) as caught:
        settings_of(home)
    assert HIDDEN not in str(caught.value)
    return str(caught.value)


def test_with_nothing_set_everything_is_the_homes_own(home: Home) -> None:
    assert settings_of(home) == Settings()
    assert {settings_of(home).origin(name) for name in NAMES} == {"default"}


def test_a_file_sets_everything_and_is_named_as_the_origin(home: Home) -> None:
    path = write(home, "\n".join(f'{name} = "{value}"' for name, value in SET.items()))
    settings = settings_of(home)
    assert {name: getattr(settings, name) for name in SET} == SET
    assert {settings.origin(name) for name in SET} == {path}
    assert HIDDEN not in repr(settings)


def test_variables_set_everything_too_and_go_before_the_file(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    write(home, "store = '/mnt/store'\nprefect_api_url = 'http://prefect/api'")
    for name, value in SET.items():
        monkeypatch.setenv(variable(name), value)
    monkeypatch.setenv("STEELYARD_PREFECT_API_URL", "")
    settings = settings_of(home)
    assert {name: getattr(settings, name) for name in SET} == SET | {"prefect_api_url": "http://prefect/api"}
    assert settings.origin("store") == "STEELYARD_STORE"
    assert settings.origin("prefect_api_url").endswith("config.toml")


@pytest.mark.parametrize(("text", "inherits"), [("true", True), ("1", True), ("False", False), ("0", False)])
def test_the_shells_own_variables_count_last_and_only_if_they_may(
    home: Home, monkeypatch: pytest.MonkeyPatch, text: str, inherits: bool
) -> None:
    write(home, "mlflow_tracking_uri = 'http://there'")
    monkeypatch.setenv("PREFECT_API_URL", "http://shell/api")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://shell")
    assert settings_of(home).prefect_api_url is None
    monkeypatch.setenv("STEELYARD_INHERIT", text)
    settings = settings_of(home)
    assert settings.inherit == inherits
    assert settings.prefect_api_url == ("http://shell/api" if inherits else None)
    assert settings.origin("prefect_api_url") == ("PREFECT_API_URL" if inherits else "default")
    assert settings.mlflow_tracking_uri == "http://there"


def test_every_problem_is_told_at_once_with_where_it_is(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(home, f"stor = 1\nledger = 'mysql://me:{HIDDEN}@host/db'\ninherit = 'yes'\nprefect_api_url = 3")
    monkeypatch.setenv("STEELYARD_STORE", f"gs://me:{HIDDEN}@bucket")
    monkeypatch.setenv("STEELYARD_S3_ENDPOINT_URL", f"http://me:{HIDDEN}@host:9000")
    told = refusal(home)
    assert f"{path}: unknown key stor\n" in told
    assert "did you mean 'store'?" in told
    assert f"{path}: this is no address of a database" in told
    assert f"{path}: inherit is of the type str\n  allowed: true or false" in told
    assert f"{path}: prefect_api_url is of the type int\n  allowed: a text" in told
    assert "STEELYARD_STORE: 'gs://***@bucket' is no address of a store" in told
    assert "STEELYARD_S3_ENDPOINT_URL: s3_endpoint_url holds a name, a password or a query" in told


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("store", value) for value in ("store", "../store", "S3://bucket", "s3://Bucket", "https://me:hush-hush@s3")),
        *(("dvc_remote", value) for value in ("remote", "ssh://me:hush-hush@host/dvc", "s3://")),
        *(("mlflow_artifacts", value) for value in ("mlflow-artifacts:/", "ftp://me:hush-hush@host/")),
        *(("ledger", value) for value in ("/mnt/ledger.db", "sqlite:////mnt/ledger.db", "postgres:hush-hush")),
        *(("s3_endpoint_url", value) for value in ("minio:9000", "ftp://host", "http://", "http://host:hush-hush")),
        *(("prefect_api_url", value) for value in ("prefect", "ws://prefect/api", "http://[hush-hush", "http:///api")),
        *(
            ("mlflow_tracking_uri", value)
            for value in ("databricks", "ftp://me:hush-hush@host", "https://me:hush-hush@")
        ),
        ("inherit", "hush-hush"),
    ],
)
def test_what_is_no_address_of_its_kind_is_refused_with_its_variable(
    home: Home, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(variable(name), value)
    assert refusal(home).startswith(f"{variable(name)}: ")


def test_a_misspelt_variable_is_refused_and_those_of_others_are_not(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HOME", "SERVICE", "IMAGE_TAG", "LEDGER_SERVICE_HOST", "LEDGER_PORT", "LEDGER_PORT_5432_TCP_ADDR"):
        monkeypatch.setenv(f"STEELYARD_{name}", HIDDEN)
    assert settings_of(home) == Settings()
    monkeypatch.setenv("STEELYARD_LEGDER", HIDDEN)
    assert refusal(home) == "STEELYARD_LEGDER: unknown setting\n  to do:   did you mean 'STEELYARD_LEDGER'?"


def test_a_file_that_is_not_toml_is_refused_without_its_text(home: Home) -> None:
    path = write(home, f"ledger = postgresql://me:{HIDDEN}@host/db")
    assert refusal(home).startswith(f"{path}: not TOML: ")
    with pytest.raises(tomllib.TOMLDecodeError):
        tomllib.loads(Path(path).read_text())


def test_a_file_that_can_not_be_read_is_refused(home: Home) -> None:
    (home.root / "config.toml").mkdir()
    assert "can't be read: Is a directory" in refusal(home)
