"""What was backed up as docs/production.md says is there again after a wipe."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from components.home import Home
from components.production import Production, production_of
from flows.servers.environment import environment
from tasks.living.watch import NAME
from tests.flows.place import Place
from tests.flows.production.conftest import UP
from tests.flows.production.crew import asked_of_prefect, servers

DOCUMENT = Path(__file__).parents[3] / "docs" / "production.md"


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


@pytest.mark.slow
def test_what_was_backed_up_as_documented_serves_the_same_after_a_wipe(company: Place, production: Production) -> None:
    """And `down` leaves nothing running, and `up` brings all of it back."""
    forgotten = asked_of_prefect(production, "POST", "/automations/filter")
    for automation in json.loads(forgotten):
        asked_of_prefect(production, "DELETE", f"/automations/{automation['id']}")
    (company.folder / ".venv").symlink_to(sys.prefix)
    company.child("run", "workers.yaml")  # other tests have removed records
    before, answered = servers(company), answers_of_champion(company)
    follow(company, "backup")
    assert (company.folder / "backup").stat().st_mode & 0o077 == 0
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
