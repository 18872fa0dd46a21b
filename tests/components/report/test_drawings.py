"""Where marks and words lie on a chart."""

import math
from dataclasses import replace
from itertools import combinations

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from matplotlib import get_data_path
from PIL import ImageFont

from components.report.front_plot import front_chart
from components.report.marks import Box, Drawing, Label, Path, Text, log_ticks, placed, round_ticks, shortened, width_of
from components.report.page import Curve, Training
from components.report.plots import curves_chart, within
from components.task import Metric
from tests.components.report.pages import many
from tests.components.report.parts import candidate, front, training


def begins(drawing: Drawing, kind: str) -> list[float]:
    """How far from the left each line of that kind begins, in pixels."""
    return [float(mark.d[1:].split()[0]) for mark in drawing.marks if isinstance(mark, Path) and kind in mark.kind]


def test_labels_of_forty_candidates_lie_neither_on_one_another_nor_outside() -> None:
    page = many()
    assert page.front is not None
    for drawing in front_chart(page.front, metric="accuracy").drawings:
        labels = [mark for mark in drawing.marks if isinstance(mark, Text) and mark.kind.startswith("label")]
        boxes = [Box(left=m.x, top=m.y - 9, right=m.x + width_of(m.text) * 0.9, bottom=m.y + 2) for m in labels]
        assert any("strong" in mark.kind for mark in labels)
        assert all(one.overlap(other) == 0 for one, other in combinations(boxes, 2))
        assert all(box.left >= 0 and box.right <= drawing.width for box in boxes)


def test_few_candidates_are_all_named_and_none_is_hidden_by_a_larger_mark() -> None:
    """Two of nearly one latency, one with a long whisker."""
    given = (
        candidate("uncompressed", "front", 0.75, 99_000, 0.0358),
        candidate("int8-static", "dominated", 0.75, 39_000, 0.0359),
        candidate("pruned-50", "front", 0.75, 37_000, 0.0326),
        candidate("pruned-50+int8-static", "front", 0.75, 21_000, 0.034),
    )
    timing = given[1].timings[0]
    restless = replace(timing, latency_ms=replace(timing.latency_ms, high=0.09))
    given = (given[0], replace(given[1], timings=(restless,)), *given[2:])
    chart = front_chart(
        replace(front(), candidates=given, selected="pruned-50", quality_limit=0.745), metric="accuracy"
    )
    assert "A whisker that meets the edge goes on." in chart.caption
    for drawing in chart.drawings:
        texts = [mark for mark in drawing.marks if isinstance(mark, Text)]
        names = [mark.text for mark in texts if mark.kind.startswith("label")]
        assert len(names) == len(given), drawing.fits
        marks = [mark.tip.partition(":")[0] for mark in drawing.marks if not isinstance(mark, Text) and mark.tip]
        assert marks == ["uncompressed", "int8-static", "pruned-50", "pruned-50+int8-static"], "small ones on top"
        places = sorted(begins(drawing, "whisker"))
        assert places[-1] - places[0] > 0.4 * drawing.width, "the long whisker doesn't press the marks together"


def true_box(text: Text) -> Box:
    """Where a label lies in a browser whose font is DejaVu Sans, one of the widest."""
    strong = "strong" in text.kind
    file = get_data_path() + f"/fonts/ttf/DejaVuSans{'-Bold' if strong else ''}.ttf"
    wide = ImageFont.truetype(file, 100).getlength(text.text) * (12.5 if strong else 12) / 100
    return Box(left=text.x, top=text.y - 9, right=text.x + wide, bottom=text.y + 2)


def test_no_whisker_crosses_the_words_of_the_limit() -> None:
    """The last candidate's whisker stands where the words would be."""
    given = tuple(candidate(f"c{place}", "front", 0.98, 9_000, 0.03 + 0.01 * place, half=0.05) for place in range(3))
    found = replace(front(), candidates=given, selected="c0", uncompressed="c2", quality_limit=0.96)
    for drawing in front_chart(found, metric="accuracy").drawings:
        (words,) = (mark for mark in drawing.marks if isinstance(mark, Text) and mark.kind.startswith("limit-name"))
        uprights = begins(drawing, "whisker")[::2]  # each candidate has one, then one that lies
        wide = width_of(words.text, font=11.5)
        left = words.x - wide if words.anchor == "end" else words.x
        assert not any(left < at < left + wide for at in uprights), drawing.fits


@given(st.floats(-1e9, 1e9), st.floats(1e-9, 1e9), st.integers(2, 10))
def test_round_ticks_lie_inside_and_are_few(low: float, span: float, wanted: int) -> None:
    assume(span > 1e-9 * abs(low))  # else the ticks are as near to one another as floats are
    ticks = round_ticks(low, low + span, wanted)
    assert len(ticks) <= wanted + 1
    assert all(low - span * 1e-6 <= tick <= low + span * (1 + 1e-6) + abs(low) * 1e-9 for tick in ticks)


