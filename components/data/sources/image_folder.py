"""Rows of a folder of images: one folder per class, an image file per row."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from components.data.file_names import check_names, says_no_image, shown
from components.data.findings import shortened
from components.data.images import SUFFIXES
from components.data.kinds import IMAGE_TYPE
from components.data.sources.chunk import Chunk
from components.data.sources.walking import refuse_unreadable
from components.errors import Problem, Refusal, refuse

CHUNK_BYTES: Final = 16 << 20
MOST_OTHERS: Final = 10_000  # files that are no images: with more, and fewer images, nobody meant it as theirs
FEW: Final = 3  # strays that are named
_CAN_BE_READ: Final = ", ".join(sorted(SUFFIXES))
ALLOWED: Final = f"one folder per class with {_CAN_BE_READ} files in it"
_LEFT_BY_SYSTEMS: Final = frozenset({"Thumbs.db", "desktop.ini", "__MACOSX"})
_OTHER_IMAGE: Final = re.compile(
    r"\.(heic|heif|avif|svg|psd|raw|cr[23]|nef|arw|dng|dcm|jp2|jxl|ico|tga|eps|exr)", re.IGNORECASE
)
_PARTS: Final = frozenset({"train", "training", "test", "testing", "val", "valid", "validation"})


class ImageFolder:
    """Images in folders whose names are their classes; hidden files, and those that systems leave, don't count.

    Nor do `strays`, whose names say that they are no images, but a person is told of them. The two columns bear the
    names that the recipe gave them.
    """

    def __init__(self, path: Path, *, image: str, label: str) -> None:
        self.path = path
        self.schema = pa.schema([(image, IMAGE_TYPE), (label, pa.string())])
        self.files, self.strays = _files(path)

    def chunks(self) -> Iterator[Chunk]:
        """Yield the images, by the order of their paths."""
        first, size, pending = 1, 0, list[tuple[bytes, str]]()
        for name in self.files:
            pending.append((_content(self.path, name), name))
            size += len(pending[-1][0])
            if size >= CHUNK_BYTES:
                yield self._chunk(pending, first=first)
                first, size, pending = first + len(pending), 0, []
        if pending:
            yield self._chunk(pending, first=first)

    def places(self, rows: Sequence[int]) -> list[str]:
        """Return the paths of the images, from the folder's name on."""
        return [_place(self.path, self.files[row - 1]) for row in rows]

    def _chunk(self, images: list[tuple[bytes, str]], *, first: int) -> Chunk:
        structs = pa.array([{"bytes": data, "path": name} for data, name in images], IMAGE_TYPE)
        labels = pa.array([name.partition("/")[0] for _, name in images], pa.string())
        rows = np.arange(first, first + len(images), dtype=np.int64)
        return Chunk(table=pa.table([structs, labels], schema=self.schema), rows=rows, decimal=".")


def strays_in(path: Path) -> list[str]:
    """Return the files in a folder of images whose names say that they are none."""
    return sorted(shown(name) for name in _walk(path) if says_no_image(name))


def told_of(strays: Sequence[str]) -> str:
    """Return a sentence that says of them that they are passed over; `strays` are one or more."""
    count, named = len(strays), ", ".join(strays[:FEW]) + (" ..." if len(strays) > FEW else "")
    files, are = ("file", "is no image") if count == 1 else ("files", "are no images")
    return f"{count:,} {files} in the folder {are}, by the name, and passed over: {named}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Sorted:
    """The files below a folder by what their names say: images, strays that are none, and what may be, or hold, one."""

    images: tuple[str, ...]
    strays: tuple[str, ...]
    odd: tuple[str, ...]


def sorted_below(root: Path, *, allowed: str, do: str) -> Sorted:
    """Sort the files below the root, each kind by its paths; `allowed` and `do` are for a folder that isn't meant.

    Raises:
        Refusal: there are no images, or hardly any among many others, or a name isn't UTF-8.
    """
    images, strays, odd = list[str](), list[str](), list[str]()
    for name in _walk(root):
        (images if _is_image(name) else strays if says_no_image(name) else odd).append(name)
        if len(strays) + len(odd) > MOST_OTHERS + len(images):
            what = f"more than {MOST_OTHERS:,} files in it are no images, such as {shown(name)!r}"
            raise refuse(what, where=str(root), allowed=allowed, do=do)
    check_names([*images, *odd])
    if not images and not odd:
        raise refuse("the folder holds no images", where=root.name, allowed=allowed, do=do)
    return Sorted(images=tuple(sorted(images)), strays=tuple(sorted(map(shown, strays))), odd=tuple(sorted(odd)))


