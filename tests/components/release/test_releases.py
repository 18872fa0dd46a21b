import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from components.errors import Refusal
from components.every import every
from components.planning import held as held_module
from components.planning.ledger import ledger_at
from components.release import releases as releases_module
from components.release.releases import Action, Release, Releases
from components.store.artifact import Artifact
from tests.servers.faults import wait_until


def artifact(name: str) -> Artifact:
    return Artifact(digest=name, kind="file", size_bytes=1, name=name)


def release(version: int, *, model: str = "digits", onnx: str = "", code: str = "code") -> Release:
    return Release(
        model=model,
        version=version,
        run_id=f"run {version}",
        candidate="int8",
        runtime="onnxruntime",
        onnx=artifact(onnx or f"onnx {version}"),
        checkpoint=artifact(f"checkpoint {version}"),
        provenance=f"head {version}",
        answered_by=code,
        assignments=artifact("assignments"),
        task="classification",
        target="digit",
        classes=("0", "1"),
        metric="accuracy",
        test={"accuracy": 0.99},
        latency_ms={"1": 0.1, "32": 1.0},
        size_bytes=1000,
        at=float(version),
    )


@pytest.fixture
def releases(address: Path | str) -> Releases:
    found = Releases(ledger_at(address), "digits")
    for version in (1, 2, 3):
        found.add(release(version))
    return found


def move(releases: Releases, action: Action, version: int, *, end: str = "done") -> int:
    assert action in ("promote", "rollback")
    champion = releases.champion()
    expected = champion.version if champion else None
    with releases.moving():
        seq = releases.begin(action, version, expected=expected, actor="me", reason="", basis="b")
        if end != "pending":
            releases.end(seq, end)  # type: ignore[arg-type]
    return seq


def champion(releases: Releases) -> int | None:
    found = releases.champion()
    return found.version if found else None


def barred(releases: Releases, version: int) -> str | None:
    found = releases.barred(version)
    return f"{found.action} {found.state}" if found else None


def test_a_release_comes_back_equal(releases: Releases) -> None:
    assert releases.all() == [release(3), release(2), release(1)]
    assert releases.get(2) == release(2)
    assert releases.of(artifact("onnx 2"), answered_by="code") == [release(2)]
    assert releases.of(artifact("onnx 9"), answered_by="code") == []
    assert Releases(releases.ledger, "another").all() == []


def test_the_digests_of_a_versions_files_lie_beside_its_release(releases: Releases) -> None:
    releases.add(release(4), files={"MLmodel": "digest"})
    assert releases.files(4) == {"MLmodel": "digest"}
    assert releases.get(4) == release(4), "the gate's key, of which a champion is a part, stays as it was"
    assert releases.files(3) == {}


def test_the_same_file_answered_by_other_code_is_another_release(releases: Releases) -> None:
    assert releases.of(artifact("onnx 2"), answered_by="mended code") == []
    move(releases, "promote", 2)
    assert releases.opponent(artifact("onnx 2"), answered_by="code") is None  # it reigns, and replaced nobody
    assert releases.opponent(artifact("onnx 2"), answered_by="mended code") == release(2)


def test_code_that_answered_wrongly_bars_the_file_until_it_is_mended(releases: Releases) -> None:
    move(releases, "promote", 2, end="undone")
    releases.add(release(4, onnx="onnx 2"))
    releases.add(release(5, onnx="onnx 2", code="mended code"))
    assert barred(releases, 4) == "promote undone"
    assert barred(releases, 5) is None
    releases.note("reject", 2, actor="me", reason="", basis="")
    assert barred(releases, 5) == "reject done"  # what is wrong with the file itself no code mends


def test_a_roll_back_between_versions_of_one_file_bars_the_code_and_not_the_file(releases: Releases) -> None:
    releases.add(release(4, onnx="onnx 2", code="worse code"))
    releases.add(release(5, onnx="onnx 2", code="mended code"))
    releases.add(release(6, onnx="onnx 2", code="worse code"))
    move(releases, "promote", 2)
    move(releases, "promote", 4)
    move(releases, "rollback", 2)
    move(releases, "promote", 3)
    assert barred(releases, 2) is None
    assert barred(releases, 4) == "rollback done"
    assert barred(releases, 5) is None
    assert barred(releases, 6) == "rollback done"


