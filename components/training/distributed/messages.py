"""What the first process tells its parent while it trains: lines of JSON on its standard output."""

import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from time import monotonic
from typing import Final, TextIO

from components.training.watch import Observer

log = logging.getLogger(__name__)
APART_SECONDS: Final = 0.1  # steps are told in bunches: a parent that wakes up for each takes a core's time from them


class Teller(logging.Handler):
    """An observer, and a handler of log records, that writes down what it is told."""

    def __init__(self, line: TextIO) -> None:
        super().__init__(logging.INFO)
        self.line, self.told = line, monotonic()

    def resumed(self, epochs: Sequence[Mapping[str, float]], *, step: int) -> None:
        """Tell at once."""
        self._tell("resumed", list(epochs), step)

    def step(self, *, step: int, steps: int) -> None:
        """Tell soon."""
        self._tell("step", step, steps, at_once=monotonic() - self.told >= APART_SECONDS)

    def epoch(self, metrics: Mapping[str, float], *, epoch: int) -> None:
        """Tell at once."""
        self._tell("epoch", dict(metrics), epoch)

    def emit(self, record: logging.LogRecord) -> None:
        """Tell at once."""
        self._tell("log", record.levelno, record.name, record.getMessage())

    def _tell(self, kind: str, *values: object, at_once: bool = True) -> None:
        self.line.write(json.dumps([kind, *values]) + "\n")
        if at_once:
            self.line.flush()
            self.told = monotonic()


def hear(line: str, observer: Observer) -> None:
    """Pass on a line of the teller's; what else was printed there is only logged."""
    try:
        said: object = json.loads(line)
    except ValueError:
        said = line.rstrip()
    match said:
        case ["resumed", list(epochs), int(step)]:
            observer.resumed(epochs, step=step)
        case ["step", int(step), int(steps)]:
            observer.step(step=step, steps=steps)
        case ["epoch", dict(metrics), int(epoch)]:
            observer.epoch(metrics, epoch=epoch)
        case ["log", int(level), str(name), str(text)]:
            logging.getLogger(name).log(level, "%s", text)
        case _:
            log.info("%s", said)


def own_output() -> TextIO:
    """Return standard output for messages alone: what a network prints goes to standard error from now on."""
    line = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return line
