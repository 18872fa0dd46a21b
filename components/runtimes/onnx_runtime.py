"""onnxruntime on the CPU."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from components.data.rows import Array
from components.errors import refuse

_ERRORS_ONLY = 3  # severity of what the library itself logs


class OnnxRuntimeSession:
    """A model in onnxruntime, with threads of its own."""

    def __init__(self, model: Path | bytes, *, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # others need the cores as well
        source = model if isinstance(model, bytes) else str(model)
        self._session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        self.inputs: tuple[str, ...] = tuple(value.name for value in self._session.get_inputs())
        self.outputs: tuple[str, ...] = tuple(value.name for value in self._session.get_outputs())

    def run(self, feeds: Mapping[str, Array]) -> npt.NDArray[np.floating]:
        """Return the first output [N, K] for one batch."""
        return self._session.run(self.outputs[:1], feeds)[0]  # type: ignore[no-any-return]

    def run_all(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Return every output by name."""
        return dict(zip(self.outputs, self._session.run(None, feeds), strict=True))


def open_onnxruntime(path: Path, *, threads: int = 1) -> OnnxRuntimeSession:
    """Open a file.

    Raises: Refusal where the file isn't a model that onnxruntime can run.
    """
    try:
        return OnnxRuntimeSession(path, threads=threads)
    except Exception as error:  # the library's exceptions have no common type of their own
        raise refuse(f"onnxruntime can't open {path.name}: {str(error).splitlines()[0][:200]}") from error
