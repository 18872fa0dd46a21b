"""What a measured latency, and a training's device, depend on. No library is loaded to find out."""

import os
import platform
from dataclasses import dataclass
from importlib.metadata import version
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


def device_kind(wanted: str) -> str:
    """Return the kind of device that `wanted` means here: `auto` is cuda, else mps, else cpu."""
    if wanted != "auto":
        return wanted
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1", "NoDevFiles")
    if not version("torch").endswith("+cpu") and not hidden and any(Path("/dev").glob("nvidia[0-9]*")):
        return "cuda"
    return "mps" if (platform.system(), platform.machine()) == ("Darwin", "arm64") else "cpu"


def _cpuinfo() -> dict[str, str]:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").split("\n\n")[0].splitlines()
    except OSError:
        return {}
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
