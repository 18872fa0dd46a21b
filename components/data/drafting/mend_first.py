"""What of a source is to be mended before a run begins: said in the recipe's first lines."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from components.data.drafting.guess import Guess, decimal_comma, to_mend
from components.data.drafting.survey import Survey
from components.data.sources.chunk import no_rows
from components.data.sources.image_folder import told_of
from components.errors import Problem, Refusal, refuse

FEW: Final = 10  # columns or files that a warning names
_WHOLE_LINES: Final = "a field for each column, in every line"
_MEND_LINES: Final = "give each line as many fields as the header; quote a text that holds the mark between them"


def warnings(seen: Survey, columns: Mapping[str, Guess]) -> Iterator[str]:
    """Yield a sentence for each thing that no run should begin with, or that a person may not expect."""
    yield from _of_torn_rows(seen)
    yield from _of_decimal_commas(seen, columns)
    yield from _of_marks(seen, columns)
    yield from _of_images(seen)
    yield from [told_of(seen.strays)] * bool(seen.strays)


def rowless(seen: Survey, where: str) -> Refusal:
    """Return the refusal of a source of which no row can be read: there is none, or all are torn."""
    if not seen.torn:
        return no_rows(where)
    what = f"no row can be read, of {seen.torn:,}; the first is {seen.first_torn}"
    return refuse(what, where=where, allowed=_WHOLE_LINES, do=_MEND_LINES)


@contextmanager
def torn_rows_first(seen: Survey, where: str) -> Iterator[None]:
    """Name the torn rows before anything that is refused: it may be in them that the values are."""
    try:
        yield
    except Refusal as error:
        if not seen.torn:
            raise
        what = f"{seen.torn:,} of {seen.rows + seen.torn:,} rows can't be read; the first is {seen.first_torn}"
        torn = Problem(
            what=what, where=where, allowed=_WHOLE_LINES, do=f"{_MEND_LINES}; what follows is of the other rows"
        )
        raise Refusal([torn, *error.problems]) from None


def _of_torn_rows(seen: Survey) -> Iterator[str]:
    if seen.torn:
        first, them = (", the first is", "them") if seen.torn > 1 else (":", "it")
        what = f"{seen.torn:,} of {seen.rows + seen.torn:,} rows can't be read{first} {seen.first_torn}"
        yield f"{what}. Mend or remove {them}; with `bad_rows: refuse` no run begins"


def _of_decimal_commas(seen: Survey, columns: Mapping[str, Guess]) -> Iterator[str]:
    text = [seen.columns[name] for name, said in columns.items() if said.kind != "number"]
    commas = {facts.name: comma for facts in text if (comma := decimal_comma(facts))}
    if commas:
        these, such = _few(list(commas)), next(iter(commas.values()))
        mark = f'; or set data.decimal: ",", make these number, and those with points ({_few(seen.pointed)}) '
        mark = f"{mark}category or ignore" if seen.pointed else ""
        yield (
            f"decimal commas: {these}. Values such as '{such}' are read as text; "
            f"if they are numbers, {to_mend(text[0])}, then `init` again{mark}"
        )


def _of_marks(seen: Survey, columns: Mapping[str, Guess]) -> Iterator[str]:
    numbers = [seen.columns[name] for name, said in columns.items() if said.kind == "number"]
    marked = {facts.name: found for facts in numbers if (found := facts.marks)}
    if marked:
        named = [f"{' and '.join(map(str, found))} in {name}" for name, found in marked.items()]
        yield (
            f"{_few(named)}, far from all other values: a model takes that as a number like any other. If it stands "
            "for a missing one, empty those cells (or, of the target, take those rows out), then `init` again"
        )


def _of_images(seen: Survey) -> Iterator[str]:
    if unopened := seen.unopened:
        what = f"{len(unopened):,} of {seen.rows:,} images can't be opened: {_few(unopened)}"
        yield f"{what}. Mend or remove them; with `bad_rows: refuse` no run begins"


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:FEW]) + (f" and {len(names) - FEW} more" if len(names) > FEW else "")
