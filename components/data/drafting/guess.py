"""What a column is for, guessed from what was seen of it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from components.data.classes import LEAST_ROWS
from components.data.config import ColumnKind
from components.data.drafting.survey import MOST_DISTINCT, MOSTLY, ColumnFacts, Survey
from components.data.kinds import MISSING, accepts
from components.errors import refuse
from components.task import Task

MEND: Final = "mend them, or set bad_rows: quarantine, with quarantine_share"
WHOSE: Final = "if later rows are of others, ignore it and set split.group to it"
FEW: Final = 10  # columns that a refusal names
MOST_WHOLE_CLASSES: Final = 20  # whole numbers with more values than this are a quantity
_ID_NAME: Final = re.compile(
    r"^$|^(id|index|uuid|guid|key|unnamed.*|__index_level_\d+__)$|[_\- .](id|uuid)$|[a-z]I[dD]$"
)
_AS_SECONDS: Final = "write them as seconds (in pandas: .dt.total_seconds())"
_ISO: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_DECIMAL_COMMA: Final = re.compile(r"[+-]?(\d+|\d{1,3}(\.\d{3})+),\d+")
_WHOLE: Final = re.compile(r"[+-]?(?:\d+|[1-9]\d{0,2}(?:[.,]\d{3})+)")  # thousands may stand apart
_CODE: Final = re.compile(r"[A-Za-z]{0,4}[-_#]?\d+|[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}")
_MARKED_NUMBER: Final = re.compile(
    r"\(?[+-]?[€$£¥]? ?[+-]?\d{1,3}(?:[., '\u00a0\u202f]?\d{3})*(?:[.,]\d+)? ?(?:%|[€$£¥]| [A-Za-z]{1,3})?\)?"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Guess:
    """A kind, and why where that isn't plain."""

    kind: ColumnKind
    why: str = ""
    splits: bool = False  # dates by which rows can be split


def guess(facts: ColumnFacts, seen: Survey) -> Guess:
    """Return what a feature column is for."""
    return _guess_by_type(facts, seen) or _guess_useless(facts) or _guess_number(facts) or _guess_text(facts)


def _guess_by_type(facts: ColumnFacts, seen: Survey) -> Guess | None:
    if facts.name == seen.image:
        return Guess(kind="image", why=_sizes(seen))
    if pa.types.is_duration(facts.type) and facts.present:
        return Guess(kind="ignore", why=f"lengths of time: of use to a model as numbers, so {_AS_SECONDS}")
    if not accepts("category", facts.type):
        return Guess(kind="ignore", why=f"values of type {facts.type} are beyond a model here")
    if seen.image is not None:
        return Guess(kind="ignore", why="an image can't be mixed with other features")
    if facts.present and facts.truths == facts.present and facts.numbers < facts.present and len(facts.distinct) > 1:
        return Guess(kind="boolean", why=_missing(facts))
    return None


def _guess_useless(facts: ColumnFacts) -> Guess | None:
    if not facts.name.strip():
        return Guess(kind="ignore", why="it has no name")
    if not facts.distinct:
        return Guess(kind="ignore", why="always missing")
    if len(facts.distinct) == 1 and facts.present == facts.rows:
        return Guess(kind="ignore", why="always the same value")
    if facts.dates == facts.present:
        return _guess_date(facts)
    if _is_id(facts):
        return Guess(kind="ignore", why="names the row: a different value in each")
    return None


def _guess_date(facts: ColumnFacts) -> Guess:
    """A split by time reads ISO dates, and wants one in each row."""
    other = [text for text in facts.distinct if not _ISO.match(text)]
    if other and not pa.types.is_temporal(facts.type):
        why = f"dates such as '{other[0][:40]}': a split by time wants them written as 2024-12-31"
        return Guess(kind="ignore", why=why)
    if facts.present < facts.rows:
        return Guess(kind="ignore", why=f"dates, {_missing(facts)}: a split by time wants one in each")
    return Guess(kind="ignore", why="dates: of use for a split by time", splits=True)


