"""What a run shows while it runs: what it is at, on a terminal; plain lines elsewhere. All of it on standard error."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from components.figure import figure
from tasks.perform import Done
from tasks.tracker import Figures

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


LONG_SECONDS: Final = 60.0  # of which people want to be told
SURE_SECONDS: Final = 10.0  # by which a pace is known: a process is slower while it warms up
QUIET_SECONDS: Final = 30.0  # after which work that has no epochs says what it is at


@dataclass(slots=True)
class Pace:
    """How fast a training goes, to say once how long it will take: when an epoch has ended, or a minute has gone."""

    _since: tuple[int, float] | None = None  # a step, and when it was done
    _step: int = 0
    _steps: int = 0
    _partial: bool = False  # the epoch was begun by another process: its end, with all of validation, tells no pace
    _told: bool = False
    _spoke: float | None = None  # when it was said what the work is at

    def step(self, step: int, steps: int, what: str = "") -> tuple[str, ...]:
        """Note that so many of the steps are done. Return lines in the middle of an epoch, or work, that takes long."""
        self._step, self._steps, now = step, steps, time.monotonic()
        if self._since is None:
            self._since, self._partial = (step, now), step > 1
        self._spoke = now if self._spoke is None else self._spoke
        lines: tuple[str, ...] = ()
        if what and now - self._spoke >= QUIET_SECONDS:
            self._spoke, lines = now, (f"{'':10}{what}",)
        return (*lines, *self._line()) if now - self._since[1] > LONG_SECONDS else lines

    def told(self) -> tuple[str, ...]:
        """Return a line at the end of an epoch, the first time that it can be told, if it will take long."""
        if self._since is None or not (self._partial or self._step == self._since[0]):
            return self._line()
        self._since, self._partial = (self._step, time.monotonic()), False  # counted from here: the next one is whole
        return ()

    def _line(self) -> tuple[str, ...]:
        since, now = self._since, time.monotonic()
        if self._told or since is None or self._step == since[0] or now - since[1] < SURE_SECONDS:
            return ()
        self._told = True
        left = (self._steps - self._step) * (now - since[1]) / (self._step - since[0])
        return (f"{'':10}at this pace it takes about {_long(left)} more",) if left > LONG_SECONDS else ()


@dataclass(slots=True)
class Show:
    """Tells a person of stages, steps and epochs, and passes figures on to where they are kept."""

    kept: Figures
    started: float = field(default_factory=time.monotonic)
    _in_stages: float = 0.0  # seconds, of waiting for workers too
    _began: float = 0.0  # the stage that is being done
    _bar: "Progress | None" = None
    _task: "TaskID | None" = None
    _pace: Pace = field(default_factory=Pace)

    def metrics(self, values: Mapping[str, float], *, step: int) -> None:
        """Pass on the figures of an epoch; without a terminal they make a line, the first with how long it takes."""
        self.kept.metrics(values, step=step)
        if not sys.stderr.isatty():
            for line in (epoch_line(values, step=step), *self._pace.told()):
                self.say(line)

    def past(self, name: str, epochs: Sequence[Mapping[str, float]], *, step: int) -> None:
        """Pass on what a killed run had done already, and say where it goes on."""
        for epoch, values in enumerate(epochs):
            self.kept.metrics(values, step=epoch)
        self.say(resumed_line(name, epochs=len(epochs), step=step))

    def progress(self, step: int, steps: int, what: str = "") -> None:
        """Move the bar."""
        for line in self._pace.step(step, steps, what):
            if not sys.stderr.isatty():
                self.say(line)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=step, total=steps)

    def begins(self, label: str) -> None:
        """Show what is being done, on a terminal."""
        self._began, self._pace = time.monotonic(), Pace()
        if sys.stderr.isatty():
            self._bar = _live()
            self._task = self._bar.add_task(label, total=None)
            self._bar.start()

    def ends(self, done: Done[object]) -> None:
        """Say that a stage is done, and keep its figures."""
        self.close()
        self._in_stages += time.monotonic() - self._began
        told = f": {done.outputs.told()}" if hasattr(done.outputs, "told") else ""
        self.say(f"{'cached' if done.cached else f'{done.seconds:5.1f} s':>8}  {done.label}{told}")
        if done.cached and hasattr(done.outputs, "curves"):
            for step, values in enumerate(done.outputs.curves()):
                self.kept.metrics(values, step=step)
        if hasattr(done.outputs, "figures"):
            self.kept.metrics(done.outputs.figures(), step=0)

    def say(self, text: str) -> None:
        """Write one line."""
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False)
        else:
            _line(text)

    def total(self) -> None:
        """Say how long all of it took: the stages, and what Prefect and MLflow need before and after them."""
        self.say(f"{time.monotonic() - self.started:6.1f} s  in all, {self._in_stages:.1f} s of it in stages")

    def close(self) -> None:
        """Take what is live away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar, self._task = None, None


def _long(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def epoch_line(values: Mapping[str, float], *, step: int) -> str:
    """Say the figures of an epoch, counted from 0."""
    figures = "  ".join(f"{name.partition('.')[2]} {figure(value)}" for name, value in values.items())
    return f"  {next(iter(values)).partition('.')[0]} epoch {step + 1}: {figures}"


def resumed_line(name: str, *, epochs: int, step: int) -> str:
    """Say where an interrupted training goes on: after so many epochs, and steps of the next one."""
    return f"{'':10}{name} goes on from epoch {epochs + 1}, step {step + 1}"


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show what is waited for, while it lasts: a spinner on a terminal, a line elsewhere; and then how long it took."""
    started = time.monotonic()
    if sys.stderr.isatty():
        with _live() as bar:
            bar.add_task(what, total=None)
            yield
    else:
        tell(what)
        yield
    _line(f"{time.monotonic() - started:6.1f} s  {what}")


@contextmanager
def in_turn(first: str) -> Iterator[Callable[[str], None]]:
    """Show one thing after another while it lasts: in one line that moves on a terminal, a line each elsewhere."""
    if not sys.stderr.isatty():
        yield tell
        return
    with _live() as bar:
        task = bar.add_task(first, total=None)
        yield lambda what: bar.reset(task, description=what)


def tell(what: str) -> None:
    """Say what is at hand in a line of its own."""
    _line(f"{'':10}{what}")


def _line(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _live() -> "Progress":
    """Return a line that moves: a spinner, what is done and for how long, and a bar once its length is known."""
    from rich.console import Console, RenderableType
    from rich.progress import (
        BarColumn,
        Progress,
        ProgressColumn,
        SpinnerColumn,
        Task,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Bar(ProgressColumn):
        """A bar, once the length of the work is known."""

        bar = BarColumn(bar_width=30)

        def render(self, task: Task) -> RenderableType:
            return "" if task.total is None else self.bar(task)

    class Left(TimeRemainingColumn):
        """How long it still takes, once that can be told."""

        def render(self, task: Task) -> Text:
            return Text() if task.time_remaining is None else super().render(task).append(" left")

    columns = (
        TextColumn(" "),
        SpinnerColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
        Bar(),
        TaskProgressColumn(),
        Left(),
    )
    return Progress(*columns, console=Console(stderr=True), transient=True, refresh_per_second=5)
