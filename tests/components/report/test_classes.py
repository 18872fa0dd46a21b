"""What the report says of single classes, and of how sure the model is."""

import re
from dataclasses import replace
from itertools import pairwise

import pytest

from components.report.calibration_plot import calibration_chart, joined
from components.report.class_rows import FOLDED, SCORES, confusions_words, largest_confusions, scored_classes
from components.report.confusion_plot import confusion_chart
from components.report.marks import Chart, Path, Text
from components.report.page import Bin, Calibration, ClassScore, Confused, Confusion, Page
from components.report.report import LARGEST_MATRIX, render
from components.report.wording import DASH
from tests.components.report.pages import a_dozen, binary, digits, letters, many


def score(name: str, f1: float, *, rows: int = 10, predicted: int = 10) -> ClassScore:
    return ClassScore(name=name, rows=rows, predicted=predicted, precision=f1, recall=f1, f1=f1)


def section(html: str) -> str:
    return html.partition('<section id="answers">')[2].partition("</section>")[0]


def texts(chart: Chart, kind: str) -> list[list[str]]:
    return [[m.text for m in one.marks if isinstance(m, Text) and m.kind.startswith(kind)] for one in chart.drawings]


def test_few_classes_have_their_figures_in_their_order() -> None:
    page = binary()
    table = scored_classes(page.class_scores)
    assert [(row.name, row.rows) for row in table.shown] == [("malignant (M)", "42"), ("benign (B)", "72")]
    text = section(render(page)).replace("\N{NARROW NO-BREAK SPACE}", "")
    row = '<tr><td>malignant (M)</td><td class="n">42</td><td class="n">97.5%</td><td class="n">92.9%</td>'
    assert row + '<td class="n">95.1%</td></tr>' in text


def test_of_many_classes_the_worst_come_first_and_others_are_folded() -> None:
    scores = [score(f"c{place}", 1 - place / 2000) for place in range(1000)]
    table = scored_classes(scores)
    assert [row.name for row in table.shown] == [f"c{place}" for place in range(999, 999 - SCORES, -1)]
    assert (len(table.folded), table.left_out) == (FOLDED - SCORES, 1000 - FOLDED)
    html = render(replace(many(), class_scores=tuple(scores)))
    assert "500 better classes" in html.replace("\N{NARROW NO-BREAK SPACE}", " ")
    assert len(html.encode()) < 500_000


def test_a_figure_that_is_not_defined_is_a_dash_and_the_class_is_not_the_worst() -> None:
    unseen = score("unseen", 0.0, rows=0, predicted=0)
    unsaid = score("unsaid", 0.0, predicted=0)
    table = scored_classes([unseen, unsaid, *(score(f"c{place}", 0.9) for place in range(SCORES))])
    assert (table.shown[0].name, table.shown[0].precision, table.shown[0].recall[:3]) == ("unsaid", DASH, "0.0")
    assert (table.folded[-1].name, table.folded[-1].f1) == ("unseen", DASH)
    assert f"{DASH} where no row" in table.caption
    assert f"{DASH} where" not in scored_classes([score("a", 0.5)]).caption


def test_a_matrix_is_drawn_of_up_to_forty_classes_with_the_largest_confusions_beside_it() -> None:
    for page, matrix, pairs in ((digits(), True, False), (a_dozen(), True, True), (letters(), True, True)):
        html = section(render(page))
        assert ("Confusion matrix" in html, "Largest confusions" in html) == (matrix, pairs)
    html = section(render(many()))
    assert ("Confusion matrix" in html, "Largest confusions" in html) == (False, True)
    assert len(letters().class_scores) == LARGEST_MATRIX


def test_a_cell_shows_its_share_of_the_actual_class() -> None:
    """Three of 42 malignant ones were missed, of 74 that were said to be benign."""
    found = binary().confusion
    assert found is not None
    for drawing in confusion_chart(found).drawings:
        cells = {mark.tip: mark.strength for mark in drawing.marks if isinstance(mark, Path) and mark.tip}
        missed = "actual malignant (M), predicted benign (B): 3 (7.1%)"
        assert {tip.replace("\N{NARROW NO-BREAK SPACE}", ""): strength for tip, strength in cells.items()} == {
            "actual malignant (M), predicted malignant (M): 39 (92.9%)": round(0.12 + 0.88 * 39 / 42, 2),
            missed: round(0.12 + 0.88 * (3 / 42) ** 0.5, 2),
            "actual benign (B), predicted malignant (M): 1 (1.4%)": round(0.12 + 0.88 * (1 / 72) ** 0.5, 2),
            "actual benign (B), predicted benign (B): 71 (98.6%)": round(0.12 + 0.88 * 71 / 72, 2),
        }


def test_a_count_that_has_no_room_in_its_cell_is_in_its_tooltip() -> None:
    found = letters().confusion
    assert found is not None
    for drawing, counts in zip(confusion_chart(found).drawings, texts(confusion_chart(found), "count"), strict=True):
        tips = [mark.tip for mark in drawing.marks if isinstance(mark, Path) and mark.tip]
        assert counts == []
        assert len(tips) == sum(count > 0 for row in found.counts for count in row)
        assert f"actual letter 0, predicted letter 0: {found.counts[0][0]}" in tips[0]


