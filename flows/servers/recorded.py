"""Which services are up in a home, written down there: `up` starts them one by one, `down` stops them all."""

import fcntl
import json
import secrets
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO

import psutil

from components.errors import refuse
from components.home import Home
from flows.servers.processes import MARK, Name, Service, stop

Launch = Callable[[IO[bytes], Mapping[str, str]], "subprocess.Popen[bytes]"]


def begin(name: Name, home: Home, url: str, launch: Launch) -> Service:
    """Start a service that outlives this process, and write it down. `launch` gets its output and its mark.

    What its forerunner said, perhaps of why it ended, is kept beside its log.
    """
    mark, log = secrets.token_hex(8), log_of(home, name)
    if log.exists():
        log.replace(log.with_suffix(".before.log"))
    with log.open("wb") as output:
        process = launch(output, {MARK: mark})
    try:
        created = psutil.Process(process.pid).create_time()
        service = Service(name=name, pid=process.pid, created=created, mark=mark, url=url)
        _record([*recorded(home), service], home)
    except BaseException:  # nobody would find it again
        process.kill()
        process.wait()
        raise
    return service


def log_of(home: Home, name: str) -> Path:
    """Return the log of a service."""
    return home.logs / f"{name}.log"


def recorded(home: Home) -> list[Service]:
    """Return what is written down, in the order of its start."""
    try:
        return [Service(**told) for told in json.loads(home.services.read_text(encoding="utf-8"))]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError) as error:
        what = f"the list of what is up is damaged: {error}"
        raise refuse(what, where=str(home.services), do="delete it, and stop the servers by hand") from None


def _record(services: list[Service], home: Home) -> None:
    if not services:
        home.services.unlink(missing_ok=True)
        return
    fresh = home.services.with_suffix(".new")
    fresh.write_text(json.dumps([asdict(service) for service in services], indent=1) + "\n", encoding="utf-8")
    fresh.replace(home.services)


@contextmanager
def turn(home: Home) -> Iterator[None]:
    """One `up` or `down` at a time in a home."""
    with _lock_file(home) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            what = "another `up` or `down` is at work here"
            raise refuse(what, where=str(home.root), do="wait for it to end") from None
        yield


def _lock_file(home: Home) -> IO[str]:
    try:
        home.root.mkdir(parents=True, exist_ok=True)
        return (home.root / "services.lock").open("w")
    except OSError as error:
        do = "name another folder with STEELYARD_HOME, or mend its rights"
        raise refuse(f"can't be written: {error.strerror}", where=str(home.root), do=do) from error


def alive(home: Home) -> list[Service]:
    """Return what is written down, and runs, however slowly it answers."""
    return [service for service in recorded(home) if service.alive]


def stop_all(home: Home, *, but: Sequence[Service] = ()) -> list[str]:
    """Stop what is written down, forget it, and return the names.

    All `but` some: then a stage that a worker has left, which lives on, is let alone too.
    """
    services = [service for service in recorded(home) if service not in but]
    stop(services, stages=not but)
    _record(list(but), home)
    return [service.name for service in services]
