"""Figures on their way to a server: training never waits for it, and nothing is lost or doubled where it is away.

A thread sends them in batches, again and again until they are taken. What isn't taken lies in a file beside the run as
well, and a later process of the same home sends it. A point that was sent twice is one point to MLflow.
"""

import fcntl
import json
import logging
import os
import queue
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import TypeAlias

from components.locked import locked
from components.recipe_file import without_secrets

log = logging.getLogger(__name__)
Point: TypeAlias = tuple[str, float, int, int]  # name, value, milliseconds since 1970, step
BATCH = 1000  # points, the most that MLflow takes at once
FLUSH_SECONDS = 2.0
FILES = "unsent*.jsonl"  # in the folder of a run


@dataclass(slots=True)
class Sender:
    """Sends points by a function that raises where the server doesn't take them; `then` is called once it took some."""

    send: Callable[[Sequence[Point]], None]
    file: Path  # of what isn't taken yet
    then: Callable[[], None] = lambda: None
    _queue: "queue.SimpleQueue[Point | None]" = field(default_factory=queue.SimpleQueue)
    _waiting: list[Point] = field(default_factory=list)  # taken from the queue, and not by the server
    _written: int = 0  # of those that wait
    _away: bool = False
    _swept: bool = False  # `then` was called
    _ending: threading.Event = field(default_factory=threading.Event)
    _given_up: threading.Event = field(default_factory=threading.Event)
    _on_file: threading.RLock = field(default_factory=threading.RLock)
    _thread: threading.Thread | None = None

    def put(self, points: Iterable[Point]) -> None:
        """Queue the points. Returns at once, whatever the server does."""
        for point in points:
            self._queue.put(point)

    def start(self) -> None:
        """Start sending."""
        self._thread = threading.Thread(target=self._work, daemon=True, name="figures")
        self._thread.start()

    def finish(self, seconds: float) -> None:
        """Send what is queued, for so long at most. What is left then is written down."""
        self._ending.set()
        self._queue.put(None)
        if self._thread is not None:
            self._thread.join(seconds)
        with self._on_file:  # it may still be at an attempt, which may even come through: a point twice is one point
            self._given_up.set()
            if left := [*self._waiting, *self._drained()]:
                log.warning("%d figures could not be sent: a later run sends them from %s", len(left), self.file)
                self._write(left)

    def _work(self) -> None:
        while not self._given_up.is_set():
            self._collect()
            had = bool(self._waiting)
            if had and not self._swept:  # the first attempt loads MLflow, and may take as long as a short stage
                with self._on_file:
                    self._write(self._waiting)
            try:
                self._send_all()
            except Exception as error:
                if not self._away:
                    said = without_secrets(str(error))  # it names the address
                    log.warning("MLflow doesn't take figures (%s): they are kept and sent again", said)
                self._away = True
                with self._on_file:
                    if not self._given_up.is_set():
                        self._write(self._waiting)
                self._given_up.wait(FLUSH_SECONDS)
                continue
            if had and not self._swept:
                self._swept = True
                self.then()
            if self._ending.is_set() and self._queue.empty():
                return

    def _send_all(self) -> None:
        while self._waiting:
            batch = self._waiting[:BATCH]
            self.send(batch)
            with self._on_file:
                if self._given_up.is_set():
                    return
                self._waiting = self._waiting[len(batch) :]
                self._written = max(0, self._written - len(batch))
                if not self._waiting:
                    self._took_all()

    def _took_all(self) -> None:
        self.file.unlink(missing_ok=True)
        if self._away:
            log.warning("MLflow takes figures again: none is lost")
        self._away = False

    def _collect(self) -> None:
        """Move queued points to those that wait, for as long as a flush lasts, or until the end."""
        until = time.monotonic() + FLUSH_SECONDS
        while (left := until - time.monotonic()) > 0 and (self._away or len(self._waiting) < BATCH):
            try:
                point = self._queue.get(timeout=left)
            except queue.Empty:
                return
            if point is None:
                return
            self._waiting.append(point)

    def _drained(self) -> Iterator[Point]:
        while True:
            try:
                point = self._queue.get_nowait()
            except queue.Empty:
                return
            if point is not None:
                yield point

    def _write(self, points: Sequence[Point]) -> None:
        """Add to the file what isn't in it yet: a process may be killed while the server is away."""
        lines = "".join(json.dumps(point) + "\n" for point in points[self._written :])
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with locked(self.file) as file:
                _append(file, lines.encode())
        except OSError as error:  # a full disk: the run's own writes say so
            log.warning("figures can't be written beside the run either: %s", error)
        else:
            self._written = len(points)


def _append(file: FileIO, lines: bytes) -> None:
    """Append the lines, or none of them: what is appended later isn't to follow on half a line."""
    start, rest = file.seek(0, os.SEEK_END), memoryview(lines)
    try:
        while rest:  # a nearly full disk takes a part
            rest = rest[file.write(rest) :]
    except OSError:
        file.truncate(start)
        raise


@dataclass(frozen=True, slots=True)
class Unsent:
    """What earlier processes of a home left of one run."""

    run: str
    file: Path
    points: list[Point]


def unsent(runs: Path, *, but: Path) -> Iterator[Unsent]:
    """Yield what lies beside the runs of a home, but for one file. What can't be read is left alone.

    Each file is given a name of its own first: the process that writes it may be alive, and then begins another.
    """
    for file in sorted(runs.glob(f"*/{FILES}")):
        if file == but:
            continue
        try:
            taken = _taken(file)
        except (OSError, ValueError):  # it was sent by another process, or is damaged
            continue
        yield taken


def _taken(path: Path) -> Unsent:
    """Rename a file and read it. A killed process may have left half a line at its end."""
    file = path.rename(path.with_name(f"unsent-{uuid.uuid4().hex}.jsonl"))
    with file.open(encoding="utf-8") as lines:
        fcntl.flock(lines, fcntl.LOCK_EX)  # whoever writes to it just now does that to its end
        whole, _, _ = lines.read().rpartition("\n")
    return Unsent(run=file.parent.name, file=file, points=[_point(line) for line in whole.splitlines()])


def _point(line: str) -> Point:
    name, value, at, step = json.loads(line)
    return str(name), float(value), int(at), int(step)
