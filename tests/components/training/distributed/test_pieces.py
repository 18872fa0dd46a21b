"""What processes share of the rows, how rows reach them, and what the first one tells."""

import io
import logging
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from components.errors import Problem, Refusal
from components.training.distributed.messages import Teller, hear
from components.training.distributed.rows import map_rows, write_rows
from components.training.distributed.work import read_refusal, write_refusal
from components.training.examples import Dataset
from components.training.together import share
from tests.components.training.distributed.test_parent import Watch


@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 9))
def test_shares_are_all_rows_in_order_and_differ_by_one_at_most(first: int, rows: int, processes: int) -> None:
    shares = [share(first, first + rows, rank=rank, processes=processes) for rank in range(processes)]
    assert [row for start, end in shares for row in range(start, end)] == list(range(first, first + rows))
    sizes = [end - start for start, end in shares]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("channels_last", [True, False])
def test_rows_are_mapped_as_they_were_written(channels_last: bool, tmp_path: Path) -> None:
    layout = torch.channels_last if channels_last else torch.contiguous_format
    images = torch.randn(4, 3, 5, 2).to(memory_format=layout)
    nothing = torch.zeros(4, 0, dtype=torch.int64)  # of a table without categories
    rows = Dataset(features=(images, nothing), target=torch.arange(4), channels_last=channels_last)
    write_rows(rows, tmp_path / "rows")
    mapped = map_rows(tmp_path / "rows", device=torch.device("cpu"), channels_last=channels_last)
    assert mapped.features[0].equal(images)
    assert mapped.features[0].stride() == images.stride()
    assert mapped.features[1].shape == nothing.shape
    assert mapped.target.equal(rows.target)
    mapped.features[0].zero_()
    again = map_rows(tmp_path / "rows", device=torch.device("cpu"), channels_last=channels_last)
    assert again.features[0].equal(images)  # a process writes into a copy of its own


def test_what_is_told_is_heard(caplog: pytest.LogCaptureFixture) -> None:
    line, watch = io.StringIO(), Watch()
    teller = Teller(line)
    teller.resumed([{"train_loss": 1.0}], step=3)
    teller.step(step=4, steps=5)
    teller.epoch({"train_loss": 0.5}, epoch=1)
    teller.emit(logging.LogRecord("a.b", logging.WARNING, "", 0, "%d of %s", (1, "all"), None))
    with caplog.at_level(logging.INFO):
        for told in [*line.getvalue().splitlines(), "what somebody printed", '["step", "x"]']:
            hear(told, watch)
    assert (watch.gone_on, watch.steps, watch.epochs) == ([(1, 3)], [(4, 5)], [(1, {"train_loss": 0.5})])
    assert [record.getMessage() for record in caplog.records] == ["1 of all", "what somebody printed", "['step', 'x']"]
    assert caplog.records[0].name == "a.b"


def test_a_refusal_reaches_the_parent_whole(tmp_path: Path) -> None:
    refusal = Refusal([Problem(what="a", where="b", allowed="c", do="d"), Problem(what="e")])
    assert read_refusal(tmp_path) is None
    write_refusal(refusal, tmp_path)
    found = read_refusal(tmp_path)
    assert found is not None
    assert found.problems == refusal.problems
