"""The work pool that `up` serves, and its workers."""

import json
import sys
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from components.errors import refuse
from components.home import Home
from flows.servers.processes import Service, asked

POOL: Final = "local"
TEMPLATE: Final = Path(__file__).with_name("process-pool.json")  # of that pool; infra/ has it too
PYTHON: Final = "STEELYARD_PYTHON"  # whose Python the pool's command runs; else the worker's own
WATCHFUL: Final = {"PREFECT_WORKER_QUERY_SECONDS": "1"}


def worker(name: str) -> tuple[str, ...]:
    """Return the command of a worker of the pool."""
    start = ("prefect", "worker", "start", "--name", name, "--pool", POOL, "--type", "process")
    return (*start, "--install-policy", "never")


def worker_variables(home: Home) -> dict[str, str]:
    """Return what a worker is told beside its environment.

    Prefect has all workers of a machine write into one folder of the temporary one, which is the first user's then.
    """
    folder = home.prefect / "workers"
    folder.mkdir(parents=True, exist_ok=True)
    return {**WATCHFUL, "TMPDIR": str(folder), PYTHON: sys.executable}


@dataclass(frozen=True, slots=True)
class Pool:
    """The pool on a Prefect server of this machine."""

    api_url: str
    login: str = field(default="", repr=False)  # NAME:PASSWORD, where the server wants one

    def make(self) -> None:
        """Make the pool, or bring it up to date."""
        template = json.loads(TEMPLATE.read_text("utf-8"))
        wanted = {"name": POOL, "type": "process", "base_job_template": template}
        made = self._ask("POST", "/work_pools/", wanted)
        if made is None and self._ask("PATCH", f"/work_pools/{POOL}", {"base_job_template": template}) is None:
            raise refuse(f"the work pool '{POOL}' can't be made", where=self.api_url)

    def is_polled_by(self, name: str, service: Service) -> bool:
        """Whether this very worker has reported to the server; one of that name that was there before doesn't count."""
        body = self._ask("POST", f"/work_pools/{POOL}/workers/filter", {})
        there = [] if body is None else [one for one in json.loads(body) if one.get("name") == name]
        heard = [datetime.fromisoformat(at) for one in there if (at := one.get("last_heartbeat_time"))]
        return any(at.timestamp() >= service.created for at in heard)

    def _ask(self, method: str, path: str, content: object) -> bytes | None:
        return asked(self.api_url + path, seconds=30.0, method=method, content=content, login=self.login)
