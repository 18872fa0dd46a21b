"""Rows to be answered: read as a stream, in their order, with the columns that a model wants and no target."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pyarrow as pa

from components.data.answering.known import as_known
from components.data.answering.other_mark import OtherMark
from components.data.config import ColumnKind, DataConfig, DecimalMark
from components.data.file_names import check_names
from components.data.findings import Finding, Findings, shortened
from components.data.images import SUFFIXES, size_of
from components.data.kinds import CONVERSIONS, IMAGE_TYPE, accepts, convert, is_text
from components.data.packing.check import bad_cells
from components.data.parts import one_array
from components.data.sources.chunk import Chunk
from components.data.sources.image_folder import odd_file, sorted_below
from components.data.sources.table import KIND_OF_SUFFIX, kind_of, source_at
from components.data.sources.walking import is_file
from components.errors import Problem, Refusal, nearest, refuse

IMAGES_AT_ONCE: Final = 64
SHOWN: Final = 20  # names of columns, in an error


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """Consecutive rows: a column per feature, in the types of their kinds, null where missing."""

    table: pa.Table
    files: tuple[str, ...] = ()  # of images, by row
    kept: Mapping[str, pa.Array] = field(default_factory=dict)  # columns as they are in the file
    ignored: tuple[str, ...] = ()  # the file's other columns
    strays: tuple[str, ...] = ()  # files beside the images whose names say that they are none


def unlabelled(
    path: Path,
    columns: Mapping[str, ColumnKind],
    *,
    target: str,
    known: Mapping[str, Collection[str]],
    decimal: DecimalMark = ".",
    keep: Sequence[str] = (),
    image_size: tuple[int, int] | None = None,
) -> Iterator[Asked]:
    """Yield the rows of a CSV, Parquet or npz file, of an image, or of the images anywhere in a folder.

    `columns` are the features; others, the target among them, may be there and are left out, or carried along where
    they are to be kept. `known` are the values of each category, `decimal` is the mark in a CSV file's numbers. Images
    of a folder come by the order of their paths, other rows in theirs.

    Raises:
        Refusal: nothing is there, columns are missing, cells aren't of their column's kind, or names aren't UTF-8.
    """
    image = next((name for name, kind in columns.items() if kind == "image"), None)
    if image is not None and path.is_file() and path.suffix.lower() not in SUFFIXES | KIND_OF_SUFFIX.keys():
        allowed = f"{', '.join(sorted(SUFFIXES))}, a folder of such images, or a Parquet or npz file that holds them"
        raise refuse(
            "images of this format can't be read", where=path.name, allowed=allowed, do="save it as one of these"
        )
    if _holds_images(path):
        if image is None:
            what = "this model wants the columns of a table, and was given images"
            raise refuse(what, where=str(path), allowed=f"a CSV, Parquet or npz file with {', '.join(columns)}")
        if keep:
            raise refuse("images have no columns to keep", where=str(path), do="the answers name each image's file")
        return _images(path, image, size=image_size)
    return _rows(path, columns, target=target, known=known, decimal=decimal, keep=keep)


def _holds_images(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES if path.is_file() else path.is_dir() and kind_of(path) == "images"


def _rows(
    path: Path,
    columns: Mapping[str, ColumnKind],
    *,
    target: str,
    known: Mapping[str, Collection[str]],
    decimal: DecimalMark,
    keep: Sequence[str],
) -> Iterator[Asked]:
    kinds: dict[str, ColumnKind] = {**columns, target: "category"}
    config = DataConfig(source=str(path), target=target, columns=kinds, decimal=decimal)
    source = source_at(path, config, labelled=False)
    _check_columns(source.schema, columns, keep=keep, where=path.name)
    ignored = tuple(name for name in source.schema.names if name not in columns and name not in keep)
    findings, other_mark, rows = Findings(), OtherMark(model=decimal), 0
    for chunk in source.chunks():  # after a first bad cell only to find the others
        rows += len(chunk.table)
        table = _converted(chunk, columns, known, findings, other_mark)
        if len(table) and not findings.count:
            kept = {name: one_array(chunk.table, name) for name in keep}
            yield Asked(table=table, files=_paths(table, columns), kept=kept, ignored=ignored)
    if findings.count:
        raise findings.refusal(source.places, rows=rows, do=_to_mend(findings, other_mark.hint()))


def _to_mend(findings: Findings, hint: str) -> str:
    """What to do of torn lines, which are no column's, and of bad cells. The hint says what explains most of these."""
    lines = "give these lines as many fields as the header; quote a text that holds the mark between them"
    cells = "mend these cells; a missing value may be empty"
    torn = findings.counts[None]
    told = [hint] * bool(hint) + [lines] * bool(torn) + [cells] * (findings.count > torn)
    return "; and ".join(told)


def _paths(table: pa.Table, columns: Mapping[str, ColumnKind]) -> tuple[str, ...]:
    """Return what the images of a table say of the files that they were, if they all do."""
    images = [name for name, kind in columns.items() if kind == "image"]
    paths = one_array(table, images[0]).field("path").to_pylist() if images else []
    return tuple(paths) if all(paths) else ()


