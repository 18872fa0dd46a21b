# ruff: noqa: RUF001 - minus signs, dashes and multiplication signs are what is shown
"""Parts of the page of an invented release."""

import math
import random
from typing import Literal

from components.evaluation.interval import Interval
from components.report.page import (
    Bin,
    Calibration,
    Candidate,
    Check,
    ClassChange,
    ClassScore,
    ClassShare,
    Confused,
    Confusion,
    Curve,
    Data,
    Decision,
    Fact,
    Front,
    LayerError,
    LayerSize,
    Link,
    Outcome,
    Part,
    PerClass,
    Timing,
    Training,
    Verdict,
)

ENVIRONMENT = (
    Fact(name="Processor", value="Intel Xeon Platinum 8488C, AVX-512 VNNI"),
    Fact(name="Threads", value="1"),
    Fact(name="Memory", value="7.6 GB"),
    Fact(name="System", value="Linux 6.1, glibc 2.36"),
    Fact(name="Python", value="3.11.9"),
    Fact(name="torch", value="2.13.0"),
    Fact(name="onnxruntime", value="1.32.0"),
    Fact(name="numpy", value="2.4.6"),
)


def around(value: float, half: float) -> Interval:
    return Interval(value, value - half, value + half)


def decision(outcome: Outcome = "passed", *, model: str = "digits", version: str = "4") -> Decision:
    reasons: dict[Outcome, str] = {
        "passed": "Not worse than the champion by more than 1 point, shown at 95 % confidence on 359 test rows.",
        "held": "Not enough evidence: on 359 test rows a loss of 1 point can't be ruled out.",
        "refused": "Worse than the champion by more than the margin.",
    }
    return Decision(
        outcome=outcome,
        model=model,
        version=version,
        date="22 November 2026, 17:40 UTC",
        reason=reasons[outcome],
        task="classification",
        metric="accuracy",
        quality=Interval(0.9889, 0.9777, 0.9972),
        test_rows=359,
        selected="pruned 0.5 + int8 static",
        size_bytes=51_240,
        latency_ms=Interval(0.0412, 0.0405, 0.0421),
        batch_size=1,
        speedup=Interval(3.21, 3.05, 3.38),
        uncompressed_size_bytes=402_118,
        rows_needed=1620 if outcome == "held" else None,
        run="5f0c2a81",
    )


def candidate(
    name: str,
    verdict: Verdict,
    quality: float,
    size: int,
    latency: float,
    *,
    reference: float = 0.132,
    half: float = 0.008,
    runtime: str = "onnxruntime",
) -> Candidate:
    def timing(batch: int, value: float, base: float) -> Timing:
        speedup = None if name == "uncompressed" else around(base / value, 0.06 * base / value)
        return Timing(batch_size=batch, latency_ms=around(value, 0.03 * value), speedup=speedup)

    timings = (timing(1, latency, reference), timing(32, latency * 14, reference * 15))
    high = min(quality + half, 1.0) if quality <= 1 else quality + half
    return Candidate(
        name=name,
        verdict=verdict,
        quality=Interval(quality, quality - half, high),
        size_bytes=size,
        timings=timings,
        runtime=runtime,
    )


def front() -> Front:
    return Front(
        candidates=(
            candidate("uncompressed", "front", 0.9926, 402_118, 0.132),
            candidate("pruned 0.3", "dominated", 0.9888, 214_004, 0.095),
            candidate("pruned 0.5", "front", 0.9912, 121_882, 0.071),
            candidate("pruned 0.8", "refused for quality", 0.9665, 32_450, 0.035),
            candidate("int8 static", "front", 0.9919, 112_390, 0.062),
            candidate("int8 dynamic", "not faster", 0.9924, 118_400, 0.138),
            candidate("pruned 0.5 + int8 static", "front", 0.9902, 51_240, 0.0412),
        ),
        selected="pruned 0.5 + int8 static",
        uncompressed="uncompressed",
        batch_size=1,
        objective="latency",
        reason="the fastest of 4 within the limit (accuracy 0.9826)",
        quality_limit=0.9826,
    )


def training(epochs: int = 60) -> Training:
    rng = random.Random(1)
    fall = [2.3 * math.exp(-e / 7) + 0.01 for e in range(epochs)]
    validation = [v + 0.03 + 0.0006 * e + rng.gauss(0, 0.006) for e, v in enumerate(fall)]
    accuracy = [0.9926 - 0.75 * math.exp(-e / 5) + rng.gauss(0, 0.0015) for e in range(epochs)]
    return Training(
        title="Training",
        loss=(Curve(name="train", values=tuple(fall)), Curve(name="validation", values=tuple(validation))),
        metric=(Curve(name="validation", values=tuple(accuracy)),),
        metric_name="accuracy",
        best_epoch=int(epochs * 0.7),
        facts=(
            Fact(name="Time", value="14.2 s"),
            Fact(name="Rows per second", value="11 400"),
            Fact(name="Device", value="CPU, 1 thread"),
            Fact(name="Parameters", value="98 442"),
        ),
    )