@given(st.floats(1e-6, 1e6), st.floats(1.5, 1e6), st.integers(2, 8))
def test_ticks_of_a_logarithm_lie_inside_and_are_few(low: float, ratio: float, wanted: int) -> None:
    ticks = log_ticks(low, low * ratio, wanted)
    assert len(ticks) <= wanted + 1
    assert all(low <= tick <= low * ratio for tick in ticks)


@given(st.text(max_size=80), st.floats(40, 400))
def test_shortened_text_fits_and_keeps_both_ends(text: str, width: float) -> None:
    short = shortened(text, width)
    assert width_of(short) <= max(width, width_of("abcd"))
    assert short == text or (short[0] == text[0] and "…" in short)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.floats(0, 300), st.floats(0, 300)), min_size=1, max_size=25))
def test_placed_labels_that_may_be_left_out_never_overlap(points: list[tuple[float, float]]) -> None:
    labels = [
        Label(x=x, y=y, radius=4, text=f"name {i}", kind="label", needed=False) for i, (x, y) in enumerate(points)
    ]
    marks = placed(labels, bounds=Box(left=0, top=0, right=300, bottom=300), obstacles=[])
    texts = [m for m in marks if isinstance(m, Text)]
    boxes = [Box(left=m.x, top=m.y - 12, right=m.x + width_of(m.text), bottom=m.y + 4) for m in texts]
    assert all(one.overlap(other) <= 10 for one, other in combinations(boxes, 2))


def test_the_name_of_what_is_selected_which_is_bold_can_be_read_in_a_wide_font() -> None:
    """The other's name would be beside it, at its end, if bold letters were as wide as others."""
    bounds = Box(left=0, top=91, right=211, bottom=150)
    selected, other = (
        Label(x=x, y=100, radius=4, text="pruned-50", kind=kind, needed=True)
        for x, kind in ((50, "label strong"), (203, "label"))
    )
    one, two = (
        true_box(mark) for mark in placed([selected, other], bounds=bounds, obstacles=[]) if isinstance(mark, Text)
    )
    assert one.overlap(two) == 0


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=20))
def test_a_cut_line_stays_within_the_chart(heights: list[float]) -> None:
    points = within([(float(i), y) for i, y in enumerate(heights)], top=-10, bottom=30)
    assert all(math.isnan(y) or -10.1 <= y <= 30.1 for _, y in points)
    assert [x for x, _ in points] == sorted(x for x, _ in points)


def test_a_mark_that_would_hide_another_is_hollow() -> None:
    """Two of one place and hardly another size, and one that is small enough to leave the larger one seen."""
    given = (
        candidate("uncompressed", "dominated", 0.75, 41_000, 0.0358),
        candidate("int8-dynamic", "not faster", 0.75, 39_500, 0.0358),
        candidate("tiny", "front", 0.75, 4_000, 0.0358),
        candidate("pruned-50", "front", 0.75, 37_000, 0.02),
    )
    chart = front_chart(replace(front(), candidates=given, selected="pruned-50"), metric="accuracy")
    assert "A mark that would hide another is hollow." in chart.caption
    for drawing in chart.drawings:
        marks = {m.tip.partition(":")[0]: m.kind for m in drawing.marks if isinstance(m, Path) and m.tip}
        assert [name for name, kind in marks.items() if "outline" in kind] == ["int8-dynamic"], drawing.fits
        assert sum(m.kind == "moat" for m in drawing.marks) == 1
    apart = replace(front(), candidates=(given[0], given[3]), selected="pruned-50")
    assert "hollow" not in front_chart(apart, metric="accuracy").caption


def curve(*values: float) -> Training:
    return replace(training(), metric=(Curve(name="validation", values=values),), metric_name="rmse", best_epoch=9)


def test_a_curve_that_leaves_the_frame_says_so() -> None:
    calm = [60.0 - place for place in range(12)]
    said = {
        "one": curves_chart(curve(8433.0, *calm), what="metric").caption,
        "two": curves_chart(curve(8433.0, 900.0, *calm), what="metric").caption,
        "none": curves_chart(curve(70.0, *calm), what="metric").caption,
    }
    assert said["one"].endswith("Epoch 1 lies outside the frame, at 8\N{NARROW NO-BREAK SPACE}433.")
    assert "2 epochs lie outside the frame, from epoch 1 on; the farthest at 8" in said["two"]
    assert "frame" not in said["none"]


def test_the_caption_says_why_an_epoch_was_kept_that_has_not_the_best_metric() -> None:
    def caption(best: int, metric: Metric = "accuracy") -> str:
        curves = (Curve(name="validation", values=(0.90, 0.94, math.nan, 0.92)),)
        given = replace(training(), metric=curves, metric_name=metric, best_epoch=best)
        return curves_chart(given, what="metric").caption

    why = ": its accuracy is within one standard error of the best, and its validation loss is lower."
    assert caption(4) == f"By epoch; the weights of epoch 4 were kept{why}"
    assert caption(2) == "By epoch; the weights of epoch 2 were kept."
    assert caption(1, "log_loss") == "By epoch; the weights of epoch 1 were kept."


def test_a_curve_is_cut_only_where_that_gains_much() -> None:
    chart = curves_chart(curve(100.0, *(60.0 - place for place in range(12))), what="metric")
    assert "frame" not in chart.caption
