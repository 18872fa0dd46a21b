"""All mistakes of a recipe come in one round: none hides another, and none is told that only follows from another."""

from typing import get_args

import pytest

from components.training.config import LOSSES_OF, Loss
from tests.components.recipes import GOOD, good, problems

DATA = "model: m\ndata: {source: r.csv, target: y, columns: {a: number, b: category, y: category}}\n"
CLASSES = DATA + "task: classification\nnetwork: {family: mlp}\n"


def told(text: str) -> list[str]:
    """Each mistake as `line:column what`, in the order of the text."""
    found = [(*map(int, problem.where.split(":")[1:]), problem.what) for problem in problems(text)]
    return [f"{line}:{column} {what}" for line, column, what in sorted(found)]


@pytest.mark.parametrize(
    "changes", [("data.bad_rows=quarantine", "data.quarantine_share=0.1"), ('data.decimal=","',)], ids=["bad", "mark"]
)
def test_how_rows_were_read_and_bad_ones_set_aside_is_no_part_of_what_is_learned(changes: tuple[str, ...]) -> None:
    aside = good(GOOD, *changes)
    assert aside.data != good().data
    assert aside.aim == good().aim != good(GOOD, "data.columns.width=boolean").aim


def test_a_wrong_type_hides_no_impossible_value_beside_it() -> None:
    train = "train:\n  epochs: -3\n  batch_size: many\n  optimizer: {name: sgd, lr: -1, betas: 3}\n"
    assert told(CLASSES + train) == [
        "6:11 train.epochs is -3: epochs is 1 to 1000000",
        "7:15 train.batch_size is many",
        "8:30 train.optimizer.lr is -1: lr is above 0",
        "8:34 unknown key train.optimizer.betas",
    ]


def test_a_mistake_in_a_section_hides_no_clash_of_its_other_fields() -> None:
    train = "train:\n  epochs: 0\n  batchsize: 32\n  loss: {name: mse}\ngate: {floor: 7}\n"
    assert told(CLASSES + train) == [
        "6:11 train.epochs is 0: epochs is 1 to 1000000",
        "7:3 unknown key train.batchsize",
        "8:9 train.loss mse isn't one for classification",
        "9:15 gate.floor 7 is above 1, which accuracy never is",
    ]


def test_a_clash_hides_no_other_clash() -> None:
    rest = "task: regression\nmetric: accuracy\nnetwork: {family: cnn}\nsplit: {method: time}\n"
    train = "train:\n  loss: cross_entropy\n  augment: {flip: true}\nprepare: {image_size: [8, 8], image_channels: 3}\n"
    assert told(DATA + rest + train) == [
        "2:31 data.target is y: regression needs a target of kind number, 'y' is of another",
        "4:9 metric accuracy isn't one of regression",
        "5:19 network.family is cnn: network cnn needs an image column: use mlp for tables",
        "6:17 split.method is time: method: time needs time_column, validation_from and test_from",
        "8:9 train.loss is cross_entropy",
        "9:12 train.augment is for images, and no column is one: leave it out",
        "10:23 prepare.image_size is for images, and no column is one: leave it out",
        "10:47 prepare.image_channels is for images, and no column is one: leave it out",
    ]


@pytest.mark.parametrize(("key", "entry"), [("prune", "{ratio: 0.3}"), ("quantize", "{method: int8_static}")])
def test_the_same_is_listed_once(key: str, entry: str) -> None:
    (said,) = told(f"{CLASSES}{key}: [{entry}, {entry}]\n")
    assert f"{key} lists the same twice" in said


