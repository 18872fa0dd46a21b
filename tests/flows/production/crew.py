"""What the tests of this folder do with runs, with the processes of workers, and with the databases of servers."""

import json
import random
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psutil
import psycopg2
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort
from prefect.states import Cancelling
from psycopg2 import extensions

from components.home import Home
from components.production import Production, production_of
from flows.servers.processes import FLOW_RUN, MARK, asked
from flows.state import ledger_of
from tasks.train import train
from tests.flows.place import Place, Told

# Long enough to be met in the middle, with many a checkpoint behind it by then.
LONG = ("--until", "train", "train.epochs=600", "train.checkpoint_seconds=0.2", "train.threads=1")
BY_TWO = ("train.distributed.name=ddp", "train.distributed.processes=2")  # by torchrun
DOCUMENT = Path(__file__).parents[3] / "docs" / "production.md"
BEGUN = "train epoch 2:"  # what a run says of a worker that is at it


def drawn(seed: int) -> str:
    """What a run says of a worker at a moment of its training that the seed draws."""
    return f"train epoch {random.Random(seed).randint(2, 200)}:"


def production_at(place: Place) -> Production:
    found = production_of(Home(place.home))
    assert found is not None
    return found


def run(
    place: Place, *changes: str, recipe: str = "trainer.yaml", at: str = "", do: Callable[[], object] = list
) -> Told:
    """Run a recipe; do something as soon as the run says `at`. What has `=` in it is a setting."""
    return place.watched("run", recipe, "--json", *words(changes), at={at: do} if at else {})


def words(changes: Iterable[str]) -> list[str]:
    return [word for change in changes for word in (("--set", change) if "=" in change else (change,))]


def servers(place: Place) -> list[psutil.Process]:
    """What `up` has started for the home, and what that has started."""
    marks = {one["mark"] for one in json.loads((place.home / "services.json").read_text())}
    return [one for one in psutil.process_iter() if _variable(one, MARK) in marks]


def _variable(process: psutil.Process, name: str) -> str:
    try:
        return process.environ().get(name, "")
    except psutil.Error:
        return ""


def end(process: psutil.Process) -> None:
    """Kill a worker and all that it started."""
    with suppress(psutil.NoSuchProcess):
        for one in [*process.children(recursive=True), process]:
            one.kill()


def processes(place: Place) -> list[psutil.Process]:
    """The processes in which workers have a stage done: those that they started, torchrun and its own."""
    return [process for process in psutil.process_iter() if _does_a_stage(process, place)]


def _does_a_stage(process: psutil.Process, place: Place) -> bool:
    try:
        environ = process.environ()
        alive = process.status() != psutil.STATUS_ZOMBIE
        of_several = any(word.startswith("components.training.distributed") for word in process.cmdline())
    except psutil.Error:
        return False
    return alive and environ.get("STEELYARD_HOME") == str(place.home) and (FLOW_RUN in environ or of_several)


def kill_one(place: Place, module: str) -> None:
    """Kill the `launcher` of a training by several processes, or the last `rank`."""
    ours = [one for one in psutil.process_iter() if _variable(one, "STEELYARD_HOME") == str(place.home)]
    found = [one for one in ours if f"components.training.distributed.{module}" in one.cmdline()]
    max(found, key=lambda one: _variable(one, "RANK")).kill()


def kill(place: Place) -> None:
    """Kill every process that does a stage, and nothing else."""
    found = processes(place)
    assert found
    for process in found:
        process.kill()


def _is_run(process: psutil.Process) -> bool:
    with suppress(psutil.Error):  # one that has ended
        return "trainer.yaml" in process.cmdline()
    return False


def runner() -> psutil.Process:
    """The process of the run that a test has started."""
    (found,) = (one for one in psutil.Process().children() if _is_run(one))
    return found


def trained(place: Place, told: Told) -> str:
    """The digest of what the training made: all files that come of it follow from that."""
    assert told.code == 0, told.err[-3000:]
    (record,) = ledger_of(Home(place.home)).history("people", "train", limit=1)
    return train.outputs(record).model.digest


def onnx(told: Told) -> str:
    assert told.code == 0, told.err[-3000:]
    return str(told.json["onnx"]["sha256"])


def of_train(told: Told) -> list[str]:
    """What was said of the stage `train` as such, but that it waits for the lease of a process that was killed."""
    lines = [line.strip() for line in told.err.splitlines()]
    return [line for line in lines if line.startswith("train: ") and "was a moment ago" not in line]


def prefect(company: Place) -> SyncPrefectClient:
    production = production_at(company)
    settings = {"trust_env": False}
    url = production.settings()["prefect_api_url"]
    return SyncPrefectClient(url, auth_string=production.prefect_login, httpx_settings=settings)


def asked_of_prefect(production: Production, method: str, path: str, content: object = None) -> bytes:
    url, login = f"{production.urls['prefect']}/api{path}", production.prefect_login
    found = asked(url, seconds=30, method=method, content=content or {}, login=login)
    assert found is not None
    return found


def runs_of(company: Place) -> list[FlowRun]:
    """The runs of recipes, the latest first; a stage on a worker is a run of its own, with the stage in its name."""
    with prefect(company) as client:
        found = client.read_flow_runs(sort=FlowRunSort.START_TIME_DESC)
    return [one for one in found if one.name == "people"]


def cancel(company: Place) -> None:
    """Cancel the run as Prefect's pages do, and `prefect flow-run cancel`."""
    with prefect(company) as client:
        client.set_flow_run_state(runs_of(company)[0].id, Cancelling())


def delete(company: Place, name: str) -> None:
    """Delete the latest flow run of that name, as Prefect's pages do."""
    with prefect(company) as client:
        found = client.read_flow_runs(sort=FlowRunSort.START_TIME_DESC)
        client.delete_flow_run(next(one.id for one in found if one.name == name))


@contextmanager
def database(production: Production, name: str) -> Iterator[extensions.cursor]:
    """A database of the PostgreSQL server: of `prefect`, `mlflow` or `ledger`."""
    login = f"host=127.0.0.1 port={production.ports.postgres} user=steelyard dbname={name}"
    with closing(psycopg2.connect(login, password=production.secrets.postgres)) as connection, connection:
        yield connection.cursor()


def follow(place: Place, title: str, *, typed: str = "") -> None:
    """Run the lines that docs/production.md has under a title, as its reader does: in the folder of the home.

    `typed` is what they are answered where they ask.
    """
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
        input=typed,
        start_new_session=True,  # without a terminal, at which a password would be asked for
        check=False,
        timeout=600,
    )
    assert told.returncode == 0, f"{told.stdout[-3000:]}\n{told.stderr[-3000:]}"
