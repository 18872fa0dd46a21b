"""A package that is written to a folder on sys.path and read by the closure, never imported."""

import importlib
import itertools
import textwrap
from pathlib import Path

from components.planning.closure import code_of

NUMBER = itertools.count()


class Code:
    """A package of files, and the digests of what `main:stage` in it reaches."""

    def __init__(self, root: Path) -> None:
        self.name = f"pack{next(NUMBER)}"
        self.folder = root / self.name
        self.folder.mkdir()
        self.write("__init__", "")

    def write(self, module: str, text: str) -> None:
        path = self.folder / f"{module}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        for folder in path.relative_to(self.folder).parents:
            (self.folder / folder / "__init__.py").touch()
        path.write_text(textwrap.dedent(text).replace("PACK", self.name))
        importlib.invalidate_caches()

    def digests(self, *named: str, also: tuple[str, ...] = (), types: tuple[str, ...] = ()) -> dict[str, str]:
        return code_of(f"{self.name}.main:stage", named=set(named), also=also, types=types)

    def changes(self, module: str, old: str, new: str, *named: str, types: tuple[str, ...] = ()) -> bool:
        """Say whether replacing the text in the module changes the digests. It is put back afterwards."""
        path = self.folder / f"{module}.py"
        text = path.read_text()
        assert old in text
        before = self.digests(*named, types=types)
        path.write_text(text.replace(old, new))
        after = self.digests(*named, types=types)
        path.write_text(text)
        return before != after
