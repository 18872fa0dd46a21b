"""Packages are written to a folder on sys.path and read by the closure, never imported (but where a test says so)."""

import importlib
import subprocess
import sys
import textwrap

import pytest

from components.errors import Refusal
from components.planning.closure import code_of
from tests.components.planning.written import Code

HELPER = "def helper(x):\n    return x + 1\n\ndef unrelated(x):\n    return x + 1000\n"

# Ways by which `main` uses what `helper` in module `tools` (or `deep.tools`) does.
WAYS = {
    "a name": "from PACK.tools import helper\ndef stage(): return helper(1)",
    "a name by another name": "from PACK.tools import helper as h\ndef stage(): return h(1)",
    "a relative import": "from .tools import helper\ndef stage(): return helper(1)",
    "a module from a package": "from PACK import tools\ndef stage(): return tools.helper(1)",
    "a module from a dot": "from . import tools\ndef stage(): return tools.helper(1)",
    "a module by another name": "import PACK.tools as t\ndef stage(): return t.helper(1)",
    "a dotted import": "import PACK.tools\ndef stage(): return PACK.tools.helper(1)",
    "two dotted imports": "import PACK.tools\nimport PACK.other\ndef stage(): return PACK.tools.helper(1)",
    "a package, then its module": "import PACK.deep.tools\ndef stage(): return PACK.deep.tools.helper(1)",
    "a package's attribute": "from PACK import deep\nimport PACK.deep.tools\ndef stage(): return deep.tools.helper(1)",
    "a star": "from PACK.tools import *\ndef stage(): return helper(1)",
    "an import inside": "def stage():\n    from PACK.tools import helper\n    return helper(1)",
    "a module imported inside": "def stage():\n    from PACK import tools\n    return tools.helper(1)",
    "a dotted import inside": "def stage():\n    import PACK.tools\n    return PACK.tools.helper(1)",
    "a relative import inside": "def stage():\n    from . import tools\n    return tools.helper(1)",
    "a re-export": "from PACK.deep import helper\ndef stage(): return helper(1)",
    "a re-exported module": "from PACK.deep import again\ndef stage(): return again.helper(1)",
    "a star re-export": "from PACK.starry import helper\ndef stage(): return helper(1)",
    "a decorator": "from PACK.tools import helper\n@helper\ndef stage(): return 1",
    "a decorator's argument": "from PACK.tools import helper\ndef d(f): return f\n@d(helper)\ndef stage(): return 1",
    "a base class": "from PACK.tools import helper\nclass A(helper(object)): ...\ndef stage(): return A()",
    "a default": "from PACK.tools import helper\ndef stage(x=helper(1)): return x",
    "a constant": "from PACK.tools import helper\nONE = helper(0)\ndef stage(): return ONE",
    "several constants": "from PACK.tools import helper\nONE, (TWO, *REST) = helper(0)\ndef stage(): return REST",
    "an annotated constant": "from PACK.tools import helper\nONE: int = helper(0)\ndef stage(): return ONE",
    "a constant that grows": "from PACK.tools import helper\nALL = []\nALL += [helper]\ndef stage(): return ALL",
    "an item set afterwards": "from PACK.tools import helper\nALL = {}\nALL['a'] = helper\ndef stage(): return ALL",
    "an attribute set on a library": "import json\nfrom PACK.tools import helper\njson.dumps = helper\ndef stage(): return json",
    "a class attribute": "from PACK.tools import helper\nclass A:\n    f = helper\ndef stage(): return A.f(1)",
    "a method": "from PACK.tools import helper\nclass A:\n    def f(self): return helper(1)\ndef stage(): return A().f()",
    "a class pattern": "from PACK import tools\ndef stage(x):\n    match x:\n        case tools.helper(): return 1",
    "a value pattern": "from PACK import tools\ndef stage(x):\n    match x:\n        case tools.helper: return 1",
    "a lambda": "from PACK.tools import helper\nstep = lambda x: helper(x)\ndef stage(): return step(1)",
    "a comprehension": "from PACK.tools import helper\ndef stage(): return [helper(i) for i in range(3)]",
    "an f-string": "from PACK.tools import helper\ndef stage(): return f'{helper(1):>{helper(2)}}'",
    "a function passed on": "from PACK.tools import helper\ndef stage(): return map(helper, [1])",
    "a module passed on": "from PACK import tools\ndef stage(): return vars(tools)",
    "a nested function": "def stage():\n    def inner():\n        from PACK.tools import helper\n        return helper(1)\n    return inner()",
    "a condition": "import sys\nif sys.platform:\n    from PACK.tools import helper\nelse:\n    helper = None\ndef stage(): return helper(1)",
    "a try": "try:\n    from fast import helper\nexcept ImportError:\n    from PACK.tools import helper\ndef stage(): return helper(1)",
    "a conditional definition": "from PACK.tools import helper\nif 1:\n    def f(): return helper(1)\ndef stage(): return f()",
    "a definition in a try": "from PACK.tools import helper\ntry:\n    f = helper\nfinally:\n    pass\ndef stage(): return f()",
    "a default factory": "from dataclasses import dataclass, field\nfrom PACK.tools import helper\n@dataclass\nclass A:\n    x: int = field(default_factory=helper)\ndef stage(): return A()",
    "a keyword of a class": "from PACK.tools import helper\nclass A(metaclass=helper): ...\ndef stage(): return A()",
    "a statement of the module": "from PACK.tools import helper\nhelper(1)\ndef stage(): return 1",
    "a registered function": "from functools import singledispatch\nfrom PACK.tools import helper\n@singledispatch\ndef f(x): ...\n@f.register\ndef _(x: int): return helper(x)\ndef stage(): return f(1)",
    "a local import beside a global of its name": "from PACK.tools import helper\nclass A:\n    def a(self):\n        from PACK.other import helper\n    def b(self): return helper(1)\ndef stage(): return A().b()",
    "a lazy package": "from PACK.lazy import helper\ndef stage(): return helper(1)",
    "a global": "from PACK.tools import helper\nstate = None\ndef stage():\n    global state\n    state = helper(1)",
    "a raised class": "from PACK import tools\ndef stage():\n    try: ...\n    except tools.helper: ...",
    "an assert, a del, a with, an await": "from PACK.tools import helper\nasync def stage():\n    async with helper(1) as x: await x",
}


