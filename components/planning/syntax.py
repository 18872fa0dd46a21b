"""The source of a module, read and never run: what it defines, what it imports, and what each definition refers to.

Digests are of the syntax tree without docstrings, comments and the annotations of functions and variables. The
annotations of a class's fields stay, since pydantic reads them.
"""

import ast
import hashlib
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from components.errors import refuse

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


class Module:
    """One source file."""

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self.path = path
        self.is_package = path.name == "__init__.py"
        self.definitions: dict[str, list[ast.stmt]] = {}
        self.imports: dict[str, set[Import]] = {}
        self.loads: set[str] = set()  # modules that importing this one runs
        self.stars: list[str] = []
        self.statements: list[ast.stmt] = []
        self.inside: set[str] = set()  # defined within those statements
        self._contents: dict[str, Content] = {}
        self._tree = _parsed(path)
        for node in self._tree.body:
            self._sort_in(node)

    def content(self, name: str) -> Content:
        """Return what is defined under the name."""
        if name not in self._contents:
            self._contents[name] = self.read(self.definitions[name])
        return self._contents[name]

    @cached_property
    def loose(self) -> Content:
        """The statements that count whenever the module is imported."""
        return self.read(self.statements)

    @cached_property
    def whole(self) -> Content:
        """Everything in the file."""
        if self.path.suffix == ".py":
            return self.read([self._tree])
        return Content(digest=hashlib.sha256(self.path.read_bytes()).hexdigest()[:16])

    def read(self, nodes: Iterable[ast.AST]) -> Content:
        """Return what the pieces of this module's tree are, taken together."""
        return _Reader(self).read(nodes)

    def knows(self, name: str) -> bool:
        """Say whether the name is bound here, by other means than a star."""
        return name in self.definitions or name in self.imports or name in self.inside

    def tags(self, name: str) -> set[str]:
        """Return what tells this class from the others of its union: the defaults of fields `x: Literal["y"] = "y"`."""
        found = set()
        for node in self.definitions.get(name, ()):
            for statement in node.body if isinstance(node, ast.ClassDef) else ():
                match statement:
                    case ast.AnnAssign(
                        annotation=ast.Subscript(value=ast.Name(id="Literal"), slice=ast.Constant(value=str(tag))),
                        value=ast.Constant(),
                    ):
                        found.add(tag)
        return found

    def table(self, name: str) -> dict[str, ast.expr] | None:
        """Return the entries, if what is defined under the name is a literal `Table("what", {…})`."""
        match self.definitions[name]:
            case [ast.Assign(value=value) | ast.AnnAssign(value=ast.Call() as value)]:
                match value:
                    case ast.Call(func=ast.Name(id="Table"), args=[_, ast.Dict(keys=keys, values=values)], keywords=[]):
                        texts = [k.value for k in keys if isinstance(k, ast.Constant) and isinstance(k.value, str)]
                        return dict(zip(texts, values, strict=True)) if len(texts) == len(values) else None
        return None

    def union(self, name: str) -> list[Chain] | None:
        """Return the members, if what is defined under the name is `A | B | …` of names."""
        match self.definitions[name]:
            case [ast.Assign(value=ast.BinOp(op=ast.BitOr()) as value)]:
                members = list(_members(value))
                return [chain for chain in members if chain] if all(members) else None
        return None

    def bind(self, node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, Import]]:
        """Yield the names that an import binds, and to what."""
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield (alias.asname, Import(alias.name)) if alias.asname else _top(alias.name)
        else:
            source = self.source_of(node)
            for alias in node.names:
                yield alias.asname or alias.name, Import(source, alias.name)

    def source_of(self, node: ast.ImportFrom) -> str:
        """Return the absolute name of the module that is imported from."""
        if not node.level:
            return node.module or ""
        own = self.name.split(".")
        parents = own[: len(own) - node.level + self.is_package]
        return ".".join([*parents, *([node.module] if node.module else [])])

    def loaded_by(self, node: ast.Import | ast.ImportFrom) -> Iterator[str]:
        """Yield the modules that an import runs (of `from a import b`, `a.b` may be one)."""
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        else:
            source = self.source_of(node)
            yield source
            yield from (f"{source}.{alias.name}" for alias in node.names if alias.name != "*")

    def _sort_in(self, node: ast.stmt) -> None:
        names = list(_defined_names(node))
        if isinstance(node, ast.Import | ast.ImportFrom):
            self._note(node)
        elif names:
            for name in names:
                self.definitions.setdefault(name, []).append(node)
        elif isinstance(node, ast.If) and _is_type_checking(node.test):
            for inner in node.orelse:
                self._sort_in(inner)
        elif not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Constant):
            self.statements.append(node)
            self._look_inside(node)

    def _note(self, node: ast.Import | ast.ImportFrom) -> None:
        self.loads.update(self.loaded_by(node))
        for name, target in self.bind(node):
            if name == "*":
                self.stars.append(target.module)
            else:
                self.imports.setdefault(name, set()).add(target)

    def _look_inside(self, block: ast.stmt) -> None:
        """Note the imports and names of an `if`, `try`, `with` or loop of the module."""
        for node in _same_scope(block):
            if isinstance(node, ast.Import | ast.ImportFrom):
                self._note(node)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                self.inside.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                self.inside.add(node.id)


