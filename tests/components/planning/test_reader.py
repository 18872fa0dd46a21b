"""Two pieces of code have one digest exactly where they differ by what the reader leaves out.

Every kind of syntax is put into every other, so that one whose end or part isn't written meets the one that it is then
taken for.
"""

import ast
import itertools
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.planning.syntax import Module

Digest = Callable[[str | ast.Module], str]

ATOMS = NAME, NUMBER = "a", "1"
ENDS_LIKE_AN_OPERATOR = ("aNot", "aIs", "aIsNot")
CONSTANTS = (
    "1",
    "True",
    "1.0",
    "1j",
    "'1'",
    "b'1'",
    "'a'",
    "None",
    "...",
    "'None'",
    "''",
    "'True'",
    "'\\''",
    "'\",\\''",
)


def listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(";"))


# HOLE is an expression, BODY a statement or several.
WITH_NAMES = listed("HOLE.a; HOLE.b; HOLE.get; HOLE[HOLE]; HOLE(); HOLE in HOLE")  # of those, names make chains
EXPRESSIONS = WITH_NAMES + listed(
    """
    HOLE[HOLE, HOLE]; HOLE[HOLE:]; HOLE[:HOLE]; HOLE[::HOLE]; HOLE[HOLE:HOLE]; HOLE(HOLE); HOLE(HOLE, HOLE);
    HOLE(*HOLE); HOLE(a=HOLE); HOLE(**HOLE); HOLE + HOLE; HOLE - HOLE; -HOLE; not HOLE; ~HOLE; HOLE and HOLE;
    HOLE or HOLE or HOLE; HOLE < HOLE; HOLE < HOLE < HOLE; HOLE is HOLE; HOLE is not HOLE; HOLE not in HOLE;
    (HOLE,); (HOLE, HOLE); [HOLE]; [HOLE, HOLE]; {HOLE}; {HOLE: HOLE}; {**HOLE}; {HOLE: HOLE, **HOLE};
    [HOLE for a in HOLE]; [HOLE for a in HOLE if HOLE]; [HOLE for a in HOLE for a in HOLE];
    [a for a in HOLE if HOLE if HOLE]; {HOLE for a in HOLE}; {HOLE: HOLE for a in HOLE}; (HOLE for a in HOLE);
    lambda: HOLE; lambda a: HOLE; lambda a=HOLE: HOLE; lambda *a: HOLE; lambda **a: HOLE; (a := HOLE);
    lambda a, /: HOLE; lambda *, a: HOLE; lambda *, a=HOLE: HOLE; lambda *a, b: HOLE; lambda a, b=HOLE: HOLE;
    lambda *, a, b=HOLE: HOLE; lambda *, a=HOLE, b: HOLE; HOLE if HOLE else HOLE; [*HOLE]; [HOLE, *HOLE];
    f'{HOLE}'; f'{HOLE!r}'; f'{HOLE!s}'; f'{HOLE:a}'; f'{HOLE:{HOLE}}'; f'a{HOLE}'; f'{HOLE}a'
    """
)
PATTERNS = listed(
    """
    _; a; 1; None; True; 'a'; a.a; [a]; [a, b]; [a, *b]; [*_]; {1: a}; {1: a, **b}; {**b}; a(); a(a); a(a, b);
    a(a=b); a(a, b=b); a | 1; 1 | None; 1 as a; (1 | None) as a; _ if HOLE
    """
)
STATEMENTS = (
    *listed(
        """
    a = HOLE; a = a = HOLE; a, a = HOLE; a += HOLE; a -= HOLE; a: HOLE; a: HOLE = HOLE; (a): HOLE = HOLE;
    a.a: HOLE = HOLE; a[HOLE] = HOLE; HOLE; del a; del a[HOLE]; assert HOLE; assert HOLE, HOLE; pass; raise;
    raise HOLE; raise HOLE from HOLE; import a; import a.a; import a as a; import a, a; return;
    from a import a; from . import a; from .. import a; from .a import a; from a import a as b; global a;
    global a, b; nonlocal a; return HOLE; yield HOLE; yield from HOLE; await HOLE; break; continue;
    if HOLE: BODY; if HOLE: BODY\nelse: BODY; while HOLE: BODY; while HOLE: BODY\nelse: BODY;
    for a in HOLE: BODY; for a in HOLE: BODY\nelse: BODY; async for a in HOLE: BODY; with HOLE: BODY;
    with HOLE, HOLE: BODY; with HOLE as a: BODY; async with HOLE: BODY; try: BODY\nfinally: BODY;
    try: BODY\nexcept: BODY; try: BODY\nexcept HOLE: BODY; try: BODY\nexcept HOLE as a: BODY;
    try: BODY\nexcept* HOLE: BODY; try: BODY\nexcept HOLE: BODY\nelse: BODY; def a(): BODY;
    async def a(): BODY; @HOLE\ndef a(): BODY; @HOLE\n@HOLE\ndef a(): BODY; def a(a=HOLE): BODY;
    def a(*, a=HOLE): BODY; def a(a, b=HOLE): BODY; def a(a: HOLE): BODY; def a() -> HOLE: BODY;
    def a(a: HOLE = HOLE): BODY; class a: BODY; class b: BODY; class a(HOLE): BODY; class a(HOLE, HOLE): BODY;
    class a(a=HOLE): BODY; class a(*HOLE): BODY; class a(**HOLE): BODY; @HOLE\nclass a: BODY;
    @HOLE\nclass a(HOLE): BODY; @HOLE\n@HOLE\nclass a: BODY; BODY\nBODY
    """
    ),
    *(f"match HOLE:\n case {pattern}: BODY" for pattern in PATTERNS),
)
IN_A_CLASS = listed(
    """
    a: HOLE; a: HOLE = HOLE; (a): HOLE = HOLE; a = HOLE; if a: a: HOLE = 1; if a: a = 1; a: HOLE\na: HOLE;
    def a(self): a: HOLE = 1; def a(self):\n class a: a: HOLE = 1; class a: a: HOLE;
    try: a: HOLE\nfinally: pass; def a(self): pass\na: HOLE; class a: pass\na: HOLE
    """
)


