"""What a released file says about itself, for whoever finds it: the `steelyard.*` entries of its metadata."""

import json

from components.data.config import DataConfig
from components.data.preparation import Preparation
from components.task import Task


def facts(task: Task, data: DataConfig, preparation: Preparation) -> dict[str, str]:
    """Return the metadata by key, without the prefix: what `components.release.served` needs to take raw rows."""
    image = preparation.image
    features = {name: kind for name, kind in data.columns.items() if name != data.target and kind != "ignore"}
    return {
        "task": task,
        "target": data.target,
        "classes": json.dumps(list(preparation.target.classes), ensure_ascii=False),
        "columns": json.dumps(features, ensure_ascii=False),
        "image_channels": str(image.channels if image else 0),
        "image_size": json.dumps(list(image.size) if image else None),
        "image_resize": json.dumps(bool(image and image.resize)),
    }
