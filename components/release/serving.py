"""What a released model tells its callers: its columns, rows to try it with, and a line that tries it."""

import base64
import json
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from components.data.config import ColumnKind
from components.data.images import png
from components.data.rows import Rows
from components.task import Task

Value = str | float | bool | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One column of a signature, in MLflow's words.

    Inputs are `any` and not required: MLflow's `double` refuses a whole number above 1 (int64), `string` a category
    given as a number, `boolean` a 0 or "yes", and a required column a null; the served model does better by itself.
    """

    name: str
    type: Literal["any", "string", "double"]
    required: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Signature:
    """The columns that the served model takes and gives."""

    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]


def signature(columns: Mapping[str, ColumnKind], *, target: str, task: Task, classes: Sequence[str]) -> Signature:
    """Return the signature of a model of these columns."""
    answer = Field(name="prediction", type="string" if task == "classification" else "double", required=True)
    shares = (Field(name=f"probability_{name}", type="double", required=True) for name in classes)
    return Signature(
        inputs=tuple(Field(name=name, type="any", required=False) for name in features(columns, target=target)),
        outputs=(answer, *shares),
    )


def features(columns: Mapping[str, ColumnKind], *, target: str) -> dict[str, ColumnKind]:
    """Return the columns that the model is shown: all but the target and those to ignore."""
    return {name: kind for name, kind in columns.items() if name != target and kind != "ignore"}


def example(rows: Rows, columns: Mapping[str, ColumnKind], *, target: str, count: int = 3) -> list[dict[str, Value]]:
    """Return the first rows as JSON records, as a caller would write them; images are base64 text of a PNG file."""
    shown = features(columns, target=target)
    records = range(min(count, len(rows)))
    return [{name: _value(rows[name][row], kind) for name, kind in shown.items()} for row in records]


def _value(cell: object, kind: ColumnKind) -> Value:
    if kind == "image":
        return base64.b64encode(png(np.asarray(cell, dtype=np.uint8))).decode("ascii")
    if kind == "category":
        return str(cell) or None
    number = float(np.float64(str(cell)))
    if math.isnan(number):
        return None
    return bool(number) if kind == "boolean" else number


def curl_line(records: Sequence[Mapping[str, Value]], *, address: str) -> str:
    """Return a command that asks the server at this address, such as http://127.0.0.1:5001, about the rows."""
    body = json.dumps({"dataframe_records": list(records)}, ensure_ascii=False)
    return f"curl -sS {address}/invocations -H 'Content-Type: application/json' -d {shlex.quote(body)}"