def confusion(classes: tuple[str, ...], *, rows: int = 36, seed: int = 0) -> Confusion:
    rng = random.Random(seed)
    counts = [[0] * len(classes) for _ in classes]
    for row in range(len(classes)):
        counts[row][row] = rows - 2 - rng.randrange(4)
        for _ in range(rng.randrange(3)):
            counts[row][rng.randrange(len(classes))] += 1
    return Confusion(classes=classes, counts=tuple(map(tuple, counts)))


def class_scores(confusion: Confusion) -> tuple[ClassScore, ...]:
    made = []
    for place, name in enumerate(confusion.classes):
        hits, rows = confusion.counts[place][place], sum(confusion.counts[place])
        said = sum(counts[place] for counts in confusion.counts)
        figures = {
            "precision": hits / max(said, 1),
            "recall": hits / max(rows, 1),
            "f1": 2 * hits / max(said + rows, 1),
        }
        made.append(ClassScore(name=name, rows=rows, predicted=said, **figures))
    return tuple(made)


def confused(confusion: Confusion) -> tuple[Confused, ...]:
    names = confusion.classes
    wrong = [
        Confused(actual=names[row], predicted=names[column], rows=count, of=sum(counts))
        for row, counts in enumerate(confusion.counts)
        for column, count in enumerate(counts)
        if row != column and count
    ]
    return tuple(sorted(wrong, key=lambda one: -one.rows)[:20])


def per_class(classes: tuple[str, ...], *, seed: int = 0) -> PerClass:
    rng = random.Random(seed)
    return PerClass(
        before="champion, version 3",
        changes=tuple(
            ClassChange(
                name=name, rows=36, before=min(1, max(0, rng.gauss(0.98, 0.012))), after=min(1, rng.gauss(0.985, 0.014))
            )
            for name in classes
        ),
    )


def calibration() -> Calibration:
    return Calibration(
        error=0.0121,
        bins=tuple(
            Bin(confidence=0.35 + 0.065 * i, accuracy=min(0.3 + 0.07 * i + 0.03 * math.sin(i), 1.0), rows=rows)
            for i, rows in enumerate((2, 3, 3, 5, 4, 8, 10, 14, 32, 278))
        ),
    )


def data(classes: tuple[str, ...]) -> Data:
    return Data(
        parts=(Part(name="train", rows=1079), Part(name="validation", rows=359), Part(name="test", rows=359)),
        classes=tuple(ClassShare(name=c, rows=(108 - i, 36, 35 + i % 3)) for i, c in enumerate(classes)),
        facts=(
            Fact(name="Source", value="data/digits"),
            Fact(name="Split", value="stratified, seed 0"),
            Fact(name="Columns", value="image (8 × 8, grey), label"),
            Fact(name="Exact duplicates", value="0"),
            Fact(name="Set aside", value="0 rows"),
        ),
    )


def provenance() -> tuple[Link, ...]:
    rng = random.Random(7)
    details = {
        "data": "data/digits, DVC d41d8cd98f00b204",
        "split": "stratified, seed 0",
        "code": "84 modules",
        "checkpoint": "epoch 42, seed 0",
        "candidate": "pruned 0.5 + int8 static",
        "onnx": "51.2 kB, opset 20",
        "gate": "yes",
    }
    return tuple(Link(name=n, digest=f"sha256:{rng.getrandbits(256):064x}", detail=d) for n, d in details.items())


def checks(outcome: Outcome) -> tuple[Check, ...]:
    answer: dict[Outcome, Literal["yes", "no", "not enough evidence"]] = {
        "passed": "yes",
        "held": "not enough evidence",
        "refused": "no",
    }
    return (
        Check(
            name="Not worse in accuracy",
            answer=answer[outcome],
            detail="Difference +0.3 points (−0.6 to +1.2); down to −1.0 points is allowed.",
        ),
        Check(name="No class lost", answer="yes", detail="Worst: class 8, −2.8 points (−8.1 to +2.2); −10 allowed."),
        Check(name="Not slower", answer="yes", detail="0.98× the champion's latency (0.95–1.01); up to 1.2× allowed."),
        Check(name="Not larger", answer="yes", detail="1.00× the champion's size; up to 1.5× allowed."),
        Check(name="Looks at this test split", answer="yes", detail="This is the 3rd."),
    )


NETWORK = tuple(
    LayerSize(name=name, kind=kind, outputs_before=before, outputs_after=after, bytes_before=large, bytes_after=small)
    for name, kind, before, after, large, small in (
        ("stem.0", "conv 3x3", 32, 16, 1_152, 576),
        ("body.3", "conv 3x3", 64, 32, 73_728, 18_432),
        ("head", "linear", 10, 10, 2_560, 1_280),
    )
)
LAYERS = tuple(
    LayerError(name=name, sqnr_db=value)
    for name, value in [
        ("stem.conv", 38.2),
        ("stage1.0.conv1", 34.9),
        ("stage1.0.conv2", 33.1),
        ("stage2.0.conv1", 29.4),
        ("stage2.0.conv2", 31.7),
        ("stage3.0.conv1", 24.2),
        ("stage3.0.conv2", 18.6),
        ("classifier", 41.0),
    ]
)
DIGITS = tuple("0123456789")
