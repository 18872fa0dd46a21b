"""Writes a commented starter recipe for a source, by looking at its rows."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from components.data.card import NAME, read_card
from components.data.classes import LEAST_ROWS
from components.data.config import ColumnKind, DataConfig
from components.data.drafting.decimal_mark import survey_by_mark
from components.data.drafting.guess import Guess, guess, guess_target, is_named_id
from components.data.drafting.mend_first import FEW, rowless, torn_rows_first, warnings
from components.data.drafting.subjects import Subjects, subjects
from components.data.drafting.survey import ColumnFacts, Survey
from components.data.drafting.time_cuts import time_cuts
from components.data.drafting.unnamed import unnamed_subjects
from components.data.sources.chunk import Source
from components.data.sources.csv_file import CsvFile
from components.data.sources.csv_header import check_first_line
from components.data.sources.table import kind_of, source_at
from components.errors import nearest, refuse
from components.figure import figure
from components.task import Metric, Task

SMALL_SIDE: Final = 64  # pixels; larger images get a residual network, and are made smaller
UNEVEN: Final = 0.7  # share of the rows that the largest class has
SCARCE: Final = 500  # rows of a class below which chance shares it out unevenly: 100 expected in a part are 91 to 109
MOSTLY: Final = 0.85  # the same, from which accuracy says next to nothing
WARNING: Final = "WARNING"  # what a line of the recipe begins with that is to be read before any other
SKEWED: Final = 4.0  # skewness from which quantiles are the better scale


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """What the recipe will say."""

    model: str
    source: str
    target: str
    task: Task
    columns: dict[str, Guess]
    seen: Survey
    classes: dict[str, int]
    subjects: Subjects | None  # whose rows are kept together
    unnamed: list[Subjects]  # columns that may say whom rows are of: if so, a person groups by one

    @property
    def largest(self) -> tuple[str, float]:
        """The class of most rows and its share of them; for a regression, and where all rows have one class, none."""
        if len(self.classes) < 2:
            return "", 0.0
        name = max(self.classes, key=lambda one: self.classes[one])
        return name, self.classes[name] / sum(self.classes.values())

    @property
    def uneven(self) -> bool:
        """Whether one class is so many of the rows that accuracy says little of the others."""
        return self.largest[1] > UNEVEN

    @property
    def unlabelled(self) -> int:
        """Rows whose target is missing."""
        target = self.seen.columns[self.target]
        return target.rows - target.present + (target.blanks if self.task == "regression" else 0)

    @property
    def metric(self) -> Metric:
        """What the recipe judges by."""
        if self.task == "regression":
            return "rmse"
        return "roc_auc" if self.largest[1] >= MOSTLY else "accuracy"


def draft(source: Path, *, target: str | None = None, model: str | None = None, written_as: str | None = None) -> str:
    """Return the text of a starter recipe for the source.

    `written_as` is the source as the recipe shall say it, relative to where the recipe will lie. Every row is
    read, so that one word in a million numbers is known of.

    Raises:
        Refusal: the source can't be read, or no target is named and there is none by nature, as a folder of
        images has in its folders' names.
    """
    kind = kind_of(source)
    named = target or _natural_target(source, kind)
    if kind == "images" and target not in (None, "label"):
        what, do = f"there is no column '{target}'", "leave --target out: the folders' names are the target"
        raise refuse(what, where=str(source), allowed="label, the names of the folders", do=do)
    opened = source_at(source, _placeholder(source, named or "target"))
    _check_target(named, opened, source)
    seen = survey_by_mark(opened)
    if not seen.rows:
        raise rowless(seen, source.name)
    label = named or ""
    seen.columns[label] = seen.columns[label].labelled()
    with torn_rows_first(seen, source.name):
        task, said = guess_target(seen.columns[label], where=source.name, pointed=seen.pointed)
    columns = {name: said if name == label else guess(facts, seen) for name, facts in seen.columns.items()}
    columns |= {name: Guess(kind=kind) for name, kind in _card_kinds(source).items() if name != label}
    kept = subjects(opened, seen, label)
    if kept is not None:
        columns[kept.column] = Guess(
            kind="ignore", why=f"names whom the {seen.rows:,} rows are of: {kept.counted} values"
        )
    unnamed = unnamed_subjects(opened, seen, label) if kept is None else []
    columns |= {one.column: _perhaps_of_one(columns[one.column], one, label) for one in unnamed}
    plan = Draft(
        model=model or _model_name(source),
        source=written_as or str(source),
        target=label,
        task=task,
        columns=_learnable(columns, label, source),
        seen=seen,
        classes=dict(seen.columns[label].distinct) if task == "classification" else {},
        subjects=kept,
        unnamed=unnamed,
    )
    return "\n".join(_lines(plan)) + "\n"


def _perhaps_of_one(said: Guess, one: Subjects, target: str) -> Guess:
    what = f"{one.alike:.0%} of the rows of one value have the same '{target}': see the {WARNING} above"
    return replace(said, why="; ".join(filter(None, [said.why, what])))


def _natural_target(source: Path, kind: str) -> str | None:
    if (source / NAME).is_file():
        return read_card(source).target
    return {"images": "label", "npz": "y"}.get(kind)


def _card_kinds(source: Path) -> dict[str, ColumnKind]:
    """The kinds that a packed data set's card tells: no need to guess them."""
    return dict(read_card(source).columns) if (source / NAME).is_file() else {}