def test_ten_mistakes_of_ten_sections_come_together() -> None:
    text = """\
modle: m
task: regression
data:
  source: r.csv
  target: y
  columns: {photo: image, age.x: number, "": category, y: category}
  bad_rows: quarantine
network: {family: resnet, width: 0, blocks: []}
split: {method: stratified, group: photo, test: 2}
prune: [{ratio: 0, finetune_epochs: -1}, {method: weights}]
workers: {train: {cpus: 0, retries: -1}}
profile: {batch_sizes: [2], rounds: 3, threads: 0}
train: {precision: fp16, device: cpu, distributed: {name: ddp, processes: 100, compress: {name: power_sgd, rank: 0}}}
"""
    assert told(text) == [
        "1:1 unknown key modle",
        "5:11 data.target is y: regression needs a target of kind number, 'y' is of another",
        "6:34 data.columns.age.x is number: an image column can't be mixed with other features: mark the others `ignore`",
        "6:46 data.columns. is category: a column without a name can't be learned from: mark it `ignore`, or give it a name",
        "7:13 data.bad_rows is quarantine: quarantine_share is missing: beside `bad_rows: quarantine` it says which"
        " share of the rows may be set aside, such as 0.02",
        "8:34 network.width is 0: width is at least 1",
        "8:45 network.blocks: blocks is a list of 1 to 12 numbers, each 1 to 1000",
        "9:36 split.group 'photo' is an image column, which has no groups and no times",
        "9:36 split.group is photo: group can't be combined with method: stratified; set method: hash",
        "9:49 split.test is 2: test is above 0 and below 1",
        "10:17 prune.0.ratio is 0: ratio is above 0 and below 1",
        "10:37 prune.0.finetune_epochs is -1: finetune_epochs is 0 to 1000000",
        "10:51 prune.1.method is weights",
        "11:18 workers.train.pool is missing",
        "11:25 workers.train.cpus is 0: cpus is above 0, or left out",
        "11:37 workers.train.retries is -1: retries is 0 or more",
        "12:24 profile.batch_sizes: select.batch_size 1 isn't among profile.batch_sizes",
        "12:37 profile.rounds is 3: rounds is 10 to 1000000",
        "12:49 profile.threads is 0: threads is 1 to 4096",
        "13:20 train.precision fp16 isn't for a CPU: take bf16, or another device",
        "13:20 train.precision is fp16: compress power_sgd can't go with precision fp16: an overflow would stay in what"
        " it keeps",
        "13:75 train.distributed.processes is 100: batch_size is at least the number of processes, 100: each takes a part",
        "13:114 train.distributed.compress.rank is 0: rank is at least 1",
    ]


def test_a_value_that_clashes_with_another_may_be_wrong_in_itself_as_well() -> None:
    assert told(CLASSES + "split: {method: stratified, group: zz}\n") == [
        "5:36 split.group 'zz' is not among the columns",
        "5:36 split.group is zz: group can't be combined with method: stratified; set method: hash",
    ]


def test_of_two_shares_that_are_too_much_the_larger_is_to_blame() -> None:
    assert told(GOOD + "split: {validation: 0.1, test: 0.95}\n") == [
        "11:32 split.test is 0.95: validation and test are shares above 0 whose sum is below 1"
    ]


def test_a_wrong_kind_of_one_column_hides_no_mistake_about_others() -> None:
    text = GOOD.replace("width: number", "width: numbr\n    i: image\n    n: number").replace(
        "target: label", "target: n"
    )
    assert [line.split(" ")[0] for line in told(text + "split: {group: nobody}\n")] == ["7:12", "8:12", "13:16"]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        (GOOD.replace("model:", "modle:"), "1:1"),  # nor is it missing
        (GOOD.replace("family: mlp", "family: custom\n  pathe: a:B"), "11:3"),
        (GOOD.replace("width: number", "width: numbr") + "train: {augment: {flip: true}}\n", "8:12"),  # if an image?
        (GOOD.replace("label: category", "label: numbr").replace("classification", "regression"), "7:12"),
        (GOOD.replace("task: classification", "task: class") + "metric: rmse\ngate: {floor: 7}\n", "2:7"),
        (GOOD + "metric: acuracy\ngate: {floor: 7}\n", "11:9"),
        (GOOD + "split: {method: time, time_colum: width, validation_from: 1, test_from: 2}\n", "11:23"),
        (GOOD + "split: {validation: x, test: 0.9}\n", "11:21"),
        (GOOD + "profile: {batch_sizes: [x, 2]}\n", "11:25"),
        (GOOD + "train: {batch_size: 1, distributed: {name: ddp, processes: x}}\n", "11:60"),
        (GOOD + "train: {batch_size: 0, distributed: {name: ddp}}\n", "11:21"),
        (GOOD + "train: {precision: fp16, device: [cpu]}\n", "11:34"),
    ],
)
def test_what_only_follows_from_a_mistake_is_not_told(text: str, where: str) -> None:
    assert [line.split(" ")[0] for line in told(text)] == [where]


def test_every_loss_is_one_of_a_task() -> None:
    names = {loss.__dataclass_fields__["name"].default for loss in get_args(Loss)}
    assert sorted(names) == sorted(name for of_task in LOSSES_OF.values() for name in of_task)
