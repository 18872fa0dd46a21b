"""Folders that were left behind, by their age, and what removing them frees."""

import os
import time
from pathlib import Path

from components.planning.ledger import ledger_at
from components.reap.folders import (
    left_downloads,
    left_folders,
    left_temporary,
    left_work,
    remove_folder,
    remove_work,
)
from components.reap.garbage import DAY, Limits

LIMITS = Limits(now=time.time(), keep_seconds=30 * DAY)


def folder(path: Path, *, days: float, size: int = 10) -> Path:
    """A folder with a file, both so old."""
    path.mkdir(parents=True)
    (path / "file").write_bytes(b"x" * size)
    aged(path / "file", days=days)
    return aged(path, days=days)


def aged(path: Path, *, days: float) -> Path:
    os.utime(path, (then := LIMITS.now - days * DAY, then))
    return path


def test_work_stays_while_its_stage_runs_and_for_a_day_after_its_last_file(tmp_path: Path) -> None:
    for name, days in (("left", 2), ("running", 2), ("young", 0.5)):
        folder(tmp_path / name / "token", days=days)
        aged(tmp_path / name, days=2)
    folder(tmp_path / "requests", days=2)
    found = {Path(one.name).relative_to(tmp_path).as_posix(): one for one in left_work(tmp_path, {"running"}, LIMITS)}
    assert found.keys() == {"left", "requests/file"}
    assert found["left"].size_bytes == 10


def test_work_that_is_taken_up_meanwhile_stays(tmp_path: Path) -> None:
    ledger = ledger_at(tmp_path / "ledger.db")
    folder(tmp_path / "work" / "key", days=2)
    (one,) = left_work(tmp_path / "work", set(), LIMITS)
    lease = ledger.acquire("stage key", seconds=5)
    assert lease is not None
    assert not remove_work(one, ledger, before=LIMITS.made_before)
    ledger.release(lease)
    assert remove_work(one, ledger, before=LIMITS.made_before)
    assert list((tmp_path / "work").iterdir()) == []
    assert ledger.acquire("stage key", seconds=5)


def test_laid_out_folders_of_what_is_needed_stay_and_links_free_nothing(tmp_path: Path) -> None:
    for name, days in (("needed", 2), ("gone", 2), ("linked", 2), ("incoming-1", 2), ("incoming-2", 0.5)):
        folder(tmp_path / name, days=days)
    (tmp_path / "object").hardlink_to(tmp_path / "linked" / "file")
    (tmp_path / "gone" / "again").hardlink_to(tmp_path / "gone" / "file")  # freed as one, with the other
    aged(tmp_path / "gone", days=2)
    laid_out = [one for one in tmp_path.iterdir() if one.is_dir()]
    left = {Path(one.name).name: one for one in left_folders(laid_out, {"needed"}, LIMITS)}
    assert {name: one.size_bytes for name, one in left.items()} == {"gone": 10, "linked": 0, "incoming-1": 10}
    aged(tmp_path / "gone", days=0)  # it was laid out anew
    assert not remove_folder(left["gone"], before=LIMITS.made_before)
    assert remove_folder(left["linked"], before=LIMITS.made_before)
    assert {one.name for one in tmp_path.iterdir()} == {"needed", "gone", "incoming-1", "incoming-2", "object"}


def test_temporary_files_of_a_worker_that_is_up_stay(tmp_path: Path) -> None:
    for name, days in (("tmp1prefect", 3), ("runner_storage/a", 3), ("runner_storage/b", 2)):
        folder(tmp_path / name, days=days)
    aged(tmp_path / "runner_storage", days=5)

    def found(worker_since: float | None) -> set[str]:
        left = left_temporary(tmp_path, LIMITS, worker_since=worker_since)
        return {Path(one.name).relative_to(tmp_path).as_posix() for one in left}

    assert found(None) == {"tmp1prefect", "runner_storage/a", "runner_storage/b"}
    assert found(LIMITS.now - 2.5 * DAY) == {"tmp1prefect", "runner_storage/a"}


def test_a_download_is_old_when_no_run_asked_for_it_of_late(tmp_path: Path) -> None:
    folder(tmp_path / "a", days=99)
    assert list(left_downloads(tmp_path, LIMITS)) == []  # its rights were set just now, as each run does
    later = Limits(now=LIMITS.now + 31 * DAY, keep_seconds=30 * DAY)
    (one,) = left_downloads(tmp_path, later)
    assert not remove_folder(one, before=LIMITS.used_before)  # asked for meanwhile
    assert remove_folder(one, before=later.used_before)
    assert not list(tmp_path.iterdir())
