"""What a user's network loads when it is imported and built, compared with what its stage's key counts.

The key is computed from the source alone, so it can't see what is found through a changed `sys.path` or by a computed
name. It would stay the same when that changed.

Seen is what is in `sys.modules` afterwards: not a file that is read, or run without being put there.
"""

import sys
import sysconfig
from collections.abc import Iterator, Set
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from components.errors import refuse
from components.planning.closure import FIRST_PARTY, is_installed, users_files

OURS = FIRST_PARTY | {"flows"}


@contextmanager
def only_counted(target: str) -> Iterator[None]:
    """Refuse modules that the block loads for `module:name` and that no key counts. sys.path stays as it was.

    After any exception the modules are forgotten: else a second attempt would find nothing new.

    Raises:
        Refusal: it loads such modules.
    """
    before = set(sys.modules)
    try:
        with _same_path():
            yield
        _check(target, _new(before))
    except BaseException:
        for name in _new(before):
            del sys.modules[name]
        raise


@contextmanager
def _same_path() -> Iterator[None]:
    path = list(sys.path)
    try:
        yield
    finally:
        sys.path[:] = path


def _check(target: str, new: dict[str, Path]) -> None:
    if not new:
        return
    counted = users_files(target)
    unseen = sorted(f"{name} ({file})" for name, file in new.items() if file.resolve() not in counted)
    if unseen:
        what = f"{target} loads what would change unnoticed: {', '.join(unseen[:5])}"
        do = "lay it beside the network and write a plain `import` of it, or install it as a package (docs/networks.md)"
        raise refuse(what, where="network.path", do=do)


def _new(before: Set[str]) -> dict[str, Path]:
    """Return the files of modules that are neither Python's, nor a library's, nor ours."""
    files = {name: _file(sys.modules.get(name)) for name in set(sys.modules) - before}
    return {name: file for name, file in files.items() if file is not None and _is_theirs(name, file)}


def _file(module: ModuleType | None) -> Path | None:
    file = getattr(module, "__file__", None)
    return Path(file) if isinstance(file, str) else None


def _is_theirs(name: str, file: Path) -> bool:
    """Say so of what was written by a person: what torch.compile makes is in packages of torch, or in none there is."""
    top = name.partition(".")[0]
    if top not in sys.modules or top in sys.stdlib_module_names or top in OURS:
        return False
    above = _file(sys.modules[top]) or file
    return not (is_installed(file) or is_installed(above) or file.is_relative_to(sysconfig.get_path("stdlib")))
