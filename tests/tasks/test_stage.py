import gc
import json
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from components.errors import Refusal
from components.home import Home
from components.models.config import MLP, Custom
from components.planning import mirror
from components.planning.key import key_of
from components.planning.ledger import Ledger, Record
from components.reap.recorded import forget
from components.store.folder import FolderBlobs
from tasks.perform import Done, artifacts, find, perform
from tasks.stage import Stage, Workspace, Yard, stage
from tests.components.store.test_blobs import flip
from tests.tasks.tiny import Knobs, Made, Score, Summed, add, count, make, yard_at

LOG = logging.getLogger("test")
ROOT = Path(__file__).parents[2]
PLAIN = Knobs()


def run(yard: Yard, journal: Path, knobs: Knobs = PLAIN) -> Done[Made]:
    return perform(make, make.bind(knobs, journal=str(journal)), yard, log=LOG)


def lines(journal: Path) -> int:
    return len(journal.read_text().splitlines()) if journal.exists() else 0


def blob(yard: Yard, digest: str) -> Path:
    blobs = yard.store.blobs
    assert isinstance(blobs, FolderBlobs)
    return blobs.place(digest)


def test_the_second_time_is_a_hit_with_equal_outputs(home: Path, journal: Path) -> None:
    first = run(yard_at(home), journal)
    second = run(yard_at(home, run="r2"), journal)
    assert (first.cached, second.cached, lines(journal)) == (False, True, 1)
    assert first.outputs == second.outputs
    assert first.key == second.key
    assert json.dumps(asdict(first.outputs)) == json.dumps(asdict(second.outputs))  # 2 and 2.0 would differ here
    assert second.outputs.by_size == {1: 0.5, 32: 2.0}
    assert second.outputs.shape == (2, 3)
    assert second.outputs.best == Score(name="b", value=float("inf"))


def test_what_follows_has_the_same_key_after_work_and_after_a_hit(home: Path, journal: Path) -> None:
    keys = set()
    for name in ("r1", "r2"):
        yard = yard_at(home, run=name)
        made = run(yard, journal).outputs
        keys.add(key_of(add.parts(add.bind(made=made, name="a", journal=str(journal)))))
    assert len(keys) == 1


def test_another_input_is_another_key(home: Path, journal: Path) -> None:
    run(yard_at(home), journal)
    assert not run(yard_at(home), journal, Knobs(seed=1)).cached


def test_the_work_folder_is_gone_after_the_commit(home: Path, journal: Path) -> None:
    run(yard_at(home), journal)
    assert list((home / "work").iterdir()) == []


@pytest.mark.parametrize("part", ["file", "folder", "inner"])
def test_a_missing_output_is_made_again(home: Path, journal: Path, part: str) -> None:
    yard = yard_at(home)
    made = run(yard, journal).outputs
    inner = json.loads(blob(yard, made.folder.digest).read_text())[0][1]
    blob(yard, {"file": made.file.digest, "folder": made.folder.digest, "inner": inner}[part]).unlink()
    assert find(make, make.bind(Knobs(), journal=str(journal)), yard) is None
    again = run(yard, journal)
    assert (again.cached, lines(journal)) == (False, 2)
    assert again.outputs == made
    assert run(yard, journal).cached


def test_a_flipped_byte_is_made_again_and_told(home: Path, journal: Path, caplog: pytest.LogCaptureFixture) -> None:
    yard = yard_at(home)
    made = run(yard, journal).outputs
    assert "damaged" not in caplog.text
    time.sleep(0.01)
    flip(blob(yard, made.file.digest))
    assert not run(yard, journal).cached
    assert "make: what it made before is damaged or gone, so it is done again" in caplog.text
    assert yard.store.get(made.file).read_text() == "file 0"
    caplog.clear()
    assert not run(yard_at(home, run="r2", force=frozenset(["make"])), journal).cached
    assert "damaged" not in caplog.text, "it was asked for"


def test_a_flipped_byte_with_its_time_restored_is_found_by_verify(home: Path, journal: Path) -> None:
    yard = yard_at(home)
    made = run(yard, journal).outputs
    flip(blob(yard, made.file.digest), keep_time=True)
    assert run(yard, journal).cached
    assert not run(yard_at(home, verify=True), journal).cached
    assert run(yard_at(home, verify=True), journal).cached


