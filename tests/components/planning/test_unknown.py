from dataclasses import dataclass

import pytest

from components.planning.unknown import UNKNOWN, has_unknown


@dataclass(frozen=True)
class Holder:
    value: object


@pytest.mark.parametrize(
    "value", [UNKNOWN, [UNKNOWN], {"a": (1, UNKNOWN)}, Holder(Holder([UNKNOWN])), UNKNOWN.a.b["c"]]
)
def test_what_holds_something_unknown_is_found(value: object) -> None:
    assert has_unknown(value)


@pytest.mark.parametrize("value", [None, 1, "a", [1, {"a": Holder(2)}], Holder])
def test_what_is_known_is_known(value: object) -> None:
    assert not has_unknown(value)


def test_a_flow_cannot_decide_by_it_or_go_through_it() -> None:
    """A silent answer would make a plan that isn't the run's; and going through it would never end."""
    with pytest.raises(TypeError, match="can't decide"):
        bool(UNKNOWN)
    with pytest.raises(TypeError, match="can't decide"):
        list(UNKNOWN)
    with pytest.raises(TypeError, match="can't decide"):
        len(UNKNOWN)
    with pytest.raises(TypeError, match="can't decide"):
        _ = UNKNOWN.name == "a"
