"""Every mistake of a recipe is named at its place, and all of them at once."""

import json
from dataclasses import replace

import pytest

from components.errors import Refusal
from tests.components.recipes import GOOD, good, problems


def test_a_misspelt_name_of_a_kind_is_an_unknown_key_with_its_near_name() -> None:
    (found,) = problems(GOOD.replace("family:", "familly:"))
    assert found.what == "unknown key network.familly"
    assert found.do == "did you mean 'family'?"


def test_a_key_that_is_no_text_is_refused_where_it_is() -> None:
    (found,) = problems(GOOD + "? [train]\n: 3\n")
    assert (found.where, found.allowed) == ("r.yaml:11:3", "a text")


def test_three_mistakes_are_three_problems_in_one_refusal() -> None:
    found = problems(GOOD + "  widht: 3\ntrain:\n  epochs: 0\n  optimizer: {name: adamww}\n")
    assert {p.where for p in found} == {"r.yaml:11:3", "r.yaml:13:11", "r.yaml:14:21"}
    assert "did you mean 'width'?" in {p.do for p in found}
    assert "did you mean 'adamw'?" in {p.do for p in found}


@pytest.mark.parametrize(
    ("added", "do"),
    [
        (
            "train: {distributed: {processes: 2}}",
            "train.distributed.name, which isn't given and so is alone, says which keys there are: ddp has 'processes'",
        ),
        (
            "train: {distributed: {method: ddp}}",
            "train.distributed.name, which isn't given and so is alone, says which keys there are: alone, ddp",
        ),
        (
            "train: {optimizer: {name: adam, momentum: 0.9}}",
            "train.optimizer.name, which is adam, says which keys there are: sgd has 'momentum'",
        ),
        ("train: {optimizer: {weight_decya: 1}}", "did you mean 'weight_decay'?"),
        ("train: {epoch: 1}", "did you mean 'epochs'?"),
    ],
)
def test_a_key_that_another_choice_has_is_told_with_what_chooses(added: str, do: str) -> None:
    (found,) = problems(GOOD + added + "\n")
    assert found.do == do


POWER = "train: {{precision: {}, distributed: {{name: ddp, compress: {{{}}}}}}}"


