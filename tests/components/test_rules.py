"""The rules of configs can be asked about any values, and name the fields that they look at."""

from dataclasses import fields
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.recipe import Recipe
from components.recipe_types import assembled, hints, sections
from components.rules import Ruled
from components.training.config import SGD, TrainConfig
from tests.components.test_recipe_file import values


def below(kind: type) -> set[type]:
    """A section and all that lie below it."""
    inside = [
        section
        for of in hints(kind).values()
        for member in (of, *getattr(of, "__args__", ()))
        for section in sections(member)
    ]
    return {kind}.union(*map(below, inside))


def unruled(kind: type) -> st.SearchStrategy[object]:
    """Any values of a section's types, whatever its rules say of them."""
    drawn = {field.name: values(hints(kind)[field.name], unruled) for field in fields(kind)}
    return st.fixed_dictionaries(drawn).map(partial(assembled, kind))


def lead_on(value: object, key: str) -> None:
    """Follow a dotted key. What lies below a mapping has names of its own."""
    for name in key.split("."):
        if isinstance(value, dict):
            return
        value = getattr(value, name)


SECTIONS = sorted(below(Recipe), key=lambda kind: kind.__name__)


def test_every_section_with_rules_has_them_where_the_reader_asks() -> None:
    assert {TrainConfig, SGD, Recipe} <= set(SECTIONS)
    for kind in SECTIONS:
        own = getattr(kind, "__post_init__", None)
        assert own is None or own is Ruled.__post_init__, f"{kind.__name__} is checked where no reader of recipes looks"


@settings(max_examples=400)
@given(st.data())
def test_rules_can_be_asked_about_impossible_values_and_name_fields_that_exist(data: st.DataObject) -> None:
    config = data.draw(unruled(data.draw(st.sampled_from([kind for kind in SECTIONS if issubclass(kind, Ruled)]))))
    for breach in config.breaches():
        assert breach.keys
        for key in breach.keys:
            lead_on(config, key)


def test_a_config_tells_all_that_is_wrong_with_it() -> None:
    with pytest.raises(ValueError, match=r"lr is above 0; momentum is 0 or more and below 1"):
        SGD(lr=0, momentum=1)
