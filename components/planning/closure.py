"""The code that decides a stage's result: its function and every first-party definition that it reaches.

The source is read, never run, so the planner needs none of the libraries. Definitions are digested from their
syntax trees without docstrings, comments and annotations: rewording re-runs nothing, a changed helper does.

What is followed: names of the same module, imported first-party names, attributes of imported modules, imports
inside functions, decorators, base classes. A module that is passed around as a value counts whole. Statements of
a reached module that aren't definitions count always. Of a `Table(…)` literal only the entries that the recipe
names count. `getattr` with a computed name isn't followed: we don't write it.
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

OBSERVERS = frozenset({"tasks.stage", "tasks.tracking", "components.errors", "components.store", "components.planning"})
FIRST_PARTY = frozenset({"components", "tasks"})

Digests = dict[str, str]  # by qualified name, `components.training.loop.fit`


def code_of(entry: str, *, named: Set[str], also: Iterable[str] = ()) -> Digests:
    """Return a digest for each definition that `entry` reaches.

    `entry` and `also` are written `package.module:name`; `also` is the user's own code, whose top-level package
    then counts as first-party. `named` holds the strings of the recipe that choose among the entries of tables.
    """
    also = tuple(also)
    packages = FIRST_PARTY | {target.split(".")[0].split(":")[0] for target in also}
    walk = _Walk(packages=packages, named=named)
    for target in (entry, *also):
        module, _, name = target.partition(":")
        walk.reach(module, name)
    return dict(sorted(walk.digests.items()))


@dataclass(frozen=True, slots=True)
class _Import:
    module: str
    name: str | None  # None: the module itself


@dataclass(slots=True)
class _Module:
    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imports: dict[str, _Import] = field(default_factory=dict)
    statements: list[ast.stmt] = field(default_factory=list)


@dataclass(slots=True)
class _Walk:
    packages: Set[str]
    named: Set[str]
    digests: Digests = field(default_factory=dict)
    seen: set[tuple[str, str]] = field(default_factory=set)

    def reach(self, module: str, name: str) -> None:
        """Add the definition, and what it refers to."""
        if (module, name) in self.seen or not self._is_ours(module):
            return
        self.seen.add((module, name))
        plan = _read(module)
        if plan is None:
            return
        self._reach_statements(module, plan)
        if name in plan.definitions:
            for node in plan.definitions[name]:
                self._add(f"{module}.{name}", node, module, plan)
        elif name in plan.imports:
            self._follow(plan.imports[name])
        elif _path_of(f"{module}.{name}") is not None:
            self.reach_all(f"{module}.{name}")

    def reach_all(self, module: str) -> None:
        """Add everything that the module defines."""
        plan = _read(module) if self._is_ours(module) else None
        for name in plan.definitions if plan else ():
            self.reach(module, name)

    def _is_ours(self, module: str) -> bool:
        parents = module.split(".")
        watched = {".".join(parents[: depth + 1]) for depth in range(len(parents))}
        return parents[0] in self.packages and not watched & OBSERVERS

    def _reach_statements(self, module: str, plan: _Module) -> None:
        if (module, "") not in self.seen:
            self.seen.add((module, ""))
            for node in plan.statements:
                self._add(f"{module}.<module>", node, module, plan)

    def _add(self, qualified: str, node: ast.stmt, module: str, plan: _Module) -> None:
        table = _table_entries(node)
        parts: list[ast.AST] = [node] if table is None else [v for k, v in table.items() if k in self.named]
        for part in parts:
            before = self.digests.get(qualified, "")
            self.digests[qualified] = hashlib.sha256((before + ast.dump(part)).encode()).hexdigest()[:16]
            for target in _references(part, module, plan):
                self._follow(target)

    def _follow(self, target: _Import) -> None:
        if target.name is None:
            self.reach_all(target.module)
        else:
            self.reach(target.module, target.name)


@lru_cache(maxsize=None)
def _path_of(module: str) -> Path | None:
    top, *rest = module.split(".")
    spec = find_spec(top)
    if spec is None:
        return None
    if not rest:
        return Path(spec.origin) if spec.origin else None
    for place in spec.submodule_search_locations or ():
        path = Path(place).joinpath(*rest)
        for candidate in (path.with_suffix(".py"), path / "__init__.py"):
            if candidate.is_file():
                return candidate
    return None


def _read(module: str) -> _Module | None:
    path = _path_of(module)
    return None if path is None else _parse(module, path, path.stat().st_mtime_ns)


@lru_cache(maxsize=None)
def _parse(module: str, path: Path, _changed: int) -> _Module:
    plan = _Module()
    is_package = path.name == "__init__.py"
    tree = ast.parse(path.read_text("utf-8"))
    _Bare().visit(tree)
    for node in tree.body:
        names = list(_defined_names(node))
        if isinstance(node, ast.Import | ast.ImportFrom):
            plan.imports.update(_imports(node, module, is_package))
        elif names:
            for name in names:
                plan.definitions.setdefault(name, []).append(node)
        elif not _is_inert(node):
            plan.statements.append(node)
    return plan


def _defined_names(node: ast.stmt) -> Iterator[str]:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            yield node.name
        case ast.Assign():
            for target in node.targets:
                yield from (part.id for part in ast.walk(target) if isinstance(part, ast.Name))
        case ast.AnnAssign(target=ast.Name(id=name)):
            yield name


def _is_inert(node: ast.stmt) -> bool:
    """Docstrings, and the imports that only the type checker sees."""
    match node:
        case ast.Expr(value=ast.Constant()):
            return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
    return False


def _imports(node: ast.Import | ast.ImportFrom, module: str, is_package: bool) -> dict[str, _Import]:
    if isinstance(node, ast.Import):  # without `as` the top package is bound; the module then counts whole
        return {alias.asname or alias.name.split(".")[0]: _Import(alias.name, None) for alias in node.names}
    source = node.module or ""
    if node.level:
        parents = module.split(".")[: len(module.split(".")) - node.level + is_package]
        source = ".".join([*parents, *([node.module] if node.module else [])])
    return {alias.asname or alias.name: _Import(source, alias.name) for alias in node.names}


def _table_entries(node: ast.stmt) -> dict[str, ast.expr] | None:
    """Return the entries of a `Table("what", {…})` literal, or None for any other statement."""
    match node:
        case ast.Assign(value=value) | ast.AnnAssign(value=ast.Call() as value):
            match value:
                case ast.Call(func=ast.Name(id="Table"), args=[_, ast.Dict(keys=keys, values=values)]):
                    pairs = zip(keys, values, strict=True)
                    return {k.value: v for k, v in pairs if isinstance(k, ast.Constant) and isinstance(k.value, str)}
    return None


class _Bare(ast.NodeTransformer):
    """Drops, in place, what doesn't decide a result: docstrings and annotations."""

    def visit(self, node: ast.AST) -> ast.AST:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                node.returns = None
                node.body = _without_docstring(node.body)
            case ast.ClassDef():
                node.body = _without_docstring(node.body)
            case ast.arg():
                node.annotation = None
            case ast.AnnAssign():
                node.annotation = ast.Constant(None)
        return self.generic_visit(node)


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    match body:
        case [ast.Expr(value=ast.Constant(value=str())), *rest]:
            return rest or [ast.Pass()]
    return body


def _references(node: ast.AST, module: str, plan: _Module) -> Iterator[_Import]:
    imports = dict(plan.imports)
    for part in ast.walk(node):
        if isinstance(part, ast.Import | ast.ImportFrom):  # inside a function
            imports.update(_imports(part, module, is_package=False))
    resolved = set()
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute) and (target := _attribute_target(part, imports)):
            resolved.add(part.value)
            yield target
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and part not in resolved:
            if part.id in imports:
                yield imports[part.id]
            elif part.id in plan.definitions:
                yield _Import(module, part.id)


def _attribute_target(node: ast.Attribute, imports: dict[str, _Import]) -> _Import | None:
    """Resolve `alias.attribute` where the alias is a module."""
    if not isinstance(node.value, ast.Name) or node.value.id not in imports:
        return None
    target = imports[node.value.id]
    module = target.module if target.name is None else f"{target.module}.{target.name}"
    return None if _path_of(module) is None else _Import(module, node.attr)
