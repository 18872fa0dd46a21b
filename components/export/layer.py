"""What is told of a layer. In a file of its own: it is read where onnx isn't loaded."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """One multiplication by weights."""

    name: str  # as in the PyTorch network
    kind: str  # linear, or a convolution with its kernel: conv 3x3
    outputs: int  # channels of a convolution, neurons of a linear layer
    weights: int
    size_bytes: int  # of the weights
