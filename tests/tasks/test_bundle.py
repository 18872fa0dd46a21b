from pathlib import Path

import pytest

from components.data.config import DataConfig
from components.models.config import Custom
from components.recipe import Recipe
from tasks.bundle import code_digest

DATA = DataConfig(source="", target="y", columns={"x": "number", "y": "category"})


def test_the_digest_of_the_code_holds_that_of_a_network_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    recipe, digests = Recipe(model="m", task="classification", data=DATA, network=Custom(path="of_ones_own:net")), set()
    for word in ("one", "other"):
        (tmp_path / "of_ones_own.py").write_text(f"def net(shape, outputs):\n    return '{word}'\n")
        digests.add(code_digest(recipe))
    assert len(digests) == 2