def _guess_number(facts: ColumnFacts) -> Guess | None:
    if not facts.mostly_numbers or (facts.whole and is_named_id(facts)):
        return None
    if facts.wrong and facts.odd:
        why = f"but not every value is a number, such as '{facts.odd[:40]}': {MEND}"
    else:
        why = _missing(facts, blanks=facts.blanks)
    return Guess(kind="number", why="; ".join(filter(None, [why, _marks(facts)])))


def _marks(facts: ColumnFacts, *, do: str = "empty those cells") -> str:
    """Say so where a number seems to stand for a missing one."""
    found = facts.marks
    if not found:
        return ""
    named, rows = " and ".join(map(str, found)), sum(one.rows for one in found)
    low, high = found[0].others
    far = f"{named} in {rows:,} of {facts.rows:,} rows, all other values are {low:,.6g} to {high:,.6g}"
    return f"{far}: {do} if they stand for missing ones"


def _guess_text(facts: ColumnFacts) -> Guess:
    distinct = len(facts.distinct)
    count = f"more than {MOST_DISTINCT:,}" if facts.uncounted else f"{distinct:,}"
    marked = _marked_numbers(facts)
    if facts.uncounted or distinct > facts.present / 2 or (distinct > 1000 and facts.present < 20 * distinct):
        coded = is_named_id(facts) or _is_coded(facts)
        said = marked or ("looks like an identifier" if coded else "free text or names")
        return Guess(kind="ignore", why=f"{said}: {count} different values in {facts.present:,} rows")
    whose = WHOSE if is_named_id(facts) else ""
    parts = [f"{count} values", whose, marked, _spellings(facts), _missing(facts)]
    return Guess(kind="category", why="; ".join(filter(None, parts)))


def _spellings(facts: ColumnFacts) -> str:
    """Say so where values differ in capitals, spaces or `.0` alone: to a model they are as different as any others."""
    alike: dict[str, list[str]] = {}
    for value in facts.distinct:
        alike.setdefault(re.sub(r"^([+-]?\d+)\.0*$", r"\1", " ".join(value.lower().split())), []).append(value[:40])
    several = [values for values in alike.values() if len(values) > 1]
    if not several:
        return ""
    named, others = " and ".join(map(repr, several[0][:2])), len(several) - 1
    more = f", as {others} more do" if others else ""
    return f"{named} differ in capitals, spaces or decimals alone{more}: write them alike if they mean the same"


def _marked_numbers(facts: ColumnFacts) -> str:
    """Say so where the values are numbers to a person; see `_marked_number`."""
    marked = _marked_number(facts)
    return marked and f"numbers written as '{marked}' aren't read as numbers: write them like 1234{facts.decimal}5"


def _marked_number(facts: ColumnFacts) -> str:
    """Return a value, where nearly all are numbers to a person: with a unit, a currency, or marks between thousands."""
    values = _present(facts)
    marked = [value for value in values if _MARKED_NUMBER.fullmatch(value)]
    return _longest(marked) if marked and not facts.padded and len(marked) >= MOSTLY * len(values) else ""


def _present(facts: ColumnFacts) -> list[str]:
    """Return the different values, but for words that say that there is none."""
    return [text for value in facts.distinct if (text := value.strip()).lower() not in MISSING]


def decimal_comma(facts: ColumnFacts) -> str:
    """Return a value with a decimal comma, where a person would read nearly all values as such numbers or as whole.

    Of a column that is read as one of numbers already there is none.
    """
    if facts.mostly_numbers:
        return ""
    values = _present(facts)
    whole = [value for value in values if _WHOLE.fullmatch(value)]
    marked = [value for value in values if _DECIMAL_COMMA.fullmatch(value) and not _WHOLE.fullmatch(value)]
    return _longest(marked) if marked and len(whole) + len(marked) >= MOSTLY * len(values) else ""


def to_mend(facts: ColumnFacts) -> str:
    """Return what to do with numbers that have a decimal comma and aren't read as numbers."""
    return "write them with a decimal point" if facts.decimal == "." else "write them without points between thousands"


def _longest(values: list[str]) -> str:
    return max(values, key=len)


