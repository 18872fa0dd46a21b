"""The kinds of source, by name, and how one is known by its path."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from components.data.config import DataConfig
from components.data.file_names import check_names
from components.data.images import SUFFIXES as IMAGES
from components.data.sources.chunk import Source
from components.data.sources.csv_file import CsvFile
from components.data.sources.image_folder import ImageFolder
from components.data.sources.npz_file import NpzFile
from components.data.sources.parquet_file import SUFFIXES, ParquetFiles, files_of
from components.errors import nearest, refuse
from components.table import Table

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


def kind_of(path: Path) -> str:
    """Return the kind of source that lies at the path.

    Raises:
        Refusal: nothing is there, or nothing that Steelyard reads, or the path isn't UTF-8.
    """
    check_names([str(path)])
    if not path.exists():
        raise refuse("no such file or folder", where=str(path), do=nearest_source(path))
    if path.is_dir():
        return _kind_of_folder(path)
    kind = KIND_OF_SUFFIX.get(path.suffix.lower())
    if kind is None:
        allowed = f"{', '.join(KIND_OF_SUFFIX)}, a folder of images with a folder per class, or a packed data set"
        raise refuse("Steelyard can't read this kind of file", where=path.name, allowed=allowed)
    return kind


def _kind_of_folder(folder: Path) -> str:
    """Return parquet also where all such files lie in folders within, and no images: their source refuses them."""
    if any(files_of(folder)):
        return "parquet"
    images = any(path.suffix.lower() in IMAGES for path in folder.rglob("*"))
    return "parquet" if not images and any(files_of(folder, below=True)) else "images"
