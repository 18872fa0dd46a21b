"""What of the stages' outputs the report is given."""

import numpy as np
import pytest

from components.data.config import ColumnKind, DataConfig, SplitConfig
from components.data.splitting.purposes import PARTS
from components.evaluation.config import EvaluateConfig
from components.evaluation.interval import Interval
from components.evaluation.metrics import FULL_CONFUSION, evaluate
from components.gate.judgement import Comparison as Compared
from components.gate.judgement import Judgement
from components.models.config import MLP
from components.recipe import Recipe
from components.report.page import ClassScore, Column, Confused, Fact
from components.store.artifact import Artifact
from tasks.ingest import Dataset
from tasks.page import _class_scores, _comparison, _confused, _confusion, _data, _simple, _way
from tasks.split import Splits

FILE = Artifact(digest="0" * 64, kind="file", size_bytes=1, name="file")


def test_classes_that_are_numbers_stand_in_their_order() -> None:
    columns = DataConfig(source="", target="y", columns={"x": "number", "y": "category"})
    data = Dataset(folder=FILE, dvc_file=FILE, dvc_md5="", rows=3, source="", quarantined=0, quarantine=None)
    splits = Splits(
        dataset=data,
        assignments=FILE,
        previous=None,
        rows=dict.fromkeys(PARTS, 6),
        classes={part: {"10": 3, "2": 2, "1": 1} for part in PARTS},
        copies=0,
        in_train={"validation": 0, "test": 0},
    )
    shown = _data(Recipe(model="m", task="classification", data=columns, network=MLP()), splits)
    assert [(one.name, one.rows[0]) for one in shown.classes] == [("1", 1), ("2", 2), ("10", 3)]


@pytest.mark.parametrize(
    ("split", "said"),
    [
        (SplitConfig(method="stratified", seed=3), "stratified, seed 3"),
        (SplitConfig(method="hash", group="patient"), "hash, seed 0, by patient"),
        (
            SplitConfig(method="time", time_column="day", validation_from="2026-01-01", test_from="2026-02-01"),
            "time, by day: validation from 2026-01-01, test from 2026-02-01",
        ),
    ],
)
def test_the_report_says_how_the_rows_were_split(split: SplitConfig, said: str) -> None:
    assert _way(split) == said


def test_simple_models_have_names_to_read() -> None:
    assert [_simple(name, "age") for name in ("gradient_boosting", "one_column")] == ["gradient boosting", "age alone"]


@pytest.mark.parametrize(
    ("copies", "in_train", "said"),
    [
        (0, 0, "none"),
        (2, 0, "2; none of validation or test also in train"),
        (1200, 3, "1,200; 3 of test also in train"),
    ],
)
def test_what_is_said_of_the_rows_is_what_ingest_and_split_found(copies: int, in_train: int, said: str) -> None:
    kinds: dict[str, ColumnKind] = {"id": "ignore", "x": "number", "y": "category"}
    data = Dataset(
        folder=FILE,
        dvc_file=FILE,
        dvc_md5="",
        rows=18,
        source="",
        quarantined=0,
        quarantine=None,
        missing={"x": 2},
    )
    splits = Splits(
        dataset=data,
        assignments=FILE,
        previous=None,
        rows=dict.fromkeys(PARTS, 6),
        classes={part: {"1": 6} for part in PARTS},
        copies=copies,
        in_train={"validation": 0, "test": in_train},
    )
    recipe = Recipe(
        model="m", task="classification", data=DataConfig(source="", target="y", columns=kinds), network=MLP()
    )
    shown = _data(recipe, splits)
    assert Fact(name="exact copies of others", value=said) in shown.facts
    assert shown.columns == (
        Column(name="id", kind="ignore"),
        Column(name="x", kind="number", missing=2),
        Column(name="y", kind="category", target=True),
    )


@pytest.mark.parametrize(("shown", "worse", "answer"), [(True, False, "yes"), (False, True, "no")])
def test_the_comparison_has_its_own_outcome_whatever_the_gate_decided(shown: bool, worse: bool, answer: str) -> None:
    """A release that is 24 points better, and refused for its size."""
    judgement = Judgement(
        decision="no",
        reason="",
        task="classification",
        metric="accuracy",
        challenger="m",
        champion="m 1",
        margin=0.01,
        confidence=0.9,
        rows=100,
        looks=0,
        comparison=Compared(difference=Interval(0.24, 0.2, 0.28), shown=shown, worse=worse),
    )
    weighed = _comparison(judgement)
    assert weighed is not None
    assert (weighed.answer, weighed.confidence, weighed.limit) == (answer, 0.9, -0.01)


def test_every_class_has_its_figures_and_its_confusions_however_many_classes_there_are() -> None:
    """More than there is a matrix of."""
    number = FULL_CONFUSION + 2
    target = np.append(np.arange(number).repeat(2), [5, 5])
    output = np.eye(number)[np.where(target == 3, 5, target)]
    measured = evaluate(
        EvaluateConfig(resamples=100),
        task="classification",
        target=target,
        output=output,
        classes=[f"c{place}" for place in range(number)],
        seed=0,
    )
    assert _confusion(measured) is None
    assert _confused(measured) == (Confused(actual="c3", predicted="c5", rows=2, of=2),)
    scores = _class_scores(measured)
    assert scores[3] == ClassScore(name="c3", rows=2, predicted=0, precision=0, recall=0, f1=0)
    assert scores[5] == ClassScore(
        name="c5", rows=4, predicted=6, precision=pytest.approx(2 / 3), recall=1, f1=pytest.approx(0.8)
    )