def _check_columns(schema: pa.Schema, columns: Mapping[str, ColumnKind], *, keep: Sequence[str], where: str) -> None:
    names, wanted = Counter(schema.names), list(dict.fromkeys([*columns, *keep]))
    problems = _absent([name for name in columns if name not in names], schema.names, list(columns), where=where)
    problems += [_not_to_keep(name, schema.names, where=where) for name in keep if name not in {*names, *columns}]
    for name in (name for name in wanted if name in names):
        if names[name] > 1:
            problems.append(Problem(what=f"{names[name]} columns are named '{name}'", where=where))
            continue
        kind, stored = columns.get(name), schema.field(name).type
        if kind and not accepts(kind, stored):
            what = f"holds values of type {stored}, which can't be of kind {kind}"
            problems.append(Problem(what=what, where=f"{where}, column '{name}'"))
        if name in keep and pa.types.is_nested(stored):
            what = f"holds values of type {stored}, which can't be kept"
            problems.append(Problem(what=what, where=f"{where}, column '{name}'"))
    if problems:
        raise Refusal(shortened(problems, count=len(problems)))


def _absent(absent: Sequence[str], names: Sequence[str], wanted: Sequence[str], *, where: str) -> list[Problem]:
    """Return one problem that names all the columns that aren't there, or none."""
    if not absent:
        return []
    others = [name for name in names if name not in wanted]
    near = {name: hint for name in absent if (hint := nearest(name, others))}
    do = "; ".join(f"for '{name}', {hint}" for name, hint in list(near.items())[:SHOWN])
    noun, verb = ("column", "is") if len(absent) == 1 else ("columns", "are")
    what = f"the {noun} {_listed([repr(name) for name in absent])} {verb} missing; there are {_listed(names)}"
    return [Problem(what=what, where=where, allowed=f"needed are {_listed(wanted)}", do=do)]


def _not_to_keep(name: str, names: Sequence[str], *, where: str) -> Problem:
    what = f"there is no column '{name}' to keep beside the answers; the model itself doesn't need it"
    return Problem(what=what, where=where, allowed=_listed(names), do=nearest(name, names) or "keep another, or none")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _converted(
    chunk: Chunk,
    columns: Mapping[str, ColumnKind],
    known: Mapping[str, Collection[str]],
    findings: Findings,
    other_mark: OtherMark,
) -> pa.Table:
    """Return the features of a chunk in the types of their kinds, and note what is none of its kind."""
    converted = {
        name: convert(one_array(chunk.table, name), kind, decimal=chunk.decimal) for name, kind in columns.items()
    }
    found = [Finding(row=line.row, what=line.what) for line in chunk.torn]
    found += [finding for name, column in converted.items() for finding in bad_cells(chunk, name, column)]
    findings.add(sorted(found, key=lambda finding: finding.row))
    for name in (name for name, kind in columns.items() if kind == "number" and is_text(chunk.table[name].type)):
        other_mark.look(one_array(chunk.table, name), converted[name].bad, decimal=chunk.decimal)
    values = {name: column.values for name, column in converted.items()}
    typed = [name for name in known if not is_text(chunk.table.schema.field(name).type)]
    return pa.table(values | {name: as_known(values[name], known[name]) for name in typed})


def _images(path: Path, name: str, *, size: tuple[int, int] | None) -> Iterator[Asked]:
    files, strays = ([path], ()) if path.is_file() else _below(path)
    check_names([file.name if file == path else file.relative_to(path).as_posix() for file in files])
    for start in range(0, len(files), IMAGES_AT_ONCE):
        some = files[start : start + IMAGES_AT_ONCE]
        names = tuple(file.name if file == path else file.relative_to(path).as_posix() for file in some)
        raw = pa.array(
            [{"bytes": file.read_bytes(), "path": shown} for file, shown in zip(some, names, strict=True)], IMAGE_TYPE
        )
        _check_images(raw, [file.relative_to(path.parent).as_posix() for file in some], size=size)
        yield Asked(table=pa.table({name: raw}), files=names, strays=strays)


def _check_images(raw: pa.Array, places: Sequence[str], *, size: tuple[int, int] | None) -> None:
    """Refuse images that can't be opened, and where a size is wanted, those of another."""
    allowed, do = "whole image files", "mend it, or leave it out"
    reasons = CONVERSIONS["image"](raw).reasons
    problems = [Problem(what=what, where=places[row], allowed=allowed, do=do) for row, what in reasons.items()]
    if not problems and size is not None:
        sizes = zip(places, map(size_of, raw.field("bytes").to_pylist()), strict=True)
        problems = [_other_size(place, found, size) for place, found in sizes if found != size]
    if problems:
        raise Refusal(shortened(problems, count=len(problems)))


def _other_size(name: str, found: tuple[int, int] | None, wanted: tuple[int, int]) -> Problem:
    sizes = [f"{height} x {width}" for height, width in (found or (0, 0), wanted)]
    what = f"the image has {sizes[0]} pixels, height x width, and this model takes {sizes[1]} alone"
    do = f"resize it, or train with prepare.image_size: [{wanted[0]}, {wanted[1]}]: that model resizes any image"
    return Problem(what=what, where=name, do=do)


def _below(folder: Path) -> tuple[list[Path], tuple[str, ...]]:
    """Return the images in a folder and in those within, hidden ones left out, and what its names say is none.

    Raises:
        Refusal: there are none, or what may be an image can't be read as one: it isn't left out without a word.
    """
    allowed = ", ".join(sorted(SUFFIXES))
    found = sorted_below(folder, allowed=allowed, do="name a folder with images in it, or a file")
    if problems := [odd_file(folder, name) for name in found.odd]:
        raise Refusal(shortened(problems, count=len(problems)))
    return [path for path in (folder / name for name in found.images) if is_file(path)], found.strays
