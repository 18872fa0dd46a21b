"""The released model, as MLflow loads it: raw rows in, one row of answers per row out.

MLflow copies this file beside the model and runs it as its "model from code", on a machine that may not have
Steelyard. So it imports nothing of ours, and reads what it needs to know from the ONNX file's own metadata.

N rows, K classes, H x W pixels, C channels.
"""

import base64
import binascii
import io
import json
import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from difflib import get_close_matches
from typing import Any

import mlflow
import numpy as np
import numpy.typing as npt
import onnxruntime
import pandas as pd
import pyarrow as pa
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from mlflow.types.schema import AnyType, Schema
from PIL import Image, ImageOps, UnidentifiedImageError

Cells = npt.NDArray[np.generic]
Pixels = npt.NDArray[np.uint8]

ROWS_AT_ONCE = 1024
IMAGES_AT_ONCE = 64
# Text is read as ingest read the training data (a test compares the two).
MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?", "#n/a", "<na>"})  # in numbers and booleans
TRUE = frozenset({"true", "t", "yes", "y", "1", "1.0"})
FALSE = frozenset({"false", "f", "no", "n", "0", "0.0"})
WHOLE = re.compile(r"[+-]?\d{1,19}", re.ASCII)  # exact beyond what a float holds
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
FRACTION = re.compile(r"(\.\d+)", re.ASCII)  # of a second
IMAGES = "a file's bytes, such bytes as base64 text, or an array [H, W] or [H, W, C] of 0 to 255"
GREY = frozenset({"1", "L", "LA", "La"})
DEEP = frozenset({"I;16", "I;16L", "I;16B", "I;16N", "I"})
MODES = {1: "L", 3: "RGB"}


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the ONNX file says about itself: the columns it wants, and what its answers mean."""

    task: str  # classification or regression
    target: str
    classes: tuple[str, ...]
    columns: Mapping[str, str]  # kind by name: number, boolean, category, image
    known: Mapping[str, Collection[str]]  # the values of each category
    channels: int  # of the image the model wants; 0 for tables

    @property
    def image(self) -> str | None:
        """The name of the image column."""
        return next((name for name, kind in self.columns.items() if kind == "image"), None)

    @property
    def answers(self) -> list[str]:
        """The names of the columns of an answer."""
        return ["prediction", *(f"probability_{name}" for name in self.classes)]


def read_facts(metadata: Mapping[str, str]) -> Facts:
    """Read the `steelyard.*` entries of an ONNX file's metadata."""
    target = metadata["steelyard.target"]
    columns = json.loads(metadata["steelyard.columns"])
    return Facts(
        task=metadata["steelyard.task"],
        target=target,
        classes=tuple(json.loads(metadata.get("steelyard.classes") or "[]")),
        columns={name: kind for name, kind in columns.items() if name != target and kind != "ignore"},
        known=json.loads(metadata.get("steelyard.known") or "{}"),
        channels=int(metadata.get("steelyard.image_channels") or 0),
    )


ACCEPTING = "pandas_types_of_any"  # what stands in the place of MLflow's own, once it accepts any type


class BadRows(MlflowException):
    """Rows that the model can't read; the server answers with status 400.

    It gives callers the sentence alone: MLflow would put all that they had sent in front of it.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence, error_code=INVALID_PARAMETER_VALUE)
        self.sentence = sentence

    def serialize_as_json(self) -> str:
        """Return the body of the server's answer."""
        self.message = self.sentence
        body: str = super().serialize_as_json()  # type: ignore[no-untyped-call] # MLflow's has no types
        return body


def accept_csv() -> None:
    """Let MLflow's server read CSV for columns of any type: as text, which this model reads as ingest does.

    MLflow asks the signature for types to read CSV with, and raises where a column's is `any`. It takes NA and the
    like for missing, in categories too.
    """
    strict = Schema.pandas_types
    if strict.__name__ == ACCEPTING:  # by a model that this process loaded before
        return

    def pandas_types_of_any(schema: Schema) -> list[np.dtype[Any]]:
        anything = not schema.is_tensor_spec() and any(isinstance(one.type, AnyType) for one in schema.inputs)
        return [np.dtype(object)] * len(schema.inputs) if anything else strict(schema)

    Schema.pandas_types = pandas_types_of_any  # type: ignore[method-assign,assignment] # MLflow has no hook for it


