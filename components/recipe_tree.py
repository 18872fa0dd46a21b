"""The text of a recipe as a tree in which every node knows its place, before anything is known about types.

A place is `file:line:column`, or `--set KEY=VALUE` for a node that came from a change on the command line.
Nothing is interpreted here: `no`, `1e-3` and `"3"` stay text until the type of the field is known.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import yaml

from components.errors import Problem, Refusal, refuse

LARGEST_BYTES: Final = 1_000_000
MARK: Final = re.compile(r"found(?: character)? '([^\w\s<])'")  # which PyYAML didn't expect
SET: Final = "--set "  # what the place of a change begins with
VALUE: Final = 'a value as YAML writes it, such as 5, word, "a text" or [1, 2]'
LARGEST_NODES: Final = 20_000  # aliases can make a small file large
NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
# A line that begins neither where the lines above it do nor where one inside them would.
UNEVEN: Final = re.compile(r"found '<block (mapping|sequence) start>'|expected <block end>, but found '[-?]'")
# Problems that are noticed where the next thing begins: the fault lies where the context does.
UNENDED: Final = ("could not find expected ':'", "found unexpected end of stream")
DATA_TAGS: Final = ("str", "int", "float", "bool", "null", "timestamp", "value", "seq", "map", "merge")
KNOWN_TAGS: Final = frozenset(f"tag:yaml.org,2002:{name}" for name in DATA_TAGS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Scalar:
    """A text, as written. Quoted text is never a number, a boolean or null."""

    text: str
    quoted: bool
    where: str

    @property
    def is_null(self) -> bool:
        """Whether the node says `null`, in one of YAML's ways."""
        return not self.quoted and self.text in NULLS

    def __str__(self) -> str:
        shown = self.text if len(self.text) <= 60 else self.text[:57] + "..."
        return f'"{shown}"' if self.quoted else "null" if self.is_null else shown


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """A list."""

    items: tuple["Tree", ...]
    where: str

    def __str__(self) -> str:
        return f"a list of {len(self.items)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Mapping:
    """Keys with their values, in the order of the text, each key as often as it was written."""

    entries: tuple[tuple[Scalar, "Tree"], ...]
    where: str

    def __str__(self) -> str:
        return f"a mapping of {', '.join(key.text for key, _ in self.entries) or 'nothing'}"

    def get(self, name: str) -> "Tree | None":
        """Return the value of the first key of that name."""
        return next((value for key, value in self.entries if key.text == name), None)


Tree = Scalar | Listing | Mapping


def parse(text: str, *, source: str, place: str = "") -> Tree | None:
    """Return the tree of a YAML text, or None where it holds nothing.

    `source` is named in places as `source:line:column`; a `place` is used for every node instead.

    Raises:
        Refusal: the text isn't YAML, or holds more than data.
    """
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark, began = error.problem_mark or error.context_mark, error.context_mark
        if began and error.problem in UNENDED:
            mark = began
        where = place or (_at(source, mark.line, mark.column) if mark else source)
        unclosed = began and mark and "flow" in (error.context or "") and began.line < mark.line
        bracket = began.line + 1 if began and unclosed else None
        raise _not_yaml(error.problem or str(error), where, text, bracket=bracket) from None
    except yaml.YAMLError as error:
        raise _not_yaml(str(error).splitlines()[0], place or source, text, bracket=None) from None
    except RecursionError:
        raise refuse("not a recipe: it is nested too deeply", where=place or source) from None
    return None if node is None else _Growth(source, place).tree(node, ())


def _not_yaml(problem: str, where: str, text: str, *, bracket: int | None) -> Refusal:
    """Return the refusal; `bracket` is the line of one that was still open where the problem was noticed."""
    tab = "\\t" in problem or "'\t'" in problem
    do = "indent with spaces, YAML forbids tabs" if tab else ""
    if not do and "mapping values are not allowed" in problem:
        do = 'check the indentation of this line, and for a missing ":" the one before; quote a text that contains ": "'
    if not do and "expected ':'" in problem:
        do = 'a key ends with ":"; a text that goes on over several lines is indented'
    if not do and "unexpected end of stream" in problem:
        do = "close the quote that begins here"
    if not do and bracket is not None:
        do = f"check this line, and that the bracket opened on line {bracket} is closed"
    if not do and UNEVEN.search(problem):
        do = "check the indentation of this line and of the ones above: keys of one mapping begin in the same column"
    if not do and "{{" in text:
        do = "quote a text that begins with {"
    allowed = VALUE if where.startswith(SET) else "keys with their values, as YAML writes them"
    return refuse(f"not YAML: {problem}", where=where, allowed=allowed, do=do or _quoting(problem, where))


