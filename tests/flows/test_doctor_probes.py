"""What `doctor` tries leaves nothing behind, and says what failed."""

import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from components.errors import GO_ON, Problem, Refusal
from components.home import Home
from components.planning.ledger import ledger_at
from flows.doctor import probes
from flows.doctor.examine import examine
from flows.doctor.finding import bad
from flows.doctor.probes import try_lease, try_place, try_server
from tests.servers.faults import proxy
from tests.servers.s3 import BUCKET, S3Server


def test_a_place_in_s3_is_written_read_and_left_as_it_was(
    s3: S3Server, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setenv("STEELYARD_S3_ENDPOINT_URL", s3.endpoint_url)
    told = try_place(f"s3://{BUCKET}/{prefix}", Home(tmp_path / "home"))
    assert told == f"s3://{BUCKET}/{prefix}: an object was written, read and removed"
    assert not [path for path in (s3.folder / BUCKET / prefix).rglob("*") if path.is_file()]
    with pytest.raises(Refusal, match="there is no such bucket"):
        try_place("s3://nobody/store", Home(tmp_path / "home"))


def test_a_folder_is_written_read_and_left_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "to" / "be made"
    assert try_place(str(folder), Home(tmp_path / "home")) == f"{folder}: a file went in and came out the same"
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(probes, "digest_of", str)
    with pytest.raises(Refusal, match="came out DIFFERENT"):
        try_place(str(folder), Home(tmp_path / "home"))


def test_a_lease_is_given_back_and_clocks_that_differ_are_told(
    address: Path | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = ledger_at(address)
    assert "given back, the clocks differ by 0." in try_lease(ledger)
    assert ledger.database.ask("SELECT count(*) FROM leases") == [(0,)]
    monkeypatch.setattr(probes, "time", SimpleNamespace(time=lambda: time.time() + 100))
    with pytest.raises(Refusal, match="its clock and this machine's differ by 100 s"):
        try_lease(ledger)


def test_an_s3_that_is_silent_is_asked_twice_for_one_of_its_places_and_each_is_told_before(
    s3: S3Server, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setattr(probes, "S3_SECONDS", 0.2)
    monkeypatch.setattr("tests.servers.faults.HANG_SECONDS", 9.0)
    told: list[str] = []
    with proxy(s3.endpoint_url) as silent:
        silent.fault = lambda _: "hang"
        monkeypatch.setenv("STEELYARD_S3_ENDPOINT_URL", silent.endpoint_url)
        for name in ("store", "dvc_remote", "mlflow_artifacts"):
            monkeypatch.setenv(f"STEELYARD_{name.upper()}", f"s3://{BUCKET}/{prefix}/{name}")

        def tell(what: str) -> None:
            told.append(f"{what} after {len(silent.requests)}")

        found = {one.name: one for one in examine(Home(tmp_path / "home"), tell=tell)}
        assert silent.under_way == 2, "it is given up before it answers"
    assert told == [f"trying store, s3://{BUCKET}/{prefix}/store after 0"]
    assert "can't be reached, or stopped answering" in found["store"].detail
    assert "check the endpoint and the network (store, from" in found["store"].detail
    for name in ("dvc remote", "mlflow artifacts"):
        assert found[name].state == "bad"
        assert "not tried, since S3 failed for `store`" in found[name].detail


def test_a_server_that_answers_with_an_error_is_not_told_to_be_silent(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxy(s3.endpoint_url) as ill:
        ill.fault = lambda _: "503"
        with pytest.raises(Refusal, match=r"answers with an error \(503\)(.|\n)*look at its log"):
            try_server(ill.endpoint_url, health="/health", do="start it")


def test_a_server_that_is_not_there_is_told_without_its_login() -> None:
    with pytest.raises(Refusal, match=r"http://\*\*\*@127\.0\.0\.1:9/api: does not answer(.|\n)*start it"):
        try_server("http://me:hush-hush@127.0.0.1:9/api?token=hush-hush", health="/health", do="start it")


def test_what_is_bad_is_one_line_whose_parts_are_told_apart_and_speaks_of_no_run() -> None:
    problems = [
        Problem(what="does not\n  answer", where="http://a", allowed="http://HOST", do="start it"),
        Problem(what="stopped answering", where="s3://b", do=f"check the endpoint; {GO_ON}"),
        Problem(what="is full", do=GO_ON),
    ]
    told = bad("store", Refusal(problems), " (needed)").detail
    assert told == (
        "http://a: does not; answer; allowed: http://HOST; to do: start it; "
        "s3://b: stopped answering; to do: check the endpoint; is full (needed)"
    )
    assert bad("disk", OSError(28, "no space", "/a  b")).detail == "/a b: no space"