_PATHS: dict[str, Path] = {}
_MODULES: dict[Path, tuple[tuple[int, int], Module]] = {}


def module_at(name: str) -> Module | None:
    """Return the module, or None where there is no source of that name.

    It is read again where the file changed, unless this process has imported it: then what was read when it was
    imported is what runs.
    """
    path = path_of(name)
    if path is None:
        return None
    known = _MODULES.get(path)
    status = path.stat()
    stamp = (status.st_mtime_ns, status.st_size)
    if known is None or (known[0] != stamp and name not in sys.modules):
        known = _MODULES[path] = (stamp, Module(name, path))
    return known[1]


def path_of(name: str) -> Path | None:
    """Return the file of a module, without importing it or a package above it."""
    if name not in _PATHS:
        path = _loaded_from(name) or _found(name)
        if path is None:
            return None
        _PATHS[name] = path
    return _PATHS[name]


def _loaded_from(name: str) -> Path | None:
    file = getattr(sys.modules.get(name), "__file__", None)
    return Path(file) if file else None


def _found(name: str) -> Path | None:
    above = _PATHS.get(name.rpartition(".")[0])
    if above is not None and above.name != "__init__.py":
        return None  # a module has no modules in it
    top, *rest = name.split(".")
    try:
        spec = find_spec(top) if top else None
    except ValueError:  # loaded without a spec
        return None
    if spec is None:
        return None
    if not rest:
        return Path(spec.origin) if spec.origin and spec.has_location else None
    for place in spec.submodule_search_locations or ():
        path = Path(place).joinpath(*rest)
        compiled = (path.with_name(f"{path.name}{suffix}") for suffix in EXTENSION_SUFFIXES)
        for candidate in (path / "__init__.py", path.with_name(f"{path.name}.py"), *compiled):
            if candidate.is_file():
                return candidate
    return None


def _parsed(path: Path) -> ast.Module:
    if path.suffix != ".py":
        return ast.Module(body=[], type_ignores=[])
    try:
        return ast.parse(path.read_bytes())
    except SyntaxError as error:
        raise refuse(f"this isn't Python: {error.msg}", where=f"{path}, line {error.lineno}", do="mend it") from error


def _top(name: str) -> tuple[str, Import]:
    top = name.partition(".")[0]
    return top, Import(top)


