"""The table of settings says what the code does."""

import re
from pathlib import Path

from components.settings import NAMES, NEEDED_AT, NEEDED_BY, variable

ROOT = Path(__file__).parent.parent
COLUMNS = ["setting", "variable", "meaning", "default", "who needs it", "in which process", "secret"]


def rows() -> list[list[str]]:
    """The table of settings, the first one of the page."""
    text = (ROOT / "docs" / "settings.md").read_text("utf-8")
    lines = text[text.index("| setting |") :].partition("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_the_table_has_every_setting_its_variable_and_who_needs_it() -> None:
    head, _, *body = rows()
    assert head == COLUMNS
    assert [(name, shown, needs, at) for name, shown, _, _, needs, at, _ in body] == [
        (f"`{name}`", f"`{variable(name)}`", NEEDED_BY[name], ", ".join(NEEDED_AT[name])) for name in NAMES
    ]


def test_every_setting_that_a_text_names_is_one() -> None:
    for path in (ROOT / "docs" / "settings.md", ROOT / "README.md", ROOT / "CHANGELOG.md"):
        named = set(re.findall(r"STEELYARD_[A-Z0-9_]*[A-Z0-9]", path.read_text("utf-8")))
        assert named <= {*map(variable, NAMES), "STEELYARD_HOME"}, path


def test_the_readme_leads_to_it() -> None:
    assert "(docs/settings.md)" in (ROOT / "README.md").read_text("utf-8")
