"""From a tree of texts to frozen dataclasses, with every problem found on the way.

The type of the field decides what a text means, so YAML's own guesses (`no` is false, `1e-3` is text,
`010` is eight) never matter: in a text's place `no` is "no", in a number's place `1e-3` is 0.001.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Final, Literal, Union, get_args, get_origin, get_type_hints

from components.errors import Problem, Refusal, nearest
from components.recipe_tree import Listing, Mapping, Scalar, Tree

TAGS: Final = ("family", "method", "name")  # the Literal fields by which a union of sections is told apart
TRUE: Final = frozenset({"true", "yes", "on"})
FALSE: Final = frozenset({"false", "no", "off"})
WHOLE: Final = re.compile(r"[-+]?(0|[1-9][0-9_]*)\Z")
DECIMAL: Final = re.compile(r"[-+]?([0-9][0-9_]*\.?[0-9_]*|\.[0-9]+)([eE][-+]?[0-9]+)?\Z")


class Nothing(Enum):
    """What decoding gives where no value could be made."""

    FAILED = "failed"


FAILED: Final = Nothing.FAILED


@dataclass(frozen=True, slots=True)
class Absent:
    """The default of a field that has none."""


ABSENT: Final = Absent()


@cache
def hints(kind: type) -> dict[str, object]:
    """Return the types of a dataclass's fields by name."""
    return dict(get_type_hints(kind))


def default(field: "Field[object]") -> object:
    """Return the default of a field, or ABSENT."""
    if field.default is not MISSING:
        return field.default
    return field.default_factory() if field.default_factory is not MISSING else ABSENT


def members(kind: object) -> tuple[object, ...]:
    """Return the types that a value may have: those of a union, or the one."""
    return get_args(kind) if get_origin(kind) in (UnionType, Union) else (kind,)


def tag(section: type) -> tuple[str, str] | None:
    """Return the field that names a section in a union, and the section's name: ("family", "mlp")."""
    for name in TAGS:
        kind = hints(section).get(name)
        if get_origin(kind) is Literal and len(get_args(kind)) == 1:
            return name, str(get_args(kind)[0])
    return None


