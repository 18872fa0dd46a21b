"""What a measured latency, and a training's device, depend on. No library is loaded to find out."""

import os
import platform
import sys
from dataclasses import dataclass
from importlib.metadata import version
from itertools import takewhile
from pathlib import Path

SPEED_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "avx_vnni", "asimddp", "i8mm")


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """The processor as its system names it, its instruction sets that matter for speed, and its cores."""

    processor: str
    instructions: tuple[str, ...]
    cores: int


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
        lines = Path("/proc/cpuinfo").read_text("utf-8").split("\n\n")[0].splitlines()
    except OSError:
        return {}
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
