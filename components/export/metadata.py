"""What the released ONNX file says about itself: enough for a program that has nothing but the file."""

import json
from collections.abc import Mapping

from components.data.config import ColumnKind
from components.data.preparation import Preparation
from components.task import Task


def metadata(model: str, *, task: Task, columns: Mapping[str, ColumnKind], preparation: Preparation) -> dict[str, str]:
    """Return the entries; `canonical` writes them as `steelyard.*`. Lists and mappings are JSON."""
    image = preparation.image
    return {
        "model": model,
        "task": task,
        "target": preparation.target.name,
        "classes": json.dumps(list(preparation.target.classes), ensure_ascii=False),
        "columns": json.dumps(dict(columns), ensure_ascii=False),
        "image_channels": str(image.channels if image else 0),
    }
