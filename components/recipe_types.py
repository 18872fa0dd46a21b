"""From a tree of texts to frozen dataclasses, with every problem found on the way.

The type of the field decides what a text means, so YAML's own guesses (`no` is false, `1e-3` is text,
`010` is eight) never matter: in a text's place `no` is "no", in a number's place `1e-3` is 0.001.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from difflib import get_close_matches
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Final, Literal, Union, get_args, get_origin, get_type_hints

from components.errors import Problem, nearest
from components.recipe_tree import Listing, Mapping, Scalar, Tree
from components.rules import Breach, Ruled

TAGS: Final = ("family", "method", "name")  # the Literal fields by which a union of sections is told apart
TRUE: Final = frozenset({"true", "yes", "on"})
FALSE: Final = frozenset({"false", "no", "off"})
LARGEST: Final = 2**63 - 1  # whole number, above 0 or below: what the libraries that are given it can hold
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
    if (number := whole(text)) is not FAILED:
        return number
    return float(text.replace("_", "")) if DECIMAL.match(text) else text


def whole(text: str) -> int | Literal[Nothing.FAILED]:
    """Return the text as a whole number, FAILED where it is none, or one beyond the largest."""
    digits = text.replace("_", "")
    if not WHOLE.match(text) or len(digits) > len(str(-LARGEST)):  # Python itself reads 4300 digits at most
        return FAILED
    number = int(digits)
    return number if abs(number) <= LARGEST else FAILED


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


def assembled(kind: type, values: dict[str, object]) -> object:
    """Return a dataclass without a look at its rules. A field without a value has its default, or a stand-in."""
    made: object = object.__new__(kind)
    for field in fields(kind):
        value = values.get(field.name, default(field))
        object.__setattr__(made, field.name, stand_in(hints(kind)[field.name]) if value is ABSENT else value)
    return made


def stand_in(kind: object) -> object:
    """Return some value of a type: of a choice the last, which for columns is `ignore` and clashes with none."""
    first = members(kind)[0]
    if get_origin(first) is Literal:
        return get_args(first)[-1]
    made = get_origin(first) or first
    assert isinstance(made, type)
    return assembled(made, {}) if is_dataclass(made) else made()


class Decoder:
    """Decodes trees, and collects what is wrong with them in `problems`.

    What can't be decoded is left out or stands as some other value of its type, so that all rules can be asked. Its
    key is in `wrong`, and what a rule that looks at it says isn't heard.
    """

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.wrong: set[str] = set()  # dotted keys

    def is_wrong(self, key: str) -> bool:
        """Say whether a key, or one above it, is known to be wrong."""
        names = key.split(".")
        return any(".".join(names[:count]) in self.wrong for count in range(1, len(names) + 1))

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
        if int in kinds and not tree.quoted and WHOLE.match(tree.text):
            return self.refuse(tree, f"{key} is {tree}", allowed=f"a whole number from {-LARGEST} to {LARGEST}")
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
        failed = [name for name, value in values.items() if value is FAILED]
        self.wrong.update(f"{key}.{name}" for name in failed)
        return values | dict.fromkeys(failed, stand_in(kind))

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
        return FAILED if section is None else Section(self, section, tree, key, kinds).value()

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

    def __init__(self, decoder: Decoder, kind: type, tree: Mapping, key: str, kinds: list[type]) -> None:
        self.decoder = decoder
        self.kind = kind
        self.kinds = {known: one for one in kinds if (known := tag(one))}  # among which it was chosen
        self.tree = tree
        self.key = key
        self.fields = {field.name: field for field in fields(kind)}
        self.values: dict[str, object] = {}

    def value(self) -> object:
        """Return the dataclass. Problems are noted in the decoder; where there are any, it may be an impossible one."""
        meant = {self._field(name, item) for name, item in self.decoder.entries(self.tree, self.key)}
        for name, field in self.fields.items():
            if name in self.values:
                continue
            if name in meant:
                self.decoder.wrong.add(_join(self.key, name))
            elif default(field) is ABSENT:
                self._missing(name)
        built = assembled(self.kind, self.values)
        broken = built.breaches() if isinstance(built, Ruled) else ()
        for breach in sorted(broken, key=lambda one: len(one.keys) > 1):  # first those of one value alone
            self._note(breach)
        return built

    def _field(self, name: Scalar, item: Tree) -> str:
        """Decode a field, and return its name; where there is none of that name, that of the field that was meant."""
        dotted = _join(self.key, name.text)
        if name.text not in self.fields:
            return self._unknown(name, dotted)
        otherwise = default(self.fields[name.text])
        value = self.decoder.decode(item, hints(self.kind)[name.text], key=dotted, otherwise=otherwise)
        if value is not FAILED:
            self.values[name.text] = value
        return name.text

    def _unknown(self, name: Scalar, dotted: str) -> str:
        below = home(name.text, self.kind)
        do = nearest(name.text, self.fields) or (f"it belongs to {_join(self.key, below)}" if below else "")
        do = self._of_another(name.text, beside=do) or do
        if name.text.isdecimal():
            do = "write decimals with a point: 0.5, not 0,5"
            # The field before it holds only what stands before the comma.
            self.decoder.wrong.update(_join(self.key, before) for before in list(self.values)[-1:])
        self.decoder.refuse(name, f"unknown key {dotted}", allowed=", ".join(self.fields), do=do)
        return next(iter(get_close_matches(name.text, self.fields, n=1)), "")

    def _of_another(self, name: str, *, beside: str) -> str:
        """Say which choices have the key, where this one lacks it; else, with nothing else to say, which there are."""
        having = [choice for (_, choice), kind in self.kinds.items() if name in hints(kind)]
        known = tag(self.kind)
        if known is None or len(self.kinds) < 2 or (beside and not having):
            return ""
        field, chosen = known
        given = f"is {chosen}" if self.tree.get(field) is not None else f"isn't given and so is {chosen}"
        has = f" {'has' if len(having) == 1 else 'have'} '{name}'" if having else ""
        choices = ", ".join(having or (choice for _, choice in self.kinds))
        return f"{_join(self.key, field)}, which {given}, says which keys there are: {choices}{has}"

    def _missing(self, name: str) -> None:
        dotted = _join(self.key, name)
        self.decoder.wrong.add(dotted)
        self.decoder.refuse(self.tree, f"{dotted} is missing", allowed=describe(hints(self.kind)[name]))

    def _note(self, breach: Breach) -> None:
        """Note a broken rule at the first of its keys that was given, unless one of them is known to be wrong.

        Of values that only clash each may be right, so that other rules about them are heard.
        """
        if any(self.decoder.is_wrong(_join(self.key, key)) for key in breach.keys):
            return
        found = ((_join(self.key, key), _below(self.tree, key)) for key in breach.keys)
        dotted, tree = next(((key, tree) for key, tree in found if tree is not None), (self.key, self.tree))
        if len(breach.keys) == 1:
            self.decoder.wrong.add(dotted)
        shown = f"{dotted} is {tree}" if isinstance(tree, Scalar) else dotted
        what = breach.what if breach.what.startswith(dotted) else f"{shown}: {breach.what}"
        self.decoder.refuse(tree, what, allowed=breach.allowed, do=breach.do)


def _below(tree: Tree, key: str) -> Tree | None:
    """Return what a dotted key leads to. A column's name may itself contain dots, or be empty."""
    for name, item in tree.entries if isinstance(tree, Mapping) else ():
        if name.text == key:
            return item
        if key.startswith(f"{name.text}.") and (found := _below(item, key.removeprefix(f"{name.text}."))) is not None:
            return found
    return None


def _join(key: str, name: str) -> str:
    return ".".join(filter(None, (key, name)))


def _one_of(tree: Scalar, kinds: list[object]) -> object:
    """Return a scalar as one of the types, or FAILED."""
    if tree.is_null or (tree.quoted and str not in kinds):
        return FAILED
    if len(kinds) == 1:
        return _as(tree.text, kinds[0])
    if int in kinds and not tree.quoted and WHOLE.match(tree.text):
        return whole(tree.text)  # one that is too large is no decimal
    value = tree.text if tree.quoted else plain(tree.text)
    return value if type(value) in kinds else FAILED


def _as(text: str, kind: object) -> object:
    """Return the text as one scalar type, or FAILED."""
    if kind is str:
        return text
    if kind is bool:
        return text.lower() in TRUE if text.lower() in TRUE | FALSE else FAILED
    if kind is int:
        return whole(text)
    return float(text.replace("_", "")) if DECIMAL.match(text) else FAILED
