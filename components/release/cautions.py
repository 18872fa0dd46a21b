"""What a reader must beware of in a release, though the gate let it pass: one wording, for terminal and report."""

from collections.abc import Iterator, Mapping
from typing import Final

from components.evaluation.beside import beside
from components.evaluation.bunches import rows_in_words
from components.evaluation.few import FEWEST
from components.evaluation.interval import Interval
from components.evaluation.metrics import ClassFigures, Evaluation
from components.figure import figure
from components.task import LOWER_IS_BETTER, Metric

WORDS: Final = {"linear": "a linear model", "gradient_boosting": "gradient boosting", "constant": "a constant answer"}
NEARLY_ALL: Final = 0.95  # of what the released model is better than a constant
LEAST_FOUND: Final = 0.5  # share of a class's rows
NAMED: Final = 3  # classes, beside the worst
FEWEST_OF_CLASS: Final = 5  # test rows, below which a class's figures say next to nothing
OF_ROWS: Final[frozenset[Metric]] = frozenset(
    {"accuracy", "balanced_accuracy", "precision_macro", "recall_macro", "f1_macro"}
)  # metrics that count rows: one more that is wrong takes a step
ERRORS: Final[frozenset[Metric]] = frozenset({"rmse", "mae"})
MANY_GONE: Final = 0.5  # of the rows that the champion learned from


def cautions(
    metric: Metric,
    *,
    released: Evaluation,
    uncompressed: float,
    simple: Mapping[str, float],
    leads: Mapping[str, Interval],
    column: str = "",
    worst: float,
    selected_on: int,
    max_loss: float | None = None,
    log_loss: float | None = None,
    in_train: int = 0,
    input_group: str = "",
    champion: str = "",
    gone: float = 0.0,
    floorless: bool = False,
) -> tuple[str, ...]:
    """Return a sentence for each thing that a reader of the released model's figures would want to be told.

    What may be a leak comes first: then all other figures are of no use.

    All values are of the metric on the same test rows. `worst` is what selection would have allowed there;
    `selected_on` counts the validation rows by which it chose, `max_loss` is the loss that it allowed there, None where
    nothing was compressed; `simple` holds the simple models' values,
    `leads` by how much the released one is better than each, compared row by row; `column` is the one that the simple
    model one_column goes by. `log_loss` is the uncompressed
    model's. `in_train` counts the test rows that are exact copies of train rows; `input_group` is the column that
    groups the rows, where it is an input too. `gone` is the share of the rows that the `champion` learned from of which
    the data has nothing more. `floorless` is a release that passed because nothing was asked of it: the first one, of a
    recipe without a floor.
    """
    value = released.of(metric).value
    told = [*_told_by_one(metric, value, simple, leads, column=column)]
    sentences = [*told]
    sentences += _lost(metric, value, uncompressed, worst=worst, selected_on=selected_on)
    sentences += _coarse(metric, selected_on, max_loss)
    words = {**WORDS, "one_column": f"the column '{column}' alone"}
    for name, other in simple.items():
        if not (told and name == "one_column"):
            sentences += _beside(metric, released, other, words=words.get(name, name), lead=leads.get(name))
    if metric != "log_loss":
        sentences += _probabilities(released, log_loss)
    sentences += [*_few(released), *_copied(in_train, of=released.rows), *_grouped(input_group)]
    sentences += _rewritten(champion, gone)
    if floorless:
        sentences.append(
            f"this first release would have passed with any {metric}: set gate.floor, and a poor one is refused"
        )
    return (*sentences, *_hardly_tested(released.classes), *_hardly_found(released.classes))


def _lost(metric: Metric, released: float, uncompressed: float, *, worst: float, selected_on: int) -> Iterator[str]:
    """Compression that lost more on test than was allowed."""
    if _sign(metric) * released < _sign(metric) * worst:
        yield (
            f"on test the uncompressed model has {metric} {figure(uncompressed)}, this one {figure(released)}: more is "
            f"lost than select.max_loss allows, which {selected_on:,} validation rows didn't show"
        )


def _coarse(metric: Metric, rows: int, max_loss: float | None) -> Iterator[str]:
    """Validation rows so few that one of them counts more than may be lost, where anything may."""
    if metric in OF_ROWS and rows and max_loss and 1 / rows > max_loss:
        judging = "the only validation row" if rows == 1 else f"one of the {rows:,} validation rows"
        average = "" if metric == "accuracy" else " on average"
        yield (
            f"{judging} by which compression is judged counts {figure(1 / rows)}{average}, more than the "
            f"{figure(max_loss)} that select.max_loss allows to lose: give validation a larger share"
        )


def _beside(metric: Metric, released: Evaluation, simple: float, *, words: str, lead: Interval | None) -> Iterator[str]:
    """A simple model that does as well, or of which so few rows can't tell that it doesn't."""
    value = released.of(metric).value
    values = f"{metric} {figure(simple)}, this one {figure(value)}"
    match beside(metric, simple=simple, released=value, lead=lead):
        case "as good":
            yield f"{words} does as well: {metric} {figure(simple)}"
        case "better":
            yield f"{words} is better: it has {values}"
        case "perhaps better":
            behind = None if lead is None else Interval(0 - lead.value, 0 - lead.high, 0 - lead.low)
            yield f"{words} may be better: it has {values}{_untold(released, behind, ahead='it')}"
        case "perhaps as good" if words == WORDS["constant"]:
            yield f"{words} may do as well: it has {values}{_untold(released, lead, ahead='this one')}"


