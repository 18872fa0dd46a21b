"""The report: one HTML page that needs no network, made from a `Page`.

Here is decided what stands where, and in which words. Charts are drawn in `plots` and `strips`, the template places
them, and the style sheet alone knows colours. The same page gives the same bytes.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from components.evaluation.interval import Interval
from components.report import wording
from components.report.calibration_plot import calibration_chart
from components.report.candidate_rows import batch_sizes, candidate_rows, candidates_words
from components.report.class_rows import CLASSES, class_rows, confusions_words, largest_confusions, scored_classes
from components.report.confusion_plot import CELLS, confusion_chart
from components.report.front_plot import FORMS, front_chart, kind_of
from components.report.marks import Chart, outline, p
from components.report.network_plot import network_chart
from components.report.page import Data, Decision, Page, Score, Training
from components.report.plots import (
    beam_chart,
    curves_chart,
    residual_charts,
)
from components.report.strips import baseline_chart, class_chart, parity_chart, quantization_chart

FOLDER: Final = Path(__file__).parent
LARGEST_MATRIX: Final = 40  # classes of a confusion matrix that is drawn
TABLE_ROWS: Final = 14  # of candidates; of more, only the front is unfolded
COLUMNS: Final = 24  # of the data that are shown; more are folded
ICONS: Final = {
    "yes": "M5.8 10.4l2.9 2.9 5.6-6.2",
    "no": "M6.7 6.7l6.6 6.6M13.3 6.7l-6.6 6.6",
    "not enough evidence": "M7.4 6.4v7.2M12.6 6.4v7.2",
    "beware": "M10 5.2v5.8M10 14.4v.1",
}
KEYS: Final = {kind_of(v): outline(form, 0, 0, 5.5) for v, form in FORMS.items()} | {"ring": ""}
LIGHT: Final = (
    "--bg: #f4f5f3; --card: #ffffff; --ink: #17202a; --soft: #4d5966; --faint: #616d7a; "
    "--line: #dfe3e3; --grid: #e9ecec; --accent: #1f5fa8; --accent-soft: #e4edf7; "
    "--on-accent: #ffffff; --good: #18794e; --good-soft: #e2f2e9; --warn: #9a5b00; "
    "--warn-soft: #faeeda; --bad: #b3362b; --bad-soft: #f9e6e3; --c1: #1f5fa8; --c2: #b05703; "
    "--c3: #18794e; --c4: #7a4fb0; --zone: #b3362b; --wrong: #b3362b; "
)
DARK: Final = (
    "--bg: #10151b; --card: #181f27; --ink: #e9eef3; --soft: #aab6c2; --faint: #8b98a5; --line: #2c3641; "
    "--grid: #242d37; --accent: #6cb0f5; --accent-soft: #1c2e42; --on-accent: #0c1218; --good: #5bc793; "
    "--good-soft: #173427; --warn: #e8ac4e; --warn-soft: #382a12; --bad: #f08a7e; --bad-soft: #40211e; "
    "--c1: #6cb0f5; --c2: #f0a35a; --c3: #5bc793; --c4: #bd9bee; --zone: #f08a7e; --wrong: #f0503f;"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tile:
    """One large figure."""

    name: str
    value: str
    range: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Badge:
    """The decision at a glance, by words, form and colour: a pass with cautions isn't shown as one without."""

    words: str
    icon: str
    tone: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingCharts:
    """One training as its charts."""

    title: str
    loss: Chart | None
    metric: Chart | None
    facts: tuple[object, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreRow:
    """A figure of test as the table shows it: value and interval of each model."""

    name: str
    selected: tuple[str, str]
    uncompressed: tuple[str, str]
    champion: tuple[str, str]


def render(page: Page) -> str:
    """Return the report as one HTML file."""
    metric = page.decision.metric
    matrix = confusion_chart(page.confusion) if has_matrix(page) and page.confusion else None
    many = len(page.class_scores) > CELLS
    rows = candidate_rows(page.front, metric=metric) if page.front else []
    first = sum(row.selected or row.uncompressed or row.verdict == "front" for row in rows)
    first = len(rows) if len(rows) <= TABLE_ROWS else first
    intervals = wording.intervals(page.decision)
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            page=page,
            decision=page.decision,
            badge=badge(page.decision),
            headline=wording.headline(page.decision),
            figures=wording.figures(page.decision, page.front),
            metric_name=wording.NAMES[metric],
            style=style(),
            icons=ICONS,
            keys=KEYS | {"ring": outline("circle", 0, 0, 5)},
            sections=sections(page),
            tiles=tiles(
                page.decision, untouched=page.front is not None and page.front.uncompressed == page.decision.selected
            ),
            beam=beam_chart(page.comparison, metric=metric) if page.comparison else None,
            intervals=intervals,
            front=front_chart(page.front, metric=metric, intervals=intervals)
            if page.front and page.front.candidates
            else None,
            candidates_words=candidates_words(page.front) if page.front else "",
            batch_sizes=batch_sizes(page.front) if page.front else [],
            rows=rows[:first],
            more_rows=rows[first:],
            network=network_chart(page.network) if page.network else None,
            network_words=wording.members(page.members),
            trainings=[training_charts(training) for training in page.training],
            quality_cards=has_answers(page),
            class_scores=scored_classes(page.class_scores) if page.class_scores else None,
            confusion=matrix,
            confusions=largest_confusions(page.confused, beside=matrix is not None) if many else [],
            confusions_words=confusions_words(page.class_scores),
            residuals=residual_charts(page.residuals, rows=page.decision.test_rows)
            if page.residuals and page.residuals.true
            else (),
            classes=class_chart(page.per_class) if page.per_class and page.per_class.changes else None,
            calibration=calibration_chart(
                page.calibration, confidence=page.decision.confidence, independent=independent(page.decision)
            )
            if has_bins(page) and page.calibration
            else None,
            scores=[score_row(score) for score in page.scores],
            scores_uncompressed=any(score.uncompressed for score in page.scores),
            scores_champion=any(score.champion for score in page.scores),
            baselines=baseline_chart(page.decision, page.baselines) if page.baselines else None,
            baselines_words=wording.against_baselines(page.decision, page.baselines) if page.baselines else "",
            parity=parity_chart(page.parity, alone=not page.quantization) if has_parity(page) and page.parity else None,
            quantization=quantization_chart(page.quantization, alone=not has_parity(page))
            if page.quantization
            else None,
            parts=parts(page.data) if page.data else [],
            parts_words=parts_words(page.data) if page.data else "",
            columns=columns(page.data) if page.data else [],
            columns_words=columns_words(page.data) if page.data else "",
            columns_folded=page.data is not None and len(page.data.columns) > COLUMNS,
            class_rows=class_rows(page.data) if page.data else [],
            classes_left_out=max(len(page.data.classes) - CLASSES, 0) if page.data else 0,
        )
    )


