"""Code in a version's folder that wasn't released with it, and that Python might run when the version is loaded.

Python takes the code that it compiled earlier (`__pycache__/served.cpython-311.pyc`) for that of `served.py`, and where
that file's first bytes say so, it doesn't look whether it is. They aren't believed: the source is compiled again.
"""

import importlib.util
import marshal
import re
from collections.abc import Collection
from pathlib import Path
from typing import Final

from components.release.compiled import plain

RUN: Final = (".py", ".pyw", ".pyc", ".pyo", ".so", ".pyd", ".dll", ".dylib", ".pth")  # by Python, or loaded by it
_COMPILED: Final = re.compile(r"(?P<module>[^.]+)\.(?P<tag>[^.]+)(?:\.opt-(?P<level>[12]))?\.pyc")
_HEADER: Final = 16  # bytes of a .pyc before its code: a magic number of the Python, flags, time and size or a hash


def foreign_code(folder: Path, *, released: Collection[str]) -> list[str]:
    """Return the paths of the code in a version's folder that isn't of the release, but for what Python left there.

    What it left is the code of a source beside it, compiled by the Python of now. That of another Python can't be told
    from a stranger's.
    """
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix.lower() in RUN)
    added = (path for path in files if path.relative_to(folder).as_posix() not in released)
    return [path.relative_to(folder).as_posix() for path in added if not _is_of_its_source(path)]


def _is_of_its_source(path: Path) -> bool:
    """Say whether it is where Python keeps what it compiled, and the code of the source that lies beside that."""
    named = _COMPILED.fullmatch(path.name)
    if named is None or path.parent.name != "__pycache__":
        return False
    source = path.parent.parent / f"{named['module']}.py"
    content = path.read_bytes()
    if not source.is_file() or content[:4] != importlib.util.MAGIC_NUMBER:
        return False
    try:
        made = compile(source.read_bytes(), "", "exec", dont_inherit=True, optimize=int(named["level"] or 0))
        return plain(content[_HEADER:]) == plain(marshal.dumps(made))
    except (ValueError, SyntaxError):
        return False
