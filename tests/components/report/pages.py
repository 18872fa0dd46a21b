"""Pages of invented releases, for the tests of the report and for looking at it."""

import math
import random
from dataclasses import replace

from components.evaluation.interval import Interval
from components.report.page import (
    Answer,
    Baseline,
    BatchParity,
    Check,
    ClassChange,
    Comparison,
    Confusion,
    Curve,
    LayerError,
    Outcome,
    Page,
    Parity,
    PerClass,
    Residuals,
    Score,
    Verdict,
)
from components.task import Metric
from tests.components.report.parts import (
    DIGITS,
    ENVIRONMENT,
    LAYERS,
    NETWORK,
    around,
    calibration,
    candidate,
    checks,
    class_scores,
    confused,
    confusion,
    data,
    decision,
    front,
    per_class,
    provenance,
    training,
)

SCORES: tuple[tuple[Metric, float], ...] = (
    ("accuracy", 0.9889),
    ("balanced_accuracy", 0.9885),
    ("precision_macro", 0.9891),
    ("recall_macro", 0.9885),
    ("f1_macro", 0.9887),
    ("roc_auc", 0.9921),
    ("log_loss", 0.041),
    ("calibration_error", 0.0121),
)


def digits(outcome: Outcome = "passed") -> Page:
    answers: dict[Outcome, Answer] = {"passed": "yes", "held": "not enough evidence", "refused": "no"}
    gains: dict[Outcome, Interval] = {
        "passed": Interval(0.003, -0.006, 0.012),
        "held": Interval(-0.004, -0.016, 0.008),
        "refused": Interval(-0.021, -0.033, -0.011),
    }
    return Page(
        decision=decision(outcome),
        comparison=Comparison(
            against="champion", name="champion, version 3", gain=gains[outcome], limit=-0.01, answer=answers[outcome]
        ),
        checks=checks(outcome),
        front=front(),
        training=(training(),),
        scores=tuple(
            Score(
                metric=m,
                selected=around(v, 0.007),
                uncompressed=around(v + 0.001, 0.006),
                champion=around(v - 0.002, 0.007),
            )
            for m, v in SCORES
        ),
        confusion=confusion(DIGITS),
        class_scores=class_scores(confusion(DIGITS)),
        confused=confused(confusion(DIGITS)),
        per_class=per_class(DIGITS),
        calibration=calibration(),
        baselines=(
            Baseline(name="constant", quality=around(0.102, 0.03)),
            Baseline(name="logistic regression", quality=around(0.964, 0.018)),
        ),
        parity=Parity(
            batches=tuple(
                BatchParity(batch_size=b, max_abs_diff=d) for b, d in ((1, 3.1e-6), (2, 3.4e-6), (7, 0.0), (32, 8.8e-6))
            ),
            rows=256,
            tolerance=1e-4,
            same_answers=1.0,
        ),
        network=NETWORK,
        quantization=LAYERS,
        data=data(DIGITS),
        provenance=provenance(),
        environment=ENVIRONMENT,
    )


