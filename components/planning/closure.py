"""The code that decides a stage's result: its function and every first-party definition that it reaches.

The source is read, never run, so the planner needs none of the libraries. Rewording re-runs nothing (see
`components.planning.reader` for what counts of a definition), a changed helper does.

What is followed: names of the same module, imported names through re-exports, stars and aliases, attributes of
modules, imports inside functions, decorators, base classes, types of fields, the classes of the inputs. A module
that is passed around as a value counts whole. Statements that aren't definitions count as soon as their module is
imported. A name that can't be found in its module makes the module count whole.

What is chosen by name: of a `Table(…)` literal that is looked up, and of a union `A | B` or a field's type whose
classes carry a tag (`x: Literal["y"] = "y"`), only the entries count that the inputs or a string in the reached
code name. A table that is iterated over or passed on counts whole, and so does one of which nothing is named.

The user's own modules count whole, with all that they import from outside the installed libraries, and with the
versions of those; if they have what imports by computed names (`importlib`, `runpy`, `__import__`), every file of
their package does, or every module beside one that is in none. What they load by other means is refused as soon as
they are imported (`components.planning.loaded`).

What isn't seen, and so isn't written here: `getattr`, `globals` or `import_module` with a computed name, a table's
key put together from pieces of strings, data files read by code, first-party methods reached only through an object
that no followed code makes or names.
"""

import gc
import sys
from collections.abc import Iterable, Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from components.errors import nearest, refuse
from components.planning.key import installed_version
from components.planning.reader import Chain, Content, Import
from components.planning.syntax import Module, module_at, path_of, places_of

OBSERVERS = (
    "tasks.stage",
    "tasks.perform",
    "tasks.tracker",
    "tasks.tracking",
    "components.errors",
    "components.store",
    "components.planning",
)
IMPORTERS = frozenset({"importlib", "importlib.machinery", "importlib.util", "pkgutil", "runpy"})  # by computed names
INSTALLED = "(installed)"  # beside the name of a library that the user's code imports
FIRST_PARTY = frozenset({"components", "tasks"})

Digests = dict[str, str]  # by qualified name, `components.training.loop.fit`


def code_of(entry: str, *, named: Set[str], also: Iterable[str] = (), types: Iterable[str] = ()) -> Digests:
    """Return a digest for each definition that `entry` reaches, and the version of each library of the user's code.

    `entry`, `also` and `types` are written `package.module:name`. `also` is the user's own code. `types` are the
    classes of the inputs. `named` holds the strings of the inputs.

    Raises:
        Refusal: `entry` or the user's code isn't there, or isn't Python.
    """
    also = tuple(also)
    walk = _Walk(
        packages=FIRST_PARTY | {_package(entry)},
        users=frozenset(_package(target) for target in also) - FIRST_PARTY,
        named=set(named),
    )
    with _no_garbage_collection():
        for target in also:
            walk.reach_users(module_of(target).name)
        module_of(entry)
        for target in (entry, *types):
            module, _, name = target.partition(":")
            walk.follow_module(module, (name.partition(".")[0],))
        walk.settle()
    return dict(sorted(walk.digests.items()))


