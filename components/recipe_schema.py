"""A JSON schema of the recipe for editors, made from the types, their docstrings and their fields' comments.

It accepts what the reader accepts, but for combinations and for ranges other than that of all whole numbers: these the
types don't say.
"""

import inspect
import re
from dataclasses import asdict, fields, is_dataclass
from types import NoneType
from typing import Final, Literal, TypeAlias, cast, get_args, get_origin

from components.recipe import Recipe
from components.recipe_types import ABSENT, LARGEST, Absent, default, hints, members, sections, tag

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"
SCALARS: Final[dict[object, Json]] = {
    float: "number",
    bool: "boolean",
    str: ["string", "number", "boolean"],  # the reader takes what stands there as text
    NoneType: "null",
}
COMMENTED: Final = re.compile(r"^    (\w+): .*?  # (.*)$", re.MULTILINE)


def json_schema() -> dict[str, Json]:
    """Return the schema (JSON Schema 2020-12) that an editor checks and completes a recipe with."""
    definitions: dict[str, Json] = {}
    _section(Recipe, definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Steelyard recipe",
        "$ref": "#/$defs/Recipe",
        "$defs": definitions,
    }


def _section(kind: type, definitions: dict[str, Json]) -> None:
    """Add a dataclass, and those below it, to the definitions."""
    if kind.__name__ in definitions:
        return
    definitions[kind.__name__] = {}  # so that a section inside itself would end
    comments = dict(COMMENTED.findall(inspect.getsource(kind)))
    properties: dict[str, Json] = {}
    required: list[Json] = []
    for field in fields(kind):
        otherwise = default(field)
        shown = _kind(hints(kind)[field.name], definitions, otherwise=otherwise)
        if field.name in comments:
            shown["description"] = comments[field.name]
        if isinstance(otherwise, Absent):
            required.append(field.name)
        else:
            shown["default"] = _plain(otherwise)
        properties[field.name] = shown
    definitions[kind.__name__] = {
        "type": "object",
        "description": inspect.cleandoc(kind.__doc__ or ""),
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _kind(kind: object, definitions: dict[str, Json], *, otherwise: object = ABSENT) -> dict[str, Json]:
    """Return the schema of one type. A section without its tag is the one of the default."""
    kinds = list(members(kind))
    given = not isinstance(otherwise, Absent | NoneType)
    if given and (sections(kind) or isinstance(otherwise, tuple | dict)):
        kinds.append(NoneType)  # a key with nothing behind it
    tagged = len(sections(kind)) > 1
    shown = [_member(one, definitions, tagged=tagged and one is not type(otherwise)) for one in kinds]
    return {"anyOf": list(shown)} if len(shown) > 1 else shown[0]


def _member(kind: object, definitions: dict[str, Json], *, tagged: bool) -> dict[str, Json]:
    inside = get_args(kind)
    if isinstance(kind, type) and is_dataclass(kind):
        _section(kind, definitions)
        reference: dict[str, Json] = {"$ref": f"#/$defs/{kind.__name__}"}
        # Without its tag one member of a union would pass for another.
        named = tag(kind)
        return {**reference, "required": [named[0]]} if tagged and named else reference
    if get_origin(kind) is Literal:
        return {"enum": list(inside)}
    if get_origin(kind) is dict:
        return {"type": "object", "additionalProperties": _kind(inside[1], definitions)}
    if get_origin(kind) is tuple and inside[1:] == (...,):
        return {"type": "array", "items": _kind(inside[0], definitions)}
    if get_origin(kind) is tuple:
        one: list[Json] = [_kind(each, definitions) for each in inside]
        return {"type": "array", "prefixItems": one, "minItems": len(one), "maxItems": len(one)}
    return {"type": "integer", "minimum": -LARGEST, "maximum": LARGEST} if kind is int else {"type": SCALARS[kind]}


def _plain(value: object) -> Json:
    """Return a default as JSON."""
    if is_dataclass(value) and not isinstance(value, type):
        return cast(Json, asdict(value))
    return cast(Json, list(value)) if isinstance(value, tuple) else cast(Json, value)
