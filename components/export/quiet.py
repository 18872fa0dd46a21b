"""What exporters and converters print stays away from users; of their errors, the line that says something."""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout


def last_line(error: BaseException) -> str:
    """Return the line of the innermost error that says what was wrong, without the dumps around it."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines()]
    told = [line for line in lines if line and not line.startswith(("File ", "Original traceback", "from user code"))]
    return f"{type(error).__name__}: {told[0] if told else 'no message'}"[:300]


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what the exporters and converters print and log away from the user."""
    loggers = [logging.getLogger(name) for name in ("torch", "torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
