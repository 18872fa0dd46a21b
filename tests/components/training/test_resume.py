"""A training killed at any step ends with the same bytes as one that was left alone."""

import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from components.errors import Refusal
from components.models.config import CNN, MLP, Network, ResNet
from components.training.checkpoint import CHECKPOINT_FILE
from components.training.config import (
    SGD,
    Adafactor,
    Adagrad,
    Adam,
    Augment,
    Constant,
    Huber,
    OneCycle,
    OnPlateau,
    TrainConfig,
)
from components.training.watch import Silent
from tests.components.models.cases import VALUE
from tests.components.training.cases import train, weights

SHORT = TrainConfig(
    epochs=3, batch_size=8, threads=1, checkpoint_seconds=0, weight_average=0.0
)  # 5 steps an epoch: 37 rows

CASES: dict[str, tuple[Network, TrainConfig]] = {
    "adamw and cosine": (MLP(width=8, depth=2, dropout=0.3), SHORT),
    "sgd with momentum, accumulation, clipping": (
        MLP(width=8, depth=2),
        replace(SHORT, optimizer=SGD(), accumulate=2, clip_norm=0.5, schedule=OneCycle()),
    ),
    "a moving average, on plateau, early stopping": (
        MLP(width=8, depth=2),
        replace(
            SHORT,
            epochs=5,
            weight_average=0.9,
            schedule=OnPlateau(patience_epochs=0),
            stop_after_epochs=2,
            optimizer=Adam(lr=0.05),
        ),
    ),
    "images, augmented, channels last, batch normalisation": (
        CNN(width=4, stages=2, dropout=0.2),
        replace(SHORT, epochs=2, augment=Augment(flip=True, crop_pixels=1, rotate_degrees=10), weight_average=0.5),
    ),
    "a residual network in bf16": (ResNet(width=4, blocks=(1, 1)), replace(SHORT, epochs=2, precision="bf16")),
    "adagrad": (MLP(width=8, depth=2), replace(SHORT, epochs=2, optimizer=Adagrad(), schedule=Constant())),
    "adafactor": (MLP(width=8, depth=2), replace(SHORT, epochs=2, optimizer=Adafactor())),
}


class Killed(Exception):
    """The end of a process, as far as a test can play it."""


class KillAt(Silent):
    """Ends the training at a step, or behind an epoch."""

    def __init__(self, *, step: int = -1, epoch: int = -1) -> None:
        self.at_step, self.at_epoch = step, epoch

    def step(self, *, step: int, steps: int) -> None:
        if step == self.at_step:
            raise Killed

    def epoch(self, metrics: Mapping[str, float], *, epoch: int) -> None:
        if epoch == self.at_epoch:
            raise Killed