def filled(template: str, *inner: str) -> str:
    """Put one after the other into the holes, and the last one into what is left of them."""
    holes = template.count("HOLE")
    if template.startswith("f'"):
        inner = tuple(expression.replace("'", '"') for expression in inner)
    for expression in (*inner, *inner[-1:] * holes)[:holes]:
        template = template.replace("HOLE", f"({expression})", 1)
    return template


def expressions() -> Iterator[str]:
    yield from (*ATOMS, *ENDS_LIKE_AN_OPERATOR)
    yield from (filled("HOLE, HOLE", one, other) for one, other in itertools.product(CONSTANTS, CONSTANTS))
    for template, name in itertools.product(EXPRESSIONS, ENDS_LIKE_AN_OPERATOR):
        yield filled(template, name, "a")
    for atom in ATOMS:
        shallow = [filled(template, atom) for template in EXPRESSIONS]
        yield from shallow
        for template, inner in itertools.product(WITH_NAMES if atom == NAME else EXPRESSIONS, shallow):
            for place in range(template.count("HOLE")):
                yield filled(template, *[atom] * place, inner, atom)


def statements() -> Iterator[str]:
    parts = (*ATOMS, "b", "(a, a)", "a.a", "a[a]", "a(a)")
    blocks = ("a", "pass", "1", "a = 1", "import a", "return a", "if a: pass", "def a(): pass", "class a: pass")
    for template in STATEMENTS:
        for inner, block in itertools.product(parts, blocks if "BODY" in template else ("",)):
            yield with_block(filled(template, inner), block)
        for one, two in itertools.product(parts, parts) if template.count("HOLE") > 1 else ():
            yield with_block(filled(template, one, two), "a")
    for template, inner in itertools.product(IN_A_CLASS, parts):
        yield with_block("class a:\n BODY", filled(template, inner))


