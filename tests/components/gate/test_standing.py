"""How a champion comes before the gate, and what keeps it from there."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from components.aim import Aim
from components.data.config import ColumnKind, DataConfig
from components.data.preparing.preparation import Preparation
from components.data.rows import Array, Rows
from components.evaluation.latency import latency_over_sessions
from components.export.canonical import canonical_bytes
from components.export.metadata import Columns, metadata
from components.export.parity import reference
from components.export.raw_inputs import with_raw_inputs
from components.export.to_onnx import core
from components.gate.gate import Standing
from components.gate.standing import Model as Contestant
from components.gate.standing import changed_columns, damage, face_off, slowdown
from components.models.model import SPEC_FILE, ModelSpec, save
from components.runtimes.feeds import Output
from components.runtimes.table import RUNTIMES
from components.store.folder import FolderBlobs
from components.store.store import Store
from tests.components.export.samples import (
    TINY_CNN,
    image_preparation,
    image_rows,
    model,
    table_preparation,
    table_rows,
)
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


IMAGES = DataConfig(source="", target="label", columns={"image": "image", "label": "category"})


class Ring:
    """A champion of images of 8x8 in a store, and challengers on other rows."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = Store(FolderBlobs(root / "store"), root / "folders")
        self.preparation = image_preparation(image_rows())
        self.trained = model(TINY_CNN, self.preparation)
        facts = metadata("digits", task="classification", columns=IMAGES.columns, preparation=self.preparation)
        graph = with_raw_inputs(core(self.trained, self.preparation), self.preparation)
        (root / "model.onnx").write_bytes(canonical_bytes(graph, metadata=facts))
        (root / "assignments").write_text("rows")
        self.onnx = self.store.put(root / "model.onnx")

    def face_off(self, rows: Rows, *, preparation: Preparation, network: dict[str, object] | None = None) -> Standing:
        """How the champion stands; `network` is what its checkpoint says of its network."""
        spec = ModelSpec(task="classification", network=TINY_CNN, preparation=self.preparation)
        folder = save(self.trained, spec, self.root / "checkpoint")
        if network is not None:
            written = json.loads((folder / SPEC_FILE).read_text())
            (folder / SPEC_FILE).write_text(json.dumps({**written, "network": network}))
        champion = replace(
            release(1),
            onnx=self.onnx,
            checkpoint=self.store.put(folder),
            assignments=self.store.put(self.root / "assignments"),
            target="label",
            classes=self.preparation.target.classes,
        )
        challenger, reigning = face_off(
            self.store,
            rows,
            name="digits int8",
            aim=Aim(task="classification", metric="accuracy", seed=0, data=IMAGES, network=TINY_CNN),
            preparation=preparation,
            onnx=self.onnx,
            runtime="onnxruntime",
            output=np.full((len(rows), 2), 0.5, dtype=np.float32),
            champion=champion,
            obstacle="",
        )
        assert reigning is not None
        assert (challenger.slowdown is None) == bool(reigning.obstacle)
        return reigning


@pytest.fixture
def ring(tmp_path: Path) -> Ring:
    return Ring(tmp_path)


def test_a_champion_answers_though_the_class_of_its_network_is_gone(ring: Ring) -> None:
    rows = image_rows(6, seed=1)
    gone: dict[str, object] = {"family": "custom", "path": "nowhere_for_tests:Net", "options": {}}
    found = ring.face_off(rows, preparation=ring.preparation, network=gone)
    assert found.obstacle == ""
    np.testing.assert_allclose(found.output, reference(ring.trained, ring.preparation, rows), atol=1e-5)


def test_a_champion_that_takes_no_images_of_this_size_is_an_obstacle_and_no_error(ring: Ring) -> None:
    rows = image_rows(6, size=16)
    found = ring.face_off(rows, preparation=image_preparation(rows))
    assert (
        found.obstacle == "digits 1 can't answer these rows (6 images are of another size, the first of 16 x 16 pixels)"
    )
    assert found.output.size == 0


@dataclass
class Works:
    """A session that takes so many milliseconds of a clock that only sessions move."""

    ms: int
    clock: list[float]

    def run(self, feeds: Mapping[str, Array]) -> Output:
        assert feeds
        self.clock[0] += self.ms / 1000
        return np.zeros((1, 1), dtype=np.float32)


def test_a_challenger_that_takes_longer_has_a_ratio_above_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setitem(latency_over_sessions.__kwdefaults__, "clock", lambda: clock[0])
    monkeypatch.setitem(RUNTIMES._entries, "onnxruntime", lambda path, threads: Works(int(path.name) * threads, clock))
    rows, preparation = table_rows(8), table_preparation()
    slow, quick = (Contestant(tmp_path / ms, "onnxruntime") for ms in ("6", "2"))
    found = slowdown(slow, quick, rows, ours_by=preparation, theirs_by=preparation, seed=0)
    assert (found.low, found.value, found.high) == pytest.approx((3, 3, 3))
