"""From a trained model to the ONNX graph of its raw tensors: preparation, network and head, with a dynamic batch.

N rows, F number columns, C category columns; images N x H x W x C, K outputs. The graph takes what `Model.forward`
takes, less the tensors without columns: `numbers` double [N, F], `codes` int64 [N, C], or `pixels` uint8 [N, H, W, C].
"""

from copy import deepcopy
from typing import cast

import onnx
import torch
from torch import Tensor, nn
from torch.export import Dim

from components.data.preparing.preparation import Preparation
from components.errors import refuse
from components.export.canonical import canonical
from components.export.quiet import last_line, quiet
from components.models.model import Model
from components.models.names import CODES, NUMBERS, PIXELS, core_output

# Sizes of the example that the model is traced with. Batches of 0 and 1 are constants to torch.export, and equal
# sizes may be taken for the same one, so they differ from each other and from the usual ones.
_EXAMPLE_BATCH = 3
_EXAMPLE_GROWTH = (5, 9)  # pixels of height and width beyond what the network sees


class _Image(nn.Module):
    """A model with one named argument, as the exporter wants it."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Tensor:
        # Channels last in memory, which pixels are, would turn pooling into a gather of its own elements.
        features = (feature.contiguous() for feature in self.model.features(pixels))
        return cast(Tensor, self.model.head(self.model.network(*features)))


class _Table(_Image):
    """A model of a table of numbers and categories."""

    def forward(self, numbers: Tensor, codes: Tensor) -> Tensor:  # type: ignore[override]
        return cast(Tensor, self.model(numbers, codes))


class _Numbers(_Image):
    """A model of a table without categories: the empty tensor of codes is made inside."""

    def forward(self, numbers: Tensor) -> Tensor:
        return cast(Tensor, self.model(numbers, torch.zeros((numbers.shape[0], 0), dtype=torch.int64)))


class _Categories(_Image):
    """A model of a table without numbers: the empty tensor of numbers is made inside."""

    def forward(self, codes: Tensor) -> Tensor:
        return cast(Tensor, self.model(torch.zeros((codes.shape[0], 0), dtype=torch.float64), codes))


def core(model: Model, preparation: Preparation, *, opset: int = 20) -> onnx.ModelProto:
    """Export the model, and return the canonical graph of its raw tensors.

    Raises: Refusal where torch can't export the network with a batch of any size.
    """
    module, inputs, shapes = _traceable(deepcopy(model).cpu(), preparation)
    graph = canonical(_exported(module.eval(), inputs, shapes, opset=opset, output=core_output(preparation)))
    _check_any_batch(graph)
    return graph


def _check_any_batch(model: onnx.ModelProto) -> None:
    """Refuse a graph whose batch became a constant, as the exporter silently makes it where the network demands it."""
    for value in (*model.graph.input, *model.graph.output):
        first = value.type.tensor_type.shape.dim[0]
        if not first.dim_param:
            raise refuse(
                f"the network can't be exported to ONNX: it takes batches of {first.dim_value} rows only",
                allowed="networks that take a batch of any size",
                do="take the batch size in the network's forward from its input, as in x.reshape(len(x), -1)",
            )


Shapes = dict[int, Dim]


def _traceable(model: Model, preparation: Preparation) -> tuple[nn.Module, dict[str, Tensor], dict[str, Shapes]]:
    batch = Dim("batch")
    if preparation.image is not None:
        image, shape = preparation.image, {0: batch}
        height, width = image.size
        if image.resize:
            height, width = height + _EXAMPLE_GROWTH[0], width + _EXAMPLE_GROWTH[1]
            shape = {0: batch, 1: Dim("height"), 2: Dim("width")}
        pixels = torch.zeros((_EXAMPLE_BATCH, height, width, image.channels), dtype=torch.uint8)
        return _Image(model), {PIXELS: pixels}, {PIXELS: shape}
    numbers = torch.zeros((_EXAMPLE_BATCH, len(preparation.numbers)), dtype=torch.float64)
    codes = torch.zeros((_EXAMPLE_BATCH, len(preparation.categories)), dtype=torch.int64)
    if not preparation.categories:
        return _Numbers(model), {NUMBERS: numbers}, {NUMBERS: {0: batch}}
    if not preparation.numbers:
        return _Categories(model), {CODES: codes}, {CODES: {0: batch}}
    return _Table(model), {NUMBERS: numbers, CODES: codes}, {NUMBERS: {0: batch}, CODES: {0: batch}}


def _exported(
    module: nn.Module, inputs: dict[str, Tensor], shapes: dict[str, Shapes], *, opset: int, output: str
) -> onnx.ModelProto:
    try:
        with quiet():
            program = torch.onnx.export(
                module,
                tuple(inputs.values()),
                dynamo=True,
                opset_version=opset,
                input_names=list(inputs),
                output_names=[output],
                dynamic_shapes=tuple(shapes.values()),
                external_data=False,
                verbose=False,
            )
    except Exception as error:
        raise refuse(
            f"the network can't be exported to ONNX: {last_line(error)}",
            allowed="operators that torch.onnx.export (dynamo) translates, for a batch of any size",
            do="leave out the operator, or the fixed batch size, from the network's forward",
        ) from error
    if program is None:  # only where torch writes a file itself
        raise RuntimeError("torch.onnx.export returned nothing")
    model = program.model_proto
    if not isinstance(model, onnx.ModelProto):
        raise TypeError(f"torch.onnx.export made a {type(model).__name__}")
    return model