@pytest.mark.parametrize("number", [12, 20, 40])
def test_names_of_a_matrix_lie_apart(number: int) -> None:
    names = tuple(f"name {place}" for place in range(number))
    counts = tuple(tuple(700 if row == column else 0 for column in range(number)) for row in range(number))
    for drawing in confusion_chart(Confusion(classes=names, counts=counts)).drawings:
        downs = [m.y for m in drawing.marks if isinstance(m, Text) and m.text.startswith("name") and not m.turn]
        assert min(b - a for a, b in pairwise(downs)) >= 11
        counted = [m for m in drawing.marks if isinstance(m, Text) and m.kind.startswith("count")]
        assert all(m.text == "700" for m in counted), "never in thousands that say 1k of 700"


def test_a_matrix_of_truth_values_says_actual_and_not_true() -> None:
    chart = confusion_chart(Confusion(classes=("false", "true"), counts=((3, 1), (2, 5))))
    assert texts(chart, "axis-name") == [["predicted", "actual"]] * 2
    tips = [mark.tip for mark in chart.drawings[0].marks if isinstance(mark, Path)]
    assert any(tip.startswith("actual true, predicted false: 2") for tip in tips)
    assert not any("true true" in tip for tip in tips)


def test_the_largest_confusions_are_in_words() -> None:
    found = largest_confusions([Confused(actual="b", predicted="a", rows=9, of=12)], beside=True)
    assert [(pair.actual, pair.predicted, pair.words, pair.share) for pair in found] == [("b", "a", "9 of 12", 75)]
    scores = [
        ClassScore(name="a", rows=8, predicted=9, precision=0.5, recall=5 / 8, f1=0.5),
        ClassScore(name="b", rows=12, predicted=3, precision=1, recall=3 / 12, f1=0.4),
    ]
    assert confusions_words(scores).startswith("12 rows of 20 are wrong, among 2 classes.")


@pytest.mark.parametrize(("page", "few"), [(digits(), True), (a_dozen(), False), (letters(), False)])
def test_both_columns_of_the_answers_are_used(page: Page, few: bool) -> None:
    """Few classes have no confusions in the right column, so that their figures stand there."""
    html = section(render(page))
    left, right = html.split('<div class="stack">')[1:]
    assert "All figures" in right
    assert "Confusion matrix" in left
    assert ("F1 of each class" in right) is few
    assert ("F1 of each class" in left) is not few


# How sure ------------------------------------------------------------------------------------------------------------

BINS = (
    Bin(confidence=0.3, accuracy=0.0, rows=1),
    Bin(confidence=0.4, accuracy=1.0, rows=3),
    Bin(confidence=0.5, accuracy=0.5, rows=6),
    Bin(confidence=0.8, accuracy=0.75, rows=20),
    Bin(confidence=0.95, accuracy=1.0, rows=4),
)


def test_dots_of_hardly_any_rows_are_joined() -> None:
    found = joined(BINS)
    assert [one.rows for one in found] == [10, 24]
    assert found[0].confidence == pytest.approx((0.3 + 3 * 0.4 + 6 * 0.5) / 10)
    assert found[1].accuracy == pytest.approx((15 + 4) / 24)
    assert joined(BINS[:2]) == [Bin(confidence=pytest.approx(0.375), accuracy=0.75, rows=4)]


def test_calibration_has_intervals_and_no_line_from_dot_to_dot() -> None:
    calibration = Calibration(bins=BINS, error=0.1)
    chart = calibration_chart(calibration, confidence=0.95)
    assert "fewer than 10 rows are one dot with the next" in chart.caption
    for drawing in chart.drawings:
        kinds = [mark.kind for mark in drawing.marks if isinstance(mark, Path)]
        assert not any("curve" in kind for kind in kinds)
        assert sum("whisker" in kind for kind in kinds) == 2
    copies = calibration_chart(calibration, confidence=0.95, independent=0.5)
    lengths = []
    for one in (chart, copies):
        tip = next(m.tip for m in one.drawings[1].marks if isinstance(m, Path) and m.tip)
        low, high = map(float, re.findall(rf"\(([\d.]+){DASH}([\d.]+)", tip)[0])
        lengths.append(high - low)
    assert lengths[1] > lengths[0], "copies tell less"


def test_the_axis_name_of_calibration_lies_above_every_dot() -> None:
    sure = Calibration(bins=(Bin(confidence=0.12, accuracy=1.0, rows=90),), error=0.5)
    for drawing in calibration_chart(sure, confidence=0.95).drawings:
        (name,) = (m for m in drawing.marks if isinstance(m, Text) and m.text == "how often right")
        (dot,) = (m for m in drawing.marks if isinstance(m, Path) and m.tip)
        found = re.match(r"M([\d.]+) ([\d.]+)a([\d.]+)", dot.d)
        assert found is not None
        assert name.y + 3 < float(found[2]) - float(found[3])
