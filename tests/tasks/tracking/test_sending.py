"""A server that goes away: nothing waits for it, nothing is lost, and every point arrives once."""

import json
import logging
import subprocess
import sys
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
ROOT = Path(__file__).parents[3]
FULL = """
import resource, sys
from pathlib import Path
from tasks.tracking.sending import Sender

sender = Sender(send=print, file=Path(sys.argv[1]))
points = [("loss", 1.0, 0, step) for step in range(3)]
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
for size in (50, most):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
    sender._write(points)
"""


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


def all_left(folder: Path) -> set[Point]:
    return {point for left in unsent(folder, but=folder) for point in left.points}


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
    soon(lambda: server.took)
    time.sleep(0.05)
    assert [left.points for left in unsent(tmp_path, but=tmp_path)] == [points(5)]


def test_a_process_that_is_killed_meanwhile_has_written_down_what_it_had(
    server: Server, sender: Sender, tmp_path: Path
) -> None:
    server.up = False
    sender.put(points(2))
    soon(lambda: len(list(unsent(tmp_path, but=tmp_path))) == 1)
    sender.put(points(2, start=2))
    soon(lambda: all_left(tmp_path) == set(points(4)))


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
    line = json.dumps(points(1)[0]) + "\n"
    for name, text in (("damaged", '["loss", 1.0, 0\n' + line), ("whole", line)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "unsent.jsonl").write_text(text)
    assert [left.run for left in unsent(tmp_path, but=tmp_path)] == ["whole"]
    (left,) = (tmp_path / "damaged").iterdir()
    assert left.read_text() == '["loss", 1.0, 0\n' + line


def test_half_a_line_that_a_killed_process_left_costs_no_other(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    lines = "".join(json.dumps(point) + "\n" for point in points(3))
    (tmp_path / "run" / "unsent.jsonl").write_text(lines[:-4])
    assert [left.points for left in unsent(tmp_path, but=tmp_path)] == [points(2)]


def test_a_disk_that_was_full_meanwhile_costs_no_line(tmp_path: Path) -> None:
    """The system lets this process write half a line, as a full disk does."""
    file = tmp_path / "run" / "unsent.jsonl"
    subprocess.run([sys.executable, "-c", FULL, file], cwd=ROOT, check=True)
    assert [left.points for left in unsent(tmp_path, but=tmp_path)] == [points(3)]


def test_what_a_living_process_writes_after_another_has_read_its_file_is_kept(
    server: Server, sender: Sender, tmp_path: Path
) -> None:
    server.up = False
    sender.put(points(2))
    soon(sender.file.exists)
    soon(lambda: len(sender.file.read_text().splitlines()) == 2)
    (left,) = unsent(tmp_path, but=tmp_path)
    sender.put(points(2, start=2))
    sender.finish(0.1)
    left.file.unlink()  # the other process has sent it
    assert set(left.points) | all_left(tmp_path) == set(points(4))


def test_a_file_that_is_written_to_and_taken_at_once_loses_nothing(tmp_path: Path) -> None:
    sender = Sender(send=print, file=tmp_path / "run" / "unsent.jsonl")
    taken: list[Point] = []
    ended = threading.Event()

    def take() -> None:
        while True:
            last = ended.is_set()
            for left in unsent(tmp_path, but=tmp_path):
                taken.extend(left.points)
                left.file.unlink()
            if last:
                return

    other = threading.Thread(target=take)
    other.start()
    for count in range(1, 1001):
        sender._write(points(count))
    ended.set()
    other.join()
    assert sorted(taken) == points(1000)


def test_points_lie_in_the_file_while_the_first_attempt_loads_what_sends_them(server: Server, sender: Sender) -> None:
    """A stage on a worker may be killed while it loads MLflow."""
    server.hang.clear()
    sender.put(points(3))
    soon(lambda: sender.file.exists() and sender.file.read_text())  # on a busy machine the others may come later
    server.hang.set()
    sender.finish(20)
    assert len(server.took) == 3
    assert not sender.file.exists()