def _quoting(problem: str, where: str) -> str:
    """Say how a value is written that begins with a mark of YAML's own. A shell takes the outer quotes away."""
    if "special characters" in problem:
        return "remove the character, or save the file as UTF-8 text"
    found = MARK.search(problem)
    quoted = f'"{found[1] if found else ","}"'
    shell = f"; in a shell: '{quoted}'" if where.startswith(SET) else ""
    return f"quote a value that begins with a mark of YAML's own, such as {quoted}{shell}"


def _at(source: str, line: int, column: int) -> str:
    return f"{source}:{line + 1}:{column + 1}"


class _Growth:
    """Turns YAML's nodes into ours, and stops at loops and at trees that only aliases could make."""

    def __init__(self, source: str, place: str) -> None:
        self.source = source
        self.place = place
        self.nodes = 0

    def tree(self, node: yaml.Node, above: tuple[int, ...]) -> Tree:
        where = self.place or _at(self.source, node.start_mark.line, node.start_mark.column)
        self.nodes += 1
        if id(node) in above or self.nodes > LARGEST_NODES or len(above) > 50:
            raise refuse("not a recipe: it is too large, too deep, or contains itself", where=where)
        if node.tag not in KNOWN_TAGS:
            tag = node.tag.replace("tag:yaml.org,2002:", "!!")
            raise refuse(f"the tag {tag} isn't data", where=where, do="remove it")
        if isinstance(node, yaml.ScalarNode):
            return Scalar(text=node.value, quoted=node.style is not None, where=where)
        inside = (*above, id(node))
        if isinstance(node, yaml.SequenceNode):
            return Listing(items=tuple(self.tree(item, inside) for item in node.value), where=where)
        return Mapping(entries=tuple(self.entry(pair, inside) for pair in node.value), where=where)

    def entry(self, pair: tuple[yaml.Node, yaml.Node], above: tuple[int, ...]) -> tuple[Scalar, Tree]:
        key = self.tree(pair[0], above)
        if not isinstance(key, Scalar):
            raise refuse(f"a key is {key}", where=key.where, allowed="a text")
        return key, self.tree(pair[1], above)


def changed(tree: Tree, changes: Sequence[str], *, source: str) -> tuple[Tree, list[Problem]]:
    """Return the tree with `KEY=VALUE` changes applied in order, and what is wrong with those that couldn't be.

    A key is dotted (`train.optimizer.lr`, `prune.0.ratio`), a value is YAML.
    """
    problems: list[Problem] = []
    for change in changes:
        place = f"{SET}{change}"
        name, equals, text = change.partition("=")
        if not equals or not name.strip():
            problems.append(Problem(what="not a change", where=place, allowed="KEY=VALUE, such as train.epochs=5"))
            continue
        try:
            value = parse(text, source=source, place=place) or Scalar(text="", quoted=False, where=place)
            tree = _with(tree, name.strip().split("."), value, place)
        except Refusal as refusal:
            problems.extend(refusal.problems)
    return tree, problems


def _with(tree: Tree, keys: list[str], value: Tree, place: str) -> Tree:
    if not keys:
        return value
    if isinstance(tree, Scalar) and tree.is_null:
        tree = _new(keys, place)
    if isinstance(tree, Listing):
        return _with_item(tree, keys, value, place)
    if not isinstance(tree, Mapping):
        raise refuse(f"'{keys[0]}' can't be set inside {tree}", where=place)
    # A column's name may itself contain dots: the longest key that exists wins.
    count = next((n for n in range(len(keys), 0, -1) if tree.get(".".join(keys[:n])) is not None), 1)
    name, rest = ".".join(keys[:count]), keys[count:]
    below = _with(tree.get(name) or _new(rest, place), rest, value, place)
    entry = (Scalar(text=name, quoted=True, where=place), below)
    if tree.get(name) is None:
        return replace(tree, entries=(*tree.entries, entry))
    kept = [(entry if not rest else (key, below)) if key.text == name else (key, old) for key, old in tree.entries]
    return replace(tree, entries=tuple(kept))


def _new(keys: list[str], place: str) -> Tree:
    """Return what a key that isn't there yet holds before its value is set: `prune.0` makes a list."""
    return Listing(items=(), where=place) if keys[:1] == ["0"] else Mapping(entries=(), where=place)


def _with_item(tree: Listing, keys: list[str], value: Tree, place: str) -> Listing:
    count = len(tree.items)
    if not keys[0].isdecimal() or len(keys[0]) > len(str(LARGEST_NODES)) or int(keys[0]) > count:
        allowed = f"0 to {count}, where {count} adds one"
        raise refuse(f"'{keys[0]}' isn't an entry of the list", where=place, allowed=allowed)
    index = int(keys[0])
    below = tree.items[index] if index < count else _new(keys[1:], place)
    item = _with(below, keys[1:], value, place)
    return replace(tree, items=(*tree.items[:index], item, *tree.items[index + 1 :]))