def _placeholder(source: Path, target: str) -> DataConfig:
    """A config with the names that pictures get; other sources bring their own."""
    image = "image" if target != "image" else "picture"
    columns: dict[str, ColumnKind] = {image: "image", target: "category"}
    return DataConfig(source=str(source), target=target, columns=columns)


def _check_target(target: str | None, opened: Source, source: Path) -> None:
    names = opened.schema.names
    if target not in names and isinstance(opened, CsvFile):
        check_first_line(opened.path, target)
    if target is None:
        last = f"--target {quoted(names[-1])}, say" if names else ""
        raise refuse("which column is the target?", where=source.name, allowed=", ".join(names), do=last)
    if target not in names:
        what = f"there is no column '{target}'"
        do = nearest(target, names) or "name one of these with --target"
        raise refuse(what, where=source.name, allowed=", ".join(names), do=do)
    twice = sorted({name for name in names if names.count(name) > 1})
    if "" in twice:
        at_ends = names[-names.count("") :] == [""] * names.count("")
        do = "remove the delimiters at the ends of the lines, or name them" if at_ends else "name all but one"
        raise refuse(f"{names.count('')} columns have no name", where=source.name, do=do)
    if twice:
        raise refuse(f"several columns are named {', '.join(twice)}", where=source.name, do="rename all but one")


def _learnable(columns: dict[str, Guess], target: str, source: Path) -> dict[str, Guess]:
    if all(said.kind == "ignore" for name, said in columns.items() if name != target):
        why = "; ".join(f"{name}: {said.why}" for name, said in list(columns.items())[:10] if name != target)
        raise refuse("no column looks like something to learn from", where=source.name, allowed=why)
    return columns


def _model_name(source: Path) -> str:
    """A name as recipes allow it, after the source."""
    plain = (letter if (letter.isascii() and letter.isalnum()) or letter in "-_" else "-" for letter in source.stem)
    return "".join(plain).strip("-_")[:100] or "model"


def quoted(text: str) -> str:
    """Return text as a YAML scalar, in quotes where it could be taken for something else."""
    import yaml

    simple = text.replace("_", "").replace("-", "").isalnum() and text[0].isascii() and text[0].isalpha()
    words = {"y", "n", "yes", "no", "true", "false", "on", "off", "null", "none", "nan", "inf"}
    if simple and text.isascii() and text.lower() not in words:
        return text
    return str(yaml.safe_dump(text, default_style='"', allow_unicode=True, width=10**9)).strip()


def _lines(plan: Draft) -> Iterator[str]:
    yield "# A starter recipe, written by looking at the data: read it, and change what you know better."
    yield from (
        f"# {WARNING}: {_one_line(what)}"
        for what in (*warnings(plan.seen, plan.columns), *_kept(plan), *_perhaps_kept(plan))
    )
    yield f"model: {quoted(plan.model)}"
    yield f"task: {plan.task}  # {_about_task(plan)}"
    yield from _metric_lines(plan)
    yield ""
    yield from _data_lines(plan)
    yield from _split_lines(plan)
    yield from _prepare_lines(plan)
    yield from _network_lines(plan)
    yield from _release_lines(plan)


