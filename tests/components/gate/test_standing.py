"""What keeps a champion from the gate: files that changed, and columns that aren't those that it learned."""

from dataclasses import replace
from pathlib import Path

import pytest

from components.data.config import ColumnKind, DataConfig
from components.export.metadata import Columns
from components.gate.standing import changed_columns, damage
from components.store.folder import FolderBlobs
from components.store.store import Store
from tests.components.release.test_releases import release

KNOWN = Columns(
    target="y",
    kinds={"size": "number", "old": "boolean", "colour": "category", "note": "ignore", "y": "category"},
    known={},
    complete=(),
    spans={},
)


def columns(**changes: ColumnKind) -> DataConfig:
    kinds: dict[str, ColumnKind] = {
        "size": "number",
        "old": "boolean",
        "colour": "category",
        "id": "ignore",
        "y": "category",
    } | changes
    return DataConfig(source="", target="y", columns=kinds)


def test_the_same_columns_are_no_obstacle() -> None:
    assert changed_columns(KNOWN, columns(), release(1)) == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"new": "number"},
        {"size": "category"},
        {"colour": "ignore"},
        {"old": "number"},  # its stored type, and with it every row's hash, is another
        {"y": "number"},
    ],
)
def test_a_column_more_or_less_or_of_another_kind_is_an_obstacle(changes: dict[str, str]) -> None:
    assert next(iter(changes)) in changed_columns(KNOWN, columns(**changes), release(1))


def test_a_changed_or_missing_file_of_the_champion_is_named(tmp_path: Path) -> None:
    store = Store(FolderBlobs(tmp_path / "store"), tmp_path / "folders")
    files = {}
    for name in ("onnx", "checkpoint", "assignments"):
        (tmp_path / name).write_text(name)
        files[name] = store.put(tmp_path / name)
    champion = replace(release(1), **files)
    assert damage(store, champion) == ""
    place = FolderBlobs(tmp_path / "store").place(files["onnx"].digest)
    place.chmod(0o644)
    place.write_text("Onnx")
    assert "model" in damage(store, champion)
    FolderBlobs(tmp_path / "store").place(files["assignments"].digest).unlink()
    assert "model and the split" in damage(store, champion)
