"""A server that goes away: nothing waits for it, nothing is lost, and every point arrives once."""

import json
import logging
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from tasks.tracking import sending
from tasks.tracking.sending import Point, Sender, unsent
from tests.servers.faults import wait_until

soon = partial(wait_until, seconds=20)


class Server:
    """Takes points while it is up. As MLflow does, it keeps a point that it is sent twice once."""

    def __init__(self) -> None:
        self.up, self.took, self.calls = True, dict.fromkeys(points(0)), 0
        self.hang = threading.Event()
        self.hang.set()

    def send(self, batch: Sequence[Point]) -> None:
        assert len(batch) <= sending.BATCH
        self.calls += 1
        self.hang.wait(30)
        if not self.up:
            raise ConnectionError("away")
        self.took |= dict.fromkeys(batch)


def points(count: int, start: int = 0) -> list[Point]:
    return [("loss", 1.0, 0, step) for step in range(start, start + count)]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setattr(sending, "FLUSH_SECONDS", 0.01)
    return Server()


@pytest.fixture
def sender(server: Server, tmp_path: Path) -> Sender:
    made = Sender(send=server.send, file=tmp_path / "run" / "unsent.jsonl")
    made.start()
    return made


def test_points_that_came_while_the_server_was_away_arrive_when_it_is_back(server: Server, sender: Sender) -> None:
    sender.put(points(5))
    soon(lambda: len(server.took) == 5)
    server.up = False
    sender.put(points(3 * sending.BATCH, start=5))
    soon(lambda: sender.file.exists() and len(sender.file.read_text().splitlines()) == 3 * sending.BATCH)
    server.up = True
    sender.finish(20)
    assert list(server.took) == points(5 + 3 * sending.BATCH)
    assert not sender.file.exists(), "what was sent isn't sent again"


def test_what_is_left_at_the_end_is_written_down_whole(server: Server, sender: Sender, tmp_path: Path) -> None:
    server.up = False
    sender.put(points(3 * sending.BATCH))
    soon(lambda: server.calls > 1)
    sender.finish(0.1)
    (left,) = unsent(tmp_path, but=tmp_path)
    assert (left.run, left.points) == ("run", points(3 * sending.BATCH))


def test_what_is_on_its_way_when_time_is_up_is_written_down_too(server: Server, sender: Sender, tmp_path: Path) -> None:
    """A client may try for minutes at one batch; the process ends meanwhile."""
    server.hang.clear()
    sender.put(points(3))
    soon(lambda: server.calls == 1)
    sender.put(points(2, start=3))
    sender.finish(0.05)
    assert [left.points for left in unsent(tmp_path, but=tmp_path)] == [points(5)]
    server.hang.set()  # it comes through after all
    soon(lambda: len(server.took) == 3)
    time.sleep(0.05)
    assert [left.points for left in unsent(tmp_path, but=tmp_path)] == [points(5)]


def test_a_process_that_is_killed_meanwhile_has_written_down_what_it_had(
    server: Server, sender: Sender, tmp_path: Path
) -> None:
    server.up = False
    sender.put(points(2))
    soon(lambda: len(list(unsent(tmp_path, but=tmp_path))) == 1)
    sender.put(points(2, start=2))
    soon(lambda: [left.points for left in unsent(tmp_path, but=tmp_path)] == [points(4)])


def test_what_others_left_is_asked_for_once_and_only_of_a_server_that_takes_something(
    server: Server, tmp_path: Path
) -> None:
    asked: list[bool] = []
    server.up = False
    sender = Sender(send=server.send, file=tmp_path / "unsent.jsonl", then=lambda: asked.append(server.up))
    sender.start()
    sender.put(points(1))
    soon(lambda: server.calls > 1)
    server.up = True
    soon(lambda: len(server.took) == 1)
    sender.put(points(1, start=1))
    sender.finish(20)
    assert asked == [True]


def test_an_outage_is_told_once_and_so_is_its_end(
    server: Server, sender: Sender, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    server.up = False
    sender.put(points(1))
    soon(lambda: server.calls > 3)
    server.up = True
    sender.finish(20)
    assert [record.message.partition(" (")[0] for record in caplog.records] == [
        "MLflow doesn't take figures",
        "MLflow takes figures again: none is lost",
    ]


def test_points_that_can_go_nowhere_leave_a_word(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    sender = Sender(send=server.send, file=tmp_path / "file" / "no folder" / "unsent.jsonl")
    server.up = False
    sender.put(points(1))
    sender.start()
    sender.finish(0.1)
    assert "can't be written beside the run" in caplog.text


def test_what_can_not_be_read_is_left_alone(tmp_path: Path) -> None:
    for name, text in (("torn", '["loss", 1.0, 0'), ("whole", json.dumps(points(1)[0]) + "\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "unsent.jsonl").write_text(text)
    assert [left.run for left in unsent(tmp_path, but=tmp_path)] == ["whole"]
    assert (tmp_path / "torn" / "unsent.jsonl").exists()


def test_points_lie_in_the_file_while_the_first_attempt_loads_what_sends_them(server: Server, sender: Sender) -> None:
    """A stage on a worker may be killed while it loads MLflow."""
    server.hang.clear()
    sender.put(points(3))
    soon(lambda: sender.file.exists() and len(sender.file.read_text().splitlines()) == 3)
    server.hang.set()
    sender.finish(20)
    assert len(server.took) == 3
    assert not sender.file.exists()
