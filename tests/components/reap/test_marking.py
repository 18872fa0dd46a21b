"""What stays and what may go, decided from listings."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.planning.ledger import Checkpoint
from components.reap.garbage import CLOCKS_SECONDS, DAY, Limits
from components.reap.marking import (
    Known,
    Registered,
    Result,
    kept_releases,
    kept_results,
    left_checkpoints,
    old_data,
    old_results,
    reached,
    unknown_data,
    unreached,
)
from components.reap.processes import START_SECONDS, Alive, Process, left_processes
from components.store.artifact import Artifact, Stored

NOW = 1000 * DAY
LIMITS = Limits(now=NOW, keep_seconds=30 * DAY)


def result(key: str, *, days: float, stage: str = "train", digests: tuple[str, ...] = (), **about: str) -> Result:
    """What was used so many days ago."""
    return Result(
        key=key,
        stage=stage,
        label=stage,
        model="m",
        used=NOW - days * DAY,
        digests=digests,
        size_bytes=1,
        data=about.get("data", ""),
        assignments=about.get("assignments", ""),
        dvc_md5=about.get("dvc_md5", ""),
    )


def release(version: int = 1, *, days: float = 100, **how: bool) -> Known:
    given = {"reigns": False, "barred": False, "here": True} | how
    return Known(model="m", version=version, at=NOW - days * DAY, assignments=f"a{version}", **given)


def test_nothing_that_came_while_a_run_was_at_work_is_old() -> None:
    limits = Limits(now=NOW, keep_seconds=30 * DAY, oldest_run=NOW - 40 * DAY)
    assert limits.used_before == limits.made_before == NOW - 40 * DAY - CLOCKS_SECONDS
    limits = Limits(now=NOW, keep_seconds=30 * DAY, oldest_run=NOW - 60)
    assert (limits.used_before, limits.made_before) == (NOW - 30 * DAY, NOW - DAY)


def test_of_a_run_that_nobody_knows_the_begin_of_everything_is_left() -> None:
    limits = Limits(now=NOW, keep_seconds=30 * DAY, oldest_run=0.0)
    assert kept_results([result("k", days=999)], [], limits) == {"k"}
    assert not list(unreached([Stored("object", "d", 1, 1.0)], set(), limits))


def test_no_retention_is_shorter_than_the_grace() -> None:
    with pytest.raises(ValueError, match="keep_seconds"):
        Limits(now=NOW, keep_seconds=DAY / 2)


@pytest.mark.parametrize(
    ("known", "versions", "stays"),
    [
        (release(), {1: Registered()}, True),  # it may be gone back to
        (release(barred=True), {1: Registered()}, False),
        (release(barred=True), {1: Registered(aliases={"shadow"})}, True),  # pinned
        (release(barred=True, days=3), {1: Registered()}, True),
        (release(), {2: Registered()}, False),  # deleted in the registry
        (release(days=3), {2: Registered()}, True),
        (release(reigns=True, barred=True), {2: Registered()}, True),
        (release(barred=True), {}, True),  # the registry knows nothing of the model: perhaps it was lost
        (release(barred=True, here=False), {2: Registered()}, True),
    ],
)
def test_a_release_stays_while_it_may_become_champion_or_has_an_alias(
    known: Known, versions: dict[int, Registered], stays: bool
) -> None:
    assert kept_releases([known], {"m": versions}, LIMITS) == ([known] if stays else [])


def test_what_was_used_of_late_stays() -> None:
    results = [result("new", days=29), result("old", days=31)]
    kept = kept_results(results, [], LIMITS)
    assert kept == {"new"}
    assert [one.name for one in old_results(results, kept)] == ["old"]


def test_the_split_and_the_data_of_a_release_stay_as_does_what_the_next_split_continues() -> None:
    results = [
        result("split", days=99, stage="split", assignments="a1", data="d1"),
        result("ingest", days=99, stage="ingest", data="d1"),
        result("later split", days=80, stage="split", assignments="a2", data="d2"),
        result("later ingest", days=80, stage="ingest", data="d2"),
        result("other split", days=70, stage="split", assignments="a3", data="d3"),
        result("other ingest", days=70, stage="ingest", data="d3"),
        result("said by the registry", days=70, stage="ingest", data="d4"),
        result("train", days=99),
    ]
    kept = kept_results(results, [release()], LIMITS, latest_splits={"later split"}, data={"d4"})
    assert kept == {"split", "ingest", "later split", "later ingest", "said by the registry"}


def test_a_release_whose_data_nobody_can_name_for_dvc_is_told() -> None:
    results = [
        result("i", days=1, stage="ingest", data="d1", dvc_md5="x.dir"),
        result("s", days=1, stage="split", assignments="a1", data="d1"),
    ]
    one, two = release(1), release(2)
    assert unknown_data([one, two], {}, results, {"i", "s"}) == [two]
    assert unknown_data([one, two], {"m": {2: Registered(data="d1")}}, results, {"i", "s"}) == []
    assert unknown_data([one], {}, results, {"s"}) == [one]


AGES = st.integers(0, 60)
NAMES = st.sampled_from("abcdef")


@given(
    stored=st.lists(st.tuples(NAMES, AGES), max_size=20),
    results=st.lists(st.tuples(st.sets(NAMES), AGES), max_size=10),
)
def test_no_blob_goes_that_a_result_which_stays_names_or_that_is_younger_than_a_day(
    stored: list[tuple[str, int]], results: list[tuple[set[str], int]]
) -> None:
    known = [result(str(i), days=days, digests=tuple(names)) for i, (names, days) in enumerate(results)]
    kept = kept_results(known, [], LIMITS)
    going = unreached(
        [Stored("object", name, 1, NOW - days * DAY) for name, days in stored], reached(known, kept), LIMITS
    )
    found = {(one.name, (NOW - one.at) / DAY) for one in going}
    late = {name for names, days in results if days <= 30 for name in names}
    assert found == {(name, days) for name, days in stored if days > 1 and name not in late}


def test_copies_follow_their_objects_and_what_was_begun_goes_by_its_age() -> None:
    old, new = NOW - 2 * DAY, NOW - DAY / 2
    stored = [
        Stored("copy", "kept", 1, old),
        Stored("copy", "gone", 1, old),
        Stored("upload", "kept", 1, old),
        Stored("upload", "young", 1, new),
    ]
    found = [(one.kind, one.name) for one in unreached(stored, {"kept"}, LIMITS)]
    assert found == [("copies", "gone"), ("uploads", "kept")]


def test_a_checkpoint_stays_while_its_stage_is_worked_at_and_for_a_day() -> None:
    folder = Artifact(digest="d", kind="folder", size_bytes=1, name="checkpoint")
    there = {"at work": 3.0, "young": 0.5, "left": 3.0}
    checkpoints = {key: Checkpoint(folder, NOW - days * DAY) for key, days in there.items()}
    assert [one.name for one in left_checkpoints(checkpoints, {"at work"}, LIMITS)] == ["left"]


def test_of_a_remote_that_may_be_others_too_only_what_was_ours_goes() -> None:
    there = [Stored("object", name, 1, NOW - 2 * DAY) for name in ("kept", "ours", "anybody's")]
    there.append(Stored("object", "young", 1, NOW))

    def names(going: set[str] | None) -> list[str]:
        return [one.name for one in old_data(there, kept={"kept"}, going=going, limits=LIMITS)]

    assert names({"ours", "kept", "young"}) == ["ours"]
    assert names(None) == ["ours", "anybody's"]


def process(flow_run: str = "", *, age: float = DAY, **about: object) -> Process:
    return Process(
        pid=7,
        created=NOW - age,
        flow_run=flow_run,
        mark=str(about.get("mark", "")),
        has_worker=bool(about.get("has_worker")),
    )


@pytest.mark.parametrize(
    ("found", "left"),
    [
        (process("f", has_worker=True), False),
        (process("f"), False),  # its worker is gone, and it goes on
        (process("silent", has_worker=True), False),
        (process("silent"), True),
        (process("silent", age=START_SECONDS / 2), False),  # it may have yet to take its lease
        (process("unwanted", has_worker=True), True),  # though it works
        (process(mark="known"), False),
        (process(mark="lost"), True),
        (process(mark="lost", age=1), False),
    ],
)
def test_a_process_is_left_that_neither_a_run_nor_a_worker_stands_behind(found: Process, left: bool) -> None:
    alive = Alive(
        flow_runs={"f", "unwanted"},
        runs={"r"},
        run_of={"f": "r", "silent": "r", "unwanted": "gone"},
        services={"known"},
    )
    assert bool(list(left_processes([found], alive, now=NOW))) == left