def test_a_file_that_rose_again_is_good_whatever_was_said_of_it_before(releases: Releases) -> None:
    releases.add(release(4, onnx="onnx 2", code="other code"))
    releases.note("reject", 2, actor="me", reason="", basis="")
    assert barred(releases, 4) == "reject done"
    move(releases, "promote", 2)  # forced
    assert barred(releases, 2) is None
    assert barred(releases, 4) is None


def test_a_version_that_is_not_there_is_refused_with_those_that_are(releases: Releases) -> None:
    with pytest.raises(Refusal, match="1, 2, 3"):
        releases.get(9)


def test_the_champion_is_the_version_of_the_last_move_that_was_done(releases: Releases) -> None:
    assert champion(releases) is None
    move(releases, "promote", 1)
    assert champion(releases) == 1
    move(releases, "promote", 2, end="undone")
    assert champion(releases) == 1
    move(releases, "promote", 2)
    assert champion(releases) == 2
    move(releases, "rollback", 1)
    assert champion(releases) == 1
    move(releases, "promote", 3, end="pending")
    assert champion(releases) == 1
    assert Releases(releases.ledger, "another").champion() is None


@pytest.mark.parametrize("expected", [None, 2])
def test_a_move_that_expects_another_champion_is_refused(releases: Releases, expected: int | None) -> None:
    move(releases, "promote", 1)
    with pytest.raises(Refusal, match="version 1"), releases.moving():
        releases.begin("promote", 3, expected=expected, actor="me", reason="", basis="")
    assert champion(releases) == 1
    assert len(releases.moves()) == 1


def test_no_move_begins_beside_one_that_has_not_ended(releases: Releases) -> None:
    """The lease of the other may have run out while its smoke test still runs."""
    seq = move(releases, "promote", 1, end="pending")
    with pytest.raises(Refusal, match="being moved"):
        releases.begin("promote", 2, expected=None, actor="me", reason="", basis="")
    releases.end(seq, "abandoned")
    move(releases, "promote", 2)
    assert champion(releases) == 2


def test_a_move_waits_for_one_that_is_being_written_and_is_refused_then(releases: Releases) -> None:
    """Its lease was lost, or it would not come upon the other."""
    refused: list[str] = []

    def begin() -> None:
        try:
            releases.begin("promote", 2, expected=None, actor="me", reason="", basis="")
        except Refusal as refusal:
            refused.append(str(refusal))

    with releases.ledger.transaction(alone="champion of digits") as connection:
        thread = threading.Thread(target=begin)
        thread.start()
        thread.join(0.5)
        connection.execute("INSERT INTO moves (model, action, version, state) VALUES ('digits', 'promote', 1, 'done')")
    thread.join(30)
    assert "version 1, not none" in "".join(refused)
    assert len(releases.moves()) == 1


def test_who_was_taken_for_dead_cannot_finish_its_move(releases: Releases) -> None:
    seq = move(releases, "promote", 1, end="pending")
    assert [one.seq for one in releases.unfinished()] == [seq]
    releases.end(seq, "abandoned")
    move(releases, "promote", 2)
    with pytest.raises(Refusal, match="took over"):
        releases.end(seq, "done")
    assert champion(releases) == 2
    assert releases.unfinished() == []


def test_a_challenger_is_judged_against_the_champion(releases: Releases) -> None:
    assert releases.opponent(artifact("onnx 1"), answered_by="code") is None
    move(releases, "promote", 1)
    assert releases.opponent(artifact("onnx 2"), answered_by="code") == release(1)
    assert releases.opponent(artifact("never released"), answered_by="code") == release(1)


def test_a_champion_that_comes_again_is_judged_against_whom_it_replaced(releases: Releases) -> None:
    move(releases, "promote", 1)
    assert releases.opponent(artifact("onnx 1"), answered_by="code") is None
    move(releases, "promote", 2)
    assert releases.opponent(artifact("onnx 2"), answered_by="code") == release(1)
    move(releases, "rollback", 1)
    assert releases.opponent(artifact("onnx 1"), answered_by="code") is None  # as it was when it rose
    assert releases.opponent(artifact("onnx 2"), answered_by="code") == release(1)


