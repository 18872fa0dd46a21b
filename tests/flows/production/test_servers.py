"""The servers of `up --production`: logins are wanted, secrets kept, and a doctor finds all of it well."""

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from components.home import Home
from components.production import Production, write_down
from flows.doctor.workers import start_of
from flows.servers.pool import TEMPLATE
from flows.servers.processes import members
from flows.servers.recorded import recorded
from flows.state import ledger_of
from tasks.remote.pools import DOCTOR
from tasks.remote.rows import old_rows
from tests.flows.place import Place, Told
from tests.flows.production.crew import asked_of_prefect, prefect, servers
from tests.servers.faults import wait_until


def answer(url: str) -> int:
    """The status of an answer to somebody without a login."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        return int(opener.open(url, timeout=30).status)
    except urllib.error.HTTPError as error:
        return error.code


def test_nobody_is_served_without_a_login(production: Production) -> None:
    urls = production.urls
    assert answer(f"{urls['prefect']}/api/work_pools/local") in (401, 403)
    assert answer(f"{urls['mlflow']}/api/2.0/mlflow/experiments/get?experiment_id=0") in (401, 403)
    assert answer(f"{urls['s3']}/steelyard") >= 400
    assert answer(f"{urls['prefect']}/api/health") == 200
    for page in ("prefect/docs", "prefect/openapi.json", "prefect/ui-settings", "mlflow/static-files/index.html"):
        server, _, path = page.partition("/")  # pages and descriptions, as docs/production.md says
        assert answer(f"{urls[server]}/{path}") == 200


def test_nobody_else_on_the_machine_reads_what_is_kept_behind_logins(company: Place) -> None:
    there = {path.name: path for path in company.home.iterdir()}
    assert {"store", "work", "runs", "prefect", "logs", "production"} <= there.keys()
    assert {name for name, path in there.items() if path.is_dir() and path.stat().st_mode & 0o007} == {"production"}
    kept = list(there["production"].iterdir())
    assert {path.name for path in kept} == {"postgres", "s3"}
    assert not [path for path in kept if path.stat().st_mode & 0o007]


@pytest.mark.slow
def test_secrets_are_in_one_file_and_nowhere_else(company: Place, production: Production) -> None:
    file, secrets = Home(company.home).secrets, asdict(production.secrets).values()
    assert file.stat().st_mode & 0o777 == 0o600
    looked_at = [path for path in company.folder.rglob("*") if path.is_file() and path != file]
    assert {"postgres.log", "prefect.log", "worker-2.log"} <= {path.name for path in looked_at}
    assert not [path for path in looked_at if any(secret.encode() in path.read_bytes() for secret in secrets)]
    commands = [" ".join(one.cmdline()) for one in servers(company)]
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


def doctor(place: Place, *options: str, seconds: float, busy: str = "asking.is_busy") -> Told:
    """Call it in a process of its own; it gives workers so many seconds to answer, and `busy` says which pools are."""
    code = f"""
import flows.doctor.workers as asking
asking.ANSWER_SECONDS, asking.is_busy = {seconds}, {busy}
from flows.cli import main
main()
"""
    told = subprocess.run(
        [sys.executable, "-P", "-c", code, "doctor", *options],
        env=place.variables(),
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
    )
    return Told(told.returncode, told.stdout, told.stderr)


def test_the_doctor_waits_for_no_pool_that_nobody_serves_and_for_no_worker_that_is_silent(
    company: Place, production: Production
) -> None:
    for name, template in (("empty", json.loads(TEMPLATE.read_text("utf-8"))), ("of-others", {})):
        content = {"name": name, "type": "process", "base_job_template": template}
        asked_of_prefect(production, "POST", "/work_pools/", content)
    try:
        told = doctor(company, "--json", seconds=0, busy="lambda _client, _pool: False")  # another test's may be ending
    finally:
        for name in ("empty", "of-others"):
            asked_of_prefect(production, "DELETE", f"/work_pools/{name}")
    assert told.code == 2
    for asked_for in ("trying ledger, ", "asking Prefect which work pools there are", "asking a worker of local"):
        assert asked_for in told.err
    found = {one["pool"]: (one["state"], one["detail"]) for one in told.json if one["name"] == "worker"}
    assert found.keys() >= {"local", "empty", "of-others"}
    assert found["local"][0] == "bad"
    assert "none of its workers took it up within 0 s, though nothing runs there: they are gone" in found["local"][1]
    assert found["empty"] == ("bad", f"no worker of it is there: {start_of(Home(company.home))}")
    assert "`steelyard up --production`" in found["empty"][1], "the other `up` refuses here"
    assert found["of-others"][0] == "note"
    assert found["of-others"][1].startswith("not asked")
    with prefect(company) as client:  # as those are tagged that `reap` removes in time
        identity = ledger_of(Home(company.home)).identity()
        asked = [one.name for one in client.read_flow_runs() if one.flow_id == client.read_flow_by_name(DOCTOR).id]
        assert asked
        wait_until(
            lambda: set(asked) <= {row.name for row in old_rows(client, before=time.time() + 60, ledger=identity)}
        )


FORCED = ("run", "recipe.yaml", "--force", "report")
PREFECT = "/api: Prefect's server denies the login (401; PREFECT_API_AUTH_STRING is from"


@pytest.mark.parametrize(
    ("name", "command", "words"),
    [
        ("prefect", FORCED, (PREFECT, "production.json")),
        ("mlflow", ("verify", "people"), (": MLflow denies the login (401)", "production.json")),
        ("s3", FORCED, ("s3://steelyard/", "the secret key is wrong", "production.json")),
        ("postgres", FORCED, ("the server denies the user's name or password", "production.json")),
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
