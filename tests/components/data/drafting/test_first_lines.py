"""CSV files whose lines aren't what they seem: torn ones, and those above the header."""

from pathlib import Path

import pytest

from components.data.drafting.draft import draft
from components.errors import Refusal


def refusal(folder: Path, text: str, target: str | None) -> str:
    (folder / "t.csv").write_text(text)
    with pytest.raises(Refusal) as refused:
        draft(folder / "t.csv", target=target)
    return str(refused.value)


def test_torn_lines_are_named_before_what_is_wrong_with_the_target(tmp_path: Path) -> None:
    torn, target = refusal(tmp_path, "a,b,y\n" + "1,2,x\n2,3\n" * 1500, "y").split("t.csv, column 'y': ")
    assert torn.startswith("t.csv: 1,500 of 3,000 rows can't be read; the first is t.csv, row 2 (line 3): ")
    assert "the line has 2 fields, the header has 3" in torn
    assert "what follows is of the other rows" in torn
    assert target.startswith("the target has fewer than two values")
    whole = refusal(tmp_path, "a,b,y\n" + "1,2,x\n" * 60, "y")
    assert whole.startswith("t.csv, column 'y': the target has fewer than two values")


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("target", ["y", None, "z"])
def test_lines_above_the_header_are_named_and_the_header_is(tmp_path: Path, mark: str, target: str | None) -> None:
    rows = "".join(f"{mark.join(row)}\n" for row in (("a", "b", "y"), *[("1", "2", "x"), ("2", "3", "z")] * 30))
    said = refusal(tmp_path, f"# exported by SAP\n# 2024\n{rows}", target)
    head = mark.join("aby")
    assert f"the first line, '# exported by SAP', doesn't look like a header; line 3 does: {head!r}" in said
    assert "remove the 2 lines above it, for instance: tail -n +3 't.csv' > table.csv" in said


def test_a_title_of_several_fields_is_known_by_the_column_that_was_asked_for(tmp_path: Path) -> None:
    said = refusal(tmp_path, "sales, of May,,\n" + "a,b,y\n" + "1,2,x\n" * 30, "y")
    assert "line 2 does: 'a,b,y'" in said
    assert "remove the line above it" in said


@pytest.mark.parametrize("text", ["a,b,c\n" + "1,2\n" * 30, "a,b\n" + "1,2\n" * 30, "a\n" + "1\n" * 30])
def test_a_header_stays_one_though_it_lacks_the_column_or_lines_are_torn(tmp_path: Path, text: str) -> None:
    assert "there is no column 'y'" in refusal(tmp_path, text, "y")
    assert "which column is the target?" in refusal(tmp_path, text, None)
