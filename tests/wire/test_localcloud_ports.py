"""Which ports the local AWS takes, and whom it blames."""

import os
import socket
from collections.abc import Iterator

import pytest

from localcloud.errors import PORT_IN_USE
from localcloud.process.ports import DEFAULT_PORTS, choose_ports, owner_of
from localcloud.process.state_folder import Ports
from tests.support.errors import raises
from tests.wire.conftest import free_ports

pytestmark = pytest.mark.wire


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        yield listener.getsockname()[1]


def test_the_ports_of_the_latest_run_are_kept() -> None:
    remembered = free_ports()
    assert choose_ports(None, None, remembered, pytest.fail) == remembered


def test_ports_asked_for_are_taken() -> None:
    asked = free_ports()
    assert choose_ports(asked.api, asked.mqtt, Ports(1, 2), pytest.fail) == asked


def test_a_port_asked_for_that_is_taken_is_refused_by_owner(taken: int) -> None:
    with raises(PORT_IN_USE) as refused:
        choose_ports(None, taken, free_ports(), pytest.fail)
    assert f"process {os.getpid()}" in str(refused.value.fields["owner"])
    assert "--mqtt-port" in refused.value.next_step


def test_a_usual_port_that_is_taken_is_replaced_and_said(taken: int) -> None:
    said: list[str] = []
    usual = Ports(free_ports().api, taken)
    chosen = choose_ports(None, None, usual, said.append)
    assert chosen.api == usual.api
    assert chosen.mqtt != taken
    assert f"Port {taken} is in use by process {os.getpid()}" in said[0]
    assert f"using {chosen.mqtt}" in said[0]


def test_two_replacements_are_two_ports(taken: int) -> None:
    chosen = choose_ports(None, None, Ports(taken, taken), lambda _said: None)
    assert chosen.api != chosen.mqtt


def test_the_owner_of_a_free_port_is_not_made_up() -> None:
    assert owner_of(free_ports().api) == "another process"


def test_the_usual_ports_are_those_of_the_documentation() -> None:
    assert (DEFAULT_PORTS.api, DEFAULT_PORTS.mqtt) == (4566, 8883)
