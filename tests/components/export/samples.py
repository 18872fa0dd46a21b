"""Small preparations, rows and models that the tests of export, runtimes and compression share."""

import numpy as np
import onnx
import torch
from torch import nn

from components.data.config import ColumnKind, DataConfig, PrepareConfig
from components.data.preparing.preparation import Preparation
from components.data.preparing.prepare import fit
from components.data.rows import Rows
from components.export.to_onnx import core
from components.models.config import CNN, MLP, Network, ResNet
from components.models.model import Model, ModelSpec, build
from components.task import Task

CITIES = np.array(["Ulm", "Köln", "", "Bad Urach", "Ulm\n"], dtype=object)


def table_rows(n: int = 40, *, seed: int = 0) -> Rows:
    """Numbers with gaps, a boolean with gaps, two categories with missing values; a target of three classes."""
    random = np.random.default_rng(seed)
    size = random.normal(3e6, 5.0, n)  # large against its spread: standardising it needs float64
    price = random.lognormal(2, 2, n)
    price[random.random(n) < 0.2] = np.nan
    flag = random.integers(0, 2, n).astype(np.float64)
    flag[random.random(n) < 0.1] = np.nan
    kind = np.array(["a", "b", "c"], dtype=object)[random.integers(0, 3, n)]
    city = CITIES[random.integers(0, len(CITIES), n)]
    value = (size - 3e6) * 2 + (kind == "a") * 10
    label = np.where(value > 8, "high", np.where(value > 0, "mid", "low")).astype(object)
    return Rows(
        columns={
            "size": size,
            "price": price,
            "on sale": flag,
            "kind": kind,
            "city": city,
            "label": label,
            "sum": value,
        }
    )


def table_data(target: str) -> DataConfig:
    kinds: dict[str, ColumnKind] = {
        "size": "number",
        "price": "number",
        "on sale": "boolean",
        "kind": "category",
        "city": "category",
        "label": "category",
        "sum": "number",
    }
    hidden = {"label", "sum"} - {target}
    return DataConfig(
        source="x.csv", target=target, columns={n: ("ignore" if n in hidden else k) for n, k in kinds.items()}
    )


def table_preparation(target: str = "label", *, rows: Rows | None = None) -> Preparation:
    task: Task = "classification" if target == "label" else "regression"
    config = PrepareConfig(numbers="quantile", min_category_rows=1)
    return fit(config, table_data(target), rows or table_rows(), task=task)


def image_rows(n: int = 20, *, size: int = 8, channels: int = 1, seed: int = 0) -> Rows:
    """Bright halves: the class says which half of the image is lit."""
    random = np.random.default_rng(seed)
    label = random.integers(0, 2, n)
    pixels = random.integers(0, 120, (n, size, size, channels))
    for i, lit in enumerate(label):
        pixels[i, :, (size // 2) * lit : (size // 2) * (lit + 1)] += 60
    return Rows(columns={"image": pixels.astype(np.uint8), "label": np.array(["left", "right"], dtype=object)[label]})


def mixed_image_rows(n: int = 9, *, seed: int = 0) -> Rows:
    """Images of three sizes, some grey and some in colour."""
    random = np.random.default_rng(seed)
    images = np.empty(n, dtype=object)
    for i in range(n):
        height, width = [(9, 14), (20, 7), (16, 16)][i % 3]
        images[i] = random.integers(0, 256, (height, width, 1 if i % 2 else 3), dtype=np.uint8)
    return Rows(columns={"image": images, "label": np.array(["left", "right"] * n, dtype=object)[:n]})


def image_preparation(rows: Rows, *, size: tuple[int, int] | None = None) -> Preparation:
    data = DataConfig(source="x", target="label", columns={"image": "image", "label": "category"})
    return fit(PrepareConfig(image_size=size), data, rows, task="classification")


def model(network: Network, preparation: Preparation, *, seed: int = 0) -> Model:
    """A model whose batch normalisation has seen something, and whose outputs differ from row to row."""
    task: Task = "classification" if preparation.target.classes else "regression"
    built = build(ModelSpec(task=task, network=network, preparation=preparation), seed=seed)
    random = torch.Generator().manual_seed(seed)
    for parameter in built.network.parameters():
        if not parameter.any():  # some layers start at 0, which would make every answer the same
            parameter.data = torch.randn(parameter.shape, generator=random) * 0.2
    for module in built.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = torch.randn(module.num_features, generator=random) * 0.1
            module.running_var = 0.5 + torch.rand(module.num_features, generator=random)
            module.weight.data = 0.5 + torch.rand(module.num_features, generator=random)
    return built.eval()


def exported(network: Network, preparation: Preparation) -> onnx.ModelProto:
    """The graph of such a model, to be changed as one likes: exported once, since that takes seconds."""
    name = repr((network, preparation))
    if name not in EXPORTED:
        EXPORTED[name] = core(model(network, preparation), preparation).SerializeToString()
    return onnx.load_from_string(EXPORTED[name])


EXPORTED: dict[str, bytes] = {}  # by what was exported
TINY_MLP = MLP(width=32, depth=2)
TINY_CNN = CNN(width=16, stages=2)
TINY_RESNET = ResNet(width=8, blocks=(1, 1))