def _kept(plan: Draft) -> Iterator[str]:
    """Say so where the rows of one are kept together, which nobody asked for."""
    if plan.subjects is not None:
        one = plan.subjects
        yield (
            f"{one.alike:.0%} of the rows of one '{one.column}' have the same '{plan.target}': they are kept together "
            "(split.group), or a model would be tested on those that it knows. If later rows will be of the same "
            f"{one.counted}, take the group out"
        )


def _perhaps_kept(plan: Draft) -> Iterator[str]:
    """Say so where rows of one value have the same answer: whether these are of one subject, a person knows."""
    if plan.unnamed:
        one = min(plan.unnamed, key=lambda one: one.count)
        others = [f"'{other.column}'" for other in plan.unnamed if other is not one]
        more = f" (so it is with {', '.join(others[:FEW])}{' ...' * (len(others) > FEW)} too)" if others else ""
        yield (
            f"{one.alike:.0%} of the rows of one '{one.column}' have the same '{plan.target}'{more}. If they are of "
            "one subject, such as a patient or a machine, write `method: hash` and "
            f"`group: {quoted(one.column)}` under split, and the kind ignore for the column: else a model is tested on "
            "those that it knows, and its figures are too good"
        )


def _metric_lines(plan: Draft) -> Iterator[str]:
    """Say so where one class is most of the rows: accuracy then hides what becomes of the others."""
    largest, share = plan.largest
    most = f"{share:.0%} of the rows are {_one_line(repr(largest))}"
    if plan.metric == "roc_auc":
        always = "a model that always says so is right as often"
        yield f"metric: {plan.metric}  # {most}: {always}; or balanced_accuracy, f1_macro"
        yield "# To find more of the others, in train: loss: {name: cross_entropy, class_weights: balanced}"
    elif plan.uneven:
        yield f"# {most}: accuracy says little of the others. Instead:"
        yield "# metric: balanced_accuracy  # or f1_macro, roc_auc"
        yield "# and in train: loss: {name: cross_entropy, class_weights: balanced}"
    elif plan.task == "regression" and abs(plan.seen.columns[plan.target].skewness) > SKEWED:
        yield "# The target has a long tail: a few rows decide rmse. Instead:"
        yield "# metric: mae  # and in train: loss: {name: mae}"


def _about_task(plan: Draft) -> str:
    if plan.task == "classification":
        return f"{len(plan.classes)} classes; regression would predict a number"
    return "the target is a number; classification would predict one of a few classes"


def _count(seen: Survey) -> str:
    """How many rows there are; torn ones, of which no column tells anything, are no part of them."""
    return f"{seen.rows:,} rows" + (f" that can be read, of {seen.rows + seen.torn:,}" if seen.torn else "")


def _data_lines(plan: Draft) -> Iterator[str]:
    yield "data:"
    yield f"  source: {quoted(plan.source)}  # {_count(plan.seen)}; relative to this file"
    if plan.seen.columns[plan.target].decimal == ",":
        yield '  decimal: ","  # numbers are written like 1234,5: one with a point in it is a bad value'
    yield f"  target: {quoted(plan.target)}"
    yield "  columns:  # number, category, boolean, image, or ignore: kept with the rows, never shown to the model"
    for name, said in plan.columns.items():
        why = "the target" + (f"; {said.why}" if said.why else "") if name == plan.target else said.why
        yield f"    {quoted(name)}: {said.kind}" + (f"  # {_one_line(why)}" if why else "")
    rare = [name for name, count in plan.classes.items() if count < LEAST_ROWS]
    if rare:
        yield f"  # To mend first: {len(rare)} of the classes have one row only, such as {_one_line(rare[0])}"
    yield f"  bad_rows: refuse  # or quarantine, with {_quarantine(plan)}"
    yield ""


def _quarantine(plan: Draft) -> str:
    """A largest share of rows to set aside that holds what was seen to be wrong."""
    numbers = [plan.seen.columns[name] for name, said in plan.columns.items() if said.kind == "number"]
    wrong = sum(facts.wrong for facts in numbers) + plan.unlabelled
    if not wrong:
        return "quarantine_share: 0.01, of the rows at most"
    share = math.ceil(100 * min(wrong / plan.seen.rows, 0.98)) / 100
    return f"quarantine_share: {share + 0.01:.2f} (at most {wrong:,} of {plan.seen.rows:,} rows were seen to be wrong)"