@pytest.mark.parametrize(
    ("added", "where", "says"),
    [
        ("  width: '3'", "r.yaml:11:10", "a whole number"),
        ("  width: 3.0", "r.yaml:11:10", "a whole number"),
        ("  width: 010", "r.yaml:11:10", "a whole number"),
        ("  dropout: true", "r.yaml:11:12", "a number"),
        ("  dropout: .nan", "r.yaml:11:12", "a number"),
        ("  dropout: 1e999", "r.yaml:11:12", "a number"),
        ("  dropout:", "r.yaml:11:11", "a number"),
        ("  dropout: [1]", "r.yaml:11:12", "a number"),
        ("  family: mpl", "r.yaml:11:3", "given twice, first at r.yaml:10:3"),
        ("train: {compile: 1}", "r.yaml:11:18", "true or false"),
        ("train: {precision: fp8}", "r.yaml:11:20", "fp32, bf16, fp16"),
        ("train: 3", "r.yaml:11:8", "a mapping"),
        ("train: {lr: 3}", "r.yaml:11:9", "it belongs to train.optimizer"),
        ("train: {loss: {delta: 1}}", "r.yaml:11:15", "train.loss.name is missing"),
        ("train: {loss: {name: mse}}", "r.yaml:11:15", "loss mse isn't one for classification"),
        ("train: {optimizer: {name: adam, momentum: 0.9}}", "r.yaml:11:33", "unknown key train.optimizer.momentum"),
        ("train: {optimizer: {lr: 0,002}}", "r.yaml:11:27", "write decimals with a point: 0.5, not 0,5"),
        ("train: {optimizer: {lr: -1}}", "r.yaml:11:25", "above 0"),
        ("train: {optimizer: {lr: -1e-3, name: sgd}}", "r.yaml:11:25", "lr is above 0"),
        ("train: {distributed: {name: ddp, processes: 1}}", "r.yaml:11:45", "processes is at least 2"),
        ("train: {distributed: {compress: {name: fp16}}}", "r.yaml:11:23", "unknown key train.distributed.compress"),
        ("train: {distributed: {name: ddp, compress: {name: zip}}}", "r.yaml:11:51", "fp16, bf16, int8, power_sgd"),
        ("train: {batch_size: 1, distributed: {name: ddp}}", "r.yaml:11:21", "the number of processes, 2"),
        ("train: {device: mps, distributed: {name: ddp}}", "r.yaml:11:17", "auto, cpu or cuda"),
        ("train: {device: 'cuda:1', distributed: {name: ddp}}", "r.yaml:11:17", "auto, cpu or cuda"),
        (POWER.format("fp16", "name: power_sgd"), "r.yaml:11:20", "can't go with precision fp16"),
        (POWER.format("bf16", "name: power_sgd, rank: 0"), "r.yaml:11:85", "rank is at least 1"),
        (POWER.format("bf16", "name: power_sgd, start_step: 1"), "r.yaml:11:91", "start_step is at least 2"),
        ("workers: {train: {pool: local, wait_minutes: soon}}", "r.yaml:11:46", "a number"),
        ("workers: {train: {pool: local, wait_minute: 5}}", "r.yaml:11:32", "did you mean 'wait_minutes'?"),
        ("workers: {profile: {pool: local}}", "r.yaml:11:11", "unknown key workers.profile"),
        ("prune: channels", "r.yaml:11:8", "a list"),
        ("prune: [{ratio: 2}]", "r.yaml:11:17", "prune.0.ratio is 2"),
        ("quantize: [{calibration: minmax}]", "r.yaml:11:12", "quantize.0.method is missing"),
        ("prepare: {image_size: [8]}", "r.yaml:11:23", "a list of 2 values"),
        ("profile: {batch_sizes: [2]}", "r.yaml:11:24", "isn't among profile.batch_sizes"),
        ("metric: rmse", "r.yaml:11:9", "isn't one of classification"),
        (
            "metric: calibration_error",
            "r.yaml:11:9",
            "metric calibration_error can't judge models: chance",
        ),
        ("seed: !!python/name:os.system x", "r.yaml:11:7", "isn't data"),
        ("seed: 1\nseed: 2", "r.yaml:12:1", "seed is given twice"),
        ("seed: @", "r.yaml:11:7", "not YAML"),
        ("gate:\n\tmargin: 1", "r.yaml:12:1", "indent with spaces"),
        ("prepare: &a\n  image_size: *a", "r.yaml:11:10", "contains itself"),
        ("---\nmodel: b", "r.yaml:11:1", "not YAML"),
        ("train\n  epochs: 5", "r.yaml:11:1", 'a key ends with ":"'),
        ("train\n\n# so long\nseed: 5", "r.yaml:11:1", 'a key ends with ":"'),
        ("train:\n  epochs 5\n  batch_size: 5", "r.yaml:13:13", 'for a missing ":" the one before'),
        ("metric: 'accuracy\nseed: 5", "r.yaml:11:9", "close the quote that begins here"),
        ("train:\n    epochs: 5\n  batch_size: 5", "r.yaml:13:3", "check the indentation of this line and of the ones"),
        (
            "prune:\n  - {ratio: 0.5}\n - {ratio: 0.7}",
            "r.yaml:13:2",
            "check the indentation of this line and of the ones",
        ),
        ("train:\n  epochs: 5\n  - 5", "r.yaml:13:3", "check the indentation of this line and of the ones"),
        ("prune: [\nseed: 5", "r.yaml:13:1", "that the bracket opened on line 11 is closed"),
    ],
)
def test_a_mistake_is_named_at_its_place(added: str, where: str, says: str) -> None:
    found = problems(GOOD + added + "\n")
    assert [p.where for p in found] == [where]
    assert says in str(found[0])


def test_a_first_line_that_is_indented_is_told_by_the_next_one() -> None:
    found = problems(" " + GOOD)
    assert [p.where for p in found] == ["r.yaml:2:1"]
    assert "check the indentation" in found[0].do


TABLE = GOOD.replace("width: number", "width: number\n    patient: ignore\n    day: ignore")
TIMES = "split: {{method: time, time_column: {}, validation_from: {}, test_from: {}}}"
LAST = TABLE.count("\n") + 1