# Rows, in any of the shapes that people and MLflow's server give them ------------------------------------------------


def frame(given: object, facts: Facts) -> pd.DataFrame:
    """Return the rows as a data frame of the model's own columns, in their order."""
    rows = unpacked(as_frame(given, facts))
    if not len(rows) and not len(rows.columns):
        raise BadRows(f"there are no rows. The model needs {', '.join(facts.columns)}.")
    missing = [name for name in facts.columns if name not in rows]
    if missing:
        hint = f"An image is {IMAGES}" if facts.image in missing else "A missing value may be null"
        raise BadRows(
            f"missing column{'s' * (len(missing) > 1)}: {', '.join(missing)}. "
            f"The model needs {', '.join(facts.columns)}"
            f" and found {', '.join(map(str, rows.columns)) or 'none'}: look for a mistyped name. {hint}."
        )
    for other in [name for name in rows.columns if name not in facts.columns]:
        named = rows[other].notna().to_numpy()
        for name in get_close_matches(str(other), facts.columns, n=1):
            if named.any() and not named.all() and rows[name].isna().to_numpy()[named].all():
                raise BadRows(f"row {int(named.argmax())} has no {name}, but {other}: did you mean '{name}'?")
    return rows[list(facts.columns)]


def as_frame(given: object, facts: Facts) -> pd.DataFrame:
    """Return what was given as a data frame: one already, a list or a dict of rows, or a batch of images."""
    if isinstance(given, pd.DataFrame):
        return given
    if isinstance(given, Mapping):
        columns = {str(name): column(values) for name, values in given.items()}
        if len({len(values) for values in columns.values()}) > 1:
            raise BadRows("columns differ in length: " + ", ".join(f"{name} {len(v)}" for name, v in columns.items()))
        return pd.DataFrame(columns)
    if facts.image and isinstance(given, np.ndarray | list | tuple) and not is_records(given):
        return pd.DataFrame({facts.image: column(given)})
    if isinstance(given, list | tuple) and is_records(given):
        # Names of the first row first, then those that only later rows have.
        names = dict.fromkeys(name for row in given for name in row)
        return pd.DataFrame({name: objects(row.get(name) for row in given) for name in names})
    raise BadRows(f"rows are a data frame, a list of dicts or a dict of lists, not {type(given).__name__}")


def is_records(given: Any) -> bool:
    """Say whether this is a list of dicts, other than a list of images as dict{bytes, path}."""
    if not isinstance(given, list | tuple) or not all(isinstance(row, Mapping) for row in given):
        return False
    return not (given and all(set(row) <= {"bytes", "path"} for row in given))


def column(values: object) -> pd.Series:
    """Return the values of one column; a single value is a column of one row."""
    if isinstance(values, pd.Series):
        return values.reset_index(drop=True)
    if isinstance(values, np.ndarray) and values.ndim > 0:
        return pd.Series(values) if values.ndim == 1 else objects(values)
    if isinstance(values, list | tuple):
        return objects(values)
    return objects([values])


def objects(values: Iterable[object]) -> pd.Series:
    """Return the values as they are, in a column of Python objects."""
    listed = list(values)
    cells = np.empty(len(listed), dtype=object)
    for place, value in enumerate(listed):
        cells[place] = value
    return pd.Series(cells)