def plain(text: str) -> int | float | bool | str:
    """Return what an unquoted text is where a number, a boolean or a text may stand."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if WHOLE.match(text):
        return int(text.replace("_", ""))
    return float(text.replace("_", "")) if DECIMAL.match(text) else text


WORDS: Final[dict[object, str]] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
    NoneType: "null",
}


def describe(kind: object) -> str:
    """Return in words what a type allows."""
    inside = get_args(kind)
    if kind in WORDS:
        return WORDS[kind]
    if get_origin(kind) is Literal:
        return ", ".join(map(str, inside))
    if get_origin(kind) is tuple:
        many = f"a list, each entry {describe(inside[0])}"
        return many if inside[1:] == (...,) else f"a list of {len(inside)} values"
    if get_origin(kind) is dict:
        return f"a mapping, each value {describe(inside[1])}"
    if found := sections(kind):
        tags = [known for section in found if (known := tag(section))]
        return f"a mapping with {tags[0][0]}: {', '.join(name for _, name in tags)}" if tags else "a mapping"
    return " or ".join(map(describe, inside))


def sections(kind: object) -> list[type]:
    """Return the dataclasses among the members of a type."""
    return [member for member in members(kind) if isinstance(member, type) and is_dataclass(member)]


def home(name: str, kind: type) -> str:
    """Return where below a section a field of that name lies, such as `optimizer` for `lr`, or an empty string."""
    for field, below in hints(kind).items():
        for section in sections(below):
            if name in hints(section):
                return field
            if deeper := home(name, section):
                return f"{field}.{deeper}"
    return ""


class Decoder:
    """Decodes trees, and collects what is wrong with them in `problems`."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def refuse(self, tree: Tree, what: str, *, allowed: str = "", do: str = "") -> Literal[Nothing.FAILED]:
        """Note a problem at the tree's place."""
        self.problems.append(Problem(what=what, where=tree.where, allowed=allowed, do=do))
        return FAILED

    def decode(self, tree: Tree, kind: object, *, key: str, otherwise: object = ABSENT) -> object:
        """Return the value of a tree as `kind`, or FAILED. `otherwise`, the default, tells an untagged section."""
        if NoneType in members(kind) and isinstance(tree, Scalar) and tree.is_null:
            return None
        one = next(member for member in members(kind) if member is not NoneType)
        if found := sections(kind):
            return self._section(tree, found, key=key, otherwise=otherwise)
        if get_origin(one) is dict:
            return self._mapping(tree, get_args(one)[1], key=key)
        if get_origin(one) is tuple:
            return self._listing(tree, one, key=key)
        return self._scalar(tree, kind, key=key)

    def _scalar(self, tree: Tree, kind: object, *, key: str) -> object:
        kinds = [member for member in members(kind) if member is not NoneType]
        if not isinstance(tree, Scalar):
            return self.refuse(tree, f"{key} is {tree}", allowed=describe(kind))
        if get_origin(kinds[0]) is Literal:
            return self._choice(tree, kind, get_args(kinds[0]), key=key)
        value = _one_of(tree, kinds)
        if value is not FAILED and not (isinstance(value, float) and not math.isfinite(value)):
            return value
        unquoted = tree.quoted and _as(tree.text, kinds[0]) is not FAILED
        return self.refuse(tree, f"{key} is {tree}", allowed=describe(kind), do="remove the quotes" if unquoted else "")

    def _choice(self, tree: Scalar, kind: object, choices: tuple[object, ...], *, key: str) -> object:
        for choice in choices:
            if tree.text == str(choice) and (isinstance(choice, str) or not tree.quoted):
                return choice
        return self.refuse(tree, f"{key} is {tree}", allowed=describe(kind), do=nearest(tree.text, map(str, choices)))

    def _listing(self, tree: Tree, kind: object, *, key: str) -> object:
        if isinstance(tree, Scalar) and tree.is_null:
            tree = Listing(items=(), where=tree.where)
        if not isinstance(tree, Listing):
            do = f"write [{tree}]" if isinstance(tree, Scalar) else ""
            return self.refuse(tree, f"{key} is {tree}", allowed=describe(kind), do=do)
        kinds = get_args(kind)
        if kinds[1:] == (...,):
            kinds = kinds[:1] * len(tree.items)
        if len(kinds) != len(tree.items):
            return self.refuse(tree, f"{key} is {tree}", allowed=describe(kind))
        pairs = enumerate(zip(tree.items, kinds, strict=True))
        items = [self.decode(item, of, key=f"{key}.{number}") for number, (item, of) in pairs]
        return FAILED if FAILED in items else tuple(items)

    def _mapping(self, tree: Tree, kind: object, *, key: str) -> object:
        if isinstance(tree, Scalar) and tree.is_null:
            tree = Mapping(entries=(), where=tree.where)
        if not isinstance(tree, Mapping):
            return self.refuse(tree, f"{key} is {tree}", allowed=f"a mapping, each value {describe(kind)}")
        entries = self.entries(tree, key)
        values = {name.text: self.decode(item, kind, key=f"{key}.{name.text}") for name, item in entries}
        return FAILED if FAILED in values.values() else values

    def entries(self, tree: Mapping, key: str) -> Iterator[tuple[Scalar, Tree]]:
        """Yield the entries, each name once: a second one is refused, not silently preferred."""
        seen: dict[str, Scalar] = {}
        for name, item in tree.entries:
            if name.text in seen:
                dotted = _join(key, name.text)
                self.refuse(name, f"{dotted} is given twice, first at {seen[name.text].where}", do="remove one of them")
            else:
                seen[name.text] = name
                yield name, item

    def _section(self, tree: Tree, kinds: list[type], *, key: str, otherwise: object) -> object:
        if isinstance(tree, Scalar) and tree.is_null:
            tree = Mapping(entries=(), where=tree.where)
        if not isinstance(tree, Mapping):
            allowed = " or ".join(sorted({describe(kind) for kind in kinds}))
            return self.refuse(tree, f"{key} is {tree}", allowed=allowed)
        section = self._which(tree, kinds, key=key, otherwise=otherwise)
        return FAILED if section is None else Section(self, section, tree, key).value()

    def _which(self, tree: Mapping, kinds: list[type], *, key: str, otherwise: object) -> type | None:
        tags = {found: section for section in kinds if (found := tag(section))}
        if not tags:
            return kinds[0]
        field = next(iter(tags))[0]
        names = [name for _, name in tags]
        given = tree.get(field)
        if given is not None:
            if isinstance(given, Scalar) and (field, given.text) in tags:
                return tags[field, given.text]
            close = nearest(given.text, names) if isinstance(given, Scalar) else ""
            self.refuse(given, f"{key}.{field} is {given}", allowed=", ".join(names), do=close)
            return None
        if len(kinds) == 1:
            return kinds[0]
        if type(otherwise) in kinds:
            return type(otherwise)
        typo = next((name for name, _ in tree.entries if nearest(name.text, [field])), None)
        if typo is not None:
            self.refuse(typo, f"unknown key {_join(key, typo.text)}", allowed=field, do=nearest(typo.text, [field]))
        else:
            do = f"name it as well: {key}: {{{field}: {names[0]}, ...}}, or --set '{key}={{{field}: {names[0]}, ...}}'"
            self.refuse(tree, f"{key}.{field} is missing", allowed=", ".join(names), do=do)
        return None


