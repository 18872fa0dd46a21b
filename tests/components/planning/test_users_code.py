"""A user's own modules count whole, with what they import."""

import importlib
from importlib.metadata import version
from pathlib import Path

import pytest

from components.errors import Refusal
from tests.components.planning.written import NUMBER, Code


@pytest.fixture
def user(code: Code, tmp_path: Path) -> str:
    """A user's package beside a stage that doesn't name it, as networks are named by the recipe."""
    code.write("main", "def stage(): return 1")
    name = f"user{next(NUMBER)}"
    (tmp_path / name / "blocks").mkdir(parents=True)
    (tmp_path / f"{name}_beside.py").write_text("def beside(): return 5")
    for path, text in {
        "__init__": "BEGUN = 6",
        "net": f"from .blocks import block\nimport {name}_beside\ndef Net(): return block.make()\ndef other(): return 2",
        "blocks/__init__": "STARTED = 3",
        "blocks/block": "import json\ndef make(): return 1\n",
        "script": "print(4)",
    }.items():
        (tmp_path / name / f"{path}.py").write_text(text)
    importlib.invalidate_caches()
    return name


@pytest.mark.parametrize(
    ("path", "old", "counts"),
    [
        ("{}/net.py", "block.make()", True),
        ("{}/net.py", "return 2", True),  # they may call it by any means
        ("{}/__init__.py", "BEGUN = 6", True),  # runs before the module, which doesn't name it
        ("{}/blocks/__init__.py", "STARTED = 3", True),
        ("{}/blocks/block.py", "return 1", True),
        ("{}_beside.py", "return 5", True),
        ("{}/script.py", "print(4)", False),
    ],
)
def test_the_users_modules_count_whole(
    code: Code, user: str, tmp_path: Path, path: str, old: str, counts: bool
) -> None:
    file, also = tmp_path / path.format(user), (f"{user}.net:Net",)
    before = code.digests(also=also)
    file.write_text(file.read_text().replace(old, old + " or 0"))
    assert (code.digests(also=also) != before) is counts


def test_the_libraries_that_the_users_code_imports_count_by_their_versions(
    code: Code, user: str, tmp_path: Path
) -> None:
    (tmp_path / user / "net.py").write_text("import json, numpy.linalg\nfrom sklearn import svm\nclass Net: pass")
    counted = {name: said for name, said in code.digests(also=(f"{user}.net:Net",)).items() if "(installed)" in name}
    assert counted == {
        "numpy (installed)": version("numpy"),
        "sklearn (installed)": f"scikit-learn {version('scikit-learn')}",
    }


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("from importlib import import_module\nNet = import_module('x' + 'y')", True),
        ("from importlib import import_module as load\nNet = load('x' + 'y')", True),
        ("from importlib import *\nNet = import_module('x' + 'y')", True),
        ("import importlib\nNet = importlib.import_module('x' + 'y')", True),
        ("import importlib as il\nNet = il.import_module('x' + 'y')", True),
        ("import importlib as il\nload = il.import_module\nNet = load('x' + 'y')", True),
        ("def Net():\n    import importlib as il\n    return il.import_module('x' + 'y')", True),
        (
            "import importlib.metadata as m, importlib.util as u\nNet = u.find_spec('x' + 'y').loader.load_module()",
            True,
        ),
        ("from importlib.machinery import SourceFileLoader as Load\nNet = Load('x', 'y').load_module()", True),
        ("import importlib.metadata\nNet = importlib.import_module('x' + 'y')", True),
        ("Net = __import__('x' + 'y')", True),
        ("load = __import__\nNet = load('x' + 'y')", True),
        ("import builtins as b\nNet = b.__import__('x' + 'y')", True),
        ("import builtins\nNet = getattr(builtins, '__import__')('x' + 'y')", True),
        ("import runpy as r\nNet = r.run_module('x' + 'y')", True),
        ("from runpy import run_path as run\nNet = run('x' + 'y')", True),
        ("import pkgutil\nNet = pkgutil.resolve_name('x' + 'y')", True),
        ("from importlib.metadata import version\nNet = version('numpy')", False),
        ("from importlib.resources import files\nNet = files('numpy')", False),
    ],
)
def test_a_user_who_may_import_by_computed_names_has_the_whole_package_counted(
    code: Code, user: str, tmp_path: Path, text: str, counts: bool
) -> None:
    also = (f"{user}.net:Net",)
    (tmp_path / user / "net.py").write_text(text)
    before = code.digests(also=also)
    (tmp_path / user / "script.py").write_text("print(44)")
    assert (code.digests(also=also) != before) is counts


def test_a_module_in_no_package_has_those_beside_it_counted_where_it_may_import_by_computed_names(
    code: Code, user: str, tmp_path: Path
) -> None:
    alone = tmp_path / f"{user}_alone.py"
    alone.write_text("import importlib\nNet = importlib.import_module('x' + 'y')")
    assert {f"{user}_alone", f"{user}_beside"} <= set(code.digests(also=(f"{user}_alone:Net",)))


def test_packages_without_init_count_as_others_do(code: Code, user: str, tmp_path: Path) -> None:
    for path, text in {
        "one/net": f"import importlib\nimport {user}_two.deep.b\nNet = importlib.import_module('x' + 'y')",
        "one/deep/a": "",
        "two/deep/b": "",
        "two/c": "",
    }.items():
        file = tmp_path / f"{user}_{path}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    importlib.invalidate_caches()
    counted = {one for one in code.digests(also=(f"{user}_one.net:Net",)) if one.startswith(user)}
    assert counted == {f"{user}_one.net", f"{user}_one.deep.a", f"{user}_two.deep.b"}


@pytest.mark.parametrize("also", ["nowhere.to_be:Found", "{}.net:Nets", "{}.broken:Net"])
def test_user_code_that_is_not_there_or_not_python_is_refused(code: Code, user: str, tmp_path: Path, also: str) -> None:
    (tmp_path / user / "broken.py").write_text("def Net(:")
    with pytest.raises(Refusal):
        code.digests(also=(also.format(user),))


def test_a_network_that_is_not_there_names_what_is(code: Code, user: str, tmp_path: Path) -> None:
    (tmp_path / user / "mine.py").write_text("import os\nWIDTH = 3\nclass Net: ...\ndef wide(): ...\ndef _own(): ...\n")
    with pytest.raises(Refusal) as refused:
        code.digests(also=(f"{user}.mine:Zzzz",))
    (found,) = refused.value.problems
    assert (found.what, found.allowed) == (f"{user}.mine has no 'Zzzz'", "Net, wide")
    assert found.do == "name one of these behind the colon, or write it there"