def _files(root: Path) -> tuple[Sequence[str], Sequence[str]]:
    """Return the paths below the root of images and of strays.

    Raises:
        Refusal: there are no images, or there is anything else, or a name isn't UTF-8.
    """
    do = "name the folder that holds the classes"
    found = sorted_below(root, allowed=ALLOWED, do=do)
    if not found.images:
        raise refuse("the folder holds no images", where=root.name, allowed=ALLOWED, do=do)
    _check_layout(root, found.images, found.odd)
    return found.images, found.strays


def _is_image(name: str) -> bool:
    return Path(name).suffix.lower() in SUFFIXES


def _walk(root: Path) -> Iterator[str]:
    """Yield the paths of all files that count, from the root on.

    Raises:
        Refusal: a folder is a link or may not be read: going on without it would be a release of less than was given.
    """
    for folder, inner, names in os.walk(root, onerror=refuse_unreadable):
        inner[:] = sorted(name for name in inner if _counts(name))
        _refuse_links(root, [Path(folder) / name for name in inner])
        yield from ((Path(folder) / name).relative_to(root).as_posix() for name in names if _counts(name))


def _refuse_links(root: Path, folders: Iterable[Path]) -> None:
    for folder in folders:
        if folder.is_symlink():
            what, do = "is a link to a folder, which isn't followed", "put the folder itself in its place, or a copy"
            raise refuse(what, where=_place(root, shown(folder.relative_to(root).as_posix())), do=do)


def _place(root: Path, name: str) -> str:
    """Name a file by the folder that was given, too."""
    return f"{root.absolute().name}/{name}"


def _content(root: Path, name: str) -> bytes:
    try:
        return (root / name).read_bytes()
    except OSError as error:
        what, do = f"can't be read ({error.strerror})", "bring it back, mend its rights, or remove it"
        raise refuse(what, where=_place(root, name), allowed="an image that you may read", do=do) from None


def _counts(name: str) -> bool:
    return not name.startswith(".") and name not in _LEFT_BY_SYSTEMS


def _loose(root: Path, names: list[str]) -> list[Problem]:
    match names:
        case []:
            return []
        case [name]:
            do = "move it into the folder of its class"
            return [Problem(what="lies in no class folder", where=_place(root, name), do=do)]
    shown = ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")
    do = "make a folder per class, and move each image into its own"
    return [Problem(what=f"{len(names)} images lie in no class folder: {shown}", where=root.name, do=do)]


def odd_file(root: Path, name: str) -> Problem:
    """Return the problem of a file that may be, or hold, an image."""
    where, out = _place(root, name), "move it out of the folder"
    if _OTHER_IMAGE.fullmatch(Path(name).suffix):
        what, do = "images of this format can't be read", f"save it as one of these, or {out}"
        return Problem(what=what, where=where, allowed=_CAN_BE_READ, do=do)
    return Problem(what="is not an image, by its name", where=where, allowed=_CAN_BE_READ, do=out)


def _too_high(root: Path, folders: list[str]) -> Iterator[Problem]:
    """Folders right below the root that hold the classes, and are none."""
    if {name.lower() for name in folders} <= _PARTS:
        what = f"the folders {', '.join(folders)} look like parts of a split, not like classes"
        do = "put the class folders of all parts into one folder: Steelyard splits the rows itself"
        yield Problem(what=what, where=root.name, do=do)
    elif len(folders) == 1:
        what = f"all images lie below '{folders[0]}', which would be the only class"
        do = f"name the folder that holds the classes: it may be {_place(root, shown(folders[0]))}"
        yield Problem(what=what, where=root.name, do=do)


def _check_layout(root: Path, images: Sequence[str], odd: Sequence[str]) -> None:
    problems = [odd_file(root, name) for name in odd]
    problems += _loose(root, [name for name in images if "/" not in name])
    classes = {name.partition("/")[0] for name in images if "/" in name}
    empty = sorted({p.name for p in root.iterdir() if p.is_dir() and _counts(p.name)} - classes)
    problems += [
        Problem(what="the class folder holds no images", where=_place(root, name), do="fill or remove it")
        for name in empty
    ]
    if images and all(name.count("/") > 1 for name in images):
        problems += _too_high(root, sorted(classes))
    if problems:
        raise Refusal(shortened(problems, count=len(problems)))
