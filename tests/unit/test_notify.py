"""What systemd is told, read from the socket that it would listen at."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from device.runtime.notify import ServiceManager
from tests.support.hang import SECONDS


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """The socket of a service manager."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.setblocking(False)
        yield listener


def heard(listener: socket.socket) -> list[str]:
    messages = []
    while True:
        try:
            messages.append(listener.recv(4096).decode())
        except BlockingIOError:
            return messages


def test_ready_status_and_stopping_reach_the_manager(manager: socket.socket) -> None:
    service = ServiceManager({"NOTIFY_SOCKET": manager.getsockname()})
    service.status("connecting\nREADY=1")
    service.ready()
    service.stopping()
    assert heard(manager) == ["STATUS=connecting READY=1", "READY=1", "STOPPING=1"]


def test_a_sign_of_life_comes_three_times_a_period(manager: socket.socket) -> None:
    service = ServiceManager({"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "60000000"})
    for second in range(60):
        service.alive(float(second))
    assert heard(manager) == ["WATCHDOG=1"] * 3


@pytest.mark.parametrize(
    "watchdog", [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "7"}]
)
def test_nobody_watches_so_no_sign_of_life_is_sent(
    manager: socket.socket, watchdog: dict[str, str]
) -> None:
    service = ServiceManager({"NOTIFY_SOCKET": manager.getsockname(), **watchdog}, pid=8)
    service.alive(1.0)
    assert heard(manager) == []


@pytest.mark.parametrize("named", ["", "relative", "/no/such/socket"])
def test_without_a_manager_nothing_happens(named: str) -> None:
    ServiceManager({"NOTIFY_SOCKET": named, "WATCHDOG_USEC": "1000000"}).alive(0.0)


def test_an_abstract_socket_is_reached() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.settimeout(SECONDS)
        listener.bind("")  # the kernel chooses an abstract name
        name = "@" + listener.getsockname()[1:].decode()
        ServiceManager({"NOTIFY_SOCKET": name}).ready()
        assert listener.recv(4096) == b"READY=1"