@pytest.fixture
def tools(code: Code) -> Code:
    code.write("tools", HELPER)
    code.write("other", "def helper(x): return 0")
    code.write("deep/tools", HELPER)
    code.write("deep/__init__", "from .tools import helper\nfrom . import tools as again")
    code.write("starry", "from PACK.tools import *")
    code.write("lazy", "def __getattr__(name):\n    from PACK.tools import helper\n    return helper")
    return code


@pytest.mark.parametrize("way", WAYS)
def test_a_changed_helper_counts_whatever_the_way_to_it(tools: Code, way: str) -> None:
    tools.write("main", WAYS[way])
    module = "deep/tools" if "deep" in WAYS[way] else "tools"
    assert tools.changes(module, "x + 1\n", "x + 2\n")


@pytest.mark.parametrize("way", [way for way in WAYS if way not in ("a module passed on", "a lazy package")])
def test_an_unrelated_function_beside_it_does_not_count(tools: Code, way: str) -> None:
    tools.write("main", WAYS[way])
    module = "deep/tools" if "deep" in WAYS[way] else "tools"
    assert not tools.changes(module, "x + 1000", "x + 1001")


MAIN = '''
    """What it is for."""
    # a comment
    LIMIT: int = 3

    class Helper:
        """A class."""

        factor = 2
        """A field."""

        def apply(self, x: int) -> int:
            """A method."""
            y: int = x  # a remark
            return y * self.factor

    def unrelated() -> None:
        return None

    def stage(x: int, *, y: "str" = "a") -> int:
        """A stage."""
        return Helper().apply(x) + LIMIT
'''


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("What it is for", "Something else"),
        ("# a comment", "# another\n\n\n"),
        ("A class.", "Another class."),
        ("A field.", "Another field."),
        ("A method.", "Another method."),
        ("A stage.", "Another stage."),
        ("# a remark", ""),
        ("x: int) -> int", "x: float) -> float"),
        ("y: int = x", "y: float = x"),
        ("LIMIT: int", "LIMIT: float"),
        ('"str" = "a"', "str = 'a'"),
        ("return None", "return 1"),
        ("y * self.factor", "(y * self.factor)"),
    ],
)
def test_wording_layout_and_annotations_do_not_count(code: Code, old: str, new: str) -> None:
    code.write("main", MAIN)
    assert not code.changes("main", old, new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("= 3", "= 4"),
        ("= 3", "= 3.0"),
        ("factor = 2", "factor = 3"),
        ('= "a"', '= "b"'),
        ("y * self", "y / self"),
        ("+ LIMIT", "- LIMIT"),
        ("*, y", "y"),
        ("def apply", "@property\n    def apply"),
    ],
)
def test_what_is_executed_counts(code: Code, old: str, new: str) -> None:
    code.write("main", MAIN)
    assert code.changes("main", old, new)


