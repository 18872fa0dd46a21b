"""Says so where a CSV file's first line isn't its header, as below the title of an export."""

from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Final

from components.data.sources.csv_file import DELIMITERS, FIRST_LINES, parsed
from components.errors import refuse

START_CHARACTERS: Final = 1 << 20
LONGEST: Final = 80  # characters of a line that are shown


def check_first_line(path: Path, target: str | None) -> None:
    """Refuse a file if a line below its first looks like the header; for one that lacks the column that was asked for.

    Such a line has as many fields as most lines have. The first line then begins with a #, or has one field, or the
    other holds the name that was asked for.

    Raises:
        Refusal: it says which line does.
    """
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
        lines = stream.read(START_CHARACTERS).splitlines()
    number, names = max((_likely(lines, mark) for mark in DELIMITERS), key=lambda found: len(found[1]))
    if number < 2:
        return
    first, text = lines[0], lines[number - 1]
    if not (first.startswith("#") or target in names or _is_one_field(first)):
        return
    above = "the line above it" if number == 2 else f"the {number - 1} lines above it"
    raise refuse(
        f"the first line, {_cut(first)!r}, doesn't look like a header; line {number} does: {_cut(text)!r}",
        where=path.name,
        allowed="a first line with the names of the columns",
        do=f"remove {above}, for instance: tail -n +{number} '{path.name}' > table.csv",
    )


def _likely(lines: list[str], mark: str) -> tuple[int, list[str]]:
    """Return the first line, from 1, with as many fields as most of the first lines have, and these; else 0."""
    reader, found = parsed(lines, mark), []
    for fields in islice(reader, FIRST_LINES):
        if fields:
            found.append((reader.line_num, [name.strip() for name in fields]))
    counts = Counter(len(fields) for _, fields in found)
    most, often = counts.most_common(1)[0] if counts else (0, 0)
    if most < 2 or often <= len(found) / 2:
        return 0, []
    return next((number, fields) for number, fields in found if len(fields) == most)


def _is_one_field(line: str) -> bool:
    return all(len(next(parsed([line], mark), [])) < 2 for mark in DELIMITERS)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."
