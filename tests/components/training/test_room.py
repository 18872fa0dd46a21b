"""A network that is too large for the machine is refused, and none that might fit."""

import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from components.errors import Refusal
from components.models.config import CNN, MLP, Custom, Network
from components.models.model import build, outline
from components.models.tensors import COPIES
from components.planning.machine import MainMemory
from components.training import room
from components.training.config import (
    DDP,
    SGD,
    Adafactor,
    Adagrad,
    Adam,
    AdamW,
    Alone,
    Distributed,
    Optimizer,
    TrainConfig,
)
from components.training.optimizers import optimizer
from components.training.room import check_room, need_of
from tests.components.models.cases import SMALL, spec
from tests.components.training.cases import train

CONFIG = TrainConfig(epochs=1, batch_size=8, threads=1, device="cpu")


def memory_of(size_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "main_memory", lambda: MainMemory(size_bytes=size_bytes, of="container"))


@pytest.mark.parametrize("family", SMALL)
def test_the_outline_of_a_network_takes_no_memory_and_counts_as_the_network(family: str) -> None:
    what, before = spec(SMALL[family]), torch.get_rng_state()
    sketch = outline(what)
    assert sketch is not None
    assert all(one.is_meta for one in sketch.parameters())
    assert need_of(sketch, CONFIG) == need_of(build(what, seed=0).network, CONFIG)
    assert torch.get_rng_state().equal(before)


@pytest.mark.parametrize("of", [SGD(), SGD(momentum=0.0), Adam(), AdamW(), Adagrad(), Adafactor()], ids=repr)
def test_no_optimizer_is_said_to_keep_more_than_it_does(of: Optimizer) -> None:
    network = nn.Sequential(nn.Linear(40, 30), nn.Linear(30, 20))
    network[1].requires_grad_(False)
    weights = sum(one.numel() * 4 for one in network.parameters())
    learned = sum(one.numel() * 4 for one in network[0].parameters())
    working = optimizer(of, network, fused=False)
    torch.autograd.backward(network(torch.ones(2, 40)).sum())
    working.step()
    kept = sum(
        value.numel() * value.element_size()
        for state in working.state.values()
        for name, value in state.items()
        if isinstance(value, torch.Tensor) and name != "step"
    )
    said = need_of(network, replace(CONFIG, optimizer=of, weight_average=0.0))
    told = said.step - weights - learned
    assert said.state == told + 2 * weights
    assert told == kept or (isinstance(of, Adafactor) and told == 0 < kept)


def test_writing_a_file_holds_as_many_copies_as_is_said_at_the_least(tmp_path: Path) -> None:
    code = f"""
import torch
from pathlib import Path
from components.models.tensors import write_tensors
def most():  # not by getrusage: its largest size outlives an exec, and so counts what pytest held
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
write_tensors(Path({str(tmp_path)!r}) / "small", {{"one": torch.ones(10)}})
tensors = {{str(number): torch.ones(4_000_000) for number in range(4)}}
before = most()
write_tensors(Path({str(tmp_path)!r}) / "large", tensors)
print((most() - before) / 64e6)
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(told.stdout) > 0.95 * COPIES


@pytest.mark.parametrize("distributed", [Alone(), DDP(processes=2)], ids=["one", "two"])
def test_what_exceeds_all_memory_is_refused_and_what_does_not_is_not(
    distributed: Distributed, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, config = CNN(width=32, stages=9), replace(CONFIG, distributed=distributed)
    sketch = outline(spec(network))
    assert sketch is not None
    size = 5 * 4 * sum(one.numel() for one in sketch.parameters())  # weights, average, the best ones, two of AdamW's
    least = (distributed.processes + COPIES) * size
    memory_of(least, monkeypatch)
    check_room(sketch, config, of=network)
    memory_of(least - 1, monkeypatch)
    with pytest.raises(Refusal) as refusal:
        check_room(sketch, config, of=network)
    (problem,) = refusal.value.problems
    assert problem.what.startswith(f"1,208,040,611 parameters, which take {least / 1e9:.1f} GB at the least: weights")
    assert problem.where == "network"
    assert problem.allowed == f"the {least / 1e9:.1f} GB of memory and swap this container has"
    assert "network.width or network.stages" in problem.do


def test_where_nobody_knows_the_memory_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "main_memory", lambda: None)
    sketch = outline(spec(CNN(stages=9)))
    assert sketch is not None
    check_room(sketch, CONFIG, of=CNN())


@pytest.mark.parametrize(
    ("gpus", "main", "words"),
    [
        ([100, 100], 160, ""),
        ([100, 79], 160, "the GPU has"),
        ([100, 80], 159, "this container has"),
    ],
)
def test_on_gpus_the_smallest_counts_and_main_memory_for_the_checkpoint(
    gpus: list[int], main: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sizes in values of one float: a layer of four weights takes twenty, in a step as in its state."""
    memory_of(main, monkeypatch)
    monkeypatch.setattr(room, "device_of", lambda _config: torch.device("cuda"))
    sizes = [SimpleNamespace(total_memory=size) for size in gpus]
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: sizes[number])
    layer, config = nn.Linear(4, 1, bias=False), replace(CONFIG, distributed=DDP(processes=2))
    assert need_of(layer, config).step == need_of(layer, config).state == 80
    with pytest.raises(Refusal, match=words) if words else nullcontext():
        check_room(layer, config, of=MLP())


class Own(nn.Linear):
    def __init__(self, shape: tuple[int, ...], outputs: int) -> None:
        super().__init__(shape[0], outputs)


OWN = Custom(path=f"{__name__}:Own")


@pytest.mark.parametrize("network", [SMALL["cnn"], OWN], ids=["cnn", "own"])
def test_training_refuses_what_there_is_no_room_for_at_its_start(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert outline(spec(OWN)) is None, "it may not build without memory, or do more than build"
    memory_of(1000, monkeypatch)
    with pytest.raises(Refusal, match="of memory and swap this container has"):
        train(CONFIG, tmp_path, network=network)
    assert not list(tmp_path.iterdir())
