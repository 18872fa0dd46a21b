"""How a person calls this command line: hints that are to be copied say it as it works here."""

import shutil
import sys
from pathlib import Path


def called() -> str:
    """Return its name where the shell finds it, else the path by which it was called."""
    path = Path(sys.argv[0])
    if path.name != "steelyard" or shutil.which("steelyard"):
        return "steelyard"
    return str(path.relative_to(Path.cwd()) if path.is_absolute() and path.is_relative_to(Path.cwd()) else path)
