"""The kinds of source, by name, and how one is known by its path."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Final

from components.data.config import DataConfig
from components.data.file_names import check_names
from components.data.images import SUFFIXES as IMAGES
from components.data.sources.chunk import Source
from components.data.sources.csv_file import CsvFile
from components.data.sources.image_folder import MOST_OTHERS, ImageFolder
from components.data.sources.npz_file import NpzFile
from components.data.sources.parquet_file import SUFFIXES, ParquetFiles, counts, files_of
from components.data.sources.walking import files_below
from components.errors import Refusal, nearest, refuse
from components.table import Table

READABLE: Final = "a CSV, Parquet or npz file, a folder of images, or a packed data set"
KIND_OF_SUFFIX: Final = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    **dict.fromkeys(SUFFIXES, "parquet"),
    ".npz": "npz",
}


def _open_csv(path: Path, config: DataConfig, _labelled: bool) -> Source:
    return CsvFile(path, decimal=config.decimal)


def _open_parquet(path: Path, _config: DataConfig, _labelled: bool) -> Source:
    return ParquetFiles(path)


def _open_npz(path: Path, config: DataConfig, labelled: bool) -> Source:
    return NpzFile(path, image=image_column(config), label=config.target, labelled=labelled)


def _open_images(path: Path, config: DataConfig, _labelled: bool) -> Source:
    return ImageFolder(path, image=image_column(config), label=config.target)


SOURCES: Table[Callable[[Path, DataConfig, bool], Source]] = Table(
    "kind of source",
    {"csv": _open_csv, "parquet": _open_parquet, "npz": _open_npz, "images": _open_images},
)


def source_at(path: Path, config: DataConfig, *, labelled: bool = True) -> Source:
    """Open what lies at the path; unless its rows are `labelled`, their target may be missing.

    Raises:
        Refusal: nothing is there, or nothing that can be read.
    """
    return SOURCES[kind_of(path)](path, config, labelled)


def image_column(config: DataConfig) -> str:
    """Return the name of the image column; where there is none, the name that one would have."""
    return next((name for name, kind in config.columns.items() if kind == "image"), "image")


def nearest_source(path: Path) -> str:
    """Return `did you mean 'x'?` for the most similar name beside the path that can be read, or nothing.

    Endings alone, which all such names share, make none of them similar.
    """
    try:
        beside = [one.name for one in path.parent.iterdir() if one.suffix.lower() in KIND_OF_SUFFIX or one.is_dir()]
    except OSError:
        return ""
    return nearest(path.name, [name for name in beside if nearest(path.stem, [Path(name).stem])])


def absent(path: Path) -> Refusal:
    """Return the refusal of a path where nothing is."""
    do = nearest_source(path) or "mend the path: a relative one is relative to the folder that you are in"
    return refuse("no such file or folder", where=str(path), allowed=READABLE, do=do)


def kind_of(path: Path) -> str:
    """Return the kind of source that lies at the path.

    Raises:
        Refusal: nothing is there, or nothing that Steelyard reads, or the path isn't UTF-8.
    """
    check_names([str(path)])
    if not path.exists():
        raise absent(path)
    if path.is_dir():
        return _kind_of_folder(path)
    kind = KIND_OF_SUFFIX.get(path.suffix.lower())
    if kind is None:
        allowed = f"{', '.join(KIND_OF_SUFFIX)}, a folder of images with a folder per class, or a packed data set"
        do = "save it as one of these, or give it the ending of what it is"
        raise refuse("Steelyard can't read this kind of file", where=path.name, allowed=allowed, do=do)
    return kind


def _kind_of_folder(folder: Path) -> str:
    """Return parquet also where all such files lie in folders within, and no images: their source refuses them.

    The first MOST_OTHERS files tell: where none of so many is an image, the source of images refuses the folder.
    """
    if any(files_of(folder)):
        return "parquet"
    within = False
    for path in islice(files_below(folder, forgiving=True), MOST_OTHERS):
        if path.suffix.lower() in IMAGES:
            return "images"
        within = within or counts(path, folder)
    return "parquet" if within else "images"
