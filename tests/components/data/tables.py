"""Small real files for the tests of the data room."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from components.data.card import Card
from components.data.config import ColumnKind, DataConfig
from components.data.packing.pack import pack
from components.errors import Refusal

COLUMNS: dict[str, ColumnKind] = {"a": "number", "k": "category", "b": "boolean", "note": "ignore", "y": "category"}


def config(columns: Mapping[str, ColumnKind] = COLUMNS, *, target: str = "y", share: float | None = None) -> DataConfig:
    return DataConfig(
        source="given",
        target=target,
        columns=dict(columns),
        bad_rows="refuse" if share is None else "quarantine",
        quarantine_share=share,
    )


def csv(folder: Path, text: str | bytes, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def rows(count: int) -> str:
    lines = (f"{i / 8},{'rgb'[i % 3]},{'yes' if i % 2 else 'No'},n{i},{'pq'[i % 2]}" for i in range(count))
    return "a,k,b,note,y\n" + "".join(f"{line}\n" for line in lines)


def packed(folder: Path, source: Path, given: DataConfig | None = None, name: str = "packed") -> Card:
    return pack(given or config(), folder / name, source=source)


def refusal(folder: Path, source: Path, given: DataConfig | None = None) -> str:
    with pytest.raises(Refusal) as caught:
        packed(folder, source, given)
    assert not (folder / "packed").exists()
    return str(caught.value)
