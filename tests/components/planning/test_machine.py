import os
import subprocess
import sys
from pathlib import Path

import pytest

from components.planning import machine
from components.planning.machine import device_kind, main_memory, seems_there, this_machine


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


@pytest.mark.parametrize(
    ("device", "processes", "there"),
    [
        ("cpu", 8, True),
        ("cuda", 1, True),
        ("cuda:1", 1, True),
        ("cuda:2", 1, False),
        ("cuda", 2, True),
        ("cuda", 3, False),
    ],
)
def test_a_device_is_there_if_there_are_as_many(
    device: str, processes: int, there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "gpus", lambda: ("0", "1"))
    monkeypatch.setattr(machine, "version", lambda _library: "2.9.0+cu128")
    assert seems_there(device, processes=processes) is there
    monkeypatch.setattr(machine, "version", lambda _library: "2.9.0+cpu")
    assert seems_there(device, processes=processes) is (device == "cpu")


def test_a_hidden_gpu_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert device_kind("auto") != "cuda"


@pytest.mark.parametrize(
    ("visible", "names"),
    [
        (None, ("0", "1", "2")),
        ("", ()),
        ("2,0", ("2", "0")),
        (" GPU-1a , GPU-2b", ("GPU-1a", "GPU-2b")),
        ("1,-1,0", ("1",)),
    ],
)
def test_gpus_are_named_as_the_environment_does_or_numbered(
    visible: str | None, names: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("nvidia0", "nvidia1", "nvidia2", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert machine.gpus(tmp_path) == names


def test_the_cores_to_use_are_those_of_the_affinity_the_quota_and_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3,2")
    assert machine.usable_cores() == 3
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert 1 <= machine.usable_cores() <= len(os.sched_getaffinity(0))
    for text, cores in (("150000 100000", 1), ("50000 100000", 1), ("400000 100000", 4)):
        (tmp_path / "cpu.max").write_text(text)
        assert machine._quota(tmp_path) == cores
    (tmp_path / "cpu.max").write_text("max 100000")
    assert machine._quota(tmp_path) > 1000 < machine._quota(tmp_path / "none")
    monkeypatch.setattr(machine, "_quota", lambda: 1)
    assert machine.usable_cores() == 1


def test_a_quota_of_the_first_version_of_control_groups_counts_too(tmp_path: Path) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    for quota, cores in (("300000\n", 3), ("-1\n", sys.maxsize)):
        (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(quota)
        assert machine._quota(tmp_path) == cores


GB = 10**9
MEMINFO = "MemTotal:       8000000 kB\nMemFree:        1000 kB\nSwapTotal:      2000000 kB\n"


@pytest.mark.parametrize(
    ("files", "size", "of"),
    [
        ({}, 10240 * 10**6, "machine"),
        ({"memory.max": "max", "memory.swap.max": "max"}, 10240 * 10**6, "machine"),
        ({"memory.max": str(4 * GB), "memory.swap.max": "0"}, 4 * GB, "container"),
        ({"memory.max": str(4 * GB), "memory.swap.max": "max"}, 4 * GB + 2048 * 10**6, "container"),
        ({"memory.max": str(4 * GB)}, 4 * GB + 2048 * 10**6, "container"),
        ({"a.slice/memory.max": str(5 * GB), "a.slice/memory.swap.max": "0"}, 5 * GB, "container"),
        (
            {"a.slice/b.service/memory.max": str(3 * GB), "a.slice/memory.max": "max"},
            3 * GB + 2048 * 10**6,
            "container",
        ),
        ({"other.slice/memory.max": str(3 * GB)}, 10240 * 10**6, "machine"),
        ({"memory/memory.limit_in_bytes": "9223372036854771712"}, 10240 * 10**6, "machine"),
        (
            {"memory/memory.limit_in_bytes": str(2 * GB), "memory/memory.memsw.limit_in_bytes": str(3 * GB)},
            3 * GB,
            "container",
        ),
    ],
)
def test_memory_is_the_machines_with_its_swap_or_what_a_control_group_leaves_of_it(
    files: dict[str, str], size: int, of: str, tmp_path: Path
) -> None:
    proc, groups = tmp_path / "proc", tmp_path / "groups"
    (proc / "self").mkdir(parents=True)
    (proc / "meminfo").write_text(MEMINFO)
    (proc / "self" / "cgroup").write_text("4:memory:/else\n0::/a.slice/b.service\n")
    for name, text in files.items():
        (groups / name).parent.mkdir(parents=True, exist_ok=True)
        (groups / name).write_text(f"{text}\n")
    found = main_memory(proc, groups)
    assert found is not None
    assert (found.size_bytes, found.of) == (size, of)


def test_a_system_that_does_not_say_what_memory_it_has_has_no_limit(tmp_path: Path) -> None:
    assert main_memory(tmp_path, tmp_path) is None
    (tmp_path / "meminfo").write_text("MemTotal: much\n")
    assert main_memory(tmp_path, tmp_path) is None