def with_block(text: str, block: str) -> str:
    """Put the block at each place for one, on lines of its own."""
    lines = []
    for line in text.split("\n"):
        head, body, _ = line.partition("BODY")
        lines.append(head)
        if body:
            indent = " " * (depth(head) + bool(head.strip()))
            lines += [indent + inner for inner in block.split("\n")]
    return "\n".join(lines)


def depth(line: str) -> int:
    return len(line) - len(line.lstrip())


class WhatCounts(ast.NodeTransformer):
    """Takes away what the reader says that it leaves out."""

    def __init__(self) -> None:
        self.in_class = False

    def generic_visit(self, node: ast.AST) -> ast.AST:
        outside = self.in_class
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            self.in_class = isinstance(node, ast.ClassDef)
        super().generic_visit(node)
        self.in_class = outside
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
        elif isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.AnnAssign) and not self.in_class:
            node.annotation = ast.Constant(...)
        elif isinstance(node, ast.Constant):
            node.kind = None
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if is_text else self.generic_visit(node)


def what_counts(tree: ast.Module) -> str:
    return ast.dump(WhatCounts().visit(tree))


@pytest.fixture(scope="module")
def digest(tmp_path_factory: pytest.TempPathFactory) -> Digest:
    path = tmp_path_factory.mktemp("code") / "empty.py"
    path.touch()
    module = Module("empty", path)
    return lambda code: module.read([ast.parse(code) if isinstance(code, str) else code]).digest


def taken_for_another(digest: Digest, texts: Iterator[str]) -> list[tuple[str, str]]:
    """Return pairs of which one differs in what counts while the digest is the same, or the other way round."""
    by_digest: dict[str, tuple[str, str]] = {}
    by_content: dict[str, tuple[str, str]] = {}
    found = []
    for text in texts:
        tree = ast.parse(text)
        said, content = digest(tree), what_counts(tree)
        same, equal = by_digest.setdefault(said, (text, content)), by_content.setdefault(content, (text, said))
        if same[1] != content:
            found.append((same[0], text))
        if equal[1] != said:
            found.append((equal[0], text))
    return found


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a[b[c]]", "a[b][c]"),
        ("f(x).shape[0]", "f(x)[0].shape"),
        ("self.net(x).T[0]", "self.net(x)[0].T"),
        ("a not in b", "aNot in b"),
        ("class A(B, C): pass", "@C\nclass A(B): pass"),
        ("class A:\n  x: int = 1", "class A:\n  (x): int = 1"),
        ("class A:\n  if B:\n    x: int = 1", "class A:\n  if B:\n    x: str = 1"),
    ],
)
def test_code_that_does_something_else_is_told_apart(digest: Digest, one: str, other: str) -> None:
    assert digest(one) != digest(other)


def test_expressions_in_each_other_are_told_apart(digest: Digest) -> None:
    assert taken_for_another(digest, expressions()) == []


def test_statements_in_each_other_are_told_apart(digest: Digest) -> None:
    assert taken_for_another(digest, statements()) == []


TEXTS = st.lists(st.text("""ab',"=:()[]{}<>@.\\\n""", max_size=4) | st.binary(max_size=2), max_size=3)


@given(TEXTS, TEXTS)
def test_no_string_passes_for_syntax(digest: Digest, one: list[str | bytes], other: list[str | bytes]) -> None:
    assert (digest(repr(one)) == digest(repr(other))) is (one == other)


def test_layout_comments_and_docstrings_tell_nothing_apart(digest: Digest) -> None:
    for text in itertools.islice(statements(), 0, None, 7):
        body = "\n\n".join(f"\t{line}  # a remark".replace(" ", "\t", depth(line)) for line in text.split("\n"))
        assert digest(f'def f():\n\t"""What it is for."""\n\n{body}\n') == digest(with_block("def f(): BODY", text)), (
            text
        )