@pytest.mark.parametrize(
    ("added", "column", "says"),
    [
        ("seed: -1", 7, "seed is 0 or more"),
        ("train: {optimizer: {name: sgd, momentum: -1}}", 42, "momentum is 0 or more and below 1"),
        ("train: {optimizer: {name: sgd, weight_decay: -1}}", 46, "weight_decay is 0 or more"),
        ("train: {optimizer: {name: adam, weight_decay: -1}}", 47, "weight_decay is 0 or more"),
        ("train: {optimizer: {weight_decay: -1}}", 35, "weight_decay is 0 or more"),
        ("train: {optimizer: {name: adagrad, weight_decay: -1}}", 50, "weight_decay is 0 or more"),
        ("train: {optimizer: {name: adafactor, lr: 0}}", 42, "lr is above 0"),
        ("train: {loss: {name: cross_entropy, label_smoothing: 1.5}}", 54, "label_smoothing is 0 or more and below 1"),
        ("train: {schedule: {name: constant, warmup_epochs: -5}}", 51, "warmup_epochs is 0 or more"),
        ("train: {schedule: {warmup_epochs: -5}}", 35, "warmup_epochs is 0 or more"),
        ("train: {schedule: {final_share: -1}}", 33, "final_share is 0 to 1"),
        ("train: {schedule: {name: one_cycle, rise_share: 1.2}}", 49, "rise_share is 0 to 1"),
        ("train: {schedule: {name: on_plateau, factor: 10}}", 46, "factor is above 0 and below 1"),
        ("train: {schedule: {name: on_plateau, patience_epochs: -1}}", 55, "patience_epochs is 0 or more"),
        ("train: {schedule: {name: on_plateau, warmup_epochs: -1}}", 53, "warmup_epochs is 0 or more"),
        ("train: {checkpoint_seconds: -1}", 29, "checkpoint_seconds is 0 or more"),
        ("train: {device: gpu}", 17, "device is auto, cpu, cuda"),
        ("train: {precision: fp16, device: cpu}", 20, "precision fp16 isn't for a CPU"),
        ("train: {augment: {flip: true}}", 18, "augment is for images"),
        ("gate: {floor: 95}", 15, "gate.floor 95 is above 1, which accuracy never is"),
        ("gate: {floor: -1}\nmetric: log_loss", 15, "gate.floor -1 is below 0, which log_loss never is"),
        ("profile: {runtimes: [onxruntime]}", 22, "did you mean 'onnxruntime'?"),
        ("split: {group: pateint}", 16, "did you mean 'patient'?"),
        (TIMES.format("dya", 1, 2), 36, "did you mean 'day'?"),
        (TIMES.format("day", "2024-02-02", "2024-01-03"), 58, "validation_from 2024-02-02 isn't before test_from"),
        (TIMES.format("day", "2024-02", "2024-01-31T00:00+01:00"), 58, "isn't before test_from"),
        (TIMES.format("day", 20, 3), 58, "validation_from 20 isn't before test_from 3"),
    ],
)
def test_an_impossible_value_is_named_at_its_line(added: str, column: int, says: str) -> None:
    (found,) = problems(TABLE + added + "\n")
    assert found.where == f"r.yaml:{LAST}:{column}"
    assert says in str(found)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (["data.target=patient"], "target 'patient' can't be of kind ignore"),
        (["data.bad_rows=quarantine"], "quarantine_share is missing"),
        (["data.quarantine_share=0.1"], "goes with `bad_rows: quarantine`"),
        (["data.bad_rows=quarantine", "data.quarantine_share=1"], "above 0 and below 1"),
        (["data.columns.width=ignore"], "no column is left to learn from"),
        (["data.columns.day=image"], "an image column can't be mixed"),
        (["split.validation=0"], "validation is above 0 and below 1"),
        (["split.test=0.85"], "shares above 0 whose sum is below 1"),
        (["split.method=time", "split.time_column=day", "split.test_from=3"], "needs time_column, validation_from"),
        (["split.time_column=day"], "go with method: time, and only with it"),
        (["split.method=stratified", "split.group=patient"], "can't be combined with method: stratified"),
        (["prepare.min_category_rows=0"], "min_category_rows is at least 1"),
        (["prepare.image_size=[0, 8]"], "each 1 to 65535"),
        (["task=regression"], "regression needs a target of kind number, 'label' is of another"),
        (["network={family: resnet}"], "network resnet needs an image column"),
    ],
)
def test_what_does_not_go_together_is_refused(changes: list[str], says: str) -> None:
    found = problems(TABLE, *changes)
    assert says in str(Refusal(found))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("train.augment.crop_pixels=-1", "crop_pixels is 0 to 1024"),
        ("train.augment.rotate_degrees=181", "rotate_degrees is 0 to 180"),
        ("train.stop_after_epochs=0", "stop_after_epochs is at least 1"),
        ("train.threads=0", "threads is 1 to 4096"),
        ("train.threads=4097", "threads is 1 to 4096"),
        ("train.epochs=1000001", "epochs is 1 to 1000000"),
        ("train.distributed={name: ddp, processes: 4097}", "processes is at most 4096"),
        ("train.loss={name: huber, delta: 0}", "delta is above 0"),
        ("prune=[{finetune_epochs: -1}]", "finetune_epochs is 0 to 1000000"),
        ("prune=[{finetune_lr_share: 0}]", "finetune_lr_share is above 0"),
        ("quantize=[{method: int8_static, calibration_rows: 0}]", "calibration_rows is at least 1"),
        ("select.max_loss=-0.1", "max_loss is 0 or more"),
        ("evaluate.resamples=99", "resamples is at least 100"),
        ("evaluate.confidence=1", "confidence is above 0.5 and below 1"),
        ("export.opset=17", "opset is 18 to 23"),
        ("export.opset=24", "opset is 18 to 23"),
        ("export.parity_rows=0", "parity_rows is at least 1"),
        ("export.tolerance=0", "tolerance is above 0"),
        ("profile.runtimes=[]", "at least one entry"),
        ("profile.batch_sizes=[]", "at least one entry"),
        ("profile.batch_sizes=[0, 1]", "each batch size 1 to 1000000"),
        ("profile.batch_sizes=[1, 1000001]", "each batch size 1 to 1000000"),
        ("profile.threads=0", "threads is 1 to 4096"),
        ("profile.threads=4097", "threads is 1 to 4096"),
        ("profile.rounds=9", "rounds is 10 to 1000000"),
        ("profile.confidence=0.5", "confidence is above 0.5"),
        ("gate.margin=0", "margin is at least 0.000001 and below 1"),
        ("gate.margin=1e-155", "margin is at least 0.000001 and below 1"),
        ("gate.margin=1", "margin is at least 0.000001 and below 1"),
        ("gate.confidence=0.5", "confidence is above 0.5"),
        ("gate.class_margin=1", "class_margin is below 1, or null"),
        ("gate.class_margin=0", "class_margin is above 0, or null"),
        ("gate.max_slowdown=0", "max_slowdown is above 0, or null"),
        ("gate.max_growth=-1", "max_growth is above 0, or null"),
        ("workers.train={pool: local, wait_minutes: 0}", "wait_minutes is above 0, or left out"),
        ("network={family: mlp, width: 0}", "width is at least 1"),
        ("network={family: mlp, depth: 1001}", "depth is 1 to 1000"),
        ("network={family: mlp, members: 0}", "members is at least 1"),
        ("network={family: mlp, waves: -1}", "waves is 0 or more"),
        ("network={family: mlp, dropout: 1}", "below 1"),
        ("network={family: cnn, stages: 0}", "stages is 1 to 12"),
        ("network={family: cnn, stages: 13}", "stages is 1 to 12"),
        ("network={family: cnn, dropout: 1}", "below 1"),
        ("network={family: resnet, blocks: [2, 0]}", "blocks is a list of 1 to 12 numbers, each 1 to 1000"),
        ("network={family: resnet, blocks: [1001]}", "blocks is a list of 1 to 12 numbers, each 1 to 1000"),
        ("network={family: resnet, blocks: []}", "blocks is a list of 1 to 12 numbers, each 1 to 1000"),
        ("network={family: custom, path: nowhere}", "package.module:Name"),
    ],
)
def test_a_value_out_of_its_range_is_refused_whoever_gives_it(change: str, says: str) -> None:
    found = problems(TABLE, change)
    assert says in str(Refusal(found))
    assert found[0].where == f"--set {change}"


