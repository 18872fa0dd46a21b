"""The tables of classes, in words: how well each is told apart, what it is taken for, and its rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from components.report import wording
from components.report.page import ClassScore, Confused, Data

CONFUSIONS: Final = 18  # shown
BESIDE: Final = 12  # shown beside a matrix
CLASSES: Final = 30  # shown of the split
SCORES: Final = 12  # classes whose figures are shown; of more, the worst, and others are folded
FOLDED: Final = 500  # classes at most: a page of thousands would be slow


# How well each class is told apart ------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoredRow:
    """The figures of a class as the table shows them."""

    name: str
    rows: str
    precision: str
    recall: str
    f1: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoredClasses:
    """The table: what is shown, what is folded, and what it says of both."""

    caption: str
    shown: tuple[ScoredRow, ...]
    folded: tuple[ScoredRow, ...]
    left_out: int


def scored_classes(scores: Sequence[ClassScore]) -> ScoredClasses:
    """Return few classes in their order, and of many the worst first."""
    many = len(scores) > SCORES
    order = sorted(scores, key=lambda one: (one.rows + one.predicted == 0, one.f1)) if many else scores
    rows = [_scored(one) for one in order]
    caption = "This model's figures for each class on test" + (", the worst F1 first." if many else ".")
    if any(wording.DASH in (row.precision, row.recall) for row in rows):
        caption += f" {wording.DASH} where no row is of the class, or none was said to be."
    return ScoredClasses(
        caption=caption,
        shown=tuple(rows[:SCORES]),
        folded=tuple(rows[SCORES:FOLDED]),
        left_out=max(len(rows) - FOLDED, 0),
    )


def _scored(one: ClassScore) -> ScoredRow:
    return ScoredRow(
        name=one.name,
        rows=wording.count(one.rows),
        precision=wording.percent(one.precision) if one.predicted else wording.DASH,
        recall=wording.percent(one.recall) if one.rows else wording.DASH,
        f1=wording.percent(one.f1) if one.rows or one.predicted else wording.DASH,
    )


# What it is taken for -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """Two classes that are taken for one another."""

    actual: str
    predicted: str
    words: str
    share: float


def largest_confusions(confused: Sequence[Confused], *, beside: bool) -> list[Pair]:
    """Return the pairs of classes that are mistaken most often, fewer `beside` the matrix."""
    return [
        Pair(
            actual=one.actual,
            predicted=one.predicted,
            words=f"{wording.count(one.rows)} of {wording.count(one.of)}",
            share=100 * one.rows / one.of,
        )
        for one in confused[: BESIDE if beside else CONFUSIONS]
    ]


def confusions_words(scores: Sequence[ClassScore]) -> str:
    """Say how many rows are wrong, of how many classes."""
    rows = sum(one.rows for one in scores)
    right = sum(round(one.recall * one.rows) for one in scores)
    return (
        f"{wording.plural(rows - right, 'row')} of {wording.count(rows)} are wrong, among {len(scores)} classes. "
        "Actual class → what the model said, and how many of the actual class's rows that is."
    )


# Its rows -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassCell:
    """Rows of a class in a part, and their share of it."""

    rows: int
    share: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassRow:
    """A class in each part."""

    name: str
    cells: tuple[ClassCell, ...]


def class_rows(data: Data) -> list[ClassRow]:
    """Return the classes with their rows in each part; of many, the largest."""
    kept = data.classes
    if len(kept) > CLASSES:
        kept = tuple(sorted(kept, key=lambda c: (-sum(c.rows), c.name))[:CLASSES])
    return [
        ClassRow(
            name=c.name,
            cells=tuple(
                ClassCell(rows=rows, share=wording.percent(rows / (part.rows or 1)))
                for rows, part in zip(c.rows, data.parts, strict=True)
            ),
        )
        for c in kept
    ]
