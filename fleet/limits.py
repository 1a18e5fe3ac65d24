"""What this machine allows a fleet: file descriptors, threads, ports and memory.

A fleet that is too large is refused before anything is made, with the limit and how to raise it.
"""

import ctypes
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fleet.errors import FleetError
from fleet.order import OPERATING, FleetOrder

# Measured, and rounded up: docs/fleet.md, "What a device costs".
FILES_A_DEVICE: Final = 5
"""The lock of its storage, awscrt's socket, two of the relay, and its listener for a moment."""
THREADS_A_DEVICE: Final = 3
"""Its own, and two of the relay."""
PORTS_A_DEVICE: Final = 2
"""The relay's end of the connection to AWS IoT, and awscrt's end of that to the relay."""
KIB_A_DEVICE: Final = 450
KIB_A_CONNECTION: Final = 350
"""Of the local AWS."""
_ARENA_MAX: Final = -8  # M_ARENA_MAX, mallopt(3)
_OTHER_FILES: Final = 256
_OTHER_THREADS: Final = 64
_UNLIMITED: Final = 1 << 40
_MORE_THREADS: Final = (
    "ulimit -u NUMBER, sysctl kernel.threads-max, kernel.pid_max and vm.max_map_count, or "
    "TasksMax= of the unit"
)


@dataclass(frozen=True)
class Allowed:
    """How much there may be of each."""

    files: int
    threads: int
    ports: int
    memory_kib: int


@dataclass(frozen=True)
class Shortage:
    """Something that there is too little of."""

    what: str
    needed: int
    allowed: int
    how_to_raise: str

    def __str__(self) -> str:
        return f"{self.needed:,} {self.what} needed, {self.allowed:,} allowed"


def this_machine() -> Allowed:
    """Return what this process may have now; it may raise its own soft limits as far as that."""
    return Allowed(
        files=_hard(resource.RLIMIT_NOFILE),
        threads=_threads(),
        ports=_ports(),
        memory_kib=_available_kib(),
    )


def shortages(devices: int, allowed: Allowed, *, with_local_aws: bool) -> Iterator[Shortage]:
    """Yield what a fleet of ``devices`` would run out of."""
    kib = devices * (KIB_A_DEVICE + (KIB_A_CONNECTION if with_local_aws else 0))
    wanted = (
        ("file descriptors", devices * FILES_A_DEVICE + _OTHER_FILES, allowed.files,
         "ulimit -Hn NUMBER as root, or nofile in /etc/security/limits.conf"),
        ("threads", devices * THREADS_A_DEVICE + _OTHER_THREADS, allowed.threads,
         _MORE_THREADS),
        ("local ports", devices * PORTS_A_DEVICE, allowed.ports,
         'sysctl net.ipv4.ip_local_port_range="1024 65535"'),
        ("KiB of memory", kib, allowed.memory_kib, "free memory, or use a larger machine"),
    )  # fmt: skip
    for what, needed, there_is, how in wanted:
        if needed > there_is:
            yield Shortage(what, needed, there_is, how)


def most_devices(allowed: Allowed, *, with_local_aws: bool) -> int:
    """Return how many devices there is room for."""
    kib = KIB_A_DEVICE + (KIB_A_CONNECTION if with_local_aws else 0)
    return max(0, min(
        (allowed.files - _OTHER_FILES) // FILES_A_DEVICE,
        (allowed.threads - _OTHER_THREADS) // THREADS_A_DEVICE,
        allowed.ports // PORTS_A_DEVICE,
        allowed.memory_kib // kib,
    ))  # fmt: skip


def refuse_too_many(order: FleetOrder, allowed: Allowed, *, with_local_aws: bool) -> None:
    """Refuse a fleet that this machine cannot hold.

    Raises:
        FleetError: it cannot; every limit is named, and how to raise it.
    """
    connections = order.most_on * order.connections_a_device
    short = list(shortages(connections, allowed, with_local_aws=with_local_aws))
    if not short:
        return
    room = most_devices(allowed, with_local_aws=with_local_aws) // order.connections_a_device
    fewer = f"Take at most {room:,} devices"
    if order.scenario not in OPERATING:
        fewer += f" (or as many as you want, with --at-once {room})"
    raise FleetError(
        f"{order.most_on:,} devices that are on at the same time are too many for this machine: "
        f"{'; '.join(map(str, short))}",
        f"{fewer}, or raise the limit: {'; '.join(each.how_to_raise for each in short)}. "
        "For more machines: docs/fleet.md.",
    )


def use_what_is_allowed() -> None:
    """Raise this process's limit of open files as far as it may; children inherit it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with suppress(ValueError, OSError):  # then the soft limit stays
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def share_heap() -> None:
    """Let all threads of this process share one heap; call it before there are threads.

    glibc gives threads up to eight heaps a core, and each keeps what its threads have freed. Of 200
    devices each took 342 KiB so, and 243 to 251 KiB with one heap (docs/fleet.md).
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(_ARENA_MAX, 1)


def _hard(kind: int) -> int:
    value = resource.getrlimit(kind)[1]
    return _UNLIMITED if value == resource.RLIM_INFINITY else value


def _threads() -> int:
    """Return how many threads this user may still have; a thread's stack needs two mappings."""
    mappings = _number("/proc/sys/vm/max_map_count")
    limits = [_hard(resource.RLIMIT_NPROC), mappings // 2]
    limits += map(_number, ("/proc/sys/kernel/threads-max", "/proc/sys/kernel/pid_max"))
    limits += [_number("/sys/fs/cgroup/pids.max")]
    return min(limits)


def _ports() -> int:
    with suppress(OSError, ValueError):
        low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
        return int(high) - int(low) + 1
    return 16_384  # RFC 6335's range, which macOS has


def _number(path: str) -> int:
    with suppress(OSError, ValueError):
        return int(Path(path).read_text())
    return _UNLIMITED


def _available_kib() -> int:
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        found = next(line for line in lines if line.startswith("MemAvailable:"))
        return int(found.split()[1])
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 1024
