from pathlib import Path

import pytest

from tests.components.planning.written import Code


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Code:
    monkeypatch.syspath_prepend(tmp_path)
    return Code(tmp_path)
