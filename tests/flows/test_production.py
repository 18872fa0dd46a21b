"""A whole run on the servers of `up --production`: logins wanted, secrets kept, and all of it there again after `down`."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest

from components.home import Home
from components.production import Production, production_of
from flows.servers.processes import MARK, asked
from flows.servers.services import down
from tasks.living.watch import NAME
from tests.flows.conftest import RECIPE, people
from tests.flows.place import Place
from tests.flows.servers.test_production import free_ports

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.xdist_group("production")]
WORKERS = "workers: {train: {pool: local}, export: {pool: local}}\n"
UP = ("up", "--production")


@pytest.fixture(scope="module")
def company() -> Iterator[Place]:
    """A home whose servers are up, after one run: two of its stages were done by workers."""
    with TemporaryDirectory(prefix="steelyard-company-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL runs as another user where root starts it
        (folder / "people.csv").write_text(people(), "utf-8")
        (folder / "recipe.yaml").write_text(RECIPE, "utf-8")
        (folder / "workers.yaml").write_text(RECIPE + WORKERS, "utf-8")
        place = Place(folder=folder, home=folder / "home")
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
    alone = replace(company, home=company.folder / "alone").child("run", "recipe.yaml", "--json")
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
    said = company.child("doctor")
    told = [said, *company.told.values()]
    shown = "\n".join([*commands, *(text for one in told for text in (one.out, one.err))])
    assert "worker-1" in shown
    assert not [secret for secret in secrets if secret in shown]
    assert "all is well" in said.out + said.err


def test_down_leaves_nothing_running_and_up_again_brings_all_of_it_back(company: Place, production: Production) -> None:
    before = processes(company)
    forgotten = asked_of_prefect(production, "POST", "/automations/filter")
    for automation in json.loads(forgotten):
        asked_of_prefect(production, "DELETE", f"/automations/{automation['id']}")
    assert "worker-2" in company.child("down").err
    assert not [one for one in before if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
    assert company.call("list").refused("are down", "steelyard up --production")
    company.child(*UP)
    assert production_of(Home(company.home)) == production
    assert NAME.encode() in asked_of_prefect(production, "POST", "/automations/filter")
    assert company.call(*UP).refused("already up")
    company.child("predict", "people", "people.csv")
    again = company.child("run", "workers.yaml", "--json").json
    assert all(stage["cached"] for stage in again["stages"])
    assert again["run_id"] == company.told["run"].json["run_id"]
    assert company.call("list", "--json").json[0]["champion"]