def environment() -> Environment:
    """Return Jinja's environment: everything is escaped, and a name that is missing is an error."""
    made = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "confidence": wording.confidence,
        "n": p,
        "count": wording.count,
        "typeset": wording.typeset,
        "percent": wording.percent,
        "plural": wording.plural,
        "batch": lambda size: "1 row" if size == 1 else f"batch of {size}".replace(" ", wording.NBSP),
        "sentence": lambda words: words[:1].upper() + words[1:],
    }
    return made


def style() -> Markup:
    """Return the style sheet, with the dark colours in both of their places."""
    text = (FOLDER / "report.css").read_text(encoding="utf-8").replace("DARK", DARK).replace("LIGHT", LIGHT)
    return Markup(text)  # noqa: S704 - our own file


def sections(page: Page) -> list[tuple[str, str]]:
    """Return id and name of the sections that have something to show."""
    known = [
        ("candidates", "Candidates", page.front and page.front.candidates),
        ("network", "Network", page.network),
        ("training", "Training", page.training),
        ("answers", "Answers on test", has_answers(page)),
        ("baselines", "Baselines", page.baselines),
        ("proof", "Proof of the export", page.quantization or has_parity(page)),
        ("data", "Data", page.data),
        ("provenance", "Where it comes from", page.provenance),
        ("recipe", "Recipe", page.recipe),
        ("gate", "Gate", page.checks),
        ("environment", "Measured on", page.environment),
    ]
    return [(name, words) for name, words, there in known if there]


def has_answers(page: Page) -> bool:
    """Say whether anything is known about the answers on test."""
    return bool(
        has_matrix(page)
        or page.class_scores
        or (page.residuals and page.residuals.true)
        or (page.per_class and page.per_class.changes)
        or has_bins(page)
        or page.scores
    )


def has_matrix(page: Page) -> bool:
    """Say whether a confusion matrix can be drawn."""
    return page.confusion is not None and len(page.confusion.classes) <= LARGEST_MATRIX


def has_parity(page: Page) -> bool:
    """Say whether the exported file was compared with PyTorch."""
    return page.parity is not None and bool(page.parity.batches)


def has_bins(page: Page) -> bool:
    """Say whether a calibration plot has something to show."""
    return page.calibration is not None and any(b.rows for b in page.calibration.bins)