def binary() -> Page:
    """A table with two classes; a first release, against the floor; the net doesn't beat the baselines."""
    classes = ("malignant (M)", "benign (B)")
    base = digits()
    first = replace(
        base.decision,
        model="breast-cancer",
        version="1",
        reason="The first release reaches the floor.",
        quality=Interval(0.9649, 0.9298, 0.9912),
        test_rows=114,
        selected="uncompressed",
        size_bytes=41_020,
        uncompressed_size_bytes=41_020,
        speedup=Interval(1, 1, 1),
        latency_ms=Interval(0.018, 0.0171, 0.0192),
    )
    candidates = (
        candidate("uncompressed", "front", 0.974, 41_020, 0.018, reference=0.018, half=0.02),
        candidate("int8 static", "not faster", 0.974, 17_800, 0.0185, reference=0.018, half=0.02),
    )
    return replace(
        base,
        decision=first,
        comparison=Comparison(against="floor", name="floor", gain=first.quality, limit=0.93, answer="yes"),
        checks=(Check(name="Reaches the floor", answer="yes", detail="Accuracy 96.5 %, the floor is 93 %."),),
        front=replace(front(), candidates=candidates, selected="uncompressed", quality_limit=0.964),
        confusion=Confusion(classes=classes, counts=((39, 3), (1, 71))),
        class_scores=class_scores(Confusion(classes=classes, counts=((39, 3), (1, 71)))),
        confused=confused(Confusion(classes=classes, counts=((39, 3), (1, 71)))),
        per_class=PerClass(
            before="uncompressed",
            changes=tuple(
                ClassChange(name=c, rows=r, before=b, after=b)
                for c, r, b in ((classes[0], 42, 0.9286), (classes[1], 72, 0.9861))
            ),
        ),
        baselines=(
            Baseline(name="constant", quality=Interval(0.6316, 0.54, 0.72)),
            Baseline(name="logistic regression", quality=Interval(0.9737, 0.9386, 1)),
            Baseline(name="gradient boosting", quality=Interval(0.9561, 0.9123, 0.9912)),
        ),
        scores=(
            Score(metric="accuracy", selected=first.quality),
            Score(metric="roc_auc", selected=Interval(0.991, 0.978, 0.999)),
        ),
        quantization=(),
        data=data(classes),
    )


def regression() -> Page:
    rng = random.Random(3)
    true = [round(rng.gauss(152, 77), 1) for _ in range(1330)]
    predicted = [0.6 * t + 60 + rng.gauss(0, 42) for t in true]
    base = digits("held")
    held = replace(
        base.decision,
        model="diabetes progression",
        version="2",
        task="regression",
        metric="rmse",
        quality=Interval(54.2, 50.1, 58.9),
        selected="pruned 0.5",
        test_rows=1330,
        size_bytes=9_840,
        reason="Not enough evidence: on 1330 test rows a loss of 1 % of the champion's RMSE can't be ruled out.",
        rows_needed=8200,
        latency_ms=Interval(0.0093, 0.0091, 0.0097),
        speedup=Interval(1.02, 0.97, 1.08),
    )
    given = (
        candidate("uncompressed", "front", 53.1, 61_300, 0.0095, reference=0.0095, half=2.2),
        candidate("pruned 0.5", "not faster", 53.4, 9_840, 0.0093, reference=0.0095, half=2.3),
        candidate("int8 static", "refused for quality", 58.8, 18_400, 0.0089, reference=0.0095, half=2.5),
    )
    curve = training(40)
    return replace(
        base,
        decision=held,
        comparison=Comparison(
            against="champion",
            name="champion, version 1",
            gain=Interval(-0.006, -0.022, 0.010),
            limit=-0.01,
            answer="not enough evidence",
        ),
        front=replace(front(), candidates=given, selected="pruned 0.5", objective="size", quality_limit=54.1),
        training=(
            replace(
                curve,
                metric_name="rmse",
                metric=(Curve(name="validation", values=tuple(150 * math.exp(-e / 6) + 53 for e in range(40))),),
            ),
        ),
        scores=(
            Score(metric="rmse", selected=held.quality, uncompressed=around(53.9, 4)),
            Score(metric="mae", selected=around(43.2, 3), uncompressed=around(43.0, 3)),
            Score(metric="r2", selected=around(0.49, 0.06), uncompressed=around(0.5, 0.06)),
        ),
        confusion=None,
        class_scores=(),
        confused=(),
        calibration=None,
        per_class=None,
        quantization=(),
        residuals=Residuals(target="progression", true=tuple(true), predicted=tuple(predicted)),
        baselines=(
            Baseline(name="constant", quality=around(77.0, 4)),
            Baseline(name="ridge regression", quality=around(54.9, 4)),
            Baseline(name="gradient boosting", quality=around(57.5, 4)),
        ),
        parity=Parity(
            batches=tuple(BatchParity(batch_size=b, max_abs_diff=d) for b, d in ((1, 3e-5), (32, 2.2e-4))),
            rows=256,
            tolerance=1e-4,
        ),
        data=replace(data(()), classes=()),
    )