TABLE = """
    from components.table import Table
    from PACK.entries import one, two
    from PACK.three import three

    TABLE: Table[object] = Table("entry", {"one": one, "two": two, "three": three})

    def stage(config):
        return TABLE[config.name]()
"""


@pytest.fixture
def table(code: Code) -> Code:
    code.write("entries", "def one(): return helper(1)\ndef two(): return 2\ndef helper(x): return x + 1\n")
    code.write("three", "def three(): return 3")
    code.write("main", TABLE)
    return code


def test_of_a_table_only_the_named_entry_counts(table: Code) -> None:
    assert table.changes("entries", "x + 1", "x + 2", "one")
    assert table.changes("main", '"one": one', '"one": two', "one")
    assert not table.changes("entries", "return 2", "return 22", "one")
    assert not table.changes("three", "return 3", "return 33", "one")


def test_a_new_entry_does_not_count(table: Code) -> None:
    assert not table.changes("main", '"three": three', '"three": three, "four": lambda: 4', "one")
    assert not table.changes("main", ', "three": three', "", "one")


def test_an_entry_that_the_code_names_counts(table: Code) -> None:
    table.write(
        "main", TABLE.replace("config.name", "config.name or default()") + "\n    def default(): return 'two'\n"
    )
    assert table.changes("entries", "return 2", "return 22", "one")
    assert not table.changes("three", "return 3", "return 33", "one")


def test_a_table_of_which_nothing_is_named_counts_whole(table: Code) -> None:
    assert table.changes("three", "return 3", "return 33", "unheard-of")
    assert table.changes("main", '"three": three', '"three": three, "four": lambda: 4')


@pytest.mark.parametrize("use", ["[f() for f in TABLE.values()]", "run(TABLE)", "dict(**TABLE)", "len(TABLE)"])
def test_a_table_that_is_gone_through_or_passed_on_counts_whole(table: Code, use: str) -> None:
    table.write("main", TABLE.replace("TABLE[config.name]()", use))
    assert table.changes("three", "return 3", "return 33", "one")


@pytest.mark.parametrize(
    "use", ["TABLE.get(config.name)", "config.name in TABLE and TABLE[config.name]", "m.TABLE[config.name]"]
)
def test_other_ways_to_look_a_table_up_are_by_name_too(table: Code, use: str) -> None:
    table.write("table", TABLE)
    table.write("main", f"from PACK.table import TABLE\nfrom PACK import table as m\ndef stage(config): return {use}")
    assert table.changes("entries", "x + 1", "x + 2", "one")
    assert not table.changes("three", "return 3", "return 33", "one")


@pytest.mark.parametrize(
    "literal", ['{"one": one, **MORE}', "dict(one=one, **MORE)", "{name: f for name, f in MORE.items()}"]
)
def test_a_table_that_is_no_plain_literal_counts_whole(table: Code, literal: str) -> None:
    text = TABLE.replace('{"one": one, "two": two, "three": three}', literal)
    table.write("main", text.replace("TABLE:", 'MORE = {"three": three}\n    TABLE:'))
    assert table.changes("three", "return 3", "return 33", "one")


UNION = """
    from dataclasses import dataclass
    from typing import Literal

    @dataclass
    class A:
        name: Literal["a"] = "a"
        def size(self): return 1

    @dataclass
    class B:
        name: Literal["b"] = "b"
        def size(self): return 2

    @dataclass
    class Plain:
        def size(self): return 3

    Either = A | B | Plain | None

    @dataclass
    class Config:
        one: Either
        inline: A | B
        quoted: "list[Plain]"
"""