def test_an_output_that_was_only_touched_is_hashed_once(
    home: Path, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    yard = yard_at(home)
    made = run(yard, journal).outputs
    os.utime(blob(yard, made.file.digest))
    assert run(yard, journal).cached
    monkeypatch.setattr(FolderBlobs, "digest_now", lambda blobs, digest: pytest.fail("hashed again"))
    assert run(yard, journal).cached


def test_a_forced_stage_runs_once_in_its_run(home: Path, journal: Path) -> None:
    run(yard_at(home), journal)
    forced = yard_at(home, run="r2", force=frozenset({"make"}))
    assert find(make, make.bind(Knobs(), journal=str(journal)), forced) is None
    assert not run(forced, journal).cached
    assert run(forced, journal).cached
    assert run(yard_at(home, run="r3", force=frozenset({"add"})), journal).cached


def test_a_stage_that_fails_finds_its_folder_as_it_was(home: Path, journal: Path, tmp_path: Path) -> None:
    obstacle = tmp_path / "obstacle"
    obstacle.touch()
    knobs = Knobs(fails=str(obstacle))
    for _ in range(2):
        with pytest.raises(RuntimeError, match="as it was told"):
            run(yard_at(home), journal, knobs)
    obstacle.unlink()
    assert not run(yard_at(home), journal, knobs).cached
    assert [line.split()[1] for line in journal.read_text().splitlines()] == ["0", "1", "2"]


def test_a_refusal_passes_and_frees_the_lease(home: Path, journal: Path) -> None:
    yard = yard_at(home, lease=60)
    with pytest.raises(Refusal, match="no rows"):
        run(yard, journal, Knobs(refuses=True))
    with yard.ledger.transaction() as connection:
        assert connection.execute("SELECT * FROM leases").fetchall() == []


class Cycle:
    """What an exporter leaves behind, with a copy of the weights."""

    def __init__(self) -> None:
        self.own = self


LEFT: list[weakref.ref[Cycle]] = []


@stage()
def leave(here: Workspace) -> Summed:
    LEFT.append(weakref.ref(Cycle()))
    return Summed(total=0)


def test_what_a_stage_leaves_in_cycles_goes_with_it_in_a_process_that_seldom_collects(home: Path) -> None:
    before = gc.get_threshold()
    gc.set_threshold(1_000_000)
    try:
        perform(leave, leave.bind(), yard_at(home), log=LOG)
        assert [one() for one in LEFT] == [None]
    finally:
        gc.set_threshold(*before)


def test_a_full_disk_in_a_stage_is_a_refusal(home: Path, journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, text: str) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(Refusal, match="no space left"):
        run(yard_at(home), journal)


def test_a_record_of_another_type_is_none(home: Path, journal: Path) -> None:
    yard = yard_at(home)
    done = run(yard, journal)
    record = yard.ledger.record(done.key)
    lease = yard.ledger.acquire("x", seconds=5)
    assert record is not None
    assert lease is not None
    yard.ledger.commit(lease, replace(record, outputs={"else": 1}))
    assert find(make, make.bind(Knobs(), journal=str(journal)), yard) is None


def test_another_model_that_takes_the_result_has_it_in_its_history(home: Path, journal: Path) -> None:
    run(yard_at(home), journal)
    other = replace(yard_at(home), model="another")
    assert run(other, journal).cached
    assert [record.stage for record in other.ledger.history("another", "make")] == ["make"]


def test_a_hit_says_that_it_uses_the_result_before_it_looks_at_it(
    home: Path, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reaper that comes in at the worst moment sees the use."""
    yard = yard_at(home)
    key = run(yard, journal).key
    for table in ("records", "uses"):
        yard.ledger.database.change(f"UPDATE {table} SET at = at - 1000")
    record, before = Ledger.record, yard.ledger.now() - 500

    def reaped(ledger: Ledger, key: str) -> Record | None:
        assert not forget(ledger, key, used_before=before)
        return record(ledger, key)

    monkeypatch.setattr(Ledger, "record", reaped)
    assert run(yard_at(home), journal).cached
    monkeypatch.undo()
    yard.ledger.database.change("UPDATE records SET at = at - 1000")
    yard.ledger.database.change("UPDATE uses SET at = at - 1000")
    assert forget(yard.ledger, key, used_before=before)
    assert not run(yard_at(home), journal).cached


def test_artifacts_are_found_wherever_they_are(home: Path, journal: Path) -> None:
    made = run(yard_at(home), journal).outputs
    assert list(artifacts({"a": [(made,)], "b": 1})) == [made.file, made.folder]


def test_the_methods_of_inputs_and_a_users_network_are_code_of_the_stage() -> None:
    parts = make.parts({"knobs": MLP(), "journal": ""})
    assert "code components.models.config.MLP" in parts
    with pytest.raises(Refusal, match="nowhere"):
        make.parts({"knobs": [Custom(path="nowhere.to_be:Found")], "journal": ""})


CHILD = """
import logging, sys
from pathlib import Path
from tasks.perform import perform
from tests.tasks.tiny import Knobs, make, yard_at
home, journal, seconds, lease = sys.argv[1:]
yard = yard_at(Path(home), run=str(id(home)), lease=float(lease))
done = perform(make, make.bind(Knobs(seconds=float(seconds)), journal=journal), yard, log=logging.getLogger())
print(done.cached)
"""


def child(home: Path, journal: Path, *, seconds: float, lease: float) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", CHILD, str(home), str(journal), str(seconds), str(lease)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def until_lines(journal: Path, count: int) -> None:
    deadline = time.monotonic() + 60
    while lines(journal) < count:
        assert time.monotonic() < deadline, "it never began"
        time.sleep(0.01)


def result(process: "subprocess.Popen[str]") -> bool:
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out.strip() == "True"


def test_equal_stages_at_once_do_the_work_once(home: Path, journal: Path) -> None:
    children = [child(home, journal, seconds=3, lease=2) for _ in range(3)]  # the work outlasts the lease
    assert sorted(map(result, children)) == [False, True, True]
    assert lines(journal) == 1


def test_who_was_stopped_past_its_lease_takes_the_others_result(home: Path, journal: Path) -> None:
    stopped = child(home, journal, seconds=2.0, lease=2.0)
    until_lines(journal, 1)
    stopped.send_signal(signal.SIGSTOP)
    other = child(home, journal, seconds=2.0, lease=30.0)  # which it keeps, however busy the machine is
    until_lines(journal, 2)
    stopped.send_signal(signal.SIGCONT)  # while the other is at it
    assert not result(other)
    assert result(stopped)
    assert lines(journal) == 2
    assert [line.split()[1] for line in journal.read_text().splitlines()] == ["0", "1"]  # the folder went along
    assert list((home / "work").iterdir()) == []


def test_who_continues_after_the_other_has_ended_takes_its_result_too(home: Path, journal: Path) -> None:
    stopped = child(home, journal, seconds=2.0, lease=2.0)
    until_lines(journal, 1)
    stopped.send_signal(signal.SIGSTOP)
    assert not result(child(home, journal, seconds=2.0, lease=2.0))
    stopped.send_signal(signal.SIGCONT)
    assert result(stopped)
    assert lines(journal) == 2


def test_killed_at_work_the_next_run_goes_on_in_its_folder(home: Path, journal: Path) -> None:
    killed = child(home, journal, seconds=60, lease=0.5)
    until_lines(journal, 1)
    killed.kill()
    killed.communicate()
    yard = yard_at(home, lease=0.5)
    assert yard.ledger.history("m", "make") == []
    # the same key: the seconds are part of it, so the work must be cut short by the test
    folder = next((home / "work").iterdir())
    inputs = make.bind(Knobs(seconds=60.0), journal=str(journal))
    assert folder.name == key_of(make.parts(inputs))
    assert (next(folder.iterdir()) / "attempt").read_text() == "x"


def test_killed_between_put_and_commit_nothing_is_recorded_and_the_next_run_goes_on(home: Path, journal: Path) -> None:
    dying = CHILD.replace(
        "yard = ",
        "import os\nfrom components.planning.ledger import Ledger\nLedger.commit = lambda *_: os.kill(os.getpid(), 9)\nyard = ",
    )
    command = [sys.executable, "-c", dying, str(home), str(journal), "0", "0.5"]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    assert process.returncode == -signal.SIGKILL, process.stderr
    yard = yard_at(home, lease=0.5)
    assert yard.ledger.history("m", "make") == []
    assert not run(yard, journal).cached
    assert [line.split()[1] for line in journal.read_text().splitlines()] == ["0", "1"]
    assert run(yard, journal).cached


def folder_is_gone(_here: Workspace) -> None:
    raise FileNotFoundError("the folder is gone")


def asks(here: Workspace) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        here.hold.check()
        time.sleep(0.01)


@pytest.mark.parametrize(("notices", "lease"), [(folder_is_gone, 60.0), (asks, 0.3)])
def test_a_worker_whose_work_was_taken_over_does_not_report_that_as_its_failure(
    home: Path, journal: Path, notices: Callable[[Workspace], None], lease: float
) -> None:
    """One that can't find its folder notices at once; one that asks, when its lease would next be renewed."""
    yard = yard_at(home, lease=lease)
    real, takes = make.function, [True]

    def robbed(here: Workspace, knobs: Knobs, *, journal: str) -> Made:
        if takes:
            takes.clear()
            with yard.ledger.transaction() as connection:
                connection.execute("UPDATE leases SET token = 'another', expires = 0")
            notices(here)
        return real(here, knobs, journal=journal)

    robbed.__name__, robbed.__module__ = "make", make.function.__module__
    robbed.__annotations__["return"] = Made
    stolen = replace(make, function=robbed)
    done = perform(stolen, make.bind(Knobs(), journal=str(journal)), yard, log=LOG)
    assert not done.cached
    assert lines(journal) == 1


def test_a_hit_reads_none_of_the_bytes(home: Path, journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    yard = yard_at(home)
    run(yard, journal)
    monkeypatch.setattr(FolderBlobs, "digest_now", lambda blobs, digest: pytest.fail("hashed"))
    assert find(make, make.bind(Knobs(), journal=str(journal)), yard) is not None


def test_two_equal_runs_at_once_change_the_world_once(home: Path, journal: Path) -> None:
    def there(_yard: Yard, *, journal: str) -> Summed | None:
        return Summed(total=1) if Path(journal).exists() else None

    def settle(here: Workspace, *, journal: str) -> Summed:
        time.sleep(0.5)
        with Path(journal).open("a") as file:
            file.write(f"{here.yard.run}\n")
        return Summed(total=1)

    settling = Stage(settle, settled=there)
    inputs, log = {"journal": str(journal)}, logging.getLogger("test")
    with ThreadPoolExecutor() as pool:
        ended = list(pool.map(lambda run: perform(settling, inputs, yard_at(home, run=run), log=log), ("r1", "r2")))
    assert sorted(done.cached for done in ended) == [False, True]
    assert len(journal.read_text().splitlines()) == 1


@pytest.mark.parametrize("back", [True, False])
def test_a_worker_that_could_not_renew_its_lease_while_the_ledger_was_away_is_given_the_time_to(
    home: Path, journal: Path, back: bool
) -> None:
    """The ledger is locked for longer than a lease lasts, while another waits for the stage."""
    yard = replace(yard_at(home), lease_seconds=3.0)
    name = f"stage {key_of(make.parts(make.bind(PLAIN, journal=str(journal))))}"
    held = yard.ledger.acquire(name, seconds=1.0)
    assert held is not None
    with ThreadPoolExecutor() as pool, closing(sqlite3.connect(home / "ledger.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = pool.submit(run, yard, journal)
        time.sleep(2.5)
        other.execute("COMMIT")
        if back:
            time.sleep(1.0)  # the waiting one may ask by now
            assert yard.ledger.renew(held, seconds=60.0)
            yard.ledger.release(held)
        assert not waiting.result().cached
    assert lines(journal) == 1


def test_another_machine_finds_the_checkpoints_of_a_stage_where_the_store_is_shared(
    home: Path, journal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "POLL_SECONDS", 0.01)
    here = replace(yard_at(home), travels=True)
    elsewhere = replace(here, home=Home(tmp_path / "another"))
    inputs = count.bind(journal=str(journal))
    with pytest.raises(RuntimeError, match="killed"):
        perform(count, inputs, here, log=LOG)
    done = perform(count, inputs, elsewhere, log=LOG)
    assert (done.outputs, journal.read_text()) == (Summed(total=2), "0\n1\n")
    assert here.ledger.database.ask("SELECT key FROM checkpoints") == []
