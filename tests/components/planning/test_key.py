from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.planning.key import Json, canonical, key_of, parts_of, strings
from components.store.artifact import Artifact


@dataclass(frozen=True, kw_only=True)
class Inner:
    lr: float = 0.1
    saved_every: int = field(default=1, metadata={"in_key": False})


@dataclass(frozen=True, kw_only=True)
class Outer:
    inner: Inner = Inner()
    layers: tuple[Inner, ...] = ()
    columns: dict[str, str] = field(default_factory=dict)


def artifact(digest: str, name: str = "a") -> Artifact:
    return Artifact(digest=digest, kind="file", size_bytes=1, name=name)


def key(**inputs: object) -> str:
    return key_of(parts_of(inputs, stage="train", code={"f": "1"}, libraries=("numpy",)))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


Pairs = dict[str, int]
MAPPINGS = st.dictionaries(st.sampled_from(["(order)", "a", "b"]), st.integers(0, 1))


@given(value=JSON)
def test_any_plain_value_has_one_key(value: Json) -> None:
    assert key(x=value) == key(x=value)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Outer(), Outer(inner=Inner(lr=0.2))),
        (Outer(), Outer(layers=(Inner(),))),
        (Outer(layers=(Inner(),)), Outer(layers=(Inner(), Inner()))),
        ({1: "a"}, {2: "a"}),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),  # the order of columns decides the order of a model's inputs
        ([{"a": 1, "b": 2}], [{"b": 2, "a": 1}]),
        ({"a": 1, "(order)": 2}, {"(order)": 2, "a": 1}),
        ({"(order)": [["(order)", 1], ["a", 2]]}, {"(order)": 1, "a": 2}),
        ({"(order)": ["a", "b"], "a": 1, "b": 2}, {"a": 1, "b": 2}),
        ([], None),
        ([], {}),
        ("1", 1),
        (True, 1),
        (1.0, 1),
        (0.0, -0.0),
        (float("nan"), float("inf")),
        ({"a": {"b": 1}}, {"a.b": {"": 1}}),
        (artifact("1"), artifact("2")),
        ("", None),
    ],
)
def test_what_differs_has_another_key(one: object, other: object) -> None:
    assert key(x=one) != key(x=other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Outer(), Outer(inner=Inner(saved_every=7))),
        ((1, 2), [1, 2]),
        (float("nan"), float("nan")),
        (artifact("1", "a"), artifact("1", "b")),
    ],
)
def test_what_decides_nothing_leaves_the_key(one: object, other: object) -> None:
    assert key(x=one) == key(x=other)


def test_code_libraries_and_the_stage_are_in_the_key() -> None:
    keys = {
        key_of(parts_of({}, stage=stage, code=code, libraries=libraries))
        for stage in ("train", "prune")
        for code in ({"f": "1"}, {"f": "2"}, {"g": "1"})
        for libraries in ((), ("numpy",))
    }
    assert len(keys) == 12


def test_the_parts_name_what_a_person_would_look_for() -> None:
    inputs = {"config": Outer(inner=Inner(lr=0.5)), "seed": 3}
    parts = parts_of(inputs, stage="train", code={"components.training.loop.fit": "abc"}, libraries=())
    assert parts == {
        "stage": "train",
        "code components.training.loop.fit": "abc",
        "input config.inner.lr": "0.5",
        "input config.layers": "[]",
        "input config.columns": "{}",
        "input seed": "3",
    }


def test_library_versions_are_without_their_build() -> None:
    parts = parts_of({}, stage="train", code={}, libraries=("torch",))
    assert "+" not in parts["library torch"]
    assert parts["library torch"][0].isdigit()


def test_a_mapping_keeps_the_key_that_results_already_have() -> None:
    assert canonical({"a": {"b": 1}, "c": 2}) == {"(order)": ["a", "c"], "a": {"b": 1}, "c": 2}


@given(one=MAPPINGS, other=MAPPINGS)
def test_mappings_of_other_names_or_another_order_have_other_forms(one: Pairs, other: Pairs) -> None:
    same = list(one.items()) == list(other.items())
    assert (canonical(one) == canonical(other)) == same


@pytest.mark.parametrize("value", [object(), {1, 2}, b"bytes", {1: "a", "1": "b"}])
def test_what_has_no_one_form_is_an_error(value: object) -> None:
    with pytest.raises(TypeError):
        canonical(value)


def test_every_string_within_can_name_an_entry() -> None:
    value = canonical({"a": [Outer(columns={"b": "c"})], "d": 1})
    assert {"a", "b", "c", "d"} <= set(strings(value))
