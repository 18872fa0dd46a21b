# ruff: noqa: RUF001 - minus signs, dashes and multiplication signs are what is shown
import json
import math
import re
from dataclasses import asdict, replace
from functools import cache
from html.parser import HTMLParser

import pytest
from pydantic import TypeAdapter

from components.evaluation.interval import Interval
from components.evaluation.metrics import Evaluation
from components.release.cautions import cautions
from components.report import wording
from components.report.marks import p
from components.report.page import (
    Answer,
    Baseline,
    BatchParity,
    Bin,
    Calibration,
    Column,
    Confusion,
    Curve,
    Front,
    Outcome,
    Page,
    Parity,
    Residuals,
    Training,
)
from components.report.report import DARK, ICONS, LIGHT, render
from tests.components.report.pages import PAGES, digits, least, names, regression
from tests.components.report.parts import candidate, front

VOID = {"meta", "br", "link", "img", "hr", "input"}


@cache
def drawn(name: str) -> str:
    return render(PAGES[name]())


class Outline(HTMLParser):
    """What is on a page: its elements, whether they are closed, its ids and its words."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.extend(attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.extend(attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open and "script" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


@pytest.mark.parametrize("name", PAGES)
def test_every_page_is_whole_small_and_needs_no_network(name: str) -> None:
    html = drawn(name)
    outline = Outline(html)
    assert outline.open == []
    assert len(html.encode()) < 500_000
    assert not re.search(r"https?://|//[a-z]|@import|url\(", html.replace("'none'", ""))
    assert not any(key in ("src", "srcset") or key.startswith("on") for key, _ in outline.attributes)
    assert outline.tags.count("script") == 1
    assert not re.search(r'\b(?:x|y|d|viewBox)="[^"]*(?:nan|inf)', html)


@pytest.mark.parametrize("name", PAGES)
def test_every_drawing_has_a_title_and_every_figure_a_caption(name: str) -> None:
    html = drawn(name)
    for drawing in re.findall(r"<svg[^>]*role=\"img\"[^>]*>.{0,30}", html):
        assert "<title>" in drawing
    assert html.count("<figure") == html.count("<figcaption>")
    ids = [value for key, value in Outline(html).attributes if key == "id"]
    links = [value[1:] for key, value in Outline(html).attributes if key == "href" and value]
    assert links == ids
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", PAGES)
def test_the_same_page_gives_the_same_bytes_also_through_json(name: str) -> None:
    page = PAGES[name]()
    again = TypeAdapter(Page).validate_json(json.dumps(asdict(page)))
    assert again == page
    assert render(again) == drawn(name)


def test_the_decision_comes_first_with_its_figures() -> None:
    text = Outline(render(digits())).text.replace(wording.NBSP, " ").replace(wording.NARROW, " ")
    first = text.replace(wording.JOINER, "")[:900]
    assert "digits version 4 passes the gate: accuracy 98.9 % (97.8–99.7 % at 95 % confidence), 51.2 kB" in first
    assert "3.21× as fast as the uncompressed model (3.05–3.38×)" in first
    assert text.index("passes the gate") < text.index("7 candidates") < text.index("Confusion matrix")


@pytest.mark.parametrize(
    ("outcome", "beware", "words", "tone"),
    [
        ("passed", (), "Passed", "passed"),
        ("passed", ("a linear model is better",), "Passed, with cautions", "cautioned"),
        ("held", ("a linear model is better",), "Held", "held"),
        ("refused", (), "Refused", "refused"),
    ],
)
def test_a_pass_with_cautions_looks_like_no_other(
    outcome: Outcome, beware: tuple[str, ...], words: str, tone: str
) -> None:
    page = digits(outcome)
    html = render(replace(page, decision=replace(page.decision, beware=beware)))
    assert f'<div class="hero {tone}">' in html
    verdict = html.partition('<span class="verdict">')[2].partition("</span>")[0]
    assert Outline(verdict).text == words, "colour isn't the only carrier"
    assert ("passes the gate" in html) == (outcome == "passed"), "the decision stays what it is"
    marks = [ICONS[name] for name in ("yes", "no", "not enough evidence", "beware")]
    assert [mark in verdict for mark in marks].count(True) == 1
    assert (ICONS["beware"] in verdict) == (tone == "cautioned")


@pytest.mark.parametrize("answer", ["yes", "no", "not enough evidence"])
def test_what_was_weighed_shows_its_own_outcome(answer: Answer) -> None:
    """Of a release that is refused for its size."""
    page = digits("refused")
    assert page.comparison is not None
    html = render(replace(page, comparison=replace(page.comparison, gain=Interval(0.24, 0.2, 0.28), answer=answer)))
    assert f'<div class="beam-box is-{answer.replace(" ", "-")}">' in html
    met = {"yes": "is allowed: met.", "no": "is allowed: not met.", "not enough evidence": "is allowed: not enough"}
    assert met[answer] in Outline(html).text


def test_the_confidence_is_told_with_the_first_interval_and_in_captions() -> None:
    page = digits()
    sure = replace(page.decision, confidence=0.9, timing_confidence=0.995)
    assert page.comparison is not None
    html = render(replace(page, decision=sure, comparison=replace(page.comparison, confidence=0.8)))
    text = Outline(html).text.replace(wording.NARROW, " ").replace(wording.JOINER, "")
    assert "98.9 % (97.8–99.7 % at 90 % confidence)" in text
    assert "whiskers are confidence intervals, 90 % for quality and 99.5 % for latency" in text
    assert "on the same test rows, with 90 % confidence intervals" in text
    assert "each end at 80 % confidence" in text
    assert "whiskers are 95 % confidence intervals" in Outline(drawn("digits")).text.replace(wording.NARROW, " ")


def test_a_held_release_says_how_many_rows_are_needed() -> None:
    text = Outline(render(digits("held"))).text.replace(wording.NARROW, " ")
    assert "is held at the gate" in text
    assert "For 80 % power at this margin 1 620 test rows are needed; there are 359." in text


def test_rows_that_come_in_bunches_are_counted_as_such() -> None:
    page = digits("held")
    bunched = replace(page, decision=replace(page.decision, test_bunches=40))
    text = Outline(render(bunched)).text.replace(wording.NARROW, " ")
    assert "For 80 % power at this margin 1 620 independent bunches of test rows are needed; there are 40." in text
    assert "They are 40 independent bunches: exact copies, or rows of one group, tell no more than one row" in text
    assert "independent bunches" not in Outline(render(page)).text


@pytest.mark.parametrize(
    ("speedup", "words"),
    [
        (Interval(2.0, 1.9, 2.1), "2.00× as fast"),
        (Interval(1.02, 0.97, 1.08), "not measurably faster"),
        (Interval(0.8, 0.7, 0.9), "slower than"),
    ],
)
def test_the_headline_claims_no_more_than_the_interval_shows(speedup: Interval, words: str) -> None:
    page = least()
    assert words in Outline(render(replace(page, decision=replace(page.decision, speedup=speedup)))).text


def test_a_candidate_that_is_not_faster_says_so_in_the_table() -> None:
    table = render(digits()).partition("<tbody>")[2].partition("</tbody>")[0]
    row = next(row for row in table.split("<tr") if "int8 dynamic" in row)
    assert row.count("not faster") == 3  # the verdict, and both batch sizes


def test_the_network_shows_what_is_left_of_each_layer() -> None:
    text = render(digits())
    assert 'id="network"' in text
    for words in ("body.3 conv 3x3", "64 → 32", "73.7", "18.4"):
        assert words in text, words
    assert 'id="network"' not in render(replace(digits(), network=()))


def test_a_network_of_members_says_why_its_output_layer_is_so_wide() -> None:
    assert "It is 8 networks in one" in render(replace(digits(), members=8))
    assert "has 8 times the outputs of a single network" in render(replace(digits(), members=8))
    assert "networks in one" not in render(replace(digits(), members=1))


@pytest.mark.parametrize("number", [4, 200])
def test_the_columns_stand_with_their_kind_and_what_is_missing(number: int) -> None:
    page = digits()
    assert page.data is not None
    given = (
        Column(name="id", kind="ignore"),
        Column(name="worn <b>", kind="category", target=True),
        *(Column(name=f"x{place}", kind="number", missing=place) for place in range(number - 2)),
    )
    html = render(replace(page, data=replace(page.data, columns=given)))
    section = html.partition('<section id="data">')[2].partition("</section>")[0]
    text = Outline(section).text.replace(wording.NARROW, " ")
    assert f"{number - 2} columns for the model to learn from, the target, 1 ignored." in text
    assert f"Values are missing in {number - 3} of those used." in text
    assert '<li class="muted"><b>id</b> ignored</li>' in section
    assert "worn <b> category, the target" in text
    assert "x0 number" in text
    assert "x1 number, 1 missing (0.1 %)" in text
    assert section.count("<li") == number + 3, "and three parts"
    assert ("<details><summary>All 200 columns" in section) == (number == 200)
    assert len(html.encode()) < 500_000


def test_the_recipe_is_folded_and_escaped() -> None:
    html = render(replace(digits(), recipe="model: <digits>\ntask: classification\n"))
    section = html.partition('<section id="recipe">')[2].partition("</section>")[0]
    assert "<details><summary>2 lines</summary>" in section
    assert "model: &lt;digits&gt;\ntask: classification" in section
    assert 'id="recipe"' not in drawn("digits")


def test_a_proof_that_stands_alone_has_the_width_of_the_page() -> None:
    both, alone = (render(page) for page in (digits(), replace(digits(), quantization=())))
    proofs = [html.partition('<section id="proof">')[2].partition("</section>")[0] for html in (both, alone)]
    assert ["card whole" in proof for proof in proofs] == [False, True]
    assert ['class="wide"' in proof for proof in proofs] == [False, True]


def test_sections_without_data_are_left_out() -> None:
    html = render(least())
    assert "<h2" not in html
    assert 'id="' not in html
    assert "passes the gate" in html


def test_names_are_escaped_wherever_they_stand() -> None:
    bad = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    text = json.dumps(asdict(names()))
    for name in (
        "digits",
        "Trouser",
        "pruned 0.3",
        "stem.conv",
        "logistic regression",
        "data/digits",
        "champion, version 3",
    ):
        text = text.replace(json.dumps(name)[1:-1], json.dumps(bad)[1:-1])
    html = render(TypeAdapter(Page).validate_json(text))
    assert html.count(bad) == 0
    outline = Outline(html)
    assert outline.tags.count("script") == 1
    assert "img" not in outline.tags
    assert "alert(1)" in outline.text


@pytest.mark.parametrize(
    ("best", "lead", "words"),
    [
        (0.995, Interval(-0.006, -0.011, -0.001), "is better than the net: on this data the simpler model is"),
        (0.995, Interval(-0.006, -0.016, 0.004), "may be better than the net, which 359 rows can't tell apart"),
        (0.9889, Interval(0.0, -0.01, 0.01), "does as well as the net: on this data the simpler model is"),
        (0.98, Interval(0.009, -0.01, 0.03), "can't tell them apart for certain"),
        (0.98, Interval(0.009, 0.001, 0.03), "by more than the test rows leave in doubt"),
    ],
)
def test_the_report_is_honest_about_baselines(best: float, lead: Interval, words: str) -> None:
    page = replace(
        digits(),
        baselines=(
            Baseline(name="forest", quality=Interval(best, best - 0.01, best + 0.004), lead=lead),
            Baseline(name="constant", quality=Interval(0.1, 0.08, 0.12)),
        ),
    )
    said = wording.against_baselines(page.decision, page.baselines)
    assert words in said
    assert "forest" in said
    assert ("the better choice" in said) == ("is better" in words or "does as well" in words)


@pytest.mark.parametrize(
    "lead", [Interval(-0.03, -0.05, -0.01), Interval(-0.03, -0.07, 0.01), Interval(0.0, -0.1, 0.1)]
)
def test_cautions_and_baselines_tell_of_one_finding_alike(lead: Interval) -> None:
    page = digits()
    ours = page.decision.quality
    best = Baseline(name="linear", quality=Interval(ours.value - lead.value, 0.9, 1.0), lead=lead)
    measured = Evaluation(
        task="classification", rows=359, confidence=0.95, resamples=1000, figures={"accuracy": ours}, classes=()
    )
    (caution,) = cautions(
        "accuracy",
        released=measured,
        uncompressed=ours.value,
        simple={"linear": best.quality.value},
        leads={"linear": lead},
        worst=0.9,
        selected_on=359,
    )
    section = wording.against_baselines(page.decision, (best,))
    verbs = ("is better", "may be better", "does as well")
    assert [verb in caution for verb in verbs] == [verb in section for verb in verbs]
    assert sum(verb in section for verb in verbs) == 1


def test_lower_is_better_is_heeded_for_baselines() -> None:
    page = replace(regression(), baselines=(Baseline(name="ridge", quality=Interval(50, 48, 52)),))
    assert "may be better than the net" in wording.against_baselines(page.decision, page.baselines)


def contrast(one: str, other: str) -> float:
    """Source: WCAG 2.2, contrast ratio."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_text_has_enough_contrast_in_both_themes(theme: str) -> None:
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", theme))
    for name in ("ink", "soft", "faint", "accent", "good", "warn", "bad", "c1", "c2", "c3", "c4"):
        assert contrast(colours[name], colours["card"]) >= 4.5, name
    for name in ("ink", "soft", "faint"):
        assert contrast(colours[name], colours["bg"]) >= 4.5, name
    for name in ("good", "warn", "bad", "accent"):
        assert contrast(colours[name], colours[f"{name}-soft"]) >= 4.5, name
    assert contrast(colours["on-accent"], colours["accent"]) >= 4.5


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_values_that_are_not_finite_are_left_out_of_charts(value: float) -> None:
    training = Training(
        title="t",
        loss=(Curve(name="train", values=(value, 1.0, value, 0.5)),),
        metric=(Curve(name="validation", values=(value,)),),
        metric_name="accuracy",
        best_epoch=1,
    )
    html = render(replace(least(), training=(training,)))
    assert not re.search(r'="[^"]*\b(nan|inf)\b', html)