@pytest.mark.parametrize("number", ["9223372036854775808", "-9223372036854775808", "1" * 21, "9" * 5000])
@pytest.mark.parametrize(
    "change",
    [
        "train.threads={}",
        "train.batch_size={}",
        "split.seed={}",
        "profile.batch_sizes=[{}]",
        "workers.train={{pool: p, retries: {}}}",
        "network={{family: custom, path: 'a:B', options: {{size: {}}}}}",
    ],
)
def test_a_whole_number_that_no_library_can_hold_is_refused_once(change: str, number: str) -> None:
    (found,) = problems(TABLE, change.format(number))
    assert found.allowed == "a whole number from -9223372036854775807 to 9223372036854775807"


def test_a_place_in_a_list_that_no_library_can_hold_is_refused() -> None:
    (found,) = problems(TABLE + "prune: [{ratio: 0.5}]", f"prune.{'9' * 5000}.ratio=0.5")
    assert "isn't an entry of the list" in found.what


def test_a_split_by_time_takes_no_groups() -> None:
    (found,) = problems(TABLE + TIMES.format("day", 1, 2).replace("}", ", group: patient}") + "\n")
    assert "group can't be combined with method: time" in found.what


@pytest.mark.parametrize(
    "added",
    [
        "train: {schedule: {name: on_plateau, patience_epochs: 0}, precision: fp16}",
        "gate: {floor: 1}",
        "gate: {floor: 95}\nmetric: log_loss",
        TIMES.format("day", 3, 20),
        TIMES.format("day", 20230101, 2024),  # as dates in order, as numbers not: the column decides
        TIMES.format("day", "2024-01-03", "2024-02"),
    ],
)
def test_what_is_unusual_but_possible_is_accepted(added: str) -> None:
    good(TABLE + added + "\n")