def users_files(target: str) -> set[Path]:
    """Return the files that count of the user's code `module:name`.

    Raises:
        Refusal: it isn't there, or isn't Python.
    """
    walk = _Walk(packages=FIRST_PARTY, users={_package(target)} - FIRST_PARTY, named=set())
    walk.reach_users(module_of(target).name)
    paths = (path_of(name) for kind, name in walk.seen if kind == "user")
    return {path.resolve() for path in paths if path is not None}


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """A third of the time goes there, for syntax trees that all stay."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _package(target: str) -> str:
    return target.partition(":")[0].partition(".")[0]


def module_of(target: str) -> Module:
    """Return the module that `module:name` is in, without importing it.

    Raises:
        Refusal: there is no such module, or no such name in it.
    """
    name, _, wanted = target.partition(":")
    module = module_at(name)
    if module is None:
        allowed, do = "package.module:Name", "put the package beside the recipe, or install it"
        raise refuse(f"there is no module {name}", where=target, allowed=allowed, do=do)
    if module.path.suffix == ".py" and not module.knows(wanted) and not module.stars:
        allowed = ", ".join(module.made[:20]) or "none: no class and no function is written there"
        do = nearest(wanted, module.definitions) or "name one of these behind the colon, or write it there"
        raise refuse(f"{name} has no '{wanted}'", where=target, allowed=allowed, do=do)
    return module


@dataclass(slots=True)
class _Choice:
    """Something that counts once its tag, or the key of its entry, is named."""

    tags: Set[str]
    owner: str  # qualified name of the table or union, empty for the type of a field
    label: str
    module: Module
    content: Content


@dataclass(slots=True)
class _Walk:
    packages: Set[str]
    users: Set[str]
    named: set[str]
    digests: Digests = field(default_factory=dict)
    seen: set[tuple[str, ...]] = field(default_factory=set)
    choices: list[_Choice] = field(default_factory=list)
    chosen: set[str] = field(default_factory=set)  # owners of which something is named
    ours: dict[str, bool] = field(default_factory=dict)

    def settle(self) -> None:
        """Take what is named by now, until nothing new is named by what was taken."""
        while self.choices:
            ready = [choice for choice in self.choices if choice.tags & self.named]
            if not ready:
                ready = [choice for choice in self.choices if choice.owner and choice.owner not in self.chosen]
            if not ready:
                return
            self.choices = [choice for choice in self.choices if all(choice is not one for one in ready)]
            for choice in ready:
                self._choose(choice)

    def follow_module(self, name: str, rest: Chain, *, lookup: bool = False, quiet: bool = False) -> bool:
        """Reach `name.rest`, or the whole module. Returns whether something was found."""
        module = self._module(name)
        if module is None:
            return False
        if name.partition(".")[0] in self.users:
            self.reach_users(name)
            return True
        self._load(name)
        if not rest:
            self._reach_all(module)
            return True
        found = module.knows(rest[0])
        if found:
            self._reach(module, rest[0], rest[1:], lookup=lookup)
        if module.is_package and path_of(f"{name}.{rest[0]}") is not None:
            found = self.follow_module(f"{name}.{rest[0]}", rest[1:], lookup=lookup) or found
        if not found:
            found = any(self.follow_module(star, rest, lookup=lookup, quiet=True) for star in module.stars)
        if not found and not quiet and not rest[0].startswith("__"):
            self._reach_all(module)
        return found

    def reach_users(self, name: str) -> None:
        """Add all of a user's module, and what it imports."""
        module = self._module(name)
        if module is None or ("user", name) in self.seen:
            return
        self.seen.add(("user", name))
        self.reach_users(name.rpartition(".")[0])
        content = module.whole
        self.digests[name] = content.digest
        self.named |= content.strings
        for loaded in module.loads | content.loads:
            self._reach_import(loaded)
        if _may_import_by_name(content):
            for other in _files_of(name.partition(".")[0]):
                self._reach_import(other)

    def _reach_import(self, name: str) -> None:
        top = name.partition(".")[0]
        if top not in self.packages and (top in self.users or _is_local(top)):
            self.users |= {top}
            self.reach_users(name)
        elif top in self.packages:
            self.follow_module(name, ())
        elif top not in sys.stdlib_module_names and (version := installed_version(top)):
            self.digests[f"{top} {INSTALLED}"] = version

    def _module(self, name: str) -> Module | None:
        if name not in self.ours:
            watched = any(name == one or name.startswith(f"{one}.") for one in OBSERVERS)
            top = name.partition(".")[0]
            self.ours[name] = not watched and (top in self.packages or top in self.users)
        return module_at(name) if self.ours[name] else None

    def _load(self, name: str) -> None:
        """Add what importing the module runs: its loose statements, and those of what it imports in turn."""
        if ("load", name) in self.seen:
            return
        self.seen.add(("load", name))
        module = self._module(name)
        if module is None:
            return
        self._load_parents(name)
        if module.statements:
            self._add(f"{name}.<module>", module.loose, module)
        for loaded in module.loads:
            self._load(loaded)

    def _load_parents(self, name: str) -> None:
        if parent := name.rpartition(".")[0]:
            self._load(parent)

    def _reach_all(self, module: Module) -> None:
        if ("all", module.name) in self.seen:
            return
        self.seen.add(("all", module.name))
        self._load(module.name)
        for name in module.definitions:
            self._reach(module, name, ())
        for targets in module.imports.values():
            for target in targets:
                if target.name is not None:
                    self._follow(target, ())

    def _reach(self, module: Module, name: str, rest: Chain, *, lookup: bool = False) -> None:
        if name in module.definitions:
            self._reach_definition(module, name, lookup=lookup and not rest)
        for target in module.imports.get(name, ()):
            self._follow(target, rest, lookup=lookup)

    def _reach_definition(self, module: Module, name: str, *, lookup: bool) -> None:
        qualified = f"{module.name}.{name}"
        if (qualified, "all") in self.seen or (lookup and (qualified, "") in self.seen):
            return
        self.seen.add((qualified, ""))
        if lookup and (table := module.table(name)) is not None:
            for key, entry in table.items():
                self.choices.append(_Choice({key}, qualified, key, module, module.read([entry])))
            return
        self.seen.add((qualified, "all"))
        members = module.union(name)
        if members is None:
            self._add(qualified, module.content(name), module)
        for member in members or ():
            self._consider(member, module, owner=qualified)

    def _add(self, qualified: str, content: Content, module: Module) -> None:
        self.digests[qualified] = content.digest
        self.named |= content.strings
        for loaded in content.loads:
            self._load(loaded)
        for chain in content.chains:
            self._resolve(chain, content, module)
        for chain in content.lookups:
            self._resolve(chain, content, module, lookup=True)
        for chain in content.typed:
            self._consider(chain, module)

    def _resolve(self, chain: Chain, content: Content, module: Module, *, lookup: bool = False) -> None:
        root, rest = chain[0], chain[1:]
        for target in content.imports.get(root, ()):
            self._follow(target, rest, lookup=lookup)
        if module.knows(root):
            self._reach(module, root, rest, lookup=lookup)
        elif root not in content.imports:
            for star in module.stars:
                self.follow_module(star, chain, lookup=lookup, quiet=True)

    def _follow(self, target: Import, rest: Chain, *, lookup: bool = False) -> None:
        names = rest if target.name is None else (target.name, *rest)
        self.follow_module(target.module, names, lookup=lookup)

    def _consider(self, chain: Chain, module: Module, *, owner: str = "") -> None:
        """Reach a class that may carry a tag: at once without one, else when the tag is named."""
        tags = self._tags(chain, module)
        content = Content(chains={chain})
        label = ".".join(chain)
        if tags:
            self.choices.append(_Choice(tags, owner, label, module, content))
        else:
            self._take(owner, label, content, module)

    def _choose(self, choice: _Choice) -> None:
        self.chosen.add(choice.owner)
        self._take(choice.owner, choice.label, choice.content, choice.module)

    def _take(self, owner: str, label: str, content: Content, module: Module) -> None:
        if owner:
            self._add(f"{owner}[{label}]", content, module)
        else:
            for chain in content.chains:
                self._resolve(chain, content, module)

    def _tags(self, chain: Chain, module: Module) -> set[str]:
        """Return the tags of the class that the chain names, through imports."""
        for _ in range(10):  # re-exports
            if chain[0] in module.definitions:
                return module.tags(chain[0])
            target = next(iter(module.imports.get(chain[0], ())), None)
            if target is None:
                return set()
            rest = chain[1:] if target.name is None else (target.name, *chain[1:])
            following = self._module(target.module)
            if following is None or not rest:
                return set()
            module, chain = following, rest
        return set()


def _may_import_by_name(content: Content) -> bool:
    """Say whether the module imports or names what imports by computed names, under whatever name of its own."""
    named = {name for chain in content.chains | content.lookups for name in chain}
    return bool(content.loads & IMPORTERS or (named | content.strings) & {"import_module", "__import__"})


def _files_of(package: str) -> Iterator[str]:
    """Yield the modules of the package; of a module that is in none, those beside it."""
    if places := places_of(package):
        for place in places:
            for file in sorted(place.rglob("*.py")):
                inner = file.relative_to(place).with_suffix("").parts
                yield ".".join([package, *(inner[:-1] if inner[-1] == "__init__" else inner)])
    elif _is_local(package) and (path := path_of(package)) is not None:
        yield from sorted(file.stem for file in path.parent.glob("*.py"))


def _is_local(top: str) -> bool:
    """Say whether the package is neither the standard library's nor installed among the libraries."""
    if top in sys.stdlib_module_names:
        return False
    path = path_of(top)
    places = [path] if path is not None else places_of(top)
    return bool(places) and not any(is_installed(place) for place in places)


def is_installed(path: Path) -> bool:
    """Say whether it is one of the libraries' files."""
    return not {"site-packages", "dist-packages"}.isdisjoint(path.parts)
