"""How a model becomes an ONNX file, and how close its answers must stay."""

from collections.abc import Iterator
from dataclasses import dataclass

from components.rules import Breach, Ruled, breach


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportConfig(Ruled):
    """Export and its proof."""

    opset: int = 20
    parity_rows: int = 256  # real validation rows compared with PyTorch
    tolerance: float = 1e-4  # largest absolute difference of an output, float candidates only

    def _breaches(self) -> Iterator[Breach]:
        if not 18 <= self.opset <= 23:
            yield breach("opset is 18 to 23", "opset")
        if self.parity_rows < 1:
            yield breach("parity_rows is at least 1", "parity_rows")
        if self.tolerance <= 0:
            yield breach("tolerance is above 0", "tolerance")
