"""Which two loopback ports to use, and who has one that is taken."""

import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from localcloud.door.callers import LOOPBACK
from localcloud.errors import PORT_IN_USE
from localcloud.process.state_folder import Ports

DEFAULT_PORTS: Final = Ports(api=4566, mqtt=8883)
_LONGEST_NAME: Final = 80
_LISTEN: Final = "0A"  # /proc/net/tcp, column "st": include/net/tcp_states.h, TCP_LISTEN


def is_free(port: int) -> bool:
    """Whether this process may listen on ``port`` of 127.0.0.1 now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def choose_ports(
    api: int | None,
    mqtt: int | None,
    remembered: Ports | None,
    say: Callable[[str], None],
) -> Ports:
    """Return the ports to listen on.

    A port that was asked for is used or refused. Otherwise the ports of the latest run on this
    state are kept, so that devices made then find their endpoint; else the usual ones; else
    free ones, and ``say`` tells which and why.

    Raises:
        PortInUseError: a port that was asked for is taken.
    """
    usual = remembered or DEFAULT_PORTS
    return Ports(
        api=_choose(api, usual.api, "--api-port", say),
        mqtt=_choose(mqtt, usual.mqtt, "--mqtt-port", say),
    )


def _choose(asked: int | None, usual: int, flag: str, say: Callable[[str], None]) -> int:
    port = asked or usual
    if is_free(port):
        return port
    if asked:
        raise PORT_IN_USE.error(port=port, owner=owner_of(port), flag=flag)
    free = _any_free_port()
    say(f"Port {port} is in use by {owner_of(port)}: using {free} instead of it.")
    return free


def _any_free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def owner_of(port: int) -> str:
    """Say who listens on ``port``, as far as this system tells (Linux, own processes)."""
    inodes = _listening_inodes(port)
    for process in Path("/proc").glob("[0-9]*"):
        if inodes & _socket_inodes(process):
            return f"process {process.name} ({_name(process)})"
    return "another process"


def _listening_inodes(port: int) -> set[str]:
    rows: list[list[str]] = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows += [line.split() for line in Path(table).read_text().splitlines()[1:]]
        except OSError:
            continue
    suffix = f":{port:04X}"
    return {f"socket:[{row[9]}]" for row in rows if row[1].endswith(suffix) and row[3] == _LISTEN}


def _socket_inodes(process: Path) -> set[str]:
    sockets = set()
    with suppress(OSError):  # not ours to look into, or gone
        for handle in (process / "fd").iterdir():
            with suppress(OSError):  # closed meanwhile
                sockets.add(str(handle.readlink()))
    return sockets


def _name(process: Path) -> str:
    try:
        words = (process / "cmdline").read_text().split("\0")
    except OSError:
        return "?"
    return " ".join(words).strip()[:_LONGEST_NAME]
