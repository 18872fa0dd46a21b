"""What a run settles before its first stage."""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from components.home import Home
from components.planning.machine import usable_cores
from components.planning.unknown import UNKNOWN
from components.recipe_file import read
from components.training.config import DDP, CrossEntropy, TrainConfig
from components.workers import Worker
from flows.retrain import retrain, settled
from flows.servers.environment import environment
from flows.servers.pool import POOL
from tasks.stage import Inputs, Stage


def test_the_threads_that_decide_a_result_are_in_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert usable_cores() == 3
    assert settled(TrainConfig(device="cpu"), None).threads == 3
    assert settled(TrainConfig(device="cpu", threads=2), None).threads == 2
    assert settled(replace(TrainConfig(), device="cuda"), None).threads is None


def test_processes_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert settled(TrainConfig(device="cpu", distributed=DDP(processes=2)), None).threads == 2
    assert settled(TrainConfig(device="cpu", distributed=DDP(processes=8)), None).threads == 1
    assert settled(TrainConfig(device="cpu", distributed=DDP(), threads=3), None).threads == 3


def test_of_a_worker_that_is_not_known_yet_counts_what_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    found = settled(TrainConfig(), Worker(pool="p", cpus=8))
    assert (found.device, found.threads) == ("cpu", 8)
    found = settled(TrainConfig(), Worker(pool="p", gpus=1))
    assert (found.device, found.threads) == ("cuda", None)
    assert settled(TrainConfig(device="cpu"), Worker(pool="p", gpus=1)).device == "cpu"
    assert settled(TrainConfig(threads=2), Worker(pool="p", cpus=8)).threads == 2


def test_threads_that_wait_spin_a_little_unless_the_shell_says_otherwise(tmp_path: Path) -> None:
    assert environment(Home(tmp_path), base={})["GOMP_SPINCOUNT"] == "10000"
    assert environment(Home(tmp_path), base={"GOMP_SPINCOUNT": "5"})["GOMP_SPINCOUNT"] == "5"


def test_the_reports_template_is_part_of_its_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tasks import stage
    from tasks.report import report

    for name in report.files:
        copy = tmp_path / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes((stage.ROOT / name).read_bytes())
    before = report.parts({})
    monkeypatch.setattr(stage, "ROOT", tmp_path)
    assert report.parts({}) == before
    (tmp_path / report.files[0]).write_text("another")
    assert report.parts({}) != before


class Noted:
    """Goes through a flow of which nothing is known, and notes what the stages are given."""

    def __init__(self) -> None:
        self.asked: dict[str, Inputs] = {}

    def __call__(self, stage: Stage[Any, Any], *args: Any, **kwargs: Any) -> Any:
        inputs = stage.bind(*args, **kwargs)
        self.asked[stage.label(inputs)] = inputs
        return UNKNOWN

    def ask(self, question: Any, *args: Any, **kwargs: Any) -> Any:
        return UNKNOWN

    def note(self, found: Any, *args: Any, **kwargs: Any) -> None:
        """There is no run."""


@pytest.mark.parametrize(("weights", "balanced"), [("none", False), ("balanced", True)])
def test_simple_models_see_the_weights_that_the_net_sees(weights: Any, balanced: bool) -> None:
    recipe, run = read(Path(__file__).parents[2] / "recipes" / "digits.yaml"), Noted()
    recipe = replace(recipe, train=replace(recipe.train, loss=CrossEntropy(class_weights=weights)))
    retrain(recipe, cast(Any, UNKNOWN), cast(Any, run))
    assert run.asked["evaluate_test"]["balanced"] is balanced


def test_pytorch_exports_each_network_once_however_many_candidates_are_made_of_it() -> None:
    run = Noted()
    retrain(read(Path(__file__).parents[2] / "recipes" / "digits.yaml"), cast(Any, UNKNOWN), cast(Any, run))
    assert [label for label in run.asked if label.startswith("convert")] == [
        "convert uncompressed",
        "convert pruned-50",
    ]
    assert sum(label.startswith("export") for label in run.asked) == 6


def test_the_recipe_of_make_run_trains_on_the_pool_that_up_makes() -> None:
    recipe = read(Path(__file__).parents[2] / "recipes" / "digits.yaml")
    assert recipe.workers.named == {"train": Worker(pool=POOL)}
