"""Code beside a version that may answer in its place is told from what Python leaves there by itself."""

import importlib.util
import py_compile
from importlib.machinery import SourceFileLoader
from pathlib import Path
from py_compile import PycInvalidationMode

import pytest

from components.release import served
from components.release.files import check
from components.release.foreign import foreign_code

RELEASED = {"served.py": "digest", "MLmodel": "digest"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "served.py").write_bytes(Path(served.__file__).read_bytes())
    (tmp_path / "MLmodel").write_text("flavors: {}")
    return tmp_path


def compiled(folder: Path, *, more: str, mode: PycInvalidationMode, level: int = -1) -> str:
    """Leave a .pyc of the source and something more, and return its path in the folder."""
    source, name = folder.parent / "elsewhere.py", importlib.util.cache_from_source(str(folder / "served.py"))
    source.write_text((folder / "served.py").read_text() + more)
    if level > 0:
        name = importlib.util.cache_from_source(str(folder / "served.py"), optimization=level)
    py_compile.compile(str(source), cfile=name, invalidation_mode=mode, optimize=level, doraise=True)
    source.unlink()
    return Path(name).relative_to(folder).as_posix()


@pytest.mark.parametrize("mode", PycInvalidationMode)
def test_compiled_code_of_a_stranger_is_foreign_whatever_its_header_says(
    folder: Path, mode: PycInvalidationMode
) -> None:
    name = compiled(folder, more="\nprint('a stranger')\n", mode=mode)
    assert foreign_code(folder, released=RELEASED) == [name]


@pytest.mark.parametrize("mode", PycInvalidationMode)
@pytest.mark.parametrize("level", [-1, 1, 2])
def test_compiled_code_of_the_source_is_harmless(folder: Path, mode: PycInvalidationMode, level: int) -> None:
    compiled(folder, more="", mode=mode, level=level)
    assert foreign_code(folder, released=RELEASED) == []


def test_what_python_leaves_by_itself_is_harmless_until_the_source_changes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.dont_write_bytecode", False)
    SourceFileLoader("served_here", str(folder / "served.py")).get_code("served_here")
    (left,) = folder.glob("__pycache__/*.pyc")
    assert foreign_code(folder, released=RELEASED) == []
    (folder / "served.py").write_text("print('another')")
    assert foreign_code(folder, released=RELEASED) == [f"__pycache__/{left.name}"]


@pytest.mark.parametrize(
    "name",
    [
        "numpy.py",
        "numpy/__init__.py",
        "artifacts/onnxruntime.so",
        "own.pth",
        "served.pyc",
        "__pycache__/served.pyc",
        "__pycache__/served.cpython-311.pyc",
        "__pycache__/gone.cpython-311.pyc",
        "NUMPY.PY",
    ],
)
@pytest.mark.parametrize("content", [b"", importlib.util.MAGIC_NUMBER + b"\0" * 12 + b"junk"])
def test_whatever_python_might_run_is_foreign(folder: Path, name: str, content: bytes) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    assert foreign_code(folder, released=RELEASED) == [name]


def test_what_is_no_code_is_left_alone(folder: Path) -> None:
    (folder / "notes.txt").write_text("import os")
    assert foreign_code(folder, released=RELEASED) == []


def test_foreign_code_breaks_the_files_and_is_named() -> None:
    found = check(RELEASED, released=RELEASED, code=["numpy.py"])
    assert (found.status, found.text.startswith("numpy.py: not of the release, and code")) == ("broken", True)
