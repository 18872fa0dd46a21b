"""What was learned from the train rows about how raw values become features: plain data, no torch.

`components.data.preparing.prepare.fit` makes one; `components.models.prepare` is the same thing as a torch module, and
`components.export.raw_inputs` as an ONNX graph.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranks:
    """A number's rank r among the train rows, -1 to 1, as (r - center) / scale.

    `quantiles` holds their values at evenly spaced ranks, strictly rising; between two of them r is linear.
    """

    quantiles: tuple[float, ...]
    center: float
    scale: float


@dataclass(frozen=True, kw_only=True, slots=True)
class NumberColumn:
    """A number (or a boolean as 0 and 1): missing -> `fill`, then (x - center) / scale.

    With `ranks` there is a feature of its rank too, with `flag` one that says 1 where the value was missing. `span` is
    about the train rows' least and greatest value, rounded outwards; None of a boolean, and where all are equal.
    """

    name: str
    fill: float
    center: float
    scale: float
    flag: bool = False
    ranks: Ranks | None = None
    span: tuple[float, float] | None = None

    @property
    def features(self) -> int:
        """How many features it makes."""
        return 1 + (self.ranks is not None) + self.flag


@dataclass(frozen=True, kw_only=True, slots=True)
class CategoryColumn:
    """A category: the code of values[i] is i + 2; 0 is any unknown value, 1 a missing one.

    `gaps` says whether any train row missed it.
    """

    name: str
    values: tuple[str, ...]
    gaps: bool = True

    @property
    def codes(self) -> int:
        """Number of codes, the unknown and the missing one included."""
        return len(self.values) + 2


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageColumn:
    """An image: resized (bilinear, antialiased) to `size` if given, then (pixel / 255 - mean) / std per channel."""

    name: str
    channels: int
    size: tuple[int, int]  # pixels, height then width, of what the network sees
    resize: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """What is predicted: one of `classes`, or a number whose network output is (y - center) / scale.

    `span` is about the number's least and greatest value in the train rows, rounded outwards.
    """

    name: str
    classes: tuple[str, ...] = ()
    center: float = 0.0
    scale: float = 1.0
    span: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Preparation:
    """How the features of a model are made: an image, or numbers and categories."""

    target: Target
    numbers: tuple[NumberColumn, ...] = ()
    categories: tuple[CategoryColumn, ...] = ()
    image: ImageColumn | None = None
    standard: bool = True  # numbers are standardised; False: they are as they were given

    @property
    def outputs(self) -> int:
        """Width of the network's output: a logit per class, or one number."""
        return len(self.target.classes) or 1
