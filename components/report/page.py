"""What the report shows, as plain data: the stages fill it in, `components.report.report` draws it.

Every part but the decision may be missing; the report then leaves its section out. K classes, N rows.
"""

from dataclasses import dataclass
from typing import Literal

from components.evaluation.interval import Interval
from components.task import Metric, Task

Outcome = Literal["passed", "held", "refused"]  # the gate's: whether a version is promoted is decided later
Verdict = Literal["front", "dominated", "not faster", "refused for quality"]
Answer = Literal["yes", "no", "not enough evidence"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """A name and a value, shown as they are."""

    name: str
    value: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What the gate decided about which release, and the figures that a reader asks for first."""

    outcome: Outcome
    model: str
    version: str  # the version that it is or would be; "" if none was registered
    date: str  # as shown, with its time zone
    reason: str  # the gate's, one sentence
    task: Task
    metric: Metric
    quality: Interval  # of the selected candidate on test
    test_rows: int
    selected: str  # the candidate's name
    size_bytes: int
    latency_ms: Interval  # of one batch
    batch_size: int
    speedup: Interval  # uncompressed / selected latency
    uncompressed_size_bytes: int
    confidence: float = 0.95  # of the intervals of quality
    timing_confidence: float = 0.95  # of those of latency and speed
    rows_needed: int | None = None  # test rows, or bunches of them, for 80 % power, where evidence lacked
    test_bunches: int | None = None  # independent ones of the test rows; None where none is a copy or of a group
    run: str = ""  # the id under which the run is found
    beware: tuple[str, ...] = ()  # a sentence each


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Challenger against what it must not be worse than, on the same test rows, in the metric's unit.

    Of a regression it is a share of the champion's value.

    Against a champion: `gain` is the difference, positive where the challenger is better, and `limit` is minus the
    margin. Against the recipe's floor: `gain` is the challenger's value, and `limit` the floor.
    """

    against: Literal["champion", "floor"]
    name: str  # such as "champion, version 3"
    gain: Interval
    limit: float
    answer: Answer  # whether it is shown, whatever came of the other checks
    confidence: float = 0.95  # of each end of the gain


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One rule of the gate."""

    name: str
    answer: Answer
    detail: str  # the figures, and what was allowed


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """Latency of one batch, and how many times as fast as the uncompressed model that is."""

    batch_size: int
    latency_ms: Interval
    speedup: Interval | None = None  # None for the uncompressed model itself


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """A point of the search, measured on validation."""

    name: str
    verdict: Verdict
    quality: Interval
    size_bytes: int
    timings: tuple[Timing, ...]
    runtime: str = "onnxruntime"


@dataclass(frozen=True, kw_only=True, slots=True)
class Front:
    """All candidates, and which of them was selected."""

    candidates: tuple[Candidate, ...]
    selected: str
    uncompressed: str
    batch_size: int  # whose latency counted
    objective: str  # such as "latency"
    reason: str = ""  # why the selected one was, without its full stop
    quality_limit: float | None = None  # the worst quality that selection allowed


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """One value per epoch, from epoch 1 on; NaN where there was none."""

    name: str  # such as "train"
    values: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """How one training went."""

    title: str  # such as "The uncompressed model" or "Again after pruning: pruned-50"
    loss: tuple[Curve, ...]
    metric: tuple[Curve, ...]
    metric_name: Metric
    best_epoch: int  # from 1
    facts: tuple[Fact, ...] = ()  # such as seconds, samples per second, device, parameters


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """A figure of the test set."""

    metric: Metric
    selected: Interval
    uncompressed: Interval | None = None
    champion: Interval | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Confusion:
    """Test rows by actual class (rows of the table) and predicted class (columns), K x K."""

    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Confused:
    """Test rows of one class that were said to be of another."""

    actual: str
    predicted: str
    rows: int
    of: int  # rows of the actual class


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassScore:
    """One class of the test set against all others; the figures are those of the released model."""

    name: str
    rows: int  # that are of it
    predicted: int  # that were said to be
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Residuals:
    """True and predicted values of the test rows."""

    target: str
    true: tuple[float, ...]
    predicted: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassChange:
    """Share of one class's test rows that were right, before and after."""

    name: str
    rows: int
    before: float
    after: float


@dataclass(frozen=True, kw_only=True, slots=True)
class PerClass:
    """What changed for each class."""

    before: str  # whose figures: "champion, version 3", or "uncompressed"
    changes: tuple[ClassChange, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Baseline:
    """A simple model on the same test rows."""

    name: str
    quality: Interval
    lead: Interval | None = None  # of the released model over it, above 0: better


@dataclass(frozen=True, kw_only=True, slots=True)
class Bin:
    """Test rows whose highest probability falls in one range."""

    confidence: float  # mean of the highest probability
    accuracy: float  # share that was right
    rows: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """Whether the probabilities mean what they say."""

    bins: tuple[Bin, ...]
    error: float  # expected calibration error


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchParity:
    """The largest difference between PyTorch's output and the exported file's, at one batch size."""

    batch_size: int
    max_abs_diff: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Parity:
    """Whether the exported file still gives the same answers."""

    batches: tuple[BatchParity, ...]
    rows: int
    tolerance: float | None  # None where the candidate is quantized: its answers are judged by quality
    same_answers: float | None = None  # share of rows with the same predicted class
    batch_diff: float | None = None  # largest absolute difference that a row's batch makes to its output


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerError:
    """Signal to quantization noise of one layer's output; higher is better."""

    name: str
    sqnr_db: float


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerSize:
    """One layer of the uncompressed model, and what is left of it in the release."""

    name: str
    kind: str  # such as linear, or conv 3x3
    outputs_before: int  # channels of a convolution, neurons of a linear layer
    outputs_after: int
    bytes_before: int  # of the weights
    bytes_after: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassShare:
    """Rows of one class in each part, in the order of `Data.parts`."""

    name: str
    rows: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One part of the split."""

    name: str  # train, validation, test
    rows: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A column of the data, of a kind that the recipe names; `ignore` is never shown to the model."""

    name: str
    kind: str
    target: bool = False
    missing: int = 0  # rows without a value


@dataclass(frozen=True, kw_only=True, slots=True)
class Data:
    """The rows, and how they were split."""

    parts: tuple[Part, ...]
    classes: tuple[ClassShare, ...] = ()
    columns: tuple[Column, ...] = ()
    facts: tuple[Fact, ...] = ()  # such as source, digest, method of the split, rows set aside


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """One link of the chain of digests, each made from those before it."""

    name: str  # such as "data", "split", "code", "checkpoint", "candidate", "onnx", "gate"
    digest: str
    detail: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """The whole report."""

    decision: Decision
    comparison: Comparison | None = None
    checks: tuple[Check, ...] = ()
    front: Front | None = None
    network: tuple[LayerSize, ...] = ()
    members: int = 1  # networks that share the layers, each with outputs of its own
    training: tuple[Training, ...] = ()
    scores: tuple[Score, ...] = ()
    class_scores: tuple[ClassScore, ...] = ()
    confusion: Confusion | None = None
    confused: tuple[Confused, ...] = ()  # the most frequent first
    residuals: Residuals | None = None
    per_class: PerClass | None = None
    baselines: tuple[Baseline, ...] = ()
    calibration: Calibration | None = None
    parity: Parity | None = None
    quantization: tuple[LayerError, ...] = ()
    data: Data | None = None
    provenance: tuple[Link, ...] = ()
    recipe: str = ""  # as it ran, in YAML, without secrets
    environment: tuple[Fact, ...] = ()
