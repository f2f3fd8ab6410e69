"""What this computer is: processor, memory, graphics cards.  Looks only; loads nothing heavy."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ASK_SECONDS = 2.0
"""How long another program may take to answer."""


def answer(words: Sequence[str]) -> list[str]:
    """Lines that a program prints; none when it is missing, fails or hangs."""
    program = shutil.which(words[0])
    if program is None:
        return []
    try:
        done = subprocess.run(
            [program, *words[1:]],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=ASK_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.splitlines() if done.returncode == 0 else []


def processor() -> str:
    """The name of the CPU."""
    if sys.platform == "darwin":
        return (answer(["sysctl", "-n", "machdep.cpu.brand_string"]) or [platform.processor()])[0]
    for text in _cpuinfo("model name"):
        return text
    return platform.processor() or platform.machine()


def cpu_features() -> list[str]:
    """Those instruction sets that decide how quickly nets run."""
    flags = set(next(iter(_cpuinfo("flags")), "").split())
    known = {"amx_bf16": "AMX-BF16", "avx512_bf16": "AVX512-BF16", "avx512f": "AVX-512", "avx2": "AVX2"}
    return [name for flag, name in known.items() if flag in flags]


def _cpuinfo(key: str) -> list[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return []
    return [line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == key]


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory() -> int | None:
    """Bytes of main memory."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # Windows
        return None


def busy_seconds() -> float | None:
    """Seconds that the cores of `cores` have worked since the start, for whatever program; None where nobody says."""
    try:
        lines = Path("/proc/stat").read_text().splitlines()
        ours = {f"cpu{number}" for number in os.sched_getaffinity(0)}
        ticks = 0
        for name, *spent in (line.split() for line in lines if line.startswith("cpu")):
            if name in ours:  # user, nice, system, idle, iowait, irq, softirq, steal (proc_stat(5))
                ticks += sum(int(part) for place, part in enumerate(spent[:8]) if place not in (3, 4))
        return ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, AttributeError):  # no Linux
        return None


def resident() -> int | None:
    """Bytes of main memory that this process holds now; None where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):  # no Linux
        return None


def gpus() -> list[str]:
    """NVIDIA cards with driver and memory, as the driver's own program lists them."""
    asked = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    rows = [[cell.strip() for cell in line.split(",")] for line in answer(asked)]
    return [f"{row[0]}, driver {row[1]}, {row[2]}" for row in rows if len(row) == 3]


def ffmpeg_srt() -> bool | None:
    """Whether the installed ffmpeg speaks SRT; None without an ffmpeg."""
    if shutil.which("ffmpeg") is None:
        return None
    return "srt" in " ".join(answer(["ffmpeg", "-hide_banner", "-protocols"])).split()