# The decision --------------------------------------------------------------------------------------------------------


def badge(decision: Decision) -> Badge:
    """Return the badge of the decision."""
    match decision.outcome:
        case "passed" if decision.beware:
            return Badge(words="Passed, with cautions", icon="beware", tone="cautioned")
        case "passed":
            return Badge(words="Passed", icon="yes", tone="passed")
        case "held":
            return Badge(words="Held", icon="not enough evidence", tone="held")
        case "refused":
            return Badge(words="Refused", icon="no", tone="refused")


def tiles(decision: Decision, *, untouched: bool) -> list[Tile]:
    """Return the four figures that a reader asks for first."""
    name = wording.NAMES[decision.metric]
    smaller = decision.uncompressed_size_bytes / max(decision.size_bytes, 1)
    size_words = f"{wording.times(smaller)} smaller than uncompressed"
    if smaller < 1.005:
        size_words = f"{wording.size(decision.uncompressed_size_bytes)} uncompressed"
    return [
        Tile(
            name=f"{name[0].upper()}{name[1:]} on test",
            value=wording.quality(decision.quality.value, decision.metric),
            range=wording.quality_range(decision.quality, decision.metric),
        ),
        Tile(name="Size", value=wording.size(decision.size_bytes), range=size_words),
        Tile(
            name=f"Latency per {wording.per_batch(decision.batch_size)}",
            value=wording.latency(decision.latency_ms.value),
            range=wording.latency_range(decision.latency_ms),
        ),
        Tile(
            name="Speed against uncompressed",
            value=wording.times(decision.speedup.value),
            range="it is the uncompressed model" if untouched else wording.times_range(decision.speedup),
        ),
    ]


def independent(decision: Decision) -> float:
    """Return the share of the test rows that aren't copies of others, or of their group."""
    return (decision.test_bunches or decision.test_rows) / (decision.test_rows or 1)


# Training, answers, data ---------------------------------------------------------------------------------------------


def training_charts(training: Training) -> TrainingCharts:
    """Return the charts of a training."""
    return TrainingCharts(
        title=training.title,
        loss=curves_chart(training, what="loss") if any(c.values for c in training.loss) else None,
        metric=curves_chart(training, what="metric") if any(c.values for c in training.metric) else None,
        facts=training.facts,
    )


def score_row(score: Score) -> ScoreRow:
    """Return a figure of test in words."""

    def words(interval: Interval | None) -> tuple[str, str]:
        if interval is None:
            return wording.DASH, ""
        return wording.quality(interval.value, score.metric), wording.quality_range(interval, score.metric)

    return ScoreRow(
        name=wording.NAMES[score.metric],
        selected=words(score.selected),
        uncompressed=words(score.uncompressed),
        champion=words(score.champion),
    )


def parts(data: Data) -> list[dict[str, str | int]]:
    """Return the parts of the split with their shares."""
    total = sum(part.rows for part in data.parts) or 1
    return [{"name": part.name, "rows": part.rows, "share": wording.percent(part.rows / total)} for part in data.parts]


def parts_words(data: Data) -> str:
    """Say what the bar of the split shows."""
    return ", ".join(f"{part.name} {wording.plural(part.rows, 'row')}" for part in data.parts)


@dataclass(frozen=True, kw_only=True, slots=True)
class ColumnWords:
    """A column as the list shows it."""

    name: str
    words: str
    ignored: bool


def columns(data: Data) -> list[ColumnWords]:
    """Return the columns in words: kind or use, and how many values are missing."""
    rows = sum(part.rows for part in data.parts) or 1
    result = []
    for one in data.columns:
        words = f"{one.kind}, the target" if one.target else "ignored" if one.kind == "ignore" else one.kind
        if one.missing:
            words += f", {wording.count(one.missing)} missing ({wording.percent(one.missing / rows)})"
        result.append(ColumnWords(name=one.name, words=words, ignored=one.kind == "ignore"))
    return result


def columns_words(data: Data) -> str:
    """Say how many columns the model is shown, and how many not."""
    ignored = sum(one.kind == "ignore" for one in data.columns)
    shown = sum(not one.target for one in data.columns) - ignored
    missing = sum(one.missing > 0 for one in data.columns if one.kind != "ignore")
    words = [f"{wording.plural(shown, 'column')} for the model to learn from", "the target"]
    words += [f"{wording.count(ignored)} ignored"] if ignored else []
    lack = f" Values are missing in {wording.count(missing)} of those used." if missing else ""
    return f"{', '.join(words)}.{lack}"
