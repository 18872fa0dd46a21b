"""What a user's network loads beside what its key counts is refused, and doesn't change what is found later."""

import sys
from collections.abc import Iterator
from importlib import import_module, invalidate_caches
from pathlib import Path

import pytest

from components.errors import Refusal
from components.planning.loaded import only_counted
from tests.components.planning.written import NUMBER, Code

BY_PATH = "import sys\nsys.path.insert(0, {lib!r})\nfrom {name}_layers import block\nNet = block"
BY_LOCATE = "from pydoc import locate\nNet = locate('{name}.blocks.block')"
BY_HAND = """
import sys
from importlib.util import module_from_spec, spec_from_file_location
spec = spec_from_file_location("{name}_layers", {lib!r} + "/{name}_layers.py")
sys.modules[spec.name] = module_from_spec(spec)
spec.loader.exec_module(sys.modules[spec.name])
Net = sys.modules[spec.name].block
"""
COMPILED = """
import torch
Net = torch.compile(lambda x: x.sin() + 1)
Net(torch.ones(8))
Net = 1
"""
PLAIN = "import json, sklearn\nfrom {name} import blocks\nimport {name}_beside.inner as inner\nNet = blocks.block"
COMPUTED = "import importlib\nNet = importlib.import_module('{name}.' + 'blocks').block"


@pytest.fixture
def name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package of the user's, one beside it that has no __init__.py, and a folder that isn't on the path."""
    name = f"loads{next(NUMBER)}"
    for path in (f"{name}/__init__", f"{name}/blocks", f"{name}_beside/inner", f"lib/{name}_layers"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / f"{path}.py").write_text("block = 1")
    monkeypatch.syspath_prepend(tmp_path)
    yield name
    for one in [one for one in sys.modules if one.startswith(name)]:
        del sys.modules[one]


def load(name: str, text: str, folder: Path) -> None:
    (folder / name / "net.py").write_text(text.format(name=name, lib=str(folder / "lib")))
    invalidate_caches()
    with only_counted(f"{name}.net:Net"):
        import_module(f"{name}.net")


@pytest.mark.parametrize(
    ("text", "named"),
    [(BY_PATH, "{}_layers"), (BY_LOCATE, "{}.blocks"), (BY_HAND, "{}_layers")],
)
def test_a_module_that_no_key_counts_is_refused_each_time(name: str, tmp_path: Path, text: str, named: str) -> None:
    for _ in range(2):
        with pytest.raises(Refusal, match=rf"{name}.net:Net loads what .*: {named.format(name)} \("):
            load(name, text, tmp_path)


@pytest.mark.parametrize("text", [PLAIN, COMPUTED, pytest.param(COMPILED, marks=pytest.mark.slow)])
def test_what_the_key_counts_is_loaded(name: str, tmp_path: Path, text: str) -> None:
    load(name, text, tmp_path)
    assert vars(import_module(f"{name}.net"))["Net"] == 1


def test_sys_path_is_put_back(name: str, tmp_path: Path) -> None:
    before = list(sys.path)
    load(name, "import sys\nsys.path.insert(0, {lib!r})\nNet = 1", tmp_path)
    assert sys.path == before


def test_what_was_imported_decides_nothing_of_the_key(
    code: Code, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code.write("main", "def stage(): return 1")
    (tmp_path / name / "net.py").write_text(f"try: from {name}_layers import Net\nexcept ImportError: Net = 1")
    before = code.digests(also=(f"{name}.net:Net",))
    with monkeypatch.context() as patch:
        patch.syspath_prepend(tmp_path / "lib")
        import_module(f"{name}.net")
    assert f"{name}_layers" in sys.modules
    assert code.digests(also=(f"{name}.net:Net",)) == before
