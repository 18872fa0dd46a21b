"""The rows that a gate may use: those that the champion learned nothing of."""

from pathlib import Path

import pytest

from components.data.config import SplitConfig
from components.data.splitting.unseen import gone, other_groups, unseen
from tests.components.data.splitting.test_split import Case


def case(folder: Path, values: list[float], groups: list[str]) -> Case:
    return Case(folder, values, g=groups, y=["c0", "c1"] * (len(values) // 2))


def test_a_row_of_a_group_that_the_champion_trained_on_is_not_unseen(tmp_path: Path) -> None:
    before = case(tmp_path / "1", [float(i) for i in range(80)], [f"patient {i // 4}" for i in range(80)])
    before.split(SplitConfig(group="g"))
    # The same patients, every row measured anew, and as many new patients; another seed shares them out otherwise.
    now = case(tmp_path / "2", [i + 0.5 for i in range(160)], [f"patient {i // 4}" for i in range(160)])
    now.split(SplitConfig(group="g", seed=5))
    fate = {f"patient {i // 4}": part for i, part in enumerate(before.parts())}
    tested = [f"patient {i // 4}" for i, part in enumerate(now.parts()) if part == "test"]
    expected = [fate.get(patient, "new") in ("test", "new") for patient in tested]
    assert len(set(expected)) == 2, "the case shows both"
    assert unseen(now.file, before.file).tolist() == expected


@pytest.mark.parametrize("config", [SplitConfig(method="hash"), SplitConfig(method="stratified")])
def test_without_groups_a_row_is_known_by_its_content(tmp_path: Path, config: SplitConfig) -> None:
    before = case(tmp_path / "1", [float(i) for i in range(80)], ["all"] * 80)
    before.split(config)
    now = case(tmp_path / "2", [float(i) for i in range(160)], ["all"] * 160)
    now.split(SplitConfig(method="hash", seed=5))
    fate = before.parts() + ["new"] * 80
    tested = [row for row, part in enumerate(now.parts()) if part == "test"]
    assert unseen(now.file, before.file).tolist() == [fate[row] in ("test", "new") for row in tested]


@pytest.mark.parametrize(("left", "share"), [(80, 0.0), (40, 0.5), (0, 1.0)])
def test_rows_that_were_taken_out_or_written_anew_are_counted_of_those_learned_from(
    tmp_path: Path, left: int, share: float
) -> None:
    before = case(tmp_path / "1", [float(i) for i in range(80)], ["all"] * 80)
    before.split(SplitConfig(method="hash"))
    now = case(tmp_path / "2", [i if i < left else i + 1e-9 for i in range(80)], ["all"] * 80)
    now.split(SplitConfig(method="hash", seed=5))
    learned = [row for row, part in enumerate(before.parts()) if part != "test"]
    assert gone(now.file, before.file) == sum(row >= left for row in learned) / len(learned)
    assert gone(now.file, before.file) == pytest.approx(share, abs=0.15)


def test_rows_of_a_group_that_is_still_there_are_not_gone(tmp_path: Path) -> None:
    before = case(tmp_path / "1", [float(i) for i in range(80)], [f"patient {i // 4}" for i in range(80)])
    before.split(SplitConfig(group="g"))
    now = case(tmp_path / "2", [i + 0.5 for i in range(80)], [f"patient {i // 4}" for i in range(80)])
    now.split(SplitConfig(group="g", seed=5))
    assert gone(now.file, before.file) == 0.0


def test_a_split_of_other_groups_does_not_tell_which_groups_were_learned(tmp_path: Path) -> None:
    files = {}
    for name in ("", "g", "a"):
        one = case(tmp_path / (name or "none"), [float(i) for i in range(80)], [f"patient {i // 4}" for i in range(80)])
        one.split(SplitConfig(group=name or None, test=0.4, validation=0.2, seed=2))
        files[name] = one.file
    assert other_groups(files["g"], files["g"]) == ""
    assert other_groups(files[""], files["g"]) == ""
    assert other_groups(files["g"], files["a"]) == "The split is by groups of 'g', the one before it by those of 'a'"
    assert other_groups(files["g"], files[""]) == (
        "The split is by groups of 'g', the one before it without any (the earlier figures may be too good: rows of "
        "one 'g' may have been in train and test alike)"
    )
