"""What `steelyard why` says of the runs of a model."""

import inspect
from dataclasses import fields

import pytest

from flows.explaining import MADE_BY
from flows.retrain import STAGES
from tasks.evidence import Evidence
from tests.flows.place import Place

pytestmark = pytest.mark.timeout(900)


def test_why_names_what_differed(both: Place) -> None:
    found = both.call("why", "people", "train", "--json").json
    assert found["differences"] == [{"part": "config.optimizer.lr", "before": "0.02", "now": "0.03"}]
    assert "config.optimizer.lr" in both.call("why", "people", "train").out


def test_why_says_that_nothing_changed(both: Place) -> None:
    found = both.call("why", both.told["second"].json["run_id"], "ingest", "--json").json
    assert found["differences"] == []
    assert found["before"] == both.told["first"].json["run_id"]


def test_why_without_a_stage_tells_it_of_each(both: Place) -> None:
    told = {one["stage"]: one for one in both.call("why", "people", "--json").json}
    names = [stage.name for stage in STAGES]
    assert [label.split(" ")[0] for label in told] == sorted((label.split(" ")[0] for label in told), key=names.index)
    assert told["train"]["differences"]
    assert not told["ingest"]["differences"]
    out = both.call("why", "people").out
    assert "config.optimizer.lr: 0.02 -> 0.03" in out
    assert "export int8-dynamic" in out
    first, second = (both.told[name].json["run_id"] for name in ("first", "second"))
    assert (out.count(first), out.count(second)) == (1, 1)
    assert both.call("why", "peoples").refused("no model 'peoples'")


def test_why_says_of_what_other_stages_made_which_outputs_differ(both: Place) -> None:
    """Not their values: where the cause lies is told by the stages above."""
    made = {one["stage"]: one["differences"] for one in both.call("why", "people", "--json").json}
    assert made["evaluate"] == [{"part": made["evaluate"][0]["part"], "before": "", "now": ""}]
    assert made["evaluate"][0]["part"].startswith("trained, from train or prune: ")
    (exported, *_) = made["select"]
    assert exported["part"].startswith("exported, from export: ")
    assert "onnx" in exported["part"]
    assert all(len(one["part"]) < 120 for differences in made.values() for one in differences)
    out = both.call("why", "people").out
    assert "->" in out
    assert "{" not in out


def test_the_inputs_that_other_stages_made_are_known_by_the_names_that_stages_give_them() -> None:
    inputs = {name for stage in STAGES for name in inspect.signature(stage.function).parameters}
    assert MADE_BY.keys() <= inputs | {field.name for field in fields(Evidence)}


def test_why_of_a_first_run_says_that_it_was_the_first(both: Place) -> None:
    assert "first time" in both.call("why", both.told["first"].json["run_id"], "train").out


def test_why_refuses_what_it_does_not_know(both: Place) -> None:
    assert both.call("why", "peoples", "train").refused("no model 'peoples'", "did you mean 'people'?")
    assert both.call("why", "people", "trains").refused("'trains'", "did you mean 'train'?")
    assert both.call("why", "people", "export").refused("'export int8-dynamic', 'export uncompressed'", "name one of")


def test_the_stages_to_ask_about_are_in_the_order_of_the_run_and_written_alike(both: Place) -> None:
    told = both.call("why", "people", "nosuch")
    assert told.refused("no stage 'nosuch'", "to do:   name one of these")
    allowed = told.err.partition("  allowed: ")[2].splitlines()[0].split(", ")
    assert all(name[0] == name[-1] == "'" for name in allowed)
    names, shown = [stage.name for stage in STAGES], [name.strip("'").split(" ")[0] for name in allowed]
    assert shown == sorted(shown, key=names.index)
    assert allowed == [f"'{one['stage']}'" for one in both.call("why", "people", "--json").json]
