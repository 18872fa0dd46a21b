"""A whole run on the servers of `up --production`: logins wanted, secrets kept, and all of it there again after `down`."""

import json
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import psycopg2
import pytest

from components.errors import Refusal
from components.home import Home
from components.production import Production, production_of, write_down
from flows.servers.environment import environment
from flows.servers.pool import TEMPLATE
from flows.servers.processes import MARK, asked, members
from flows.servers.production import up_production
from flows.servers.recorded import recorded
from flows.servers.services import down
from tasks.living.watch import NAME
from tests.flows.conftest import RECIPE, people
from tests.flows.place import Place, Told
from tests.flows.servers.test_production import free_ports
from tests.servers.tables import with_tables
from tests.torture.crew import kill_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.xdist_group("production")]
WORKERS = "workers: {train: {pool: local}, export: {pool: local}}\n"
UP = ("up", "--production")
DOCUMENT = Path(__file__).parents[2] / "docs" / "production.md"


@pytest.fixture(scope="module")
def company() -> Iterator[Place]:
    """A home whose servers are up, after one run: two of its stages were done by workers."""
    with TemporaryDirectory(prefix="steelyard-company-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL runs as another user where root starts it
        (folder / "people.csv").write_text(people(), "utf-8")
        (folder / "recipe.yaml").write_text(RECIPE, "utf-8")
        (folder / "workers.yaml").write_text(RECIPE + WORKERS, "utf-8")
        place = Place(folder=folder, home=folder / ".steelyard")
        ports = [word for name, port in free_ports().items() for word in (f"--{name}-port", str(port))]
        try:
            place.told["up"] = place.child(*UP, *ports)
            place.told["run"] = place.child("run", "workers.yaml", "--json")
            yield place
        finally:
            down(Home(place.home))


@pytest.fixture(scope="module")
def production(company: Place) -> Production:
    found = production_of(Home(company.home))
    assert found is not None
    return found


def processes(place: Place) -> list[psutil.Process]:
    """What `up` has started for the home, and what that has started."""
    marks = {one["mark"] for one in json.loads((place.home / "services.json").read_text())}
    return [one for one in psutil.process_iter() if _variable(one, MARK) in marks]


def _variable(process: psutil.Process, name: str) -> str:
    try:
        return process.environ().get(name, "")
    except psutil.Error:
        return ""


def answer(url: str) -> int:
    """The status of an answer to somebody without a login."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        return int(opener.open(url, timeout=30).status)
    except urllib.error.HTTPError as error:
        return error.code


def asked_of_prefect(production: Production, method: str, path: str) -> bytes:
    url, login = f"{production.urls['prefect']}/api{path}", production.prefect_login
    found = asked(url, seconds=30, method=method, content={}, login=login)
    assert found is not None
    return found


def test_a_run_ends_with_the_same_file_as_at_home(company: Place) -> None:
    told = company.told["run"]
    assert "train: asked of pool 'local'" in told.err
    alone = replace(company, home=with_tables(company.folder / "alone")).child("run", "recipe.yaml", "--json")
    assert told.json["onnx"]["sha256"] == alone.json["onnx"]["sha256"]
    assert told.json["decision"]["promoted"]


def test_nobody_is_served_without_a_login(production: Production) -> None:
    urls = production.urls
    assert answer(f"{urls['prefect']}/api/work_pools/local") in (401, 403)
    assert answer(f"{urls['mlflow']}/api/2.0/mlflow/experiments/get?experiment_id=0") in (401, 403)
    assert answer(f"{urls['s3']}/steelyard") >= 400
    assert answer(f"{urls['prefect']}/api/health") == 200


def test_secrets_are_in_one_file_and_nowhere_else(company: Place, production: Production) -> None:
    file, secrets = Home(company.home).secrets, asdict(production.secrets).values()
    assert file.stat().st_mode & 0o777 == 0o600
    looked_at = [path for path in company.folder.rglob("*") if path.is_file() and path != file]
    assert {"postgres.log", "prefect.log", "worker-2.log"} <= {path.name for path in looked_at}
    assert not [path for path in looked_at if any(secret.encode() in path.read_bytes() for secret in secrets)]
    commands = [" ".join(one.cmdline()) for one in processes(company)]
    assert len(commands) >= 6
    said = doctor(company, seconds=300)
    told = [said, *company.told.values()]
    shown = "\n".join([*commands, *(text for one in told for text in (one.out, one.err))])
    assert "worker-1" in shown
    assert not [secret for secret in secrets if secret in shown]
    assert "all is well" in said.out + said.err
    here, worker = said.out.split("pool local")
    assert "an object was written, read and removed" in here
    for found in ("an object was written, read and removed", "a lease was taken", "a run was created, read"):
        assert found in worker
    assert "it has what was put into the store by `doctor`" in worker
    assert "it knows the lease that `doctor` holds" in worker


def test_no_process_is_told_a_secret_that_it_has_no_use_for(company: Place, production: Production) -> None:
    """By the table of docs/production.md."""
    clients = {"s3", "prefect", "mlflow"}  # PostgreSQL's they read in the file
    may = {
        "postgres": set[str](),
        "s3": {"s3"},
        "prefect": {"postgres", "prefect"},
        "mlflow": {"postgres", "s3", "mlflow", "mlflow_forms"},
        "worker-1": clients,
        "worker-2": clients,
    }
    told: dict[str, set[str]] = {}
    for service in recorded(Home(company.home)):
        environments = " ".join(str(one.environ()) for one in members(service))
        told[service.name] = {name for name, secret in asdict(production.secrets).items() if secret in environments}
    assert told == may


def doctor(place: Place, *options: str, seconds: float) -> Told:
    """Call it in a process of its own; it gives workers so many seconds to answer."""
    code = (
        f"import flows.doctor.workers as asking; asking.ANSWER_SECONDS = {seconds}; from flows.cli import main; main()"
    )
    told = subprocess.run(
        [sys.executable, "-P", "-c", code, "doctor", *options],
        env=place.variables(),
        capture_output=True,
        text=True,
        check=True,
        timeout=400,
    )
    return Told(told.returncode, told.stdout, told.stderr)


def test_the_doctor_waits_for_no_pool_that_nobody_serves_and_for_no_worker_that_is_silent(
    company: Place, production: Production
) -> None:
    for name, template in (("empty", json.loads(TEMPLATE.read_text("utf-8"))), ("of-others", {})):
        content = {"name": name, "type": "process", "base_job_template": template}
        login = production.prefect_login
        url = f"{production.urls['prefect']}/api/work_pools/"
        assert asked(url, seconds=30, method="POST", content=content, login=login)
    told = doctor(company, "--json", seconds=0).json
    found = {one["pool"]: one["detail"] for one in told if one["name"] == "worker"}
    assert found.keys() == {"local", "empty", "of-others"}
    assert "none of its workers took it up within 0 s" in found["local"]
    assert "no worker of it is there" in found["empty"]
    assert found["of-others"].startswith("not asked")


FORCED = ("run", "recipe.yaml", "--force", "report")
PREFECT = "/api: Prefect's server denies the login (401; PREFECT_API_AUTH_STRING is from"


@pytest.mark.parametrize(
    ("name", "command", "words"),
    [
        ("prefect", FORCED, (PREFECT, "production.json")),
        ("mlflow", ("verify", "people"), (": MLflow denies the login (401)", "production.json")),
        ("s3", FORCED, ("s3://steelyard/", "the secret key is wrong")),
        ("postgres", FORCED, ("the server denies the user's name or password",)),
    ],
)
def test_a_wrong_login_is_one_refusal(
    company: Place, production: Production, tmp_path: Path, name: str, command: tuple[str, ...], words: tuple[str, ...]
) -> None:
    stranger = replace(company, home=tmp_path / "home")
    stranger.home.mkdir()
    wrong = replace(production.secrets, **{name: "a-wrong-secret"})
    write_down(replace(production, secrets=wrong), Home(stranger.home))
    told = stranger.call(*command)
    assert told.refused(*words), told.err
    assert not [secret for secret in asdict(wrong).values() if secret in told.err]


def test_a_run_whose_mlflow_goes_away_in_the_middle_loses_and_doubles_nothing(
    company: Place, production: Production
) -> None:
    """Training ends while it is away: it is back only when the run says that it waits for it."""
    home, epochs = Home(company.home), 300

    def away() -> None:
        kill_server("mlflow", home)

    def back() -> None:
        before = {one.pid for one in recorded(home)}
        with pytest.raises(Refusal, match="known to each other by the ports"):  # they would be told of no other
            up_production(home, ports={"mlflow": free_ports()["mlflow"]}, say=lambda _: None)
        up_production(home, ports={}, say=lambda _: None)
        assert {one.name for one in recorded(home) if one.pid not in before} == {"mlflow"}, "all else stays as it is"

    changes = [word for one in ("model=outage", "seed=7", f"train.epochs={epochs}") for word in ("--set", one)]
    told = company.watched(
        "run", "recipe.yaml", *changes, "--json", at={"train epoch 3:": away, "waiting for MLflow": back}
    )
    assert told.code == 0, told.err[-3000:]
    assert told.err.index(f"train epoch {epochs}:") < told.err.index("waiting for MLflow")
    run, login = told.json["run_id"], f"host=127.0.0.1 port={production.ports.postgres} user=steelyard dbname=mlflow"
    with closing(psycopg2.connect(login, password=production.secrets.postgres)) as connection:
        cursor = connection.cursor()

        def ask(question: str) -> list[tuple[object, ...]]:
            cursor.execute(question, (run,))
            return cursor.fetchall()

        points = (
            "SELECT count(*), count(DISTINCT step) FROM metrics WHERE run_uuid = %s AND key = 'train.validation_loss'"
        )
        assert ask(points) == [(epochs, epochs)]
        assert ask("SELECT status FROM runs WHERE run_uuid = %s") == [("FINISHED",)]
        children = ask("SELECT run_uuid FROM tags WHERE key = 'mlflow.parentRunId' AND value = %s")
        assert len(children) == len(told.json["candidates"])
        assert ask("SELECT version FROM model_versions WHERE run_id = %s") == [(1,)]
    assert not list((home.runs / run).glob("unsent*"))


def answers_of_champion(place: Place) -> str:
    """What a user has from the model, without a command of ours."""
    code = "import mlflow, pandas; print(mlflow.pyfunc.load_model('models:/people@champion')"
    code += ".predict(pandas.read_csv('people.csv')).to_csv())"
    command, variables = [sys.executable, "-P", "-c", code], environment(Home(place.home))
    return subprocess.run(
        command, cwd=place.folder, env=variables, capture_output=True, text=True, check=True, timeout=300
    ).stdout


def follow(place: Place, title: str) -> None:
    """Run the lines that docs/production.md has under a title, as its reader does: in the folder of the home."""
    blocks = re.findall(r"^```\n# (.*?)^```", DOCUMENT.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    (lines,) = [block for block in blocks if block.startswith(title)]
    passwords, production = place.folder / "passwords", production_of(Home(place.home))
    if production is not None:
        passwords.touch(mode=0o600)
        passwords.write_text(f"*:*:*:*:{production.secrets.postgres}\n")
    port = passwords.with_name("port")
    if production is not None:
        port.write_text(str(production.ports.postgres))
    variables = {name: value for name, value in place.variables().items() if name != "STEELYARD_HOME"}
    told = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"# {lines}".replace("MODEL", "people")],
        cwd=place.folder,
        env={**variables, "PGPASSFILE": str(passwords), "PGPORT": port.read_text()},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert told.returncode == 0, f"{told.stdout[-3000:]}\n{told.stderr[-3000:]}"


def test_what_was_backed_up_as_documented_serves_the_same_after_a_wipe(company: Place, production: Production) -> None:
    """And `down` leaves nothing running, and `up` brings all of it back."""
    forgotten = asked_of_prefect(production, "POST", "/automations/filter")
    for automation in json.loads(forgotten):
        asked_of_prefect(production, "DELETE", f"/automations/{automation['id']}")
    (company.folder / ".venv").symlink_to(sys.prefix)
    before, answered = processes(company), answers_of_champion(company)
    follow(company, "backup")
    assert "worker-2" in company.child("down").err
    assert not [one for one in before if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
    assert company.call("list").refused("are down", "steelyard up --production")
    shutil.rmtree(company.home)
    follow(company, "restore")
    assert production_of(Home(company.home)) == production
    assert NAME.encode() in asked_of_prefect(production, "POST", "/automations/filter")
    assert company.call(*UP).refused("already up")
    assert answered == answers_of_champion(company)
    assert len(answered.strip().splitlines()) == 201
    again = company.child("run", "workers.yaml", "--json").json
    assert all(stage["cached"] for stage in again["stages"])
    assert again["run_id"] == company.told["run"].json["run_id"]
    assert company.call("list", "--json").json[0]["champion"]
