"""Make the ONNX graph of a trained model: what is quantized, and what becomes the released file."""

from dataclasses import dataclass, field

from components.store.artifact import Artifact
from tasks.stage import Workspace, stage
from tasks.train import Trained


@dataclass(frozen=True, kw_only=True, slots=True)
class Graph:
    """A model as an ONNX graph, still without its raw inputs."""

    name: str
    core: Artifact
    model: Artifact  # the PyTorch model that it was made of
    parameters: int
    operators: dict[str, int] = field(default_factory=dict)  # quantized ones by type
    errors_db: dict[str, float] = field(default_factory=dict)  # signal to quantization noise by layer, dB

    def figures(self) -> dict[str, float]:
        """What the tracker keeps of it."""
        return {f"{self.name}.quantized_operators": sum(self.operators.values())} if self.operators else {}


@stage(libraries=("torch", "onnx", "onnxscript"))
def convert(here: Workspace, opset: int, *, name: str, trained: Trained) -> Graph:
    """Have PyTorch export the model: once, however many candidates are made of it."""
    from components.export.canonical import canonical_bytes
    from components.export.to_onnx import core
    from components.models.model import load

    loaded = load(here.open(trained.model))
    file = here.folder / "core.onnx"
    file.write_bytes(canonical_bytes(core(loaded.model, loaded.spec.preparation, opset=opset)))
    return Graph(name=name, core=here.keep(file), model=trained.model, parameters=trained.parameters)
