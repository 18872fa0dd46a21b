"""Folders of this machine that stages and the store left behind: how old they are, and what removing them frees."""

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISDIR

from components.planning.held import Taken, living
from components.planning.ledger import Ledger
from components.reap.garbage import Garbage, Kind, Limits

LEASE_SECONDS = 60.0
REQUESTS = "requests"  # where files lie for a moment on their way to workers


def left_work(folder: Path, running: AbstractSet[str], limits: Limits) -> Iterator[Garbage]:
    """Yield folders of work that stopped: each is called by the key of its stage, of which none in `running` is."""
    stages = (one for one in folder.glob("*") if one.name not in running and one.name != REQUESTS)
    yield from _old("work", [*stages, *(folder / REQUESTS).glob("*")], limits.made_before)


def left_folders(laid_out: Iterable[Path], marked: AbstractSet[str], limits: Limits) -> Iterator[Garbage]:
    """Yield laid-out folders that aren't marked, and those that never were whole."""
    yield from _old("folders", (one for one in laid_out if one.name not in marked), limits.made_before, deep=False)


def left_temporary(folder: Path, limits: Limits, *, worker_since: float | None) -> Iterator[Garbage]:
    """Yield temporary files of workers that came before the oldest worker that is up, if one is."""
    before = limits.made_before if worker_since is None else min(limits.made_before, worker_since)
    for one in folder.glob("*"):
        within = one.glob("*") if one.name == "runner_storage" else [one]
        yield from _old("temporary", within, before)


def left_downloads(folder: Path, limits: Limits) -> Iterator[Garbage]:
    """Yield downloads that no run asked for of late: each of them changes the folder's rights, to what they are."""
    for one in folder.glob("*"):
        if (at := _asked_for(one)) is not None and at < limits.used_before:
            yield Garbage("downloads", str(one), _size(one), at)


def remove_folder(one: Garbage, *, before: float) -> bool:
    """Remove a folder or a file, unless it has changed meanwhile: False."""
    path = Path(one.name)
    now = _asked_for(path) if one.kind == "downloads" else _changed(path)
    if now is not None and now >= before:
        return False
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
    return not path.exists()


def remove_work(one: Garbage, ledger: Ledger, *, before: float) -> bool:
    """Remove a folder of work, holding the lease of its stage: who begins it meanwhile waits, and begins anew."""
    with stopped(Path(one.name).name, ledger) as is_stopped:
        return is_stopped and remove_folder(one, before=before)


def remove_checkpoint(one: Garbage, ledger: Ledger) -> bool:
    """Forget a checkpoint, in the same way. Its bytes are objects, which nothing reaches then."""
    with stopped(one.name, ledger) as is_stopped:
        if is_stopped:
            ledger.drop_checkpoint(one.name)
        return is_stopped


@contextmanager
def stopped(key: str, ledger: Ledger) -> Iterator[bool]:
    """Hold the lease of a stage, and say whether that could be had."""
    try:
        with living(f"stage {key}", ledger, seconds=LEASE_SECONDS):
            yield True
    except Taken:
        yield False


def _old(kind: Kind, paths: Iterable[Path], before: float, *, deep: bool = True) -> Iterator[Garbage]:
    for path in paths:
        at = _newest(path) if deep else _changed(path)
        if at is not None and at < before:
            yield Garbage(kind, str(path), _size(path), at)


def _newest(path: Path) -> float | None:
    times = [at for one in (path, *path.rglob("*")) if (at := _changed(one)) is not None]
    return max(times, default=None)


def _asked_for(path: Path) -> float | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return max(status.st_mtime, status.st_ctime)


def _changed(path: Path) -> float | None:
    try:
        return path.lstat().st_mtime
    except FileNotFoundError:
        return None


def _size(path: Path) -> int:
    """Return the bytes that only this folder holds: a link to what the store has frees nothing."""
    links: Counter[tuple[int, int]] = Counter()
    found = {}
    for one in (path, *path.rglob("*")):
        with suppress(FileNotFoundError):
            status = one.lstat()
            if not S_ISDIR(status.st_mode):
                links[status.st_dev, status.st_ino] += 1
                found[status.st_dev, status.st_ino] = status
    return sum(status.st_size for file, status in found.items() if links[file] == status.st_nlink)
