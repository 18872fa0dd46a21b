"""A folder with a recipe, a home, and the command line called in it."""

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import PIPE
from typing import Any
from unittest.mock import patch

from flows.cli import main
from flows.servers import backend
from tests.servers.prefect import shared_server


@dataclass(frozen=True, slots=True)
class Told:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out.splitlines()[-1])

    def refused(self, *words: str) -> bool:
        """Whether it was refused as the command line promises, and the message says all of these words."""
        assert "Traceback" not in self.err, self.err
        assert self.code == 2, self
        assert self.err.startswith("refused: "), self.err
        return all(word in self.err for word in words)


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    folder: Path
    home: Path
    told: dict[str, Told] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)  # environment variables

    def variables(self) -> dict[str, str]:
        return {**os.environ, **self.settings, "STEELYARD_HOME": str(self.home), "OMP_NUM_THREADS": "1"}

    def child(self, *arguments: str, code: int = 0) -> Told:
        """Call the command line in a process of its own."""
        command = [sys.executable, "-P", "-m", "flows.start", *arguments]
        told = subprocess.run(
            command, cwd=self.folder, env=self.variables(), capture_output=True, text=True, timeout=600, check=False
        )
        assert told.returncode == code, told.stderr[-3000:]
        return Told(told.returncode, told.stdout, told.stderr)

    def watched(self, *arguments: str, at: Mapping[str, Callable[[], object]]) -> Told:
        """Call it in a process of its own, and do something the first time that it says these words."""
        command, left, said = [sys.executable, "-P", "-m", "flows.start", *arguments], dict(at), []
        with subprocess.Popen(
            command, cwd=self.folder, env=self.variables(), stdout=PIPE, stderr=PIPE, text=True
        ) as child:
            assert child.stdout is not None
            assert child.stderr is not None
            try:
                for line in child.stderr:
                    said.append(line)
                    for words in [words for words in left if words in line]:
                        left.pop(words)()
                out = child.stdout.read()
            except BaseException:
                child.kill()
                raise
        assert not left, "".join(said)
        return Told(child.returncode, out, "".join(said))

    @contextmanager
    def begun(self, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
        """Begin the command line in a process of its own; it is killed where it hasn't ended by itself."""
        command = [sys.executable, "-P", "-m", "flows.start", *arguments]
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(command, cwd=self.folder, env=self.variables(), stdout=quiet, stderr=quiet)
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def call(self, *arguments: str, code: int | None = None) -> Told:
        """Call the command line in this process: quicker, since libraries are loaded and a Prefect server is there."""
        out, err = io.StringIO(), io.StringIO()
        with _undone(arguments, self.variables()), chdir(self.folder), redirect_stdout(out), redirect_stderr(err):
            try:
                main()
            except SystemExit as end:
                returned = end.code
        assert isinstance(returned, int)
        assert code in (None, returned), err.getvalue()[-3000:]
        return Told(returned, out.getvalue(), err.getvalue())


@contextmanager
def _undone(arguments: tuple[str, ...], variables: dict[str, str]) -> Iterator[None]:
    before, argv = dict(os.environ), sys.argv
    handlers = {sig: signal.getsignal(sig) for sig in (signal.SIGINT, signal.SIGTERM)}
    os.environ.clear()
    os.environ.update(variables)
    sys.argv = ["steelyard", *arguments]
    try:
        with patch.object(backend, "temporary", lambda _home: shared_server()):
            yield
    finally:
        sys.argv = argv
        for sig, handler in handlers.items():
            signal.signal(sig, handler)
        os.environ.clear()
        os.environ.update(before)


def flip(file: Path) -> None:
    """Change one bit in the middle of a file, and leave its time as it was."""
    mode, status = file.stat().st_mode, file.stat()
    file.chmod(0o644)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    file.chmod(mode)
