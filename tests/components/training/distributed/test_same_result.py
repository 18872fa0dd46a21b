"""Several processes reach what one does with the same batches, but for rounding; and again when they were killed."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from components.models.config import CNN, MLP, ResNet
from components.models.model import Model
from components.training.config import (
    BF16,
    FP16,
    SGD,
    AdamW,
    Augment,
    CrossEntropy,
    Int8,
    OnPlateau,
    PowerSGD,
)
from components.training.job import Fitted
from tests.components.models.cases import VALUE
from tests.components.training.cases import train, weights
from tests.components.training.distributed.cases import SHORT, Case, by_processes, compressed

pytestmark = pytest.mark.xdist_group("processes")  # the cases of a kind are trained at once, in one start of torchrun

Results = dict[str, tuple[Model, Fitted]]
PLAIN = CNN(width=4, stages=2, dropout=0.0)
LONG = replace(SHORT, epochs=10, batch_size=16, optimizer=AdamW(lr=1e-2))
STEADY = replace(SHORT, optimizer=SGD())  # Adam divides small gradients by small ones: weights aren't comparable
RESTLESS = MLP(width=8, depth=2, dropout=0.3)

SAME = {
    "a perceptron": Case(config=STEADY),
    "batch normalisation": Case(config=STEADY, network=PLAIN),
    "a residual network": Case(config=STEADY, network=ResNet(width=4, blocks=(1, 1))),
    "batches in NCHW": Case(config=replace(STEADY, channels_last=False), network=PLAIN),
    "accumulation, clipping": Case(
        config=replace(STEADY, batch_size=4, accumulate=3, clip_norm=0.01), network=PLAIN, rows=39
    ),
    "a moving average, balanced classes": Case(
        config=replace(STEADY, weight_average=0.9, loss=CrossEntropy(class_weights="balanced"))
    ),
    "early stopping, on plateau": Case(
        config=replace(STEADY, epochs=9, stop_after_epochs=2, schedule=OnPlateau(patience_epochs=0))
    ),
    "values": Case(config=STEADY, target=VALUE, network=MLP(width=8, depth=2, dropout=0.0, members=1)),
    "adamw": Case(network=PLAIN),
}
HOOKS = {
    "none": Case(config=LONG, rows=64),
    "fp16": Case(config=compressed(FP16(), LONG), rows=64),
    "bf16": Case(config=compressed(BF16(), LONG), rows=64),
    "int8": Case(config=compressed(Int8(), LONG), rows=64),
    "power_sgd": Case(config=compressed(PowerSGD(rank=1, start_step=2), LONG), rows=64),
    "power_sgd of rank 2": Case(config=compressed(PowerSGD(rank=2, start_step=2), LONG), rows=64),
    "power_sgd later": Case(config=compressed(PowerSGD(rank=1, start_step=9), LONG), rows=64),
}
KILLED = {
    "nothing compressed": Case(network=RESTLESS),
    "integers": Case(network=RESTLESS, config=compressed(Int8())),
    "thin matrices": Case(network=RESTLESS, config=compressed(PowerSGD(rank=1, start_step=3))),
    "thin matrices of images": Case(network=CNN(width=4, stages=2), config=compressed(PowerSGD(start_step=3))),
    "images": Case(
        network=CNN(width=4, stages=2),
        config=replace(SHORT, augment=Augment(flip=True, rotate_degrees=10), weight_average=0.5, accumulate=2),
    ),
}
FEW = {
    "a process without a row": Case(config=replace(STEADY, batch_size=12), rows=38),
    "images, a process without a row": Case(network=PLAIN, config=replace(STEADY, batch_size=12), rows=38),
}


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Results:
    ended = {f"{name}, ended": replace(case, ends=(2, 4, 8, 9)) for name, case in KILLED.items()}
    return by_processes({**SAME, **HOOKS, **KILLED, **ended}, tmp_path_factory.mktemp("two"))


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Results:
    ended = {"ended": replace(KILLED["thin matrices"], ends=(4, 9))}
    return by_processes(
        {**FEW, "whole": KILLED["thin matrices"], **ended}, tmp_path_factory.mktemp("three"), processes=3
    )


def one(case: Case, folder: Path) -> tuple[Model, Fitted]:
    return train(case.config, folder, network=case.network, target=case.target, rows=case.rows)


def assert_same(found: tuple[Model, Fitted], expected: tuple[Model, Fitted], *, weights_too: bool) -> None:
    """Losses within 1e-5 of each other, relative, and weights too, but for Adam's."""
    assert len(found[1].history) == len(expected[1].history)
    for ours, theirs in zip(found[1].history, expected[1].history, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)
    for a, b in zip(found[0].network.state_dict().values(), expected[0].network.state_dict().values(), strict=True):
        if weights_too:
            torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("case", SAME)
def test_two_processes_have_the_losses_and_weights_of_one(case: str, two: Results, tmp_path: Path) -> None:
    assert_same(two[case], one(SAME[case], tmp_path), weights_too=case != "adamw")


@pytest.mark.slow
@pytest.mark.parametrize("case", FEW)
def test_three_processes_share_a_batch_of_two_rows(case: str, three: Results, tmp_path: Path) -> None:
    assert_same(three[case], one(FEW[case], tmp_path), weights_too=True)


@pytest.mark.parametrize(("hook", "tolerance"), [("fp16", 0.005), ("bf16", 0.01), ("int8", 0.05), ("power_sgd", 0.2)])
def test_compressed_gradients_learn_as_others_do(hook: str, tolerance: float, two: Results) -> None:
    plain, found = two["none"][1].history, two[hook][1].history
    assert found[-1]["train_loss"] < 0.9 * found[0]["train_loss"]
    assert found[-1]["train_loss"] == pytest.approx(plain[-1]["train_loss"], rel=tolerance)


def test_no_compression_is_ignored_and_none_of_its_knobs(two: Results, tmp_path: Path) -> None:
    files = {weights(two[name][0], tmp_path / name) for name in HOOKS}
    assert len(files) == len(HOOKS)


@pytest.mark.parametrize("case", KILLED)
def test_ended_at_some_steps_they_reach_the_same_bytes(case: str, two: Results, tmp_path: Path) -> None:
    whole, ended = two[case], two[f"{case}, ended"]
    assert weights(ended[0], tmp_path / "a") == weights(whole[0], tmp_path / "b")
    assert ended[1].history == whole[1].history


@pytest.mark.slow
def test_three_processes_reach_the_same_bytes_too(three: Results, tmp_path: Path) -> None:
    assert weights(three["ended"][0], tmp_path / "a") == weights(three["whole"][0], tmp_path / "b")


def test_dropout_differs_from_that_of_one_process(two: Results, tmp_path: Path) -> None:
    alone, _ = one(KILLED["nothing compressed"], tmp_path)
    assert weights(two["nothing compressed"][0], tmp_path / "a") != weights(alone, tmp_path / "b")