def test_what_was_rolled_back_is_barred_and_an_unchanged_run_does_not_lift_that(releases: Releases) -> None:
    move(releases, "promote", 1)
    move(releases, "promote", 2)
    assert barred(releases, 2) is None
    move(releases, "rollback", 1)
    assert barred(releases, 2) == "rollback done"
    releases.note("hold", 2, actor="run", reason="not enough evidence", basis="b")
    assert barred(releases, 2) == "rollback done"
    move(releases, "promote", 3)
    assert barred(releases, 2) == "rollback done"
    assert barred(releases, 1) is None
    move(releases, "promote", 2)  # by force
    assert barred(releases, 2) is None


def test_what_was_rejected_is_barred_until_it_is_promoted_by_force(releases: Releases) -> None:
    releases.note("reject", 1, actor="run", reason="worse", basis="b")
    assert barred(releases, 1) == "reject done"
    releases.note("hold", 1, actor="run", reason="", basis="b")
    assert barred(releases, 1) == "reject done"
    move(releases, "promote", 1)
    assert barred(releases, 1) is None


def test_a_champion_of_before_that_is_judged_again_and_rejected_can_still_be_gone_back_to(releases: Releases) -> None:
    move(releases, "promote", 1)
    move(releases, "promote", 2)
    releases.note("reject", 1, actor="gate", reason="larger", basis="judged again")
    assert releases.barred(1) is not None
    assert releases.barred(1, back=True) is None
    move(releases, "rollback", 1)
    assert releases.barred(2, back=True) is not None
    move(releases, "promote", 3, end="undone")
    assert releases.barred(3, back=True) is not None


def test_what_failed_its_smoke_test_is_barred_and_what_was_cut_off_is_not(releases: Releases) -> None:
    move(releases, "promote", 1, end="undone")
    assert barred(releases, 1) == "promote undone"
    move(releases, "promote", 2, end="abandoned")
    assert barred(releases, 2) is None


def test_a_rollback_that_did_not_happen_bars_nobody(releases: Releases) -> None:
    move(releases, "promote", 1)
    move(releases, "promote", 2)
    move(releases, "rollback", 1, end="abandoned")
    assert champion(releases) == 2
    assert barred(releases, 2) is None


def test_a_champion_that_is_gone_is_no_opponent_and_the_one_that_it_replaced_is(releases: Releases) -> None:
    def opponent(name: str, *gone: int) -> int | None:
        found = releases.opponent(artifact(name), answered_by="code", gone=gone)
        return found.version if found else None

    move(releases, "promote", 1)
    assert opponent("never released", 1) is None
    move(releases, "promote", 2)
    assert opponent("never released", 2) == 1
    assert opponent("never released", 1, 2) is None
    assert opponent("never released", 1) == 2
    assert opponent("onnx 2", 2) == opponent("onnx 2") == 1, "an unchanged run asks what was answered"
    assert opponent("onnx 1", 2) is None, "nor is it judged against itself"
    assert opponent("onnx 2", 1) == 1, "the question of a champion that is there stays, whatever else goes"


def test_a_version_in_the_place_of_one_that_is_lost_replaces_whom_it_was_compared_with(releases: Releases) -> None:
    move(releases, "promote", 1)
    move(releases, "promote", 2)
    releases.add(release(4, onnx="onnx 2"))
    told = {"actor": "me", "reason": "", "basis": "b"}
    with pytest.raises(Refusal, match="version 2, not 3 as expected"):
        releases.begin("promote", 4, expected=1, instead_of=3, **told)
    releases.end(releases.begin("promote", 4, expected=1, instead_of=2, **told), "done")
    assert champion(releases) == 4
    assert releases.moves()[-1].replaced == 1
    assert releases.opponent(artifact("onnx 2"), answered_by="code") == release(1), "as when it was first asked"


def test_the_audit_log_says_who_moved_what_and_why(releases: Releases) -> None:
    move(releases, "promote", 1)
    releases.note("hold", 2, actor="run", reason="too few rows", basis="basis 2")
    first, second = releases.moves()
    assert (first.action, first.version, first.replaced, first.state, first.actor) == ("promote", 1, None, "done", "me")
    assert (second.action, second.version, second.reason, second.basis) == ("hold", 2, "too few rows", "basis 2")


