"""How a model becomes an ONNX file, and how close its answers must stay."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportConfig:
    """Export and its proof."""

    opset: int = 20
    parity_rows: int = 256  # real validation rows compared with PyTorch
    # Largest absolute difference of an output: of float candidates from PyTorch, of int8_static between batches.
    tolerance: float = 1e-4

    def __post_init__(self) -> None:
        if not 18 <= self.opset <= 23:
            raise ValueError("opset is 18 to 23")
        if self.parity_rows < 1 or self.tolerance <= 0:
            raise ValueError("parity_rows is at least 1, tolerance above 0")
