"""A whole run whose GPU is too small for a batch: what it makes, and what the next one does."""

from pathlib import Path

import pytest

from components.home import Home
from flows.state import ledger_of
from tasks.train import train
from tests.flows.conftest import RECIPE, people
from tests.flows.place import Place
from tests.servers.tables import with_tables

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
SMALL = """\
import torch
from torch import nn


class Small(nn.Sequential):
    def __init__(self, shape, outputs):
        super().__init__(nn.Linear(shape[0], 16), nn.Tanh(), nn.Linear(16, outputs))

    def forward(self, rows):
        if self.training and len(rows) > 16:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return super().forward(rows)
"""
NETWORK = "network: {family: custom, path: 'small_gpu.nets:Small'}\nprune: [{ratio: 0.25, finetune_epochs: 1}]"
UNTIL = ("run", "recipe.yaml", "--until", "prune", "--json")
HALF = ("--set", "train.batch_size=16", "--set", "train.accumulate=2")
SAID = "out of GPU memory: once more with half the batch, and twice as many to a step"


def models(place: Place) -> set[str]:
    """The digests of what was trained and pruned."""
    ledger = ledger_of(Home(place.home))
    made = [record for label in ("train", "prune pruned-25") for record in ledger.history("people", label)]
    return {train.outputs(record).model.digest for record in made}


def test_a_gpu_that_is_too_small_is_met_once_and_the_models_are_those_of_half_the_batch(tmp_path: Path) -> None:
    (tmp_path / "small_gpu").mkdir()
    (tmp_path / "small_gpu" / "nets.py").write_text(SMALL, "utf-8")
    (tmp_path / "people.csv").write_text(people(), "utf-8")
    (tmp_path / "recipe.yaml").write_text(RECIPE.replace("network: {family: mlp, width: 16, depth: 1}", NETWORK))
    small, direct = (Place(folder=tmp_path, home=with_tables(tmp_path / name)) for name in ("small", "direct"))
    told = small.call(*UNTIL, code=0)
    assert [line.strip() for line in told.err.splitlines() if "memory" in line] == [
        f"{label}: {SAID}" for label in ("train", "prune pruned-25")
    ]
    assert SAID not in direct.call(*UNTIL, *HALF, code=0).err
    assert models(small) == models(direct)
    again = small.call(*UNTIL, code=0)
    assert all(stage["cached"] for stage in again.json["stages"])
    assert "Prefect" not in again.err, "all of it was cached: no server is needed"
    why = small.call("why", "people", "train", "--json").json
    assert "it ran for the first time" in why["text"], "it isn't compared with its own half"
