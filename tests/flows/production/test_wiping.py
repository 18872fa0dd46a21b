"""What was backed up as docs/production.md says is there again after a wipe."""

import json
import shutil
import subprocess
import sys

import psutil
import pytest

from components.home import Home
from components.production import Production, production_of
from flows.servers.environment import environment
from tasks.living.watch import NAME
from tests.flows.place import Place
from tests.flows.production.conftest import UP
from tests.flows.production.crew import asked_of_prefect, follow, servers


def answers_of_champion(place: Place) -> str:
    """What a user has from the model, without a command of ours."""
    code = "import mlflow, pandas; print(mlflow.pyfunc.load_model('models:/people@champion')"
    code += ".predict(pandas.read_csv('people.csv')).to_csv())"
    command, variables = [sys.executable, "-P", "-c", code], environment(Home(place.home))
    return subprocess.run(
        command, cwd=place.folder, env=variables, capture_output=True, text=True, check=True, timeout=300
    ).stdout


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
