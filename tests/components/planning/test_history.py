import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from components.planning import history
from components.planning.ledger import Ledger, Record, ledger_at


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    rows: int
    new: str = "not there before"


@pytest.fixture
def ledger(address: Path | str) -> Ledger:
    return ledger_at(address)


def note(ledger: Ledger, key: str, **given: object) -> None:
    lease = ledger.acquire(f"stage {key}", seconds=10)
    assert lease is not None
    facts: dict[str, object] = {"stage": "train", "label": "train", "model": "m", "run": "r1", "at": time.time()}
    facts |= {"outputs": {"rows": 3, "more": 1}, "stamps": {}, "parts": {}, "seconds": 1.0} | given
    ledger.commit(lease, Record(key=key, **facts))  # type: ignore[arg-type]


def test_a_question_to_a_ledger_that_is_not_there_makes_none(ledger: Ledger, address: Path | str) -> None:
    assert history.models(ledger) == []
    assert history.latest_run(ledger, "m") is None
    assert isinstance(address, str) or not address.exists()


def test_models_stages_and_runs_are_known(ledger: Ledger) -> None:
    note(ledger, "a", at=1.0, stage="ingest", label="ingest")
    note(ledger, "b", at=2.0)
    note(ledger, "c", at=3.0, run="r2", label="export a", stage="export")
    note(ledger, "d", at=4.0, run="r9", model="other")
    assert history.models(ledger) == ["m", "other"]
    assert history.labels(ledger, "m") == ["ingest", "train", "export a"]
    assert history.latest_run(ledger, "m") == "r2"
    assert history.model_of(ledger, "r9") == "other"
    assert history.model_of(ledger, "r8") is None
    assert history.began(ledger, "r1") == 1.0
    assert history.began(ledger, "r8") == float("inf")


def test_a_run_that_ended_without_doing_anything_itself_is_the_latest(ledger: Ledger) -> None:
    note(ledger, "b", at=2.0)
    ledger.end_run("r2", model="m", flow_run="f")
    assert history.latest_run(ledger, "m") == "r2"
    assert history.model_of(ledger, "r2") == "m"


def test_results_of_a_stage_are_found_with_the_models_that_use_them(ledger: Ledger) -> None:
    note(ledger, "a", at=1.0)
    note(ledger, "b", at=2.0)
    ledger.note_use("other", "train", "a")
    assert [record.key for record in history.results(ledger, "train")] == ["b", "a"]
    assert history.models_of(ledger, "a") == ["m", "other"]


def test_old_outputs_are_read_as_far_as_they_are_asked_about(ledger: Ledger) -> None:
    note(ledger, "a")
    record = ledger.record("a")
    assert record is not None
    assert history.outputs_as(record, Rows) == Rows(rows=3)