def test_what_the_registry_lost_is_forgotten_of_this_model_alone(releases: Releases) -> None:
    other = Releases(releases.ledger, "other")
    other.add(release(1, model="other"))
    move(releases, "promote", 1)
    releases.set_aside()
    assert (releases.all(), releases.moves(), releases.champion()) == ([], [], None)
    assert len(other.all()) == 1


def test_a_number_that_is_known_of_another_run_or_file_is_refused_and_the_record_stays(releases: Releases) -> None:
    releases.add(replace(release(2), latency_ms={}), files={"MLmodel": "digest"})  # by the same run once more
    assert (releases.get(2).latency_ms, releases.files(2)) == ({}, {"MLmodel": "digest"})
    for other in (replace(release(2), run_id="another run"), release(2, onnx="another file")):
        with pytest.raises(Refusal, match=r"gave the number 2 twice: it is that of run run 2 already"):
            releases.add(other)
    assert (releases.get(2).run_id, releases.files(2)) == ("run 2", {"MLmodel": "digest"})


def lose_registry(releases: Releases) -> None:
    move(releases, "promote", 1)
    move(releases, "promote", 2)
    move(releases, "rollback", 1)
    releases.note("reject", 3, actor="me", reason="rejected: too slow", basis="")
    releases.set_aside()


def test_what_a_lost_registry_rolled_back_or_rejected_stays_barred_under_any_number(releases: Releases) -> None:
    lose_registry(releases)
    for version, name in ((1, "onnx 2"), (2, "onnx 3"), (3, "onnx 1"), (4, "onnx 4")):
        releases.add(release(version, onnx=name))
    assert [barred(releases, version) for version in (1, 2, 3, 4)] == ["rollback done", "reject done", None, None]
    day = time.strftime("%Y-%m-%d")
    said = [found.objection for version in (1, 2) if (found := releases.barred(version))]
    assert said[0] == f"version 2 of the registry that was lost was rolled back on {day}: "
    assert said[1] == f"version 3 of the registry that was lost was rejected on {day}: too slow"
    assert releases.barred(2, back=True) is None
    time.sleep(1.0)  # the name tells the second
    releases.set_aside()
    releases.add(release(1, onnx="onnx 2"))
    assert barred(releases, 1) == "rollback done", "also where it was lost twice"
    assert Releases(releases.ledger, "digit").barred(1) is None


def test_what_rises_by_force_is_good_whatever_a_lost_registry_said(releases: Releases) -> None:
    lose_registry(releases)
    releases.add(release(1, onnx="onnx 2"))
    releases.add(release(2, onnx="onnx 2", code="other code"))
    move(releases, "promote", 1)  # forced
    assert barred(releases, 1) is None
    assert barred(releases, 2) is None


def test_code_that_answered_wrongly_in_a_lost_registry_bars_the_file_until_it_is_mended(releases: Releases) -> None:
    move(releases, "promote", 2, end="undone")
    releases.set_aside()
    releases.add(release(1, onnx="onnx 2"))
    releases.add(release(2, onnx="onnx 2", code="mended code"))
    assert barred(releases, 1) == "promote undone"
    assert barred(releases, 2) is None


def test_a_version_that_was_held_is_barred_by_what_was_said_before(releases: Releases) -> None:
    releases.note("reject", 1, actor="me", reason="", basis="")
    releases.note("hold", 1, actor="me", reason="", basis="")
    releases.note("hold", 2, actor="me", reason="", basis="")
    assert barred(releases, 1) == "reject done"
    assert barred(releases, 2) is None


def test_a_registry_that_has_other_versions_is_refused(releases: Releases) -> None:
    releases.check_registry("http://anywhere")  # older releases don't say where they are
    releases.add(replace(release(4), registry=""))
    releases.check_registry("")
    with pytest.raises(Refusal, match=r"another registry of MLflow: the home's own, not http://there"):
        releases.check_registry("http://there")
    Releases(releases.ledger, "other").check_registry("http://there")


def test_another_version_of_a_rolled_back_file_is_barred_with_it(releases: Releases) -> None:
    move(releases, "promote", 1)
    move(releases, "promote", 2)
    move(releases, "rollback", 1)
    twin = replace(releases.get(2), version=9)
    releases.add(twin)
    assert releases.barred(9) is not None
    assert releases.was_champion(2)
    assert not releases.was_champion(9)