def _is_id(facts: ColumnFacts) -> bool:
    if facts.counting and facts.present == facts.rows and facts.rows > 20:
        return True
    differ = facts.uncounted or len(facts.distinct) == facts.present
    whole_or_text = facts.whole or facts.numbers < facts.present
    return differ and whole_or_text and is_named_id(facts)


def is_named_id(facts: ColumnFacts) -> bool:
    """Say whether its name is one of identifiers."""
    return bool(_ID_NAME.search(facts.name.strip()) or _ID_NAME.search(facts.name.lower()))


def _is_coded(facts: ColumnFacts) -> bool:
    """Say whether each value differs, and is a number with a few letters before it, or a UUID."""
    differ = facts.uncounted or len(facts.distinct) == facts.present
    return differ and all(_CODE.fullmatch(value) for value in facts.distinct)


def _missing(facts: ColumnFacts, *, blanks: int = 0) -> str:
    missing = facts.rows - facts.present + blanks
    return f"missing in {missing:,} of {facts.rows:,} rows" if missing else ""


def _sizes(seen: Survey) -> str:
    (height, width), _ = seen.sizes.most_common(1)[0] if seen.sizes else ((0, 0), 0)
    return f"{height} x {width} pixels" if len(seen.sizes) == 1 else f"{len(seen.sizes)} sizes"


def guess_target(facts: ColumnFacts, *, where: str, pointed: Sequence[str]) -> tuple[Task, Guess]:
    """Return the task and the kind of the target. `pointed` are columns that speak against decimal commas.

    Raises:
        Refusal: it has one value only, or is text with a different value in most rows.
    """
    place = f"{where}, column '{facts.name}'"
    if len(facts.distinct) < 2:
        raise refuse("the target has fewer than two values", where=place, do="name another target")
    if pa.types.is_duration(facts.type):
        what = f"the target's values are lengths of time, of type {facts.type}"
        raise refuse(what, where=place, allowed="numbers, classes, true and false", do=_AS_SECONDS)
    missing = _missing(facts)
    why = f"{missing}: {MEND}" if missing else ""
    if pa.types.is_boolean(facts.type):
        return "classification", Guess(kind="boolean", why=why)
    if facts.mostly_numbers and not _few_whole(facts):
        why = "; ".join(
            filter(None, [why, f"{facts.blanks:,} rows say NA or the like: mend them" if facts.blanks else ""])
        )
        odd = f"not every value is a number, such as '{facts.odd[:40]}'" if facts.wrong and facts.odd else ""
        return "regression", Guess(
            kind="number", why="; ".join(filter(None, [why, odd, _marks(facts, do="take those rows out")]))
        )
    few = not facts.uncounted and len(facts.distinct) <= facts.present / LEAST_ROWS
    if not few and (comma := decimal_comma(facts)):
        what = f"the target's numbers, such as '{comma}', have a decimal comma: they are read as text"
        named = ", ".join(pointed[:FEW]) + (" ..." if len(pointed) > FEW else "")
        points = f", or the numbers of {named} without one" if pointed else ""
        raise refuse(what, where=place, do=f"{to_mend(facts)}{points}")
    if not few and (marked := _marked_number(facts)):
        what = f"the target's numbers, written as '{marked}', aren't read as numbers: they are text"
        do = f"write them like 1234{facts.decimal}5: no currency, percent sign or unit, and no marks between thousands"
        raise refuse(what, where=place, do=do)
    if not few:
        what = (
            f"the target has {len(facts.distinct):,} different values in {facts.present:,} rows: these are no classes"
        )
        raise refuse(what, where=place, do=f"name another target, or bring {LEAST_ROWS} rows or more of each class")
    marked = "" if facts.mostly_numbers else _marked_numbers(facts)
    return "classification", Guess(kind="category", why="; ".join(filter(None, [why, marked, _spellings(facts)])))


def _few_whole(facts: ColumnFacts) -> bool:
    few = facts.whole and not facts.odd and len(facts.distinct) <= MOST_WHOLE_CLASSES
    return few and min(facts.distinct.values()) >= LEAST_ROWS
