"""The model: raw rows in, probabilities or values out. Built from its spec, saved and loaded without pickle.

N rows, F numbers, C categories or channels, H x W pixels, D features, K outputs.
"""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, TypeVar

import torch
from torch import Tensor, nn

from components.data.preparing.preparation import CategoryColumn, Preparation, Target
from components.errors import refuse
from components.models.config import MLP, Custom, Network
from components.models.families import FAMILIES
from components.models.linear_path import LinearPath
from components.models.prepare import PrepareImage, PrepareTable, prepare
from components.models.shapes import resize_
from components.models.tensors import read_tensors, write_bytes, write_tensors
from components.task import Task

SPEC_FILE: Final = "model.json"
BOUND: Final = 3.0  # standard deviations
WEIGHTS_FILE: Final = "weights.safetensors"
Read = TypeVar("Read")


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelSpec:
    """All that a model is, but its weights."""

    task: Task
    network: Network
    preparation: Preparation


@dataclass(frozen=True, kw_only=True, slots=True)
class _Prepared:
    """What of a spec can be read whatever became of its network."""

    preparation: Preparation


class TableNetwork(nn.Module):
    """Numbers, bounded where they are standardised, and an embedding per category column, for a body of [N, D].

    Beside them, where the network's config asks for it, a linear path that sees the numbers as they are.
    """

    def __init__(
        self,
        categories: tuple[CategoryColumn, ...],
        body: nn.Module,
        *,
        bounded: bool = True,
        linear: LinearPath | None = None,
    ) -> None:
        super().__init__()
        self.bounded = bounded
        self.embeddings = nn.ModuleList(map(_embedding, categories))
        self.body = body
        self.linear = linear

    def forward(self, numbers: Tensor, codes: Tensor) -> Tensor:
        """Numbers [N, F'] and codes [N, C] to [N, K], or in training to [N, M, K] where the body has M members."""
        seen = soft_clip(numbers) if self.bounded else numbers
        embedded = [embedding(codes[:, i]) for i, embedding in enumerate(self.embeddings)]
        output: Tensor = self.body(torch.cat([seen, *embedded], dim=1) if embedded else seen)
        if self.linear is None:
            return output
        linear: Tensor = self.linear(numbers, codes)
        return output + (linear if output.ndim == linear.ndim else linear.unsqueeze(1))


def _embedding(column: CategoryColumn) -> nn.Embedding:
    """Return a category's embedding, where an unknown or missing value begins amid all others.

    Where train has none, nothing moves it from there; a random place gave probabilities from 0.1 to 0.9 by the seed.
    """
    made = nn.Embedding(column.codes, embedding_width(column))
    nn.init.zeros_(made.weight[: column.codes - len(column.values)])
    return made


def soft_clip(numbers: Tensor) -> Tensor:
    """Bound standardised numbers smoothly to -3 ... 3, nearly the identity around 0, so that outliers can't rule.

    Source: Holzmueller et al. 2024, https://arxiv.org/abs/2407.04491
    """
    return numbers / torch.sqrt(1 + (numbers / BOUND) ** 2)


class Head(nn.Module):
    """Network outputs [N, K] to probabilities [N, K], or to float64 values [N, 1] in the target's own units."""

    def __init__(self, target: Target) -> None:
        super().__init__()
        self.target = target

    def forward(self, output: Tensor) -> Tensor:
        """Softmax, or the way back from the standardised target: in double, since floats are 128 apart at 1.7e9."""
        if self.target.classes:
            return torch.softmax(output, dim=1)
        wide = output if output.device.type == "mps" else output.double()  # which has none
        return wide * self.target.scale + self.target.center


class Model(nn.Module):
    """Raw rows to answers, in three parts that can be used alone.

    Raw tensors are (numbers float64 [N, F], codes int64 [N, C]) for tables, (pixels uint8 [N, H, W, C],) for images.
    """

    def __init__(self, prepare: PrepareTable | PrepareImage, network: nn.Module, head: Head) -> None:
        super().__init__()
        self.prepare = prepare
        self.network = network
        self.head = head

    def features(self, *raw: Tensor) -> tuple[Tensor, ...]:
        """What the network sees: (numbers float32 [N, F'], codes int64 [N, C]), or (image float32 [N, C, H, W],)."""
        features: tuple[Tensor, ...] = self.prepare(*raw)
        return features

    def forward(self, *raw: Tensor) -> Tensor:
        """Probabilities [N, K] or values [N, 1]."""
        answers: Tensor = self.head(self.network(*self.features(*raw)))
        return answers


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedModel:
    """A model and what it was built from."""

    model: Model
    spec: ModelSpec


def build(spec: ModelSpec, *, seed: int) -> Model:
    """Return a new model on the CPU, its first weights decided by the seed alone."""
    preparation = spec.preparation
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _network(spec)
    return Model(prepare(preparation), network, Head(preparation.target))


def outline(spec: ModelSpec) -> nn.Module | None:
    """Return the network with weights that take no memory, to be counted. None of a user's own: it may compute."""
    if isinstance(spec.network, Custom):
        return None
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            return _network(spec)
    except (RuntimeError, OverflowError, TypeError) as error:  # sizes beyond 64 bits
        what = f"a network of more weights than can be counted: {str(error).splitlines()[0]}"
        raise refuse(what, where="network", do="take a smaller one") from None


