"""What the released ONNX file says about itself: enough for a program that has nothing but the file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from components.data.config import ColumnKind, DecimalMark
from components.data.preparing.preparation import Preparation
from components.task import Task


@dataclass(frozen=True, kw_only=True, slots=True)
class Columns:
    """The columns that a released model was made for, its target among them."""

    target: str
    kinds: Mapping[str, ColumnKind]
    known: Mapping[str, Sequence[str]]  # the values of each category
    complete: Sequence[str]  # columns of which no train row missed the value
    spans: Mapping[str, tuple[float, float]]  # about the least and greatest value of each number, the target's too
    image_size: tuple[int, int] | None = None  # height and width that alone are taken; None: any, or no image
    decimal: DecimalMark = "."  # the mark in the numbers of the CSV file that it learned from


def read_columns(file: Path) -> Columns:
    """Return what a released ONNX file says of its columns."""
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    facts = session.get_modelmeta().custom_metadata_map
    fixed = [one for one in session.get_inputs()[0].shape[1:3] if isinstance(one, int)]
    pictures = facts.get("steelyard.image_channels", "0") != "0"
    return Columns(
        target=facts["steelyard.target"],
        kinds=json.loads(facts["steelyard.columns"]),
        known=json.loads(facts.get("steelyard.known", "{}")),  # older releases don't say
        complete=json.loads(facts.get("steelyard.complete", "[]")),
        spans=json.loads(facts.get("steelyard.spans", "{}")),
        image_size=(fixed[0], fixed[1]) if pictures and len(fixed) == 2 else None,
        decimal=facts.get("steelyard.decimal", "."),
    )


def metadata(
    model: str,
    *,
    task: Task,
    columns: Mapping[str, ColumnKind],
    preparation: Preparation,
    decimal: DecimalMark = ".",
) -> dict[str, str]:
    """Return the entries; `canonical` writes them as `steelyard.*`. Lists and mappings are JSON.

    `decimal` has an entry where it isn't the point that all other files have.
    """
    image, target = preparation.image, preparation.target
    spans = {one.name: one.span for one in preparation.numbers if one.span} | (
        {target.name: target.span} if target.span else {}
    )
    known = {column.name: column.values for column in preparation.categories}
    complete = [column.name for column in preparation.numbers if not column.flag]
    complete += [column.name for column in preparation.categories if not column.gaps]
    return {
        "model": model,
        "task": task,
        "target": target.name,
        "classes": json.dumps(list(target.classes), ensure_ascii=False),
        "columns": json.dumps(dict(columns), ensure_ascii=False),
        "known": json.dumps(known, ensure_ascii=False),
        "complete": json.dumps(complete, ensure_ascii=False),
        "spans": json.dumps(spans, ensure_ascii=False),
        "image_channels": str(image.channels if image else 0),
        **({} if decimal == "." else {"decimal": decimal}),
    }
