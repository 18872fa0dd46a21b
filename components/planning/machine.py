"""What a measured latency, and a training's device and memory, depend on. No library is loaded to find out."""

import os
import platform
import sys
from dataclasses import dataclass
from importlib.metadata import version
from itertools import takewhile
from pathlib import Path
from typing import Literal

SPEED_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "avx_vnni", "asimddp", "i8mm")


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """The processor as its system names it, its instruction sets that matter for speed, and its cores."""

    processor: str
    instructions: tuple[str, ...]
    cores: int


@dataclass(frozen=True, kw_only=True, slots=True)
class MainMemory:
    """The most that this process can ever have, swap included, and whether its container or the machine says so."""

    size_bytes: int
    of: Literal["machine", "container"]


def this_machine() -> Machine:
    """Describe the machine that runs this."""
    facts = _cpuinfo()
    flags = set((facts.get("flags") or facts.get("Features") or "").split())
    return Machine(
        processor=facts.get("model name") or platform.processor() or platform.machine(),
        instructions=tuple(flag for flag in SPEED_FLAGS if flag in flags),
        cores=os.cpu_count() or 1,
    )


def usable_cores() -> int:
    """Return how many cores this process may use: by OMP_NUM_THREADS, its affinity, and its container's quota."""
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    if asked.isdecimal() and int(asked):
        return int(asked)
    affine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(affine, _quota()))


def device_kind(wanted: str) -> str:
    """Return the kind of device that `wanted` means here: `auto` is cuda, else mps, else cpu."""
    if wanted != "auto":
        return wanted
    if not version("torch").endswith("+cpu") and gpus():
        return "cuda"
    return "mps" if (platform.system(), platform.machine()) == ("Darwin", "arm64") else "cpu"


def seems_there(device: str, *, processes: int = 1) -> bool:
    """Say whether a device such as cuda:1 is to be seen here, one for each process. torch alone knows for certain."""
    kind, _, number = device.partition(":")
    match kind:
        case "cuda":
            return not version("torch").endswith("+cpu") and int(number or 0) + processes <= len(gpus())
        case "mps":
            return device_kind("auto") == "mps"
    return True


def gpus(devices: Path = Path("/dev")) -> tuple[str, ...]:
    """Return the GPUs of NVIDIA's that this process may use, named as CUDA_VISIBLE_DEVICES does, or numbered."""
    there = len(list(devices.glob("nvidia[0-9]*")))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    named = [str(number) for number in range(there)] if visible is None else [one.strip() for one in visible.split(",")]
    good = takewhile(lambda one: one not in ("", "-1", "NoDevFiles"), named)  # CUDA reads up to what is none
    return tuple(good)[:there]


def main_memory(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> MainMemory | None:
    """Return the memory of this machine, or of its container if that has less; None where the system doesn't say."""
    try:
        sizes = _facts((proc / "meminfo").read_text("utf-8"))
        there, swap = (1024 * int(sizes[name].split()[0]) for name in ("MemTotal", "SwapTotal"))
    except (OSError, KeyError, ValueError, IndexError):
        return None
    limits = [_limit(folder, swap) for folder in (*_memory_groups(proc, groups), groups / "memory")]
    if (least := min(limits)) < there + swap:
        return MainMemory(size_bytes=least, of="container")
    return MainMemory(size_bytes=there + swap, of="machine")


def _memory_groups(proc: Path, groups: Path) -> list[Path]:
    """Return the folders of the control group that this process is in, of version 2, and of those around it."""
    try:
        lines = (proc / "self" / "cgroup").read_text("utf-8").splitlines()
    except OSError:
        return [groups]
    inner = next((line.removeprefix("0::") for line in lines if line.startswith("0::")), "/")
    own = groups / inner.lstrip("/")
    return [own, *(folder for folder in own.parents if folder.is_relative_to(groups))]


def _limit(folder: Path, swap: int) -> int:
    """Return the bytes that a control group of version 2 or 1 may take, of memory and of the machine's swap."""
    memory = min(_number(folder / "memory.max"), _number(folder / "memory.limit_in_bytes"))
    swapped = min(swap, _number(folder / "memory.swap.max"))
    return min(memory + swapped, _number(folder / "memory.memsw.limit_in_bytes"))


def _number(file: Path) -> int:
    try:
        return int(file.read_text("utf-8"))
    except (OSError, ValueError):  # not of this version, or "max"
        return sys.maxsize


def _quota(groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the whole cores of the container's quota: 64 threads of a big machine would throttle a pod of 2 cores."""
    first = [groups / "cpu" / "cpu.cfs_quota_us", groups / "cpu" / "cpu.cfs_period_us"]  # control groups, version 1
    for files in ([groups / "cpu.max"], first):
        try:
            quota, period = (int(word) for file in files for word in file.read_text("utf-8").split())
        except (OSError, ValueError):  # not of this version, or "max"
            continue
        if quota > 0:  # -1 is none
            return max(1, quota // period)
    return sys.maxsize


def _cpuinfo() -> dict[str, str]:
    try:
        return _facts(Path("/proc/cpuinfo").read_text("utf-8").split("\n\n")[0])
    except OSError:
        return {}


def _facts(text: str) -> dict[str, str]:
    lines = text.splitlines()
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
