"""Reads from the machine: the CPU time and memory of a process, how busy a core was, and what machine it is."""

from __future__ import annotations

import os
import platform
import resource
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# The server under test runs on one core, and everything else on the other.
SERVER_CORE, LOAD_CORE = 0, 1
# The unit of CPU times in /proc.
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def take_the_load_core() -> None:
    """Move this process, and what it starts, to the core for the load, and let it open many files.

    Only the servers under test run on the other core. SIGTERM now ends this process like Ctrl-C, so that the servers
    which it has started are stopped.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if os.cpu_count() == 1:
        raise SystemExit("The benchmark needs two cores: one for the server, one for the load.")
    os.sched_setaffinity(0, {LOAD_CORE})
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def process_tree(pid: int) -> list[int]:
    """Return the process and all its descendants that are running."""
    found, waiting = [], [pid]
    while waiting:
        current = waiting.pop()
        try:
            tasks = list(Path(f"/proc/{current}/task").iterdir())
        except FileNotFoundError:
            continue
        found.append(current)
        for task in tasks:
            with suppress(FileNotFoundError, ProcessLookupError):  # this thread has ended since
                waiting += map(int, (task / "children").read_text().split())
    return found


def cpu_seconds(pid: int) -> float:
    """Return the user and system time of the process and its descendants so far, with a resolution of 10 ms."""
    total = 0.0
    for each in process_tree(pid):
        try:
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += (int(fields[11]) + int(fields[12])) * TICK_S
    return total


def memory_mib(pid: int, *, peak: bool = False) -> float:
    """Return the resident memory of the process and its descendants.

    It is that of now, or with `peak` the sum of the highest value of each.

    Pages that processes share are counted for each of them.
    """
    name = "VmHWM" if peak else "VmRSS"
    total = 0
    for each in process_tree(pid):
        try:
            lines = Path(f"/proc/{each}/status").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
    return total / 1024


@dataclass(frozen=True)
class CoreTime:
    """For how many seconds a core has worked, and was taken by the hypervisor, since the machine started."""

    busy: float
    stolen: float


def core_time(core: int) -> CoreTime:
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith(f"cpu{core} "):
            user, nice, system, _idle, _wait, irq, softirq, steal = map(int, line.split()[1:9])
            return CoreTime((user + nice + system + irq + softirq) * TICK_S, steal * TICK_S)
    raise LookupError(f"There is no core {core}.")


def fixed_work_ms() -> float:
    """Measure the CPU time of a piece of work that is always the same.

    It shows whether the speed of the machine has changed.
    """
    began, total = time.process_time(), 0
    for number in range(1_000_000):
        total += number * number % 7
    return (time.process_time() - began) * 1000


def describe(folder: Path) -> str:
    """Describe the machine in one line: processor, cores, memory, kernel, and the file system of `folder`."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    disk = subprocess.run(["stat", "-f", "-c", "%T", folder], capture_output=True, text=True, check=True).stdout.strip()
    return f"{cpu}, {os.cpu_count()} cores, {memory:.0f} GiB, Linux {platform.release()}, rows on {disk}"
