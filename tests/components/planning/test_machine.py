import subprocess
import sys

import pytest

from components.planning.machine import device_kind, this_machine


def test_the_machine_is_described_alike_each_time() -> None:
    assert this_machine() == this_machine()
    assert this_machine().processor
    assert this_machine().cores >= 1


@pytest.mark.parametrize("wanted", ["cpu", "cuda"])
def test_a_named_device_is_taken_at_its_word(wanted: str) -> None:
    assert device_kind(wanted) == wanted


def test_the_found_device_is_the_one_that_torch_finds() -> None:
    code = "import torch; print('cuda' if torch.cuda.is_available() else 'mps' if torch.backends.mps.is_available() else 'cpu')"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert device_kind("auto") == found


def test_a_hidden_gpu_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert device_kind("auto") != "cuda"