def _network(spec: ModelSpec) -> nn.Module:
    preparation = spec.preparation
    body = FAMILIES[spec.network.family](spec.network, shape=feature_shape(preparation), outputs=preparation.outputs)
    return body if preparation.image else _of_table(spec, body)


def _of_table(spec: ModelSpec, body: nn.Module) -> TableNetwork:
    preparation = spec.preparation
    return TableNetwork(preparation.categories, body, bounded=preparation.standard, linear=_linear(spec))


def _linear(spec: ModelSpec) -> LinearPath | None:
    if not isinstance(spec.network, MLP) or not spec.network.linear:
        return None
    columns = spec.preparation.categories
    return LinearPath(_numbers(spec.preparation), tuple(c.codes for c in columns), spec.preparation.outputs)


def _numbers(preparation: Preparation) -> int:
    return sum(column.features for column in preparation.numbers)


def feature_shape(preparation: Preparation) -> tuple[int, ...]:
    """Shape of one row as a family's network sees it: (C, H, W), or (D,) with embeddings included."""
    if preparation.image is not None:
        return (preparation.image.channels, *preparation.image.size)
    return (_numbers(preparation) + sum(map(embedding_width, preparation.categories)),)


def embedding_width(column: CategoryColumn) -> int:
    """Width of a category's embedding: about the square root of its codes, at most 50 (the rule of fastai)."""
    return min(50, math.ceil(1.6 * math.pow(column.codes, 0.56)))


def example(preparation: Preparation, *, rows: int = 2) -> tuple[Tensor, ...]:
    """Return raw tensors of zeros that the model accepts, to trace or to try it."""
    if preparation.image is not None:
        return (torch.zeros(rows, *preparation.image.size, preparation.image.channels, dtype=torch.uint8),)
    numbers = torch.zeros(rows, len(preparation.numbers), dtype=torch.float64)
    return numbers, torch.zeros(rows, len(preparation.categories), dtype=torch.int64)


def save(model: Model, spec: ModelSpec, folder: Path) -> Path:
    """Write model.json and weights.safetensors into the folder, each atomically. Equal models give equal bytes."""
    write_tensors(folder / WEIGHTS_FILE, model.network.state_dict())
    write_bytes(folder / SPEC_FILE, (json.dumps(asdict(spec), indent=1, sort_keys=True) + "\n").encode())
    return folder


def load(folder: Path) -> LoadedModel:
    """Return the model that `save` wrote, in evaluation mode; a pruned one with the shapes that it was pruned to.

    Raises:
        Refusal: a file is missing or damaged, or the weights are those of another network.
    """
    spec = _read(ModelSpec, folder)
    model = build(spec, seed=0)
    tensors = read_tensors(folder / WEIGHTS_FILE)
    resize_(model.network, tensors)
    try:
        model.network.load_state_dict(tensors)
    except RuntimeError as error:
        raise refuse(f"these are the weights of another network: {error}", where=str(folder / WEIGHTS_FILE)) from error
    return LoadedModel(model=model.eval(), spec=spec)


def check_whole(model: Model, spec: ModelSpec, example: tuple[Tensor, ...]) -> None:
    """Check that the weights and buffers that are saved are all of a user's network that its answers hang on.

    Args:
        model: on the CPU from here on.
        spec: what it was built of.
        example: raw tensors of a few rows.

    Raises:
        Refusal: it answers otherwise each time, or built anew with these weights.
    """
    if not isinstance(spec.network, Custom):
        return
    anew = build(spec, seed=0).eval()
    anew.network.load_state_dict(model.network.cpu().state_dict())
    with torch.no_grad():
        trained, again, loaded = model.cpu().eval()(*example), model(*example), anew(*example)
    if not _alike(again, trained):
        what = f"{spec.network.path} answers the same rows otherwise each time in evaluation"
        do = "draw at random in training alone: by nn.Dropout, or functional.dropout(x, training=self.training)"
        raise refuse(what, where="network", do=do)
    if not _alike(loaded, trained):
        what = f"{spec.network.path} has learned what isn't in its parameters and buffers: loaded again, it differs"
        do = "keep what it learns in parameters, or in buffers of register_buffer with persistent=True"
        raise refuse(what, where="network", do=do)


def _alike(answers: Tensor, wanted: Tensor) -> bool:
    return torch.allclose(answers, wanted, rtol=1e-3, atol=1e-3 * wanted.abs().max().item())


def read_preparation(folder: Path) -> Preparation:
    """Return how a saved model's features are made. Its network isn't built: a user's class may be another by now.

    Raises:
        Refusal: the file is missing or damaged.
    """
    return _read(_Prepared, folder).preparation


def _read(kind: type[Read], folder: Path) -> Read:
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(kind).validate_json((folder / SPEC_FILE).read_bytes())
    except (OSError, ValidationError) as error:
        raise refuse(f"can't read the model: {error}", where=str(folder / SPEC_FILE), do="train it again") from error
