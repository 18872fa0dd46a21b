"""What runs a released model, by name.

N rows, K outputs. A runtime is a function that opens a file; the session that it returns answers feeds.
"""

from pathlib import Path
from typing import Protocol

from components.runtimes.feeds import Session
from components.runtimes.onnx_runtime import open_onnxruntime
from components.table import Table


class Runtime(Protocol):
    """Opens a model file with a fixed number of CPU threads."""

    def __call__(self, path: Path, *, threads: int = 1) -> Session:
        """Return a session on the file. Raises: Refusal where this runtime can't run it."""
        ...


RUNTIMES: Table[Runtime] = Table("runtime", {"onnxruntime": open_onnxruntime})