def _defined_names(node: ast.stmt) -> Iterator[str]:
    """Yield the names that a definition binds. What changes something else, or registers itself, is a statement."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            if not any(_registers(decorator) for decorator in node.decorator_list):
                yield node.name
        case ast.Assign(targets=targets) if all(map(_is_plain, targets)):
            for target in targets:
                yield from (part.id for part in ast.walk(target) if isinstance(part, ast.Name))
        case ast.AnnAssign(target=ast.Name(id=name)):
            yield name


def _is_plain(target: ast.expr) -> bool:
    match target:
        case ast.Name() | ast.Starred(value=ast.Name()):
            return True
        case ast.Tuple(elts=elements) | ast.List(elts=elements):
            return all(map(_is_plain, elements))
    return False


def _registers(decorator: ast.expr) -> bool:
    """`@f.register` and its like: the decorated thing is reached through `f`, not by its name."""
    return any(isinstance(part, ast.Attribute) and "register" in part.attr for part in ast.walk(decorator))


def _is_type_checking(test: ast.expr) -> bool:
    match test:
        case ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"):
            return True
    return False


def _same_scope(block: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(block):
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            yield from _same_scope(node)


def _members(value: ast.expr) -> Iterator[Chain]:
    match value:
        case ast.BinOp(op=ast.BitOr(), left=left, right=right):
            yield from _members(left)
            yield from _members(right)
        case ast.Constant(value=None):
            return
        case _:
            yield chain_of(value)


def chain_of(node: ast.expr) -> Chain:
    """Return a dotted name, or an empty chain for any other expression."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return (node.id, *reversed(names)) if isinstance(node, ast.Name) else ()


_SKIPPED = frozenset({"ctx", "kind", "type_comment", "type_ignores", "returns"})


class _Reader:
    """Goes through a tree once: writes down what counts, and collects what it refers to."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.content = Content()
        self.text: list[str] = []

    def read(self, nodes: Iterable[ast.AST]) -> Content:
        for node in nodes:
            self._visit(node)
        content = self.content
        content.digest = hashlib.sha256("".join(self.text).encode("utf-8", "surrogatepass")).hexdigest()[:16]
        content.lookups -= content.chains
        return content

    def _visit(self, node: ast.AST) -> None:
        kind = type(node)
        if kind is ast.Constant:
            self._constant(node.value)  # type: ignore[attr-defined]
        elif kind is ast.Name:
            self.text.append(f"={node.id}")  # type: ignore[attr-defined]
            self.content.chains.add((node.id,))  # type: ignore[attr-defined]
        elif kind is ast.Attribute:
            self._attribute(node)  # type: ignore[arg-type]
        elif kind is ast.Subscript:
            self._lookup(node.value)  # type: ignore[attr-defined]
            self.text.append("[]")
            self._visit(node.slice)  # type: ignore[attr-defined]
        elif kind is ast.Compare:
            self._compare(node)  # type: ignore[arg-type]
        elif kind is ast.arg:
            self.text.append(f"@{node.arg}")  # type: ignore[attr-defined]
        elif kind is ast.AnnAssign:
            self._fields(node, ("target", "value"))
        elif kind is ast.ClassDef:
            self._class(node)  # type: ignore[arg-type]
        else:
            if kind is ast.Import or kind is ast.ImportFrom:
                self._import(node)  # type: ignore[arg-type]
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
            self.text.append(f".{node.attr}")
            self._visit(node.value)
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

    def _compare(self, node: ast.Compare) -> None:
        self.text.append("(Compare")
        self._visit(node.left)
        for operator, right in zip(node.ops, node.comparators, strict=True):
            self.text.append(type(operator).__name__)
            if isinstance(operator, ast.In | ast.NotIn):
                self._lookup(right)
            else:
                self._visit(right)
        self.text.append(")")

    def _class(self, node: ast.ClassDef) -> None:
        self.text.append(f"(class {node.name}")
        for part in (*node.bases, *node.keywords, *node.decorator_list):
            self._visit(part)
            self.text.append(",")
        for statement in node.body:
            if isinstance(statement, ast.AnnAssign):
                self._annotation(statement.annotation)
        self._list(list(node.body))
        self.text.append(")")

    def _annotation(self, node: ast.expr) -> None:
        reader = _Reader(self.module)
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
