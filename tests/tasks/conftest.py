"""Where the tests of stages have their state, and what stages write down of having run."""

from pathlib import Path

import pytest


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal"
