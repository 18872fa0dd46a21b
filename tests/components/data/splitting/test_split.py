from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.data.config import DataConfig, SplitConfig
from components.data.kinds import IMAGE_TYPE
from components.data.splitting.copies import Copies, copies_in
from components.data.splitting.hashing import row_hashes, value_hashes
from components.data.splitting.purposes import PARTS, PURPOSES, Part, Purpose, groups_of, rows_of
from components.data.splitting.split import Split, split
from components.errors import Refusal
from tests.components.data.tables import config, packed

COLUMNS = config({"a": "number", "g": "ignore", "t": "ignore", "y": "category"})

GOLDEN = [
    13353622615058666064,
    13590397288211629554,
]  # of a table below; another value would move every row of every user


class Case:
    """A packed table in a folder, and its split."""

    def __init__(
        self,
        folder: Path,
        values: list[float],
        *,
        data: DataConfig = COLUMNS,
        task: str = "classification",
        **columns: object,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        n = len(values)
        given = {
            "a": values,
            "g": [i // 4 for i in range(n)],
            "t": list(range(n)),
            "y": [f"c{i % 2}" for i in range(n)],
        }
        self.folder, self.data, self.task = folder, data, task
        pq.write_table(pa.table({**given, **columns}), folder / "t.parquet")
        packed(folder, folder / "t.parquet", data)

    def split(self, settings_: SplitConfig | None = None, *, name: str = "s", previous: Path | None = None) -> Split:
        self.file = self.folder / f"{name}.parquet"
        return split(
            settings_ or SplitConfig(),
            self.data,
            self.folder / "packed",
            self.file,
            task=self.task,
            previous=previous,  # type: ignore[arg-type]
        )

    def parts(self) -> list[str]:
        return pq.read_table(self.file)["part"].to_pylist()


floats = st.lists(st.floats(-1e6, 1e6), min_size=80, max_size=120, unique=True)


@given(values=floats, more=floats, seed=st.integers(0, 2**64 - 1))
@settings(max_examples=15)
def test_rows_keep_their_part_when_rows_are_added(
    tmp_path_factory: pytest.TempPathFactory, values: list[float], more: list[float], seed: int
) -> None:
    chosen = SplitConfig(seed=seed, validation=0.3, test=0.3)
    folder = tmp_path_factory.mktemp("split")
    ys = [f"c{i % 2}" for i in range(len(values))]
    first, second = (
        Case(folder / "1", values, y=ys),
        Case(
            folder / "2",
            more + values,
            y=["c0", "c1"] * len(more[::2]) + ys if len(more) % 2 == 0 else ["c0"] * len(more) + ys,
        ),
    )
    first.split(chosen)
    second.split(chosen)
    assert first.parts() == second.parts()[len(more) :]


@given(values=st.lists(st.integers(0, 40), min_size=200, max_size=300))
@settings(max_examples=15)
@pytest.mark.parametrize("method", ["hash", "stratified"])
def test_exact_duplicates_stay_together(
    tmp_path_factory: pytest.TempPathFactory, method: str, values: list[int]
) -> None:
    ys = [f"c{value % 2}" for value in values] + ["c0", "c1"] * 40
    fill = [1000.0 + i for i in range(80)]
    case = Case(tmp_path_factory.mktemp("split"), [float(v) for v in values] + fill, y=ys)
    case.split(SplitConfig(method=method, validation=0.3, test=0.3))  # type: ignore[arg-type]
    parts: dict[float, set[str]] = {}
    for value, part in zip(values, case.parts(), strict=False):
        parts.setdefault(value, set()).add(part)
    assert all(len(found) == 1 for found in parts.values())
    copies = len(values) - len(set(values))
    assert copies_in(case.file) == Copies(rows=copies, in_train={"validation": 0, "test": 0})


def test_copies_that_time_or_groups_put_into_several_parts_are_counted(tmp_path: Path) -> None:
    values = [0, 1, 2, 2, 4, 5, 6, 0, 1, 1]  # of train rows one is a copy, of validation one, and both of test
    case = Case(tmp_path, [float(value) for value in values], y=[f"c{value % 2}" for value in values])
    case.split(SplitConfig(method="time", time_column="t", validation_from="5", test_from="8"))
    assert copies_in(case.file) == Copies(rows=4, in_train={"validation": 1, "test": 2})


def test_a_hash_doesnt_depend_on_column_order_and_never_changes() -> None:
    table = pa.table({"b": ["x", None], "a": [1.5, -0.0]})
    hashes = row_hashes(table, ["a", "b"])
    assert hashes.tolist() == row_hashes(table.select(["a", "b"]), ["b", "a"]).tolist()
    assert hashes.tolist() == GOLDEN
    assert row_hashes(pa.table({"a": [0.0]}), ["a"]).tolist() == row_hashes(pa.table({"a": [-0.0]}), ["a"]).tolist()


def test_equal_images_are_those_of_equal_bytes_and_a_missing_number_is_no_zero() -> None:
    pictures = [{"bytes": b"x", "path": "a.png"}, {"bytes": b"x", "path": "b.png"}, {"bytes": b"y", "path": "a.png"}]
    one, copy, other = value_hashes(pa.array(pictures, IMAGE_TYPE)).tolist()
    assert one == copy != other
    for values in ([0.0, None, 1.0], ["a", None, "b"], [True, None, False]):
        assert len(set(value_hashes(pa.array(values)).tolist())) == 3


def test_seeds_and_shares_count(tmp_path: Path) -> None:
    case = Case(tmp_path, [float(i) for i in range(4000)])
    result = case.split(SplitConfig(validation=0.1, test=0.3))
    zero = case.parts()
    assert result.shares["test"] == pytest.approx(0.3, abs=0.03)
    assert result.shares["validation"] == pytest.approx(0.1, abs=0.02)
    assert result.rows == {part: zero.count(part) for part in PARTS}
    assert sum(result.classes["train"].values()) == result.rows["train"]
    case.split(SplitConfig(validation=0.1, test=0.3, seed=1))
    assert case.parts() != zero
    bytes_ = case.file.read_bytes()
    case.split(SplitConfig(validation=0.1, test=0.3, seed=1), name="again")
    assert case.file.read_bytes() == bytes_


def test_groups_stay_together(tmp_path: Path) -> None:
    case = Case(tmp_path, [float(i) for i in range(400)])
    case.split(SplitConfig(group="g"))
    parts = np.array(case.parts()).reshape(100, 4)
    assert (parts == parts[:, :1]).all()
    table = pq.read_table(case.file)
    assert len(set(table["group"].to_pylist())) == 100
    assert len(set(table["content"].to_pylist())) == 400


def test_one_group_that_holds_every_row_is_refused_once_with_what_to_do(tmp_path: Path) -> None:
    case = Case(tmp_path, [float(i) for i in range(40)], g=["x"] * 40)
    with pytest.raises(Refusal) as caught:
        case.split(SplitConfig(group="g"))
    assert str(caught.value).count("empty") == 1
    assert "group by a column with more values than 'g'" in str(caught.value)


def test_a_missing_group_is_refused(tmp_path: Path) -> None:
    case = Case(tmp_path, [float(i) for i in range(40)], g=["x", None] * 20)
    with pytest.raises(Refusal, match="row 2 of the packed data, column 'g': the group is missing"):
        case.split(SplitConfig(group="g"))


def test_stratified_gives_each_class_its_share(tmp_path: Path) -> None:
    ys = ["rare"] * 20 + ["common"] * 400
    case = Case(tmp_path, [float(i) for i in range(420)], y=ys)
    result = case.split(SplitConfig(method="stratified", validation=0.1, test=0.2))
    assert {part: result.classes[part]["rare"] for part in PARTS} == {"train": 14, "validation": 2, "test": 4}
    assert {part: result.classes[part]["common"] for part in PARTS} == {"train": 280, "validation": 40, "test": 80}


def test_stratified_shares_out_by_its_seed(tmp_path: Path) -> None:
    case, found = Case(tmp_path, [float(i) for i in range(200)]), []
    for seed, name in ((0, "a"), (0, "b"), (1, "c")):
        case.split(SplitConfig(method="stratified", seed=seed), name=name)
        found.append(case.parts())
    assert found[0] == found[1] != found[2]


def test_stratified_keeps_past_rows_and_fills_the_quotas_with_new_ones(tmp_path: Path) -> None:
    chosen = SplitConfig(method="stratified")
    first = Case(tmp_path / "1", [float(i) for i in range(200)])
    first.split(chosen)
    second = Case(tmp_path / "2", [float(i) for i in range(300, -1, -1)], y=[f"c{i % 2}" for i in range(300, -1, -1)])
    result = second.split(chosen, previous=first.file)
    assert second.parts()[::-1][:200] == first.parts()
    assert result.kept == 200
    assert result.rows["test"] == pytest.approx(0.15 * 301, abs=2)


@pytest.mark.parametrize("times", ["number", "date", "text"])
def test_time_splits_by_absolute_cut_offs(tmp_path: Path, times: str) -> None:
    days = [f"2024-01-{i + 1:02d}" for i in range(30)]
    given: object = {"number": list(range(1, 31)), "date": pa.array(days).cast(pa.date32()), "text": days}[times]
    case = Case(tmp_path, [float(i) for i in range(30)], t=given)
    cuts = ("11", "21") if times == "number" else ("2024-01-11", "2024-01-21T00:00:00")
    case.split(SplitConfig(method="time", time_column="t", validation_from=cuts[0], test_from=cuts[1]))
    assert case.parts() == ["train"] * 10 + ["validation"] * 10 + ["test"] * 10


def test_bad_times_and_cut_offs_are_refused(tmp_path: Path) -> None:
    case = Case(tmp_path, [float(i) for i in range(4)], t=["2024-01-01", "soon", None, "2024-01-04"])
    with pytest.raises(Refusal, match="row 2 of the packed data, column 't': the time is missing, or not a date"):
        case.split(SplitConfig(method="time", time_column="t", validation_from="2024-01-02", test_from="2024-01-03"))
    with pytest.raises(Refusal, match="the first before the second"):
        case.split(SplitConfig(method="time", time_column="t", validation_from="2024-01-02", test_from="2024-01-3rd"))
    assert not case.file.exists()


def test_an_empty_part_and_a_class_absent_from_train_are_refused(tmp_path: Path) -> None:
    case = Case(tmp_path, [float(i) for i in range(30)], y=["early"] * 20 + ["late"] * 10)
    cuts = SplitConfig(method="time", time_column="t", validation_from="20", test_from="25")
    with pytest.raises(Refusal, match="no row of the class 'late' is in train"):
        case.split(cuts)
    with pytest.raises(Refusal, match="the split leaves validation empty: of 30 rows, train 20, validation 0, test 10"):
        case.split(SplitConfig(method="time", time_column="t", validation_from="19.5", test_from="20"))


def test_classes_of_a_number_target_are_whole_and_have_two_rows(tmp_path: Path) -> None:
    data = config({"a": "number", "g": "ignore", "t": "ignore", "y": "number"})
    case = Case(tmp_path / "1", [float(i) for i in range(40)], data=data, y=[1.0, 2.5] * 20)
    with pytest.raises(Refusal, match="row 2 of the packed data, column 'y': a class must be a whole number"):
        case.split()
    case = Case(tmp_path / "2", [float(i) for i in range(41)], data=data, y=[1.0, 2.0] * 20 + [3.0])
    with pytest.raises(Refusal, match="the class '3' has 1 row"):
        case.split()


def test_regression_counts_parts_only(tmp_path: Path) -> None:
    data = config({"a": "number", "g": "ignore", "t": "ignore", "y": "number"})
    case = Case(tmp_path, [float(i) for i in range(100)], data=data, task="regression", y=[i / 3 for i in range(100)])
    result = case.split()
    assert result.classes == {}
    assert sum(result.rows.values()) == 100


@given(part=st.sampled_from(PARTS), purpose=st.sampled_from(sorted(frozenset.union(*PURPOSES.values()))))
@settings(max_examples=40)
def test_each_purpose_reads_one_part_only(
    tmp_path_factory: pytest.TempPathFactory, part: Part, purpose: Purpose
) -> None:
    file = tmp_path_factory.mktemp("parts") / "s.parquet"
    numbers = {"row": pa.array([0, 1, 2, 3], pa.uint32()), "group": pa.array([7, 8, 9, 2**64 - 1], pa.uint64())}
    pq.write_table(pa.table({**numbers, "part": [*PARTS, part]}), file)
    if purpose in PURPOSES[part]:
        assert rows_of(file, part, purpose=purpose).tolist() == [PARTS.index(part), 3]
        assert groups_of(file, part, purpose=purpose).tolist() == [7 + PARTS.index(part), 2**64 - 1]
    else:
        for read in (rows_of, groups_of):
            with pytest.raises(Refusal, match=f"the {part} rows were asked for, to {purpose}"):
                read(file, part, purpose=purpose)
