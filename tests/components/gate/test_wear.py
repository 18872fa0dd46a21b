"""How often test rows have decided is known also where rows are added each night."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.gate.wear import Sketch, sketch, times_decided

HASHES = np.random.default_rng(0).integers(0, 2**64, size=4000, dtype=np.uint64)


@pytest.fixture
def sketched(tmp_path: Path):
    def of(hashes: Sequence[int]) -> Sketch:
        content = pa.array(np.asarray(hashes, dtype=np.uint64))
        part = pa.array(["test"] * len(content))
        other = pa.table({"part": ["train"] * 50, "content": pa.array(np.arange(50, dtype=np.uint64))})
        file = tmp_path / "assignments.parquet"
        pq.write_table(pa.concat_tables([other, pa.table({"part": part, "content": content})]), file)
        return sketch(file)

    return of


def test_a_row_more_each_night_makes_no_new_test_rows(sketched) -> None:
    nights = [sketched(HASHES[: 300 + night]) for night in range(30)]
    assert 26 <= times_decided(nights[-1], nights[:-1]) <= 29  # a late row decided less often: 27.7 on average


@pytest.mark.parametrize("rows", [3, 64, 65, 1000])
def test_the_same_rows_have_decided_each_time_and_others_never(sketched, rows: int) -> None:
    now, others = sketched(HASHES[:rows]), sketched(HASHES[rows : 2 * rows])
    assert times_decided(now, []) == 0
    assert times_decided(now, [now] * 7) == 7
    assert times_decided(now, [others] * 7) == 0


@pytest.mark.parametrize(("seen", "of"), [(1000, 2000), (500, 2000), (40, 80), (1000, 4000)])
def test_rows_that_were_added_count_as_fresh(sketched, seen: int, of: int) -> None:
    times = times_decided(sketched(HASHES[:of]), [sketched(HASHES[:seen])] * 100)
    assert abs(times / 100 - seen / of) < 0.2  # 64 rows are asked: a standard error of 0.06


def test_rows_that_are_left_of_more_have_decided_each_time(sketched) -> None:
    assert times_decided(sketched(HASHES[:1000]), [sketched(HASHES)] * 10) == 10
