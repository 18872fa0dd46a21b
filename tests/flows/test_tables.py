"""Tables are aligned where nobody draws them, and drawn on a terminal."""

import os
import pty
import subprocess
import sys
from typing import Literal

import pytest

from components.reap.garbage import Garbage
from components.release.provenance import LinkCheck
from flows import tables
from flows.reap.reap import Reaped
from flows.tables import (
    Candidate,
    bytes_of,
    or_dash,
    plain,
    print_plan,
    print_reaped,
    print_summary,
    seconds_of,
    times,
    upshot,
)
from tasks.runner import Planned

SHOW = "from flows.tables import print_table; print_table(['name', 'size'], [['front', '1.0'], ['[b]', '20.0']], right=[1])"


def test_plain_columns_are_aligned_and_figures_stand_to_the_right() -> None:
    assert plain(["name", "size"], [["a", "1.0"], ["longer", "20.0"]], right=[1]) == [
        "name    size",
        "a        1.0",
        "longer  20.0",
    ]


def test_where_there_is_no_terminal_no_frame_is_drawn() -> None:
    told = subprocess.run([sys.executable, "-c", SHOW], capture_output=True, text=True, check=True)
    assert told.stdout == "name   size\nfront   1.0\n[b]    20.0\n"


def test_on_a_terminal_the_table_is_drawn_and_names_are_no_markup() -> None:
    ours, theirs = pty.openpty()
    variables = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80"}
    subprocess.run([sys.executable, "-c", SHOW], stdout=theirs, env=variables, check=True)
    os.close(theirs)
    told = os.read(ours, 10_000).decode()
    os.close(ours)
    assert "━" in told or "─" in told
    assert "\x1b[" in told
    assert "[b]" in told


ALL_THE_SAME = "to promote it all the same: steelyard promote m --version 2"


@pytest.mark.parametrize(
    ("promoted", "gate", "barred", "way_on"),
    [
        (True, "yes", False, "predict m FILE"),
        (False, "no", True, "show m --version 2; to overrule the gate: steelyard promote m --version 2 --force"),
        (False, "not enough evidence", False, f"show m --version 2; {ALL_THE_SAME}"),
        (False, "yes", False, f"show m --version 2; {ALL_THE_SAME}"),  # as where another became champion meanwhile
        (False, "yes", True, f"show m --version 2; {ALL_THE_SAME} --force"),  # it was rolled back
        (False, "not enough evidence", True, f"show m --version 2; {ALL_THE_SAME} --force"),
    ],
)
def test_a_run_ends_with_the_way_on_and_proposes_force_only_where_it_is_wanted(
    promoted: bool,
    gate: str,
    barred: bool,
    way_on: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tables, "called", lambda: "steelyard")
    selected = {"name": "dense", "size_bytes": 9, "latency_ms": {}, "reason": "it is small"}
    result = {"model": "m", "version": 2, "metric": "accuracy", "candidates": [], "stages": [], "report": "r.html"}
    test = {"baseline": {}, "selected": {"accuracy": 0.9}}
    decision = {"promoted": promoted, "gate": gate, "barred": barred, "reason": "so."}
    print_summary({**result, "selected": selected, "test": test, "decision": decision})
    assert capsys.readouterr().out.splitlines()[-1] == f"  next       steelyard {way_on}"


@pytest.mark.parametrize(
    ("size", "shown"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (12_345_678, "12.3 MB"), (5 * 10**12, "5.0 TB")]
)
def test_sizes_have_the_unit_that_fits(size: int, shown: str) -> None:
    assert bytes_of(size) == shown


def test_figures_and_durations_are_short() -> None:
    assert [or_dash(value) for value in (None, 0.123456, 123456.0)] == ["-", "0.1235", "123,456"]
    assert [seconds_of(value) for value in (0.04, 119.0, 180.0)] == ["0.0 s", "119.0 s", "3.0 min"]


def test_a_speed_up_is_shown_with_what_is_known_of_it() -> None:
    one = Candidate(
        name="int8-static",
        verdict="not faster",
        validation=0.9,
        size_bytes=1,
        latency_ms={"1": 0.1},
        speedup={"1": 1.7, "32": 1.0},
        speedup_range={"1": (0.91, 2.4), "32": (1.0, 1.0)},
    )
    assert [times(one, size) for size in ("1", "32", "64")] == ["1.70x (0.91-2.40)", "1.00x", "-"]


def test_a_plan_ends_with_the_time_that_what_may_run_took_before(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [
        Planned("ingest", "ingest", "cached", "k", 600.0),
        Planned("train", "train", "run", "", 60.0),
        Planned("gate", "gate", "wait", "", 120.0),
    ]
    print_plan(lines, server=False)
    told = capsys.readouterr().out.splitlines()
    assert told[-3] == "2 of 3 stages may run"
    assert told[-2].startswith("wait: it needs what a stage above has yet to find")
    assert told[-1] == "expected time: 3.0 min, as they took before"
    print_plan([*lines, Planned("register", "register", "wait", "", None)], server=True)
    last = capsys.readouterr().out.splitlines()[-1]
    assert "as they took before, without register, beside the start of a Prefect server" in last


def test_a_plan_without_a_past_says_that_the_time_is_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    print_plan([Planned("ingest", "ingest", "run", "", None), *[Planned("s", "s", "wait", "", None)] * 9], server=False)
    told = capsys.readouterr().out
    assert told.splitlines()[-1].startswith("expected time: unknown, none of them ran here to its end before")
    assert "0.0" not in told


def test_a_plan_says_what_goes_on_from_where_it_was_stopped(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [Planned("train", "train", "run", "", None, begun=True), Planned("export", "export", "wait", "", None)]
    print_plan(lines, server=False)
    told = capsys.readouterr().out
    assert told.count("was begun before, and goes on from its checkpoint") == 1
    assert "\ntrain was begun before" in told


def test_what_may_go_is_shown_by_kind_with_the_oldest_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    found = [
        Garbage("objects", "b" * 64, 2000, 86_400.0 * 365),
        Garbage("objects", "a" * 64, 1000, 86_400.0),
        Garbage("runs", "id", None, 86_400.0, note="people noon"),
    ]
    print_reaped(Reaped(False, found, ["flow runs: no server is up"]))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:3]] == ["objects", "runs"]
    assert "  2  3.0 kB  1970-01-02 " in lines[1]
    assert lines[1].endswith("a" * 12 + ", " + "b" * 12)
    assert "  1       -  " in lines[2]
    assert lines[2].endswith("people noon")
    assert lines[4:] == [
        "left out   flow runs: no server is up",
        "3.0 kB to free; nothing was removed: `steelyard reap --yes` does that",
    ]
    print_reaped(Reaped(True, found))
    assert capsys.readouterr().out.splitlines()[-1] == "freed 3.0 kB"


@pytest.mark.parametrize(
    ("states", "said"),
    [
        ({"data": "verified", "split": "verified"}, "the chain holds"),
        (
            {"data": "unverifiable", "code": "stated", "onnx": "verified", "gate": "stated"},
            "no link is broken, but not all could be looked at; 1 of 4 links can't be verified here (data); "
            "2 of 4 links are only stated (code, gate)",
        ),
        ({"data": "broken", "code": "stated", "onnx": "unverifiable"}, "broken: data"),
    ],
)
def test_a_chain_of_which_not_all_was_hashed_is_not_said_to_be_verified(
    states: dict[str, Literal["verified", "stated", "broken", "unverifiable"]], said: str
) -> None:
    assert upshot([LinkCheck(name=name, status=status, text="") for name, status in states.items()]) == said
