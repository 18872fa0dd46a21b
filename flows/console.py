"""What a run shows while it runs: a progress bar on a terminal, plain lines elsewhere. All of it on standard error."""

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tasks.stage import Done, Tracker

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


@dataclass(slots=True)
class Show:
    """Tells a person of stages, steps and epochs, and passes figures on to the tracker."""

    tracker: Tracker
    _bar: "Progress | None" = None
    _task: "TaskID | None" = None
    _name: str = ""
    _started: float = field(default_factory=time.monotonic)

    def metrics(self, values: Mapping[str, float], *, step: int) -> None:
        """Pass on the figures of an epoch; without a terminal they make a line."""
        self.tracker.metrics(values, step=step)
        if self._bar is None:
            figures = "  ".join(f"{name.partition('.')[2]} {value:.4g}" for name, value in values.items())
            self.line(f"  {next(iter(values)).partition('.')[0]} epoch {step + 1}: {figures}")

    def progress(self, name: str, step: int, steps: int) -> None:
        """Move the bar."""
        if not sys.stderr.isatty():
            return
        bar = self._bar or self._open()
        if name != self._name or self._task is None:
            self._name, self._task = name, bar.add_task(name, total=steps)
        bar.update(self._task, completed=step, total=steps)

    def stage(self, done: Done[object]) -> None:
        """Say that a stage is done, and keep its figures."""
        self.close()
        self.line(f"{'cached' if done.cached else f'{done.seconds:5.1f} s':>8}  {done.label}")
        if done.cached and hasattr(done.outputs, "curves"):
            for step, values in enumerate(done.outputs.curves()):
                self.tracker.metrics(values, step=step)
        if hasattr(done.outputs, "figures"):
            self.tracker.metrics(done.outputs.figures(), step=0)

    def line(self, text: str) -> None:
        """Write one line."""
        (self._bar.console.print if self._bar else lambda text: sys.stderr.write(f"{text}\n"))(text)
        sys.stderr.flush()

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar, self._task = None, None

    def _open(self) -> "Progress":
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("          {task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self._bar.start()
        return self._bar