def test_moving_is_for_one_at_a_time(releases: Releases, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(releases_module, "PATIENCE_SECONDS", 0.5)
    lease = releases.ledger.acquire("promotion digits", seconds=60)
    with pytest.raises(Refusal, match="by someone else"), releases.moving():
        pass
    assert lease is not None
    releases.ledger.release(lease)
    with pytest.raises(RuntimeError), releases.moving():
        raise RuntimeError
    with releases.moving():  # the lease was given back
        pass


PROMOTER = """
    import sys
    from pathlib import Path
    from components.errors import Refusal
    from components.planning.ledger import ledger_at
    from components.release.releases import Releases
    version = int(sys.argv[2])
    releases = Releases(ledger_at(Path(sys.argv[1]) if sys.argv[1].startswith("/") else sys.argv[1]), "digits")
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        with releases.moving():
            seq = releases.begin("promote", version, expected=None, actor=str(version), reason="", basis="")
            releases.end(seq, "done")
        print("won")
    except Refusal as refusal:
        print("is version" in str(refusal) and "lost")
"""


@pytest.mark.slow
def test_of_fifty_promoters_at_once_one_wins(address: Path | str) -> None:
    releases = Releases(ledger_at(address), "digits")
    for version in range(1, 51):
        releases.add(release(version))
    command = [sys.executable, "-c", textwrap.dedent(PROMOTER), str(address)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    children = [subprocess.Popen([*command, str(version)], text=True, **pipes) for version in range(1, 51)]  # type: ignore[call-overload]
    for child in children:
        assert child.stdout.readline() == "ready\n", child.stderr.read()
    for child in children:
        child.stdin.write("\n")
        child.stdin.flush()
    said = [child.communicate(timeout=240)[0].strip() for child in children]
    assert sorted(said) == ["lost"] * 49 + ["won"]
    assert champion(releases) == said.index("won") + 1
    assert len(releases.moves()) == 1


STOPPED = """
    import os, signal, sys
    from pathlib import Path
    from components.errors import Refusal
    from components.planning.ledger import ledger_at
    from components.release import releases as module
    releases = module.Releases(ledger_at(Path(sys.argv[1]) if sys.argv[1].startswith("/") else sys.argv[1]), "digits")
    try:
        with releases.moving():
            seq = releases.begin("promote", 1, expected=None, actor="slow", reason="", basis="")
            print("began", flush=True)
            sys.stdin.readline()
            releases.end(seq, "done")
        print("won")
    except Refusal:
        print("lost")
"""


def run_out(releases: Releases) -> None:
    """Have the lease of the move that goes on be over."""
    releases.ledger.database.change("UPDATE leases SET expires = clock() - 1")


def test_a_promoter_that_was_stopped_past_its_lease_changes_nothing_afterwards(
    releases: Releases, address: Path | str
) -> None:
    command = [sys.executable, "-c", textwrap.dedent(STOPPED), str(address)]
    child = subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == "began\n"
    try:
        child.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, child.pid, os.WSTOPPED)  # all its threads: the one that renews the lease, too
        run_out(releases)
        with releases.moving():
            for one in releases.unfinished():
                releases.end(one.seq, "abandoned")
            seq = releases.begin("promote", 2, expected=None, actor="quick", reason="", basis="")
            releases.end(seq, "done")
        child.send_signal(signal.SIGCONT)
        assert child.communicate("\n", timeout=60)[0] == "lost\n"
    finally:
        child.kill()  # one that is stopped would stay for good
    assert champion(releases) == 2


def test_a_move_that_takes_longer_than_its_lease_is_not_taken_over(
    releases: Releases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(releases_module, "PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(held_module, "every", lambda _, renew, *, name, first: every(0.02, renew, name=name))
    with releases.moving():
        seq = releases.begin("promote", 1, expected=None, actor="slow", reason="", basis="")
        run_out(releases)
        wait_until(lambda: releases.ledger.is_taken("promotion digits"))
        with pytest.raises(Refusal, match="by someone else"), releases.moving():
            pass
        releases.end(seq, "done")
    assert champion(releases) == 1