def test_an_image_is_no_group() -> None:
    (found,) = problems(GOOD.replace("width: number", "scan: image") + "split: {group: scan}\n")
    assert (found.where, "image column" in found.what) == ("r.yaml:11:16", True)


@pytest.mark.parametrize("name", ["", "../up", "a/b", "my data", ".hidden", "-x", "\u00fc", "a" * 101, "a\n"])
def test_a_name_that_is_no_name_is_blamed_at_its_line(name: str) -> None:
    (found,) = problems("\n".join([*GOOD.splitlines()[1:], f"model: {json.dumps(name)}"]))
    assert found.where.startswith("r.yaml:10:")
    assert "1 to 100 of A-Z" in found.what


def test_two_impossible_values_of_one_section_are_both_found() -> None:
    found = problems(GOOD + "train:\n  epochs: 0\n  clip_norm: -1\n  weight_average: 2\n")
    assert [p.where for p in found] == ["r.yaml:12:11", "r.yaml:13:14", "r.yaml:14:19"]


def test_a_mistake_that_only_follows_from_another_is_not_reported() -> None:
    found = problems(GOOD + "split:\n  method: tme\n  time_column: width\n")
    assert [p.where for p in found] == ["r.yaml:12:11"]


def test_a_target_that_is_no_column_is_told_the_nearest_one() -> None:
    (found,) = problems(GOOD.replace("target: label", "target: lable"))
    assert found.what.endswith("is not among columns: label, width (did you mean 'label'?)")


def test_missing_sections_are_named_once_each() -> None:
    found = problems("model: a\ntask: classification\n")
    assert [p.what for p in found] == ["data is missing", "network is missing"]


def test_a_union_that_cannot_be_told_apart_lists_its_names() -> None:
    (found,) = problems(GOOD.replace("family: mlp", "width: 3"))
    assert (found.where, found.allowed) == ("r.yaml:10:3", "mlp, cnn, resnet, custom")


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "[]", "text", "- a"])
def test_a_text_that_holds_no_mapping_is_refused(text: str) -> None:
    assert len(problems(text)) == 1


def test_a_text_of_deep_brackets_is_refused() -> None:
    assert len(problems("a: " + "[" * 5000)) == 1


def test_aliases_that_grow_a_thousandfold_are_refused() -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    (found,) = problems("\n".join(rows))
    assert "too large" in found.what


def test_a_column_without_a_name_is_not_learned_from() -> None:
    config = good().data
    with pytest.raises(ValueError, match="without a name"):
        replace(config, columns={**config.columns, "": "number"})
    assert replace(config, columns={**config.columns, "": "ignore"}).columns[""] == "ignore"


@pytest.mark.parametrize(
    ("added", "allowed", "do"),
    [
        ("train: {loss: {name: mse}}", "cross_entropy, bce", "take one of these, or leave train.loss out"),
        ("metric: rmse", "accuracy, balanced_accuracy", "take one of these, or leave metric out"),
        (
            "metric: calibration_error",
            "accuracy, balanced_accuracy, precision_macro, recall_macro, f1_macro, roc_auc, log_loss",
            "take log_loss, which rewards calibration too: the calibration error is reported all the same",
        ),
        ("split: {group: zz}", "label, width", "name one of these, or leave split.group out"),
    ],
)
def test_what_does_not_fit_the_task_or_the_columns_says_what_does(added: str, allowed: str, do: str) -> None:
    (found,) = problems(GOOD + added + "\n")
    assert found.allowed.startswith(allowed)
    assert found.do == do


@pytest.mark.parametrize("mark", [",", "@", "`", "]", "}"])
def test_a_value_that_begins_with_a_mark_of_yaml_is_told_to_be_quoted(mark: str) -> None:
    (found,) = problems(GOOD + f"seed: {mark}\n")
    assert found.allowed == "keys with their values, as YAML writes them"
    assert f'such as "{mark}"' in found.do
    (found,) = problems(GOOD, f"seed={mark}")
    assert found.allowed.startswith("a value as YAML writes it")
    assert found.do.endswith(f"""in a shell: '"{mark}"'""")