@pytest.mark.parametrize("case", CASES)
def test_killed_at_each_step_it_ends_with_the_same_bytes(case: str, tmp_path: Path) -> None:
    network, config = CASES[case]
    model, fitted = train(config, tmp_path / "whole", network=network)
    expected = weights(model, tmp_path / "expected")
    taken = len(fitted.history) * -(-5 // config.accumulate)
    for kill in range(1, taken + 1, 1 if case == "adamw and cosine" else 3):
        folder = tmp_path / f"killed at {kill}"
        with pytest.raises(Killed):
            train(config, folder, network=network, observer=KillAt(step=kill))
        again, refitted = train(config, folder, network=network)
        assert weights(again, tmp_path / "again") == expected, f"killed at step {kill}"
        assert refitted.history == fitted.history
        assert refitted.best_epoch == fitted.best_epoch


def test_killed_again_and_again_it_still_ends_with_the_same_bytes(tmp_path: Path) -> None:
    model, _ = train(SHORT, tmp_path / "whole")
    for kill in range(1, 15, 2):
        with pytest.raises(Killed):
            train(SHORT, tmp_path / "killed", observer=KillAt(step=kill))
    again, _ = train(SHORT, tmp_path / "killed")
    assert weights(again, tmp_path / "a") == weights(model, tmp_path / "b")


class Resumed(Silent):
    """Notes where a training went on."""

    def __init__(self) -> None:
        self.told: list[tuple[list[Mapping[str, float]], int]] = []

    def resumed(self, epochs: Sequence[Mapping[str, float]], *, step: int) -> None:
        self.told.append((list(epochs), step))


def test_a_resumed_training_tells_what_was_done_before(tmp_path: Path) -> None:
    _, whole = train(SHORT, tmp_path / "whole")
    with pytest.raises(Killed):
        train(SHORT, tmp_path / "killed", observer=KillAt(step=8))
    seen = Resumed()
    train(SHORT, tmp_path / "killed", observer=seen)
    assert seen.told == [([whole.history[0]], 2)]
    fresh = Resumed()
    train(SHORT, tmp_path / "fresh", observer=fresh)
    assert fresh.told == []


def test_killed_behind_an_epoch_it_ends_with_the_same_bytes(tmp_path: Path) -> None:
    model, fitted = train(SHORT, tmp_path / "whole")
    for epoch in range(3):
        with pytest.raises(Killed):
            train(SHORT, tmp_path / str(epoch), observer=KillAt(epoch=epoch))
        again, refitted = train(SHORT, tmp_path / str(epoch))
        assert weights(again, tmp_path / "a") == weights(model, tmp_path / "b")
        assert refitted.history == fitted.history


def test_regression_with_its_loss_resumes_too(tmp_path: Path) -> None:
    config = replace(SHORT, loss=Huber())
    model, fitted = train(config, tmp_path / "whole", target=VALUE)
    with pytest.raises(Killed):
        train(config, tmp_path / "killed", target=VALUE, observer=KillAt(step=7))
    again, refitted = train(config, tmp_path / "killed", target=VALUE)
    assert weights(again, tmp_path / "a") == weights(model, tmp_path / "b")
    assert refitted.history == fitted.history


def test_when_checkpoints_are_written_does_not_change_the_result(tmp_path: Path) -> None:
    often, _ = train(SHORT, tmp_path / "often")
    never, _ = train(replace(SHORT, checkpoint_seconds=1e9), tmp_path / "never")
    assert weights(often, tmp_path / "a") == weights(never, tmp_path / "b")


def test_a_finished_training_is_not_done_again(tmp_path: Path) -> None:
    model, fitted = train(SHORT, tmp_path / "whole")
    again, refitted = train(SHORT, tmp_path / "whole", observer=KillAt(step=1))
    assert weights(again, tmp_path / "a") == weights(model, tmp_path / "b")
    assert refitted == fitted


def test_the_checkpoint_of_another_training_is_left_alone(tmp_path: Path) -> None:
    expected, _ = train(SHORT, tmp_path / "whole", seed=1)
    train(SHORT, tmp_path / "other", seed=0)
    model, _ = train(SHORT, tmp_path / "other", seed=1)
    assert weights(model, tmp_path / "a") == weights(expected, tmp_path / "b")


@pytest.mark.parametrize("drawn", [(3, 2), (1, 3)])
def test_a_training_does_not_go_on_from_one_that_had_other_rows(drawn: tuple[int, int], tmp_path: Path) -> None:
    """Be it others to learn from, or others to be judged by."""
    _, expected = train(SHORT, tmp_path / "whole", drawn=drawn)
    with pytest.raises(Killed):
        train(SHORT, tmp_path / "other", observer=KillAt(step=8))
    seen = Resumed()
    _, fitted = train(SHORT, tmp_path / "other", drawn=drawn, observer=seen)
    assert seen.told == []
    assert fitted.history == expected.history


def test_a_damaged_checkpoint_is_refused_with_its_place(tmp_path: Path) -> None:
    train(SHORT, tmp_path)
    (tmp_path / CHECKPOINT_FILE).write_bytes(b"damaged")
    with pytest.raises(Refusal, match=f"{CHECKPOINT_FILE}: can't read tensors"):
        train(SHORT, tmp_path)


CHILD = """
import sys, time
from pathlib import Path
from tests.components.training.test_resume import SHORT
from tests.components.training.cases import train
from components.training.watch import Silent

class Slow(Silent):
    def step(self, *, step, steps):
        sys.stdout.write(f"{step}\\n")
        sys.stdout.flush()
        time.sleep(0.02)

train(SHORT, Path(sys.argv[1]), observer=Slow())
"""


def test_a_process_that_was_killed_is_resumed_to_the_same_bytes(tmp_path: Path) -> None:
    model, _ = train(SHORT, tmp_path / "whole")
    root = Path(__file__).parents[3]
    command = [sys.executable, "-c", CHILD, str(tmp_path / "killed")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if int(line) == 8:
                child.send_signal(signal.SIGKILL)
                break
    assert child.returncode == -signal.SIGKILL
    assert (tmp_path / "killed" / "checkpoint.safetensors").exists()
    again, _ = train(SHORT, tmp_path / "killed")
    assert weights(again, tmp_path / "a") == weights(model, tmp_path / "b")
