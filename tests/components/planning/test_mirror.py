"""Checkpoints travel: what one machine sent is what another goes on from, and no more than the last is kept."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from components.planning import mirror as module
from components.planning.ledger import Checkpoint, Lease, Ledger, ledger_at
from components.planning.mirror import Mirror
from components.store.artifact import Artifact
from components.store.folder import FolderBlobs
from components.store.store import Store
from tests.servers.faults import wait_until


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL_SECONDS", 0.01)


@pytest.fixture
def ledger(address: Path | str) -> Ledger:
    return ledger_at(address)


@pytest.fixture
def lease(ledger: Ledger) -> Lease:
    taken = ledger.acquire("stage k", seconds=60)
    assert taken is not None
    return taken


@pytest.fixture
def machine(tmp_path: Path, ledger: Ledger) -> Callable[[str], Mirror]:
    """Machines by name: a folder each, one store and one ledger for them all."""
    blobs = FolderBlobs(tmp_path / "store")

    def named(name: str) -> Mirror:
        return Mirror(tmp_path / name / "checkpoint", "k", Store(blobs, tmp_path / name / "laid out"), ledger)

    return named


def write(mirror: Mirror, text: str, name: str = "state") -> None:
    mirror.folder.mkdir(parents=True, exist_ok=True)
    new = mirror.folder / f".{name}.new"
    new.write_text(text)
    new.replace(mirror.folder / name)


def lying(mirror: Mirror) -> dict[str, str]:
    return {path.name: path.read_text() for path in mirror.folder.glob("[!.]*")}


def differs(mirror: Mirror, before: Checkpoint | None) -> bool:
    return mirror.ledger.checkpoint("k") != before


@contextmanager
def sending(mirror: Mirror, lease: Lease, *texts: str) -> Iterator[None]:
    """Write one text after the other, each when the one before it was sent."""
    with mirror.kept(lease):
        for text in texts:
            before = mirror.ledger.checkpoint("k")
            write(mirror, text)
            wait_until(partial(differs, mirror, before))
        yield


def objects(mirror: Mirror) -> list[str]:
    blobs = mirror.store.blobs
    assert isinstance(blobs, FolderBlobs)
    return sorted(path.read_text() for path in blobs.root.rglob("objects/*/*"))


def test_another_machine_goes_on_from_what_was_sent_last(machine: Callable[[str], Mirror], lease: Lease) -> None:
    one, two = machine("one"), machine("two")
    with sending(one, lease, "first", "second"):
        pass
    two.bring()
    assert (two.folder / "state").read_text() == "second"
    write(two, "third")  # of its own: what was brought can be replaced
    assert len(objects(one)) == 2, "the last state and its manifest, nothing of the one before"


def test_what_stays_the_same_is_kept_where_the_rest_is_replaced(machine: Callable[[str], Mirror], lease: Lease) -> None:
    one, two = machine("one"), machine("two")
    write(one, "begun", name="start")
    with sending(one, lease, "first", "second"):
        pass
    two.bring()
    assert lying(two) == {"state": "second", "start": "begun"}


def test_folders_and_half_written_files_stay_here(machine: Callable[[str], Mirror], lease: Lease) -> None:
    one, two = machine("one"), machine("two")
    (one.folder / "processes").mkdir(parents=True)
    (one.folder / "processes" / "rows").write_text("many")
    (one.folder / ".half.new").write_text("ha")
    with sending(one, lease, "whole"):
        pass
    two.bring()
    assert lying(two) == {"state": "whole"}


def test_what_was_done_here_since_it_was_sent_or_brought_stays(machine: Callable[[str], Mirror], lease: Lease) -> None:
    one, two = machine("one"), machine("two")
    with sending(one, lease, "first"):
        pass
    two.bring()
    for mirror in (one, two):
        write(mirror, "later")
        mirror.bring()
        assert lying(mirror) == {"state": "later"}


def test_what_another_went_on_to_is_taken_whatever_the_clocks_say(
    machine: Callable[[str], Mirror], lease: Lease
) -> None:
    one, two = machine("one"), machine("two")
    with sending(one, lease, "first"):
        pass
    two.bring()
    with sending(two, lease, "gone on"):
        pass
    write(one, "not sent")
    os.utime(one.folder / "state", (4e9, 4e9))  # in 2096
    one.bring()
    assert lying(one) == {"state": "gone on"}


def test_nothing_sent_is_nothing_brought(machine: Callable[[str], Mirror]) -> None:
    machine("two").bring()
    assert not machine("two").folder.exists()


def test_who_has_lost_its_lease_sends_nothing(machine: Callable[[str], Mirror], ledger: Ledger, lease: Lease) -> None:
    one, two = machine("one"), machine("two")
    with ExitStack() as stack:
        stack.enter_context(sending(one, lease, "first"))
        ledger.release(lease)
        other = ledger.acquire("stage k", seconds=60)
        assert other is not None
        stack.enter_context(sending(two, other, "of the other"))
        write(one, "too late")
        time.sleep(0.2)
    three = machine("three")
    three.bring()
    assert (three.folder / "state").read_text() == "of the other"


def test_a_store_that_is_away_for_a_while_ends_nothing(
    machine: Callable[[str], Mirror], lease: Lease, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = machine("one"), machine("two")
    away = [True]
    real = FolderBlobs.put

    def put(blobs: FolderBlobs, source: Path) -> str:
        if away:
            raise OSError("the store is away")
        return real(blobs, source)

    monkeypatch.setattr(FolderBlobs, "put", put)
    with one.kept(lease):
        write(one, "first")
        wait_until(lambda: "was not sent: the store is away" in caplog.text)
        away.clear()
        wait_until(lambda: one.ledger.checkpoint("k"))
    two.bring()
    assert (two.folder / "state").read_text() == "first"


def test_where_the_bytes_are_gone_the_work_begins_anew(
    machine: Callable[[str], Mirror], lease: Lease, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = machine("one"), machine("two")
    with sending(one, lease, "first"):
        pass
    kept = one.ledger.checkpoint("k")
    assert kept is not None
    one.store.blobs.discard(kept.folder.digest)
    two.bring()
    assert not two.folder.exists()
    assert "begins anew" in caplog.text


def test_a_checkpoint_that_was_half_brought_is_brought_again(
    machine: Callable[[str], Mirror], lease: Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = machine("one"), machine("two")
    write(one, "begun", name="start")
    with sending(one, lease, "first"):
        pass
    real, copies = shutil.copyfile, []

    def killed(source: str, target: str, **options: bool) -> str:
        copies.append(target)
        if len(copies) == 2:
            raise KeyboardInterrupt
        return str(real(source, target, **options))

    monkeypatch.setattr(shutil, "copyfile", killed)
    with pytest.raises(KeyboardInterrupt):
        two.bring()
    assert not two.folder.exists()
    two.bring()
    assert lying(two) == {"state": "first", "start": "begun"}


def test_what_another_stage_can_go_on_from_stays(
    machine: Callable[[str], Mirror], ledger: Ledger, lease: Lease
) -> None:
    one = machine("one")
    other, another = replace(machine("another"), key="other"), replace(machine("third"), key="other")
    own = ledger.acquire("stage other", seconds=60)
    assert own is not None
    for mirror in (one, other):
        write(mirror, "how both begin", name="start")
    with one.kept(lease), other.kept(own):
        write(one, "mine")
        write(other, "its own")
        wait_until(lambda: len(ledger.checkpoints()) == 2)
    one.drop()
    another.bring()
    assert (another.folder / "start").read_text() == "how both begin"


def test_what_is_replaced_stays_where_another_stage_can_go_on_from_it(
    machine: Callable[[str], Mirror], ledger: Ledger, lease: Lease
) -> None:
    one = machine("one")
    other, another = replace(machine("another"), key="other"), replace(machine("third"), key="other")
    own = ledger.acquire("stage other", seconds=60)
    assert own is not None
    for mirror, held in ((one, lease), (other, own)):
        write(mirror, "how both begin")
        assert mirror.send(held)
    write(one, "gone on")
    assert one.send(lease)
    another.bring()
    assert lying(another) == {"state": "how both begin"}


def test_what_another_stage_has_put_and_not_yet_named_stays(
    machine: Callable[[str], Mirror], ledger: Ledger, lease: Lease, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = machine("one")
    other, another = replace(machine("another"), key="other"), replace(machine("third"), key="other")
    own = ledger.acquire("stage other", seconds=60)
    assert own is not None
    for mirror in (one, other):
        write(mirror, "how both begin", name="start")
    assert one.send(lease)
    real = Ledger.keep_checkpoint

    def keep(ledger: Ledger, lease: Lease, key: str, folder: Artifact) -> bool:
        one.drop()
        return real(ledger, lease, key, folder)

    monkeypatch.setattr(Ledger, "keep_checkpoint", keep)
    assert other.send(own)
    another.bring()
    assert lying(another) == {"start": "how both begin"}


def test_what_was_removed_before_it_was_named_is_sent_again(
    machine: Callable[[str], Mirror], lease: Lease, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = machine("one"), machine("two")
    real, removed = Ledger.keep_checkpoint, list[str]()

    def keep(ledger: Ledger, lease: Lease, key: str, folder: Artifact) -> bool:
        if not removed:
            removed.extend(one.store.digests(folder))
            one.store.blobs.discard(removed[-1])
        return real(ledger, lease, key, folder)

    monkeypatch.setattr(Ledger, "keep_checkpoint", keep)
    with one.kept(lease):
        write(one, "state")
        wait_until(lambda: removed and one.store.blobs.stamp(removed[-1]))
    assert "some of it was removed meanwhile" in caplog.text
    two.bring()
    assert lying(two) == {"state": "state"}


def test_a_clock_that_was_set_back_keeps_nothing_from_being_sent(
    machine: Callable[[str], Mirror], lease: Lease
) -> None:
    one, two = machine("one"), machine("two")
    write(one, "in the future", name="start")
    os.utime(one.folder / "start", (4e9, 4e9))  # in 2096
    with sending(one, lease, "first", "second"):
        pass
    two.bring()
    assert lying(two) == {"start": "in the future", "state": "second"}


def test_work_that_is_done_leaves_nothing_to_go_on_from(machine: Callable[[str], Mirror], lease: Lease) -> None:
    one, two = machine("one"), machine("two")
    with sending(one, lease, "first"):
        pass
    one.drop()
    assert one.ledger.checkpoint("k") is None
    two.bring()
    assert not two.folder.exists()
    one.drop()
