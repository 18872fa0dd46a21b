"""What training would refuse of this machine, without anything to train on."""

import subprocess
import sys

import pytest
import torch

from components.errors import Refusal
from components.training.ahead import look_ahead
from components.training.config import DDP, TrainConfig
from components.training.device import device_of, find_device


@pytest.mark.parametrize(
    "config",
    [
        TrainConfig(precision="fp16", device="cpu"),
        TrainConfig(device="cuda:77"),
        TrainConfig(precision="fp16", device="cpu", distributed=DDP()),
        TrainConfig(device="cuda", distributed=DDP(processes=64)),
    ],
    ids=["fp16", "cuda", "fp16 of two", "cuda of many"],
)
def test_it_is_refused_in_the_words_of_training(config: TrainConfig) -> None:
    with pytest.raises(Refusal) as ahead:
        look_ahead(config)
    with pytest.raises(Refusal) as at_work:
        device_of(config)
    assert str(ahead.value) == str(at_work.value)


@pytest.mark.parametrize("change", ["", "precision='bf16'", "device='cpu'"])
def test_where_nothing_is_to_be_feared_torch_is_not_loaded(change: str) -> None:
    code = (
        "import sys; from components.training.ahead import look_ahead; from components.training.config import *; "
        f"look_ahead(TrainConfig({change})); print('torch' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"


def test_a_suspicion_that_torch_does_not_share_refuses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of GPUs that aren't NVIDIA's, which torch calls cuda too."""
    monkeypatch.setattr("components.training.device.find_device", torch.device)
    look_ahead(TrainConfig(device="cuda:77"))


def test_the_devices_that_are_allowed_are_those_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for count, allowed in ((0, "auto, cpu: this machine"), (2, "auto, cpu, cuda, cuda:0, cuda:1: this machine")):
        monkeypatch.setattr(torch.cuda, "device_count", lambda count=count: count)
        with pytest.raises(Refusal) as refused:
            find_device("cuda:77")
        assert refused.value.problems[0].allowed.replace(", mps", "").startswith(allowed)
