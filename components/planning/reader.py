"""What a piece of code is, and what it refers to, from its syntax tree.

The digest leaves out docstrings, comments and the annotations of functions and variables. The annotations of a
class's fields stay, since pydantic reads them.
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

Chain = tuple[str, ...]  # `a.b.c` as ("a", "b", "c")


class Import(NamedTuple):
    """What a name is bound to: a module, or (with `name`) something in it."""

    module: str
    name: str | None = None


@dataclass(slots=True)
class Content:
    """What a piece of code is, and what it refers to."""

    digest: str = ""
    chains: set[Chain] = field(default_factory=set)
    lookups: set[Chain] = field(default_factory=set)  # only subscripted, or asked for with `in` or `.get`
    typed: set[Chain] = field(default_factory=set)  # in annotations of fields
    strings: set[str] = field(default_factory=set)
    imports: dict[str, set[Import]] = field(default_factory=dict)  # inside it
    loads: set[str] = field(default_factory=set)  # modules that those imports run


class Scope(Protocol):
    """The module that a piece of code is in: it resolves relative imports."""

    def bind(self, node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, Import]]:
        """Yield the names that an import binds, and to what."""

    def loaded_by(self, node: ast.Import | ast.ImportFrom) -> Iterator[str]:
        """Yield the modules that an import runs."""


def chain_of(node: ast.expr) -> Chain:
    """Return a dotted name, or an empty chain for any other expression."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return (node.id, *reversed(names)) if isinstance(node, ast.Name) else ()


_SKIPPED = frozenset({"ctx", "kind", "type_comment", "type_ignores", "returns"})


class Reader:
    """Goes through a tree once: writes down what counts, and collects what it refers to.

    What is written of a node has an end, or is a name that a mark follows: else `a[b[c]]` would be `a[b][c]`.
    """

    def __init__(self, module: Scope) -> None:
        self.module = module
        self.content = Content()
        self.text: list[str] = []
        self.in_class = False

    def read(self, nodes: Iterable[ast.AST]) -> Content:
        """Return what the pieces are, taken together."""
        for node in nodes:
            self._visit(node)
        content = self.content
        content.digest = hashlib.sha256("".join(self.text).encode("utf-8", "surrogatepass")).hexdigest()[:16]
        content.lookups -= content.chains
        return content

    def _visit(self, node: ast.AST) -> None:
        match node:
            case ast.Constant():
                self._constant(node.value)
            case ast.Name():
                self.text.append(f"={node.id}")
                self.content.chains.add((node.id,))
            case ast.Attribute():
                self._attribute(node)
            case ast.Subscript():
                self._subscript(node)
            case ast.Compare():
                self._compare(node)
            case ast.arg():
                self.text.append(f"@{node.arg}")
            case ast.AnnAssign():
                self._annotated(node)
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                self._definition(node)
            case ast.Import() | ast.ImportFrom():
                self._import(node)
                self._fields(node, node._fields)
            case _:
                self._fields(node, node._fields)

    def _fields(self, node: ast.AST, names: tuple[str, ...]) -> None:
        self.text.append(f"({type(node).__name__}")
        for name in names:
            if name in _SKIPPED:
                continue
            value = getattr(node, name, None)
            self.text.append(":")
            if isinstance(value, list):
                self._list(value)
            elif isinstance(value, ast.AST):
                self._visit(value)
            elif value is not None:
                self.text.append(repr(value))
        self.text.append(")")

    def _list(self, values: list[ast.AST | str | None]) -> None:
        self.text.append("{")
        for value in values:
            if isinstance(value, ast.Expr) and isinstance(value.value, ast.Constant) and _is_text(value.value.value):
                continue  # a docstring
            if isinstance(value, ast.AST):
                self._visit(value)
            else:  # names of `global`, the key of `**mapping`, the rest of a pattern
                self.text.append(repr(value))
            self.text.append(",")
        self.text.append("}")

    def _constant(self, value: object) -> None:
        self.text.append(f"'{value!r}'")
        if isinstance(value, str):
            self.content.strings.add(value)

    def _attribute(self, node: ast.Attribute, *, lookup: bool = False) -> None:
        chain = chain_of(node)
        if not chain:
            self.text.append(f"(.{node.attr}:")
            self._visit(node.value)
            self.text.append(")")
            return
        self.text.append("=" + ".".join(chain))
        if chain[-1] == "get":
            self.content.lookups.add(chain[:-1])
        else:
            (self.content.lookups if lookup else self.content.chains).add(chain)

    def _lookup(self, node: ast.expr) -> None:
        if isinstance(node, ast.Name):
            self.text.append(f"={node.id}")
            self.content.lookups.add((node.id,))
        elif isinstance(node, ast.Attribute):
            self._attribute(node, lookup=True)
        else:
            self._visit(node)

    def _subscript(self, node: ast.Subscript) -> None:
        self.text.append("(Subscript:")
        self._lookup(node.value)
        self.text.append(":")
        self._visit(node.slice)
        self.text.append(")")

    def _compare(self, node: ast.Compare) -> None:
        self.text.append("(Compare")
        self._visit(node.left)
        for operator, right in zip(node.ops, node.comparators, strict=True):
            self.text.append(f":{type(operator).__name__}:")
            if isinstance(operator, ast.In | ast.NotIn):
                self._lookup(right)
            else:
                self._visit(right)
        self.text.append(")")

    def _definition(self, node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        outside, self.in_class = self.in_class, isinstance(node, ast.ClassDef)
        self._fields(node, node._fields)
        self.in_class = outside

    def _annotated(self, node: ast.AnnAssign) -> None:
        self._fields(node, ("target", "simple", "value"))  # in brackets, `(x): int = 1`, it is no field
        if self.in_class:
            self._annotation(node.annotation)

    def _annotation(self, node: ast.expr) -> None:
        reader = Reader(self.module)
        reader._visit(node)
        self.text.append(f"<{''.join(reader.text)}>")
        self.content.typed |= reader.content.chains | reader.content.lookups
        for text in reader.content.strings:
            self.content.typed |= _quoted(text)

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        self.content.loads.update(self.module.loaded_by(node))
        for name, target in self.module.bind(node):
            self.content.imports.setdefault(name, set()).add(target)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _quoted(text: str) -> set[Chain]:
    """Return the names of an annotation in quotes."""
    try:
        tree = ast.parse(text, mode="eval")
    except SyntaxError:  # a string of a Literal
        return set()
    return {
        chain for part in ast.walk(tree) if isinstance(part, ast.Name | ast.Attribute) and (chain := chain_of(part))
    }
