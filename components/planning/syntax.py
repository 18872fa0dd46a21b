"""The source of a module, found and parsed, never run: what it defines and what it imports."""

import ast
import hashlib
import sys
from collections.abc import Iterable, Iterator
from functools import cached_property
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from pathlib import Path

from components.errors import refuse
from components.planning.reader import Chain, Content, Import, Reader, chain_of


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
        return Reader(self).read(nodes)

    def knows(self, name: str) -> bool:
        """Say whether the name is bound here, by other means than a star."""
        return name in self.definitions or name in self.imports or name in self.inside

    @property
    def made(self) -> list[str]:
        """The names of its classes and functions, but for those that begin with an underscore."""
        kinds = (ast.ClassDef, ast.FunctionDef)
        made = (name for name, nodes in self.definitions.items() if any(isinstance(node, kinds) for node in nodes))
        return [name for name in made if not name.startswith("_")]

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


_PATHS: dict[tuple[str, ...], dict[str, Path]] = {}  # by sys.path, and by the module's name
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
    """Return the file of a module, without importing it or a package above it.

    What this process has imported decides nothing: every process must find the same.
    """
    known = _PATHS.setdefault(tuple(sys.path), {})
    if name not in known:
        path = _found(name, above=known.get(name.rpartition(".")[0]))
        if path is None:
            return None
        known[name] = path
    return known[name]


def places_of(top: str) -> list[Path]:
    """Return the folders that a top-level package's modules are in; none of what isn't a package."""
    spec = _spec_of(top)
    return list(map(Path, (spec.submodule_search_locations if spec else None) or ()))


def _found(name: str, *, above: Path | None) -> Path | None:
    if above is not None and above.name != "__init__.py":
        return None  # a module has no modules in it
    top, *rest = name.split(".")
    if not rest:
        spec = _spec_of(top)
        return Path(spec.origin) if spec and spec.origin and spec.has_location else None
    for place in places_of(top):
        path = place.joinpath(*rest)
        compiled = (path.with_name(f"{path.name}{suffix}") for suffix in EXTENSION_SUFFIXES)
        for candidate in (path / "__init__.py", path.with_name(f"{path.name}.py"), *compiled):
            if candidate.is_file():
                return candidate
    return None


def _spec_of(top: str) -> ModuleSpec | None:
    """As importlib's `find_spec`, which would look among the imported modules first."""
    specs = (finder.find_spec(top, None) for finder in sys.meta_path) if top else ()
    return next((spec for spec in specs if spec is not None), None)


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