def test_it_says_why_the_selected_candidate_was() -> None:
    html = render(replace(least(), front=front()))
    assert "Selected by latency: pruned 0.5 + int8 static, the fastest of 4 within the limit (accuracy 0.9826)." in html


def test_pages_of_little_or_odd_data_are_drawn() -> None:
    one = candidate("uncompressed", "front", 0.5, 100, 1.0)
    page = replace(
        least(),
        front=Front(
            candidates=(one,), selected="uncompressed", uncompressed="uncompressed", batch_size=4, objective="size"
        ),
        training=(
            Training(
                title="t", loss=(Curve(name="train", values=(1.0,)),), metric=(), metric_name="accuracy", best_epoch=1
            ),
        ),
        confusion=Confusion(classes=("a", "b"), counts=((0, 0), (0, 3))),
        calibration=Calibration(bins=(Bin(confidence=0, accuracy=0, rows=0),), error=0.0),
        parity=Parity(batches=(BatchParity(batch_size=1, max_abs_diff=0.0),), rows=1, tolerance=None, batch_diff=0.2),
        baselines=(Baseline(name="constant", quality=Interval(1, 1, 1)),),
        residuals=Residuals(target="y", true=(1.0, 1.0), predicted=(1.0, 1.0)),
    )
    html = render(page)
    assert "judged by its quality" in html
    assert "its batch changes at most 2.0" in html
    assert "Calibration" not in html
    empty = Front(candidates=(), selected="", uncompressed="", batch_size=1, objective="size")
    assert "Candidates" not in render(replace(least(), front=empty))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (wording.size(51_240), "51.2 kB"),
        (wording.size(999), "999 B"),
        (wording.latency(0.0412), "41.2 µs"),
        (wording.latency(12.34), "12.3 ms"),
        (wording.latency(12_345), "12.3 s"),
        (wording.times(12.34), "12×"),
        (wording.percent(0.98765), "98.8 %"),
        (wording.gain(-0.0042, "accuracy"), "−0.4 points"),
        (wording.gain(0.00001, "accuracy"), "0.0 points"),
        (wording.gain(0.0123, "rmse"), "+1.2 %"),
        (wording.gain(0.0123, "log_loss"), "+0.0123"),
        (wording.quality(62_543.21, "rmse"), "62 543"),
        (wording.quality(12_543_210.0, "mae"), "12 543 210"),
        (wording.quality(0.00001234, "rmse"), "0.0000123"),
        (wording.significant(1234.5), "1 234"),
        (wording.significant(math.nan), "–"),
        (
            wording.typeset("1,454 of 1,234,567 rows, at 95 % (1,2)"),
            "1 454 of 1 234 567 rows, at 95 % (1,2)",
        ),
        (wording.typeset("pruned-50 of 2026-11-29: -0.1 (-1,200 to 3)"), "pruned-50 of 2026-11-29: −0.1 (−1 200 to 3)"),
        (wording.significant(0), "0"),
        (wording.scientific(1e-4), "10⁻⁴"),
        (wording.scientific(8.8e-6), "8.8 × 10⁻⁶"),
        (wording.quality(0.5, "r2"), "0.500"),
        (p(-0.01), "0"),
        (p(10.0), "10"),
        (p(-3.25), "-3.2"),
    ],
)
def test_figures_are_written_as_people_write_them(written: str, expected: str) -> None:
    assert written.replace(wording.NBSP, " ").replace(wording.NARROW, " ") == expected


def test_the_table_says_how_latency_and_speed_up_belong_together() -> None:
    _, _, rest = render(digits()).partition('<table class="candidates')
    assert "the median of the ratios within each round" in rest.partition("</section>")[0]