def unpacked(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row per value where MLflow made a dict of lists of strings a single row of lists."""
    if len(rows) != 1 or not any(is_column(cell) for cell in rows.iloc[0]):
        return rows
    return pd.DataFrame({name: column(rows[name].iloc[0]) for name in rows})


def is_column(cell: object) -> bool:
    """Say whether a cell is a list of single values, which no cell can be: images are lists of lists."""
    return isinstance(cell, list | tuple) and bool(cell) and all(isinstance(value, str | bytes) for value in cell)


# Cells ---------------------------------------------------------------------------------------------------------------


def is_missing(value: object) -> bool:
    """Say whether a value stands for a missing one: None, NaN, NaT, pd.NA, and the empty text."""
    if value is None or value is pd.NA or value is pd.NaT:
        return True
    if isinstance(value, float | np.floating):
        return math.isnan(value)
    return isinstance(value, str) and not value


def numbers(values: pd.Series, name: str) -> Cells:
    """Return float64 [N, 1], NaN where missing."""
    if isinstance(values.dtype, np.dtype) and values.dtype.kind in "iufb":
        cells = values.to_numpy(dtype=np.float64)
    else:
        cells = each(values, name, number, np.float64)
    if np.isinf(cells).any():
        raise BadRows(f"column '{name}', row {int(np.isinf(cells).argmax())}: a number must be finite")
    return cells.reshape(-1, 1)


def number(value: Any) -> float:
    """Return the number, NaN where missing."""
    if is_missing(value):
        return math.nan
    if isinstance(value, str):
        value = value.strip()
        if value.lower() in MISSING:
            return math.nan
        if not NUMBER.fullmatch(value):
            raise ValueError("a number is allowed, or null where it is missing")
    return float(value)


def booleans(values: pd.Series, name: str) -> Cells:
    """Return float64 [N, 1] of 0 and 1, NaN where missing."""
    return each(values, name, boolean, np.float64).reshape(-1, 1)


def boolean(value: object) -> float:
    """Return 1 for true, 0 for false, NaN where missing; text and the numbers 0 and 1 may stand for them."""
    word = "" if is_missing(value) else str(value).strip().lower()
    if word in MISSING:
        return math.nan
    if word not in TRUE | FALSE:
        raise ValueError("true, false, yes, no, 1 and 0 are allowed, or null where it is missing")
    return float(word in TRUE)


def categories(values: pd.Series, name: str, known: Collection[str]) -> Cells:
    """Return str objects [N, 1], "" where missing. Text stays as it is, other values become what the model knows.

    A CSV's "1.0", "01" and "True" were categories in training, and are 1 and true by the time pandas has read them.
    """
    names = {meaning(text): text for text in known} | {text: text for text in known}

    def named(value: object) -> str:
        text = category(value)
        return text if isinstance(value, str) else names.get(text) or names.get(meaning(text), text)

    return each(values, name, named, object).reshape(-1, 1)


def meaning(text: str) -> int | float | str:
    """Return what a typed value of this text would be: a number, "true" or "false"; else the text itself."""
    plain = text.strip().lower()
    if WHOLE.fullmatch(plain):
        return int(plain)
    if NUMBER.fullmatch(plain):
        return float(plain)
    return plain if plain in ("true", "false") else text


def category(value: Any) -> str:
    """Return the category's text: whole numbers without a point, booleans as true and false, "" where missing."""
    if is_missing(value):
        return ""
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float | np.floating) and float(value).is_integer() and abs(float(value)) < 2**63:
        return str(int(value))
    if isinstance(value, float | np.floating):
        return as_stored(value)
    if isinstance(value, datetime | time):
        return FRACTION.sub(lambda found: found[1].rstrip("0").rstrip("."), as_stored(value))
    if isinstance(value, str | int | np.number | Decimal | date):
        return str(value)
    raise ValueError("text, a number or a boolean is allowed, or null where it is missing")


def as_stored(value: object) -> str:
    """Return the text that Arrow has for the value: ingest made its categories so."""
    return str(pa.scalar(np.float32(value) if isinstance(value, np.float16) else value).cast(pa.string()).as_py())


def each(values: pd.Series, name: str, convert: Callable[[Any], Any], dtype: type) -> Cells:
    """Return each value converted; the error names column and row."""
    cells: Cells = np.empty(len(values), dtype=dtype)
    for row, value in enumerate(values.array):
        try:
            cells[row] = convert(value)
        except (ValueError, TypeError, OverflowError) as error:
            text = repr(value.item() if isinstance(value, np.generic) else value)
            shown = text if len(text) <= 60 else f"{text[:57]}..."
            raise BadRows(f"column '{name}', row {row}: {shown} can't be read; {error}") from None
    return cells


