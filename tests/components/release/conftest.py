"""Models that are served, made once for a file of tests."""

import pytest

from components.release import served
from tests.components.release.models import image_model, opened, table_model


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> served.Served:
    return opened(table_model(tmp_path_factory.mktemp("table") / "model.onnx"))


@pytest.fixture(scope="module")
def grey(tmp_path_factory: pytest.TempPathFactory) -> served.Served:
    return opened(image_model(tmp_path_factory.mktemp("grey") / "model.onnx"))
