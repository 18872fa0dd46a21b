"""Where the files of a run lie under names for people: a folder per model and report."""

import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path

from components.home import Home
from components.store.artifact import Artifact

REPORT = "report.html"
MODEL = "model.onnx"


def folder_of(home: Home, model: str, page: Artifact) -> Path:
    """Return the folder of what that report is about, whether or not it is there: no later one takes its place."""
    return home.runs / model / page.digest[:12]


def lay(files: Mapping[str, Path], folder: Path) -> None:
    """Copy files into the folder under these names, each at once."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, file in files.items():
        fresh = folder / f".{name}.{uuid.uuid4().hex}"
        shutil.copyfile(file, fresh)
        fresh.replace(folder / name)