@pytest.fixture
def union(code: Code) -> Code:
    code.write("configs", UNION)
    code.write("main", "from PACK.configs import Config\ndef stage(text): return parse(Config, text).one.size()")
    return code


def test_of_a_union_the_named_and_the_untagged_classes_count(union: Code) -> None:
    """Nobody names them in code: pydantic makes them, by the types of the fields."""
    assert union.changes("configs", "return 1", "return 11", "a")
    assert union.changes("configs", "return 3", "return 33", "a")
    assert not union.changes("configs", "return 2", "return 22", "a")
    assert not union.changes("configs", "A | B | Plain", "A | Plain", "a")


def test_the_types_of_fields_count(union: Code) -> None:
    assert union.changes("configs", '"list[Plain]"', '"set[Plain]"', "a")


def test_methods_of_the_inputs_classes_count(union: Code) -> None:
    union.write("main", "def stage(config): return config.size()")
    types = (f"{union.name}.configs:B",)
    assert union.changes("configs", "return 2", "return 22", types=types)
    assert not union.changes("configs", "return 1", "return 11", types=types)


def test_flags_that_are_joined_are_no_union_of_tagged_classes(code: Code) -> None:
    code.write("main", "A = 1\nB = 2\nC = 4\nFLAGS = A | B\ndef stage(): return FLAGS")
    assert code.changes("main", "A | B", "A | C")
    assert code.changes("main", "B = 2", "B = 3")


def test_statements_of_imported_modules_and_their_packages_count(code: Code) -> None:
    code.write("deep/first", "import json\njson.x = 1\ndef unrelated(): return 7")
    code.write("deep/__init__", "import json\njson.y = 2")
    code.write("main", "import PACK.deep.first\ndef stage(): return 1")
    assert code.changes("deep/first", "json.x = 1", "json.x = 11")
    assert code.changes("deep/__init__", "json.y = 2", "json.y = 22")
    assert not code.changes("deep/first", "return 7", "return 77")


def test_what_only_the_type_checker_imports_does_not_count(code: Code) -> None:
    code.write("tools", HELPER)
    code.write(
        "main",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from PACK.tools import helper\ndef stage(x: 'helper'): return 1",
    )
    assert not code.changes("tools", "x + 1\n", "x + 2\n")


def test_recursion_ends(code: Code) -> None:
    code.write("main", "from PACK.other import back\ndef stage(): return back()\n")
    code.write("other", "from PACK.main import stage\ndef back(): return stage()\n")
    assert len(code.digests()) == 2


def test_observers_do_not_count() -> None:
    code = code_of("tasks.train:train", named={"cnn"})
    assert "tasks.train.train" in code
    assert not [
        name
        for name in code
        if name.startswith(("tasks.stage", "tasks.perform", "components.errors", "components.store"))
    ]


def test_a_stage_that_is_not_there_is_refused() -> None:
    with pytest.raises(Refusal, match="nothing_like_it"):
        code_of("tasks.train:nothing_like_it", named=set())


def test_a_process_goes_by_the_code_that_it_has_loaded(code: Code) -> None:
    """What it would do isn't what an editor has saved since."""
    code.write("main", "def stage(): return 1")
    before = code.digests()
    importlib.import_module(f"{code.name}.main")
    code.write("main", "def stage(): return 2")
    assert code.digests() == before
    del sys.modules[f"{code.name}.main"]
    assert code.digests() != before


def test_the_code_of_a_stage_is_read_without_loading_it_or_a_library() -> None:
    program = """
        import sys
        from components.planning.closure import code_of
        code_of("tasks.train:train", named={"cnn", "adamw", "cosine"})
        print("torch" in sys.modules, "tasks" in sys.modules)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_it_is_the_same_in_every_process_and_order() -> None:
    program = "import components.planning.closure as c; print(c.code_of('tasks.train:train', named={'cnn', 'mlp'}))"
    seeds = ("1", "2")
    said = [
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in seeds
    ]
    assert said[0] == said[1] != b""