class Section:
    """One mapping on its way to one dataclass."""

    def __init__(self, decoder: Decoder, kind: type, tree: Mapping, key: str) -> None:
        self.decoder = decoder
        self.kind = kind
        self.tree = tree
        self.key = key
        self.fields = {field.name: field for field in fields(kind)}
        self.values: dict[str, object] = {}
        self.given: dict[str, Tree] = {}
        self.blamed: set[str] = set()  # fields that a problem was already noted for

    def value(self) -> object:
        """Return the dataclass, or FAILED. Problems are noted in the decoder."""
        for name, item in self.decoder.entries(self.tree, self.key):
            self._field(name, item)
        required = [name for name, field in self.fields.items() if isinstance(default(field), Absent)]
        for needed in required:
            if needed not in self.given:
                dotted, allowed = _join(self.key, needed), describe(hints(self.kind)[needed])
                self.decoder.refuse(self.tree, f"{dotted} is missing", allowed=allowed)
        return self._built() if all(name in self.values for name in required) else FAILED

    def _field(self, name: Scalar, item: Tree) -> None:
        dotted = _join(self.key, name.text)
        if name.text not in self.fields:
            below = home(name.text, self.kind)
            close = nearest(name.text, self.fields) or (f"it belongs to {_join(self.key, below)}" if below else "")
            if name.text.isdecimal():
                close = "write decimals with a point: 0.5, not 0,5"
                self.blamed.update(list(self.given)[-1:])  # it holds only what stands before the comma
            self.decoder.refuse(name, f"unknown key {dotted}", allowed=", ".join(self.fields), do=close)
            return
        self.given[name.text] = item
        before = len(self.decoder.problems)
        otherwise = default(self.fields[name.text])
        value = self.decoder.decode(item, hints(self.kind)[name.text], key=dotted, otherwise=otherwise)
        if value is not FAILED:
            self.values[name.text] = value
        if len(self.decoder.problems) > before:
            self.blamed.add(name.text)

    def _built(self) -> object:
        """Build the dataclass; after each impossible value go on without it, to find the next one as well.

        A message that mentions a field already blamed may only follow from that, so it ends the search.
        """
        values = dict(self.values)
        said = False
        while (result := self._try(values)) and isinstance(result, str):
            if any(_names(result, name) for name in self.blamed):
                return FAILED
            culprit = self._culprit(values, result)
            self._blame(result, culprit)
            said = True
            if culprit is None or isinstance(default(self.fields[culprit]), Absent):
                return FAILED
            self.blamed.add(culprit)
            del values[culprit]
        return FAILED if said else result

    def _try(self, values: dict[str, object]) -> object:
        try:
            return self.kind(**values)
        except (ValueError, Refusal) as error:
            return str(error)

    def _culprit(self, values: dict[str, object], message: str) -> str | None:
        """Return the given field to blame: one that the message names, and without which it isn't raised."""
        named = [name for name in values if _names(message, name)]
        loose = [name for name in named if not isinstance(default(self.fields[name]), Absent)]
        for name in loose:
            if self._try({key: value for key, value in values.items() if key != name}) != message:
                return name
        return next((name for name in named if name not in loose), None)

    def _blame(self, message: str, culprit: str | None) -> None:
        """Note an impossible value at the field to blame, or at the first field below that the message names."""
        near = [(culprit, self.given[culprit])] if culprit else list(self.given.items())
        for name, tree in near:
            for key, item in tree.entries if isinstance(tree, Mapping) else ():
                if _names(message, key.text):
                    self._note(item, message, f"{name}.{key.text}")
                    return
        self._note(self.given[culprit] if culprit else self.tree, message, culprit or "")

    def _note(self, tree: Tree, message: str, name: str) -> None:
        dotted = _join(self.key, name) or "the recipe"
        shown = f"{dotted} is {tree}" if isinstance(tree, Scalar) else dotted
        self.decoder.refuse(tree, f"{shown}: {message}")


def _names(message: str, name: str) -> bool:
    return re.search(rf"\b{re.escape(name)}\b", message) is not None


def _join(key: str, name: str) -> str:
    return ".".join(filter(None, (key, name)))


def _one_of(tree: Scalar, kinds: list[object]) -> object:
    """Return a scalar as one of the types, or FAILED."""
    if tree.is_null or (tree.quoted and str not in kinds):
        return FAILED
    if len(kinds) == 1:
        return _as(tree.text, kinds[0])
    value = tree.text if tree.quoted else plain(tree.text)
    return value if type(value) in kinds else FAILED


def _as(text: str, kind: object) -> object:
    """Return the text as one scalar type, or FAILED."""
    if kind is str:
        return text
    if kind is bool:
        return text.lower() in TRUE if text.lower() in TRUE | FALSE else FAILED
    if kind is int:
        return int(text.replace("_", "")) if WHOLE.match(text) else FAILED
    return float(text.replace("_", "")) if DECIMAL.match(text) else FAILED