def many() -> Page:
    """Forty candidates, 100 classes with long names, 60 layers, two trainings."""
    rng = random.Random(5)
    made = [candidate("uncompressed", "front", 0.9312, 11_200_000, 12.4, reference=12.4)]
    verdicts: list[Verdict] = ["dominated", "dominated", "dominated", "not faster", "refused for quality"]
    for index in range(39):
        ratio = 0.1 + 0.8 * rng.random()
        latency = 12.4 * (1.15 - ratio) * (0.35 if index % 3 == 0 else 1) * rng.uniform(0.9, 1.15)
        accuracy = 0.934 - 0.05 * ratio**3 - (0.004 if index % 3 == 0 else 0) + rng.gauss(0, 0.002)
        verdict: Verdict = "front" if index % 7 == 0 else rng.choice(verdicts)
        method = ("int8 static", "int8 dynamic", "float32")[index % 3]
        made.append(
            candidate(
                f"pruned {ratio:.2f} + distilled + {method}",
                verdict,
                accuracy,
                int(11_200_000 * (1 - ratio) ** 2 * (0.25 if index % 3 == 0 else 1)),
                latency,
                reference=12.4,
                half=0.004,
                runtime=("onnxruntime", "openvino")[index % 2],
            )
        )
    chosen = made[1]
    names = tuple(
        f"{a} {b}"
        for a in ("large", "small", "striped", "spotted", "northern", "southern", "grey", "red", "young", "old")
        for b in (
            "warbler",
            "woodpecker",
            "kingfisher",
            "oystercatcher",
            "lapwing",
            "owl",
            "tern",
            "wren",
            "kite",
            "ibis",
        )
    )
    base = digits("refused")
    return replace(
        base,
        decision=replace(
            base.decision,
            model="birds-of-the-northern-hemisphere-large",
            version="17",
            selected=chosen.name,
            size_bytes=chosen.size_bytes,
            uncompressed_size_bytes=11_200_000,
        ),
        front=replace(front(), candidates=tuple(made), selected=chosen.name, quality_limit=0.9212),
        training=(training(300), replace(training(20), title="Fine-tuning after pruning 0.5", best_epoch=20)),
        confusion=None,  # too many classes
        class_scores=class_scores(confusion(names)),
        confused=confused(confusion(names)),
        per_class=per_class(names),
        data=data(names),
        quantization=tuple(
            LayerError(name=f"stage{i // 15}.block{i % 15}.conv_with_a_long_name", sqnr_db=rng.uniform(9, 44))
            for i in range(60)
        ),
    )


def a_dozen() -> Page:
    """Twelve classes: more than fit into a matrix with its counts on a small screen."""
    return of_classes(confusion(tuple(f"kind {letter}" for letter in "ABCDEFGHIJKL")))


def letters() -> Page:
    """Forty classes, one of which the model never says."""
    found = confusion(tuple(f"letter {number}" for number in range(40)), rows=400)
    counts = tuple((*counts[:-2], counts[-2] + counts[-1], 0) for counts in found.counts)
    return of_classes(replace(found, counts=counts))


def of_classes(found: Confusion) -> Page:
    """The page of digits with other classes."""
    return replace(
        digits(),
        confusion=found,
        class_scores=class_scores(found),
        confused=confused(found),
        per_class=per_class(found.classes),
        data=data(found.classes),
    )


def names(number: int = 10) -> Page:
    """Ten classes with long names, one of them hostile."""
    words = (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "<script>alert(1)</script>",
        "Bag",
        "Ankle boot",
    )[:number]
    base = digits()
    return replace(
        base,
        decision=replace(base.decision, model="<script>alert('model')</script>"),
        confusion=confusion(words),
        class_scores=class_scores(confusion(words)),
        confused=confused(confusion(words)),
        per_class=per_class(words),
        data=data(words),
    )


def least() -> Page:
    return Page(decision=decision("passed", version=""))


PAGES = {
    "digits": digits,
    "held": lambda: digits("held"),
    "refused": lambda: digits("refused"),
    "binary": binary,
    "regression": regression,
    "many": many,
    "dozen": a_dozen,
    "letters": letters,
    "names": names,
    "least": least,
}
