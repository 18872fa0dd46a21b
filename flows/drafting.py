"""`init`: a starter recipe, beside which the data is found."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Final

from components.errors import refuse
from components.recipe import MODEL_NAME
from flows.calling import called

UNNAMED: Final = "recipe"  # the stem of a recipe that was given no name
DOUBTFUL: Final = (
    *("aren't read as numbers", "not every value is a number", "mend them", "write them alike"),
    "set split.group",
)

MOST_DOUBTS: Final = 10  # columns that are named


@dataclass(frozen=True, kw_only=True, slots=True)
class Drafted:
    """What was written: the recipe, the model's name, and lines on what a person should look at."""

    output: Path
    model: str
    doubts: tuple[str, ...]  # a line per column
    warnings: tuple[str, ...]

    def told(self) -> Iterator[str]:
        """Yield the lines that a person is told."""
        yield from (f"  {doubt}" for doubt in self.doubts[:MOST_DOUBTS])
        if len(self.doubts) > MOST_DOUBTS:
            yield f"  and {len(self.doubts) - MOST_DOUBTS} more columns to look at"
        if self.warnings:
            yield from ("", *self.warnings, "")
        command = f"{called()} run {quote(str(self.output))}"
        yield f"wrote {self.output} for the model '{self.model}'; look through it, then: {command}"


def write_draft(source: str, *, target: str | None, output: Path, model: str | None, overwrite: bool) -> Drafted:
    """Look at the data and write a commented recipe for it.

    It is called as the recipe is, or as the data where the recipe has no name of its own.

    Raises:
        Refusal: the data can't be read or has no such column, or the file is there already.
    """
    if "://" in source:
        what = f"init looks at data on this machine, {source} is elsewhere"
        raise refuse(what, do="download a part of it, draft with that, and put the URL into data.source then")
    from components.data.sources.table import kind_of

    data = Path(source).expanduser()
    kind_of(data)  # is it there?
    _check_place(output, overwrite=overwrite)
    _check_name(model)
    if model is None and output.stem != UNNAMED and MODEL_NAME.fullmatch(output.stem):
        model = output.stem
    import yaml

    from components.data.drafting.draft import WARNING, draft

    text = draft(data, target=target, model=model, written_as=_from(data, output.parent))
    fresh = output.with_name(f".{output.name}.new")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(output)
    except OSError as error:
        do = "name a file in another folder with --output, or mend the rights of this one"
        raise refuse(f"can't be written: {error.strerror}", where=str(output), do=do) from None
    return Drafted(
        output=output,
        model=str(yaml.safe_load(text)["model"]),
        doubts=tuple(_doubts(text)),
        warnings=tuple(line.removeprefix("# ") for line in text.splitlines() if line.startswith(f"# {WARNING}: ")),
    )


def _doubts(text: str) -> Iterator[str]:
    """Yield the lines on columns that are left out, or are perhaps not what they seem."""
    for line in text.partition("  columns:")[2].partition("  bad_rows:")[0].splitlines():
        if ": ignore" in line or any(words in line for words in DOUBTFUL):
            yield line.strip().replace("  # ", ", ", 1)


def _check_place(output: Path, *, overwrite: bool) -> None:
    if output.suffix not in (".yaml", ".yml"):
        raise refuse("a recipe is a YAML file", where=str(output), allowed="a name that ends in .yaml")
    if output.is_dir():
        raise refuse("this is a folder", where=str(output), do="give the name of a file in it with --output")
    if output.exists() and not overwrite:
        do = "write another with --output FILE, or replace it with --overwrite"
        raise refuse("the file is there already", where=str(output), do=do)


def _check_name(model: str | None) -> None:
    if model is not None and not MODEL_NAME.fullmatch(model):
        allowed = "1 to 100 of A-Z a-z 0-9 . _ - with a letter or a digit first"
        raise refuse(f"'{model}' can't be a model's name", where="--model", allowed=allowed)


def _from(data: Path, folder: Path) -> str:
    """Return the data's path as one says it in that folder; an absolute one that leads elsewhere stays as it is."""
    if data.is_absolute() and not data.is_relative_to(folder.absolute()):
        return str(data)
    return Path(os.path.relpath(data.absolute(), folder.absolute())).as_posix()