def _told_by_one(
    metric: Metric, value: float, simple: Mapping[str, float], leads: Mapping[str, Interval], *, column: str
) -> Iterator[str]:
    """A column that alone tells nearly all that all columns do together, where that is much: it may be a leak."""
    if not {"one_column", "constant"} <= simple.keys():
        return
    nothing, one = simple["constant"], simple["one_column"]
    lead = leads.get("constant")
    if lead is None or lead.low <= 0 or _told(metric, one, nothing) < NEARLY_ALL * _told(metric, value, nothing):
        return
    yield (
        f"the column '{column}' alone has {metric} {figure(one)}, this one {figure(value)}: if it is known only once "
        "the answer is, its kind must be ignore"
    )


def _told(metric: Metric, value: float, nothing: float) -> float:
    """By how much a value is better than a constant's. Errors count by their squares, as in R2."""
    power = 2 if metric in ERRORS else 1
    return _sign(metric) * (value**power - nothing**power)


def _untold(released: Evaluation, lead: Interval | None, *, ahead: str) -> str:
    """Say by what the two aren't told apart: the interval of their difference, which each one's own doesn't show."""
    rows = rows_in_words(released.rows, released.bunches)
    if lead is None:
        return f", which {rows} can't tell apart"
    return (
        f"; compared row by row {ahead} is ahead by {figure(lead.value)} ({figure(lead.low)} to {figure(lead.high)} at "
        f"{100 * released.confidence:g} % confidence), which {rows} can't tell from nothing"
    )


def _probabilities(released: Evaluation, log_loss: float | None) -> Iterator[str]:
    """Probabilities that compression made worse, though the answers are as good."""
    ours = released.figures.get("log_loss")
    if log_loss is not None and ours is not None and ours.low > log_loss:
        yield (
            f"its probabilities are worse than the uncompressed model's: log_loss {figure(ours.value)} "
            f"({figure(ours.low)} to {figure(ours.high)}), where that has {figure(log_loss)}; if they count, set "
            "metric: log_loss"
        )


def _few(released: Evaluation) -> Iterator[str]:
    """So few test rows that any figure of them may be luck."""
    known = released.rows if released.effective is None else released.effective
    if known < FEWEST:
        rows = rows_in_words(released.rows, released.bunches)
        unlike = released.bunches is not None and released.bunches >= FEWEST
        which = f"so unlike in size that they say no more than {known:.2g} would, too few" if unlike else "too few"
        yield f"it was tested on {rows}, which are {which} to tell how good it is: the intervals hold what is possible"


def _copied(rows: int, *, of: int) -> Iterator[str]:
    """Test rows that are in train too."""
    if rows:
        are = "is an exact copy of a train row" if rows == 1 else "are exact copies of train rows"
        yield (
            f"{rows:,} of the {of:,} test rows {are}, which the model may know by heart: take copies out of the data, "
            "or have one column that groups them (split.group)"
        )


def _grouped(column: str) -> Iterator[str]:
    """An input that says of no test row what it says of a train row."""
    if column:
        yield (
            f"the column '{column}' groups the rows and is an input: no test row has a value of it that was in train, "
            "so nothing is known of what it is worth; it should have the kind ignore"
        )


def _rewritten(champion: str, gone: float) -> Iterator[str]:
    """So many rows of the champion's that are gone that they may only look otherwise now."""
    if champion and gone > MANY_GONE:
        rows = "none" if gone == 1 else f"only {100 * (1 - gone):.2g} %"
        yield (
            f"{rows} of the rows that {champion} learned from are in the data as they were: well if they were taken "
            f"out, but if they are there in another spelling (rounded, renamed), {champion} knows some of the test "
            "rows, and was favoured by the gate"
        )


def _hardly_tested(classes: tuple[ClassFigures, ...]) -> Iterator[str]:
    """Classes of so few test rows that one of them more, or less, would make another figure."""
    few = sorted((one for one in classes if 0 < one.support < FEWEST_OF_CLASS), key=lambda one: one.support)
    if not few:
        return
    counted = [f"'{one.name}' ({one.support} {'row' if one.support == 1 else 'rows'})" for one in few]
    their = "its figures say" if len(few) == 1 else "their figures say"
    yield f"fewer than {FEWEST_OF_CLASS} test rows are of {_listed(counted)}: {their} next to nothing"


def _hardly_found(classes: tuple[ClassFigures, ...]) -> Iterator[str]:
    """Classes that no test row is of, and those most of whose rows are taken for another's."""
    if absent := [one.name for one in classes if not one.support]:
        yield f"no test row is of {_names(absent)}: nothing is known of how such rows are answered"
    missed = sorted((one for one in classes if one.support and one.recall < LEAST_FOUND), key=lambda one: one.recall)
    if missed:
        worst, *others = missed
        found = round(worst.recall * worst.support)
        more = f", and fewer than half of those of {_names([one.name for one in others])}" if others else ""
        rows = "row" if worst.support == 1 else "rows"
        yield f"of {worst.support:,} {rows} of '{worst.name}' {found:,} are found{more}"


def _names(classes: list[str]) -> str:
    """Name the first classes, and count the others."""
    return _listed([f"'{name}'" for name in classes])


def _listed(classes: list[str]) -> str:
    parts = classes[:NAMED]
    if left := len(classes) - len(parts):
        parts.append(f"{left} other {'class' if left == 1 else 'classes'}")
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _sign(metric: Metric) -> float:
    return -1.0 if metric in LOWER_IS_BETTER else 1.0