CONVERTED: Mapping[str, Callable[[pd.Series, str], Cells]] = {
    "number": numbers,
    "boolean": booleans,
}

# Images --------------------------------------------------------------------------------------------------------------


def pixels(value: Any, channels: int) -> Pixels:
    """Return one image as uint8 [H, W, C], from file bytes, base64 text, nested lists, an array or dict{bytes}."""
    if isinstance(value, Mapping):
        # A path is never opened: it would let a caller over HTTP read the server's files.
        value = value.get("bytes")
        if value is None:
            raise ValueError("of dict{bytes, path}, bytes are needed")
    if isinstance(value, str):
        value = decoded(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return recoloured(opened(bytes(value)), channels)
    if isinstance(value, np.ndarray | list | tuple):
        return from_array(value, channels)
    raise ValueError(f"an image is {IMAGES}")


def decoded(text: str) -> bytes:
    """Return the bytes of base64 text, with or without the head of a data: URL."""
    body = text.partition(",")[2] if text.startswith("data:") else text
    try:
        return base64.b64decode("".join(body.split()), validate=True)
    except binascii.Error as error:
        raise ValueError(f"the text isn't base64: {error}") from None


def opened(data: bytes) -> Image.Image:
    """Return the image of a file's bytes as ingest sees it: upright, grey or colour, white where transparent."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            return flat(ImageOps.exif_transpose(image))
    except UnidentifiedImageError:
        raise ValueError("the bytes aren't an image") from None
    except Exception as error:
        # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error, zlib.error... on damaged files.
        raise ValueError(f"the image can't be decoded: {error}") from None


def flat(image: Image.Image) -> Image.Image:
    """Return the image with 8 bits per channel, grey (L) or colour (RGB), without transparency."""
    if image.mode in DEEP:
        deep = np.asarray(image).astype(np.int64)
        if deep.min() < 0 or deep.max() > 65535:
            raise ValueError("32-bit pixels: 8 or 16 bits per channel are allowed")
        return Image.fromarray(((deep + 128) // 257).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("floating-point pixels: 8 or 16 bits per channel are allowed")
    mode = "L" if image.mode in GREY else "RGB"
    if "a" in image.mode.lower() or "transparency" in image.info:
        over = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", over.size, "white"), over)
    return image.convert(mode)


def from_array(value: Any, channels: int) -> Pixels:
    """Return an array's image; its values are whole numbers of 0 to 255."""
    array = np.asarray(value.tolist() if isinstance(value, np.ndarray) and value.dtype == object else value)
    if array.ndim not in (2, 3) or array.size == 0 or array.dtype.kind not in "iuf":
        raise ValueError(f"an image is an array [H, W] or [H, W, C], not of shape {list(array.shape)}")
    if array.dtype != np.uint8 and (array.min() < 0 or array.max() > 255 or (array % 1).any()):
        raise ValueError("pixels are whole numbers of 0 to 255")
    array = array.astype(np.uint8)
    if array.ndim == 3 and array.shape[2] not in (1, 3, 4):
        raise ValueError(f"an image has 1, 3 or 4 channels, this one has {array.shape[2]}")
    return recoloured(flat(Image.fromarray(array[:, :, 0] if array.shape[2:] == (1,) else array)), channels)


def recoloured(image: Image.Image, channels: int) -> Pixels:
    """Return uint8 [H, W, C] with the model's channels: grey repeated, colour weighted to grey as Pillow does."""
    array: Pixels = np.asarray(image.convert(MODES[channels]), dtype=np.uint8)
    return array.reshape(*array.shape[:2], channels)


def only_size(shape: Sequence[int | str | None]) -> tuple[int, int] | None:
    """Return height and width that a graph's input [N, H, W, C] is fixed to; None where it takes any."""
    height, width = shape[1:3]
    return (height, width) if isinstance(height, int) and isinstance(width, int) else None


def groups(images: Sequence[Pixels]) -> Iterator[list[int]]:
    """Yield the places of images of one size, at most IMAGES_AT_ONCE at a time."""
    places: dict[tuple[int, ...], list[int]] = {}
    for place, image in enumerate(images):
        places.setdefault(image.shape, []).append(place)
    for same in places.values():
        for start in range(0, len(same), IMAGES_AT_ONCE):
            yield same[start : start + IMAGES_AT_ONCE]


# The model -----------------------------------------------------------------------------------------------------------


class Served(PythonModel):
    """The released ONNX model behind MLflow's interface."""

    def load_context(self, context: PythonModelContext) -> None:
        """Open the ONNX file of the artifact `onnx` and read what it says about itself."""
        accept_csv()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(
            context.artifacts["onnx"], options, providers=["CPUExecutionProvider"]
        )
        self.facts = read_facts(self.session.get_modelmeta().custom_metadata_map)
        self.size = only_size(self.session.get_inputs()[0].shape) if self.facts.image else None

    def predict(
        self,
        context: PythonModelContext | None,  # noqa: ARG002 - MLflow's interface
        model_input: pd.DataFrame,  # or any other form of rows; a wider hint would make MLflow check by the hint
        params: dict[str, Any] | None = None,  # noqa: ARG002 - MLflow's interface
    ) -> pd.DataFrame:
        """Return one row per row: `prediction`, and for classification a `probability_<class>` of each class."""
        rows = frame(model_input, self.facts)
        output = self.of_images(rows) if self.facts.image else self.of_table(rows)
        return self.answered(output, index=rows.index)

    def of_table(self, rows: pd.DataFrame) -> Cells:
        """Return the output [N, K or 1] of a table's rows."""
        feeds = {name: self.cells(rows[name], name, kind) for name, kind in self.facts.columns.items()}
        starts = range(0, len(rows), ROWS_AT_ONCE)
        return self.joined(
            [self.run({name: cells[at : at + ROWS_AT_ONCE] for name, cells in feeds.items()}) for at in starts]
        )

    def cells(self, values: pd.Series, name: str, kind: str) -> Cells:
        """Return a column [N, 1] as the ONNX model takes it."""
        if kind == "category":
            return categories(values, name, self.facts.known.get(name, ()))
        return CONVERTED[kind](values, name)

    def of_images(self, rows: pd.DataFrame) -> Cells:
        """Return the output [N, K or 1] of images, which may differ in size."""
        name = str(self.facts.image)
        images: list[Pixels] = list(each(rows[name], name, self.pixels, object))
        places = list(groups(images))
        output = self.joined([self.run({"image": np.stack([images[at] for at in same])}) for same in places])
        order = np.argsort([at for same in places for at in same])
        return output[order]

    def pixels(self, value: object) -> Pixels:
        """Return one image as uint8 [H, W, C], of a size that the model takes."""
        found = pixels(value, self.facts.channels)
        if self.size and found.shape[:2] != self.size:
            sizes = [f"{height} x {width}" for height, width in (found.shape[:2], self.size)]
            raise ValueError(f"it has {sizes[0]} pixels, height x width, and this model takes {sizes[1]} alone")
        return found

    def run(self, feeds: Mapping[str, Cells]) -> Cells:
        """Return the model's first output for one batch."""
        output: Cells = self.session.run(None, dict(feeds))[0]
        return output

    def joined(self, outputs: Sequence[Cells]) -> Cells:
        """Return the batches' outputs as one array."""
        return np.concatenate(outputs) if outputs else np.zeros((0, len(self.facts.classes) or 1))

    def answered(self, output: Cells, *, index: pd.Index) -> pd.DataFrame:
        """Return the output [N, K or 1] as the columns of an answer."""
        values = output.astype(np.float64)
        lost = np.flatnonzero(~np.isfinite(values).all(axis=1))
        if len(lost):
            raise BadRows(f"row {lost[0]} has no answer, what comes of it is no number: are its own far too large?")
        if self.facts.task == "regression":
            return pd.DataFrame({"prediction": values.reshape(-1)}, index=index)
        best = np.array(self.facts.classes, dtype=object)[values.argmax(axis=1)]
        columns = {name: values[:, place] for place, name in enumerate(self.facts.answers[1:])}
        return pd.DataFrame({"prediction": best, **columns}, index=index)


mlflow.models.set_model(Served())
