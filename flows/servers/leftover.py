"""Processes of a home on this machine, found by their environment and command, and ended."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Final

import psutil

from components.home import Home
from components.reap.processes import Process
from flows.servers.processes import FLOW_RUN, MARK, POLITE_SECONDS

ENGINES: Final = ("flows.engine", "prefect.engine")  # what a worker starts: by our template, or by another
SERVICES: Final = ("flows.servers.prefect_server", "mlflow", "worker")  # in the command of what `up` starts


def home_processes(home: Home) -> Iterator[Process]:
    """Yield the stages of workers, and what `up` has started, whoever knows of it."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if found := _ours(process, home):
                yield found


def _ours(process: psutil.Process, home: Home) -> Process | None:
    variables, command = process.environ(), process.cmdline()
    if variables.get("STEELYARD_HOME") != str(home.root) or process.status() == psutil.STATUS_ZOMBIE:
        return None
    flow_run, mark = variables.get(FLOW_RUN, ""), variables.get(MARK, "")
    if flow_run and set(ENGINES) & set(command):
        parents = [set(one.cmdline()) for one in process.parents() if one.pid > 1]
        has_worker = any({"prefect", "worker", "start"} <= words for words in parents)
        return Process(pid=process.pid, created=process.create_time(), flow_run=flow_run, has_worker=has_worker)
    if mark and not flow_run and set(SERVICES) & set(command):
        return Process(pid=process.pid, created=process.create_time(), mark=mark)
    return None


def end(name: str) -> bool:
    """End a process with all that it started: politely, then surely. `name` is what `Process.name` says."""
    pid, created = name.split()
    try:
        process = psutil.Process(int(pid))
        if str(process.create_time()) != created:  # a later one, which has its pid
            return True
        group = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return True
    for polite in (True, False):
        for one in group:
            with suppress(psutil.NoSuchProcess):
                one.terminate() if polite else one.kill()
        if not psutil.wait_procs(group, timeout=POLITE_SECONDS)[1]:
            return True
    return False