def _one_line(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _split_lines(plan: Draft) -> Iterator[str]:
    share = 0.2 if plan.seen.rows < 1000 else 0.15
    scarce = bool(plan.classes) and min(plan.classes.values()) < SCARCE and plan.subjects is None
    yield "split:  # each row is for one purpose: train fits, validation selects, test judges"
    if scarce:
        least = min(plan.classes.values())
        few = f"the smallest has {least:,} row{'s' * (least != 1)}, too few to leave that to chance, as hash does"
        yield f"  method: stratified  # each part gets its share of every class: {few}"
    else:
        yield "  method: hash  # a row never changes its part when rows are added"
    yield f"  validation: {share}"
    yield f"  test: {share}"
    dates = [name for name, said in plan.columns.items() if said.splits]
    if dates:
        yield from _by_time(plan.seen.columns[dates[0]], share)
    if plan.subjects is not None:
        yield f"  group: {quoted(plan.subjects.column)}  # rows with the same value there stay together"
        yield ""
        return
    how = " with method: hash" if scarce else ""
    yield f"  # group: a column{how}; rows with the same value there (one patient, one machine) stay together"
    for name, said in plan.columns.items():
        if said.kind == "category" and name != plan.target and is_named_id(plan.seen.columns[name]):
            yield f"  # group: {quoted(name)}, and the kind ignore above, if later rows will be of others than these"
    yield ""


def _by_time(dates: ColumnFacts, share: float) -> Iterator[str]:
    """Say how to split by time: with cut-offs out of the data, from which on about as many rows are."""
    cuts = time_cuts(dates.times, dates.type, share=share)
    if cuts is None:
        return
    yield f"  # To predict the future, split by time instead: method: time, time_column: {quoted(dates.name)},"
    yield f"  # validation_from: {cuts.validation_from}, test_from: {cuts.test_from}"
    yield f"  # These give validation about {100 * cuts.validation:.0f} % of the rows, and test {100 * cuts.test:.0f} %"


def _prepare_lines(plan: Draft) -> Iterator[str]:
    yield "prepare:  # fitted on train rows, and exported inside the model"
    if plan.seen.image:
        yield from _image_lines(plan)
    else:
        skewed = [name for name, said in plan.columns.items() if said.kind == "number" and name != plan.target]
        skewed = [name for name in skewed if abs(plan.seen.columns[name].skewness) > SKEWED]
        if skewed and plan.seen.rows >= 1000:
            yield f"  numbers: quantile  # and ranks: some columns have long tails, such as {_one_line(skewed[0])}"
        else:
            yield "  numbers: standard  # or quantile, for columns with long tails"
    yield ""


def _image_lines(plan: Draft) -> Iterator[str]:
    size, mixed = _typical_size(plan.seen), len(plan.seen.sizes) > 1
    side = max(size)
    if side > SMALL_SIDE:
        size = _shrunk(size)
        yield f"  image_size: [{size[0]}, {size[1]}]  # height, width: larger may be better, and takes longer"
    elif mixed:
        yield f"  image_size: [{size[0]}, {size[1]}]  # height, width: the images have {len(plan.seen.sizes)} sizes"
    else:
        yield f"  image_size: null  # every image has {size[0]} x {size[1]} pixels"


def _typical_size(seen: Survey) -> tuple[int, int]:
    """The median height and width."""
    sizes = sorted(seen.sizes.elements())
    heights, widths = sorted(h for h, _ in sizes), sorted(w for _, w in sizes)
    return (heights[len(sizes) // 2], widths[len(sizes) // 2]) if sizes else (32, 32)


def _shrunk(size: tuple[int, int]) -> tuple[int, int]:
    """The size with a longer side of SMALL_SIDE, in steps of 8."""
    height, width = (max(16, round(side * SMALL_SIDE / max(size) / 8) * 8) for side in size)
    return height, width


def _network_lines(plan: Draft) -> Iterator[str]:
    small = plan.seen.rows < 2000
    size = _typical_size(plan.seen)
    yield "network:"
    if not plan.seen.image:
        yield "  family: mlp"
        yield "  width: 128"
        yield f"  depth: {2 if small else 3}"
        yield f"  dropout: {0.2 if small else 0.1}"
    elif max(size) >= SMALL_SIDE:
        yield "  family: resnet"
        yield "  width: 32"
        yield "  blocks: [2, 2, 2]"
    else:
        yield "  family: cnn"
        yield "  width: 32"
        yield f"  stages: {3 if min(size) >= 8 else 2 if min(size) >= 4 else 1}"
    yield ""
    yield from _train_lines(plan)


def _train_lines(plan: Draft) -> Iterator[str]:
    rows = plan.seen.rows
    if plan.seen.image:
        batch, epochs = (
            (32, 60) if rows < 500 else (64, 40) if rows < 5000 else (128, 20) if rows < 50_000 else (256, 10)
        )
    else:
        batch, epochs = (
            (32, 100) if rows < 2000 else (128, 60) if rows < 20_000 else (256, 40) if rows < 200_000 else (1024, 15)
        )
    yield "train:"
    yield f"  epochs: {epochs}"
    yield f"  batch_size: {batch}"
    yield "  optimizer: {name: adamw, lr: 0.002}"
    yield f"  stop_after_epochs: {max(4, epochs // 4)}  # so many epochs in a row whose weights aren't kept end it"
    if plan.seen.image:
        yield "  augment:  # random changes to train images that must not change the answer"
        yield f"    crop_pixels: {1 if max(_typical_size(plan.seen)) < 16 else 2}"
        yield "    flip: false  # true, if left and right don't matter"
    yield ""


def _release_lines(plan: Draft) -> Iterator[str]:
    yield "prune:  # candidates are every combination of these with quantize, and of neither"
    yield "  - {method: channels, ratio: 0.5}"
    yield "quantize:"
    yield "  - {method: int8_static}"
    yield "select:"
    yield "  objective: latency  # or size, or quality"
    other = "; of another metric as much in its unit, such as 0.01 nats of log_loss" if plan.classes else ""
    yield f"  max_loss: 0.01  # compression may cost {_hundredth(plan, of='uncompressed model')} on validation{other}"
    yield "gate:"
    yield f"  # floor: {_floor(plan)}; without one any first release passes"
    if plan.uneven:
        chance = 1 / len(plan.classes)
        always = f"a model that always gives the same answer has a balanced accuracy of {chance:.2f}"
        yield f"  # or, with metric: balanced_accuracy, floor: {(1 + chance) / 2:.2f}  # {always}"
    yield f"  margin: 0.01  # a later release must be shown to lose less than {_hundredth(plan, of='champion')},"
    if plan.task == "classification":
        yield "  # class_margin: 0.1  # and not be shown to lose more of any class's recall; null: no limit;"
    yield "  max_slowdown: 1.2  # and to take no more than so many times the champion's latency,"
    yield "  max_growth: 1.5  # nor of its size"


def _hundredth(plan: Draft, *, of: str) -> str:
    """What 0.01 means: a share of a regression's error, else so much of the metric, in the unit that it has."""
    if plan.task == "regression":
        return f"1 % of the {of}'s {plan.metric}"
    if plan.metric == "accuracy":
        return "one point of accuracy (0.90 to 0.89)"
    return f"0.01 of {plan.metric} (0.90 to 0.89)"


def _plain(value: float) -> str:
    """Four digits that count, without an exponent where it can be read, as YAML takes it."""
    return figure(value).replace(",", "")


def _floor(plan: Draft) -> str:
    """A first release's least value, half-way from what needs no model to what is perfect."""
    if plan.task == "regression":
        deviation = plan.seen.columns[plan.target].deviation
        tail = "; with metric: mae, a MAE" if abs(plan.seen.columns[plan.target].skewness) > SKEWED else ""
        return f"{_plain(deviation * 0.8)}  # largest test RMSE, 0.8 of the target's standard deviation{tail}"
    if plan.metric == "roc_auc":
        return "0.75  # least test ROC AUC; guessing has 0.5"
    name, share = plan.largest
    always = f"a model that always says {_one_line(repr(name))} has {share:.2f}"
    return f"{(1 + share) / 2:.2f}  # least test accuracy; {always}"
