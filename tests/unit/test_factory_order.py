"""What may be ordered from the station: serial number, device id, endpoint."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.errors import ConfigurationError
from factory.account.cloud import Account, Response
from factory.errors import DEVICE_ID, SERIAL_NUMBER
from factory.making.device_orders import OrderOptions, given_endpoint
from factory.making.new_device import DeviceOrder, new_device_id
from factory.station.endpoint import find_endpoint
from factory.station.serial_number import check_serial_number
from tests.support.errors import raises

LEGAL = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_-"


@given(st.text(LEGAL, min_size=1, max_size=64))
def test_every_thing_name_of_up_to_64_characters_is_a_serial_number(serial: str) -> None:
    assert check_serial_number(serial) == serial


@given(st.text(max_size=80) | st.text(LEGAL + "/+#*$ .\n", max_size=80))
def test_nothing_else_is_a_serial_number(serial: str) -> None:
    if serial and len(serial) <= 64 and set(serial) <= set(LEGAL):
        return
    with raises(SERIAL_NUMBER):
        check_serial_number(serial)


def order(serial: str = "SN-1", device_id: str = "0" * 32) -> DeviceOrder:
    return DeviceOrder(serial, device_id, "localhost:8883", b"")


def test_device_ids_are_16_random_bytes() -> None:
    drawn = {new_device_id() for _ in range(8)}
    assert len(drawn) == 8
    assert all(re.fullmatch("[0-9a-f]{32}", each) for each in drawn)


@pytest.mark.parametrize("device_id", ["", "0" * 31, "0" * 33, "g" * 32, "A" * 32, "0" * 32 + "\n"])
def test_other_device_ids_are_refused(device_id: str) -> None:
    with raises(DEVICE_ID):
        order(device_id=device_id)


def test_an_order_checks_its_serial_number() -> None:
    with raises(SERIAL_NUMBER):
        order(serial="a/b")


@pytest.mark.parametrize(
    ("given_", "understood"),
    [
        ("localhost:8884", "localhost:8884"),
        ("a1-ats.iot.eu-central-1.amazonaws.com", "a1-ats.iot.eu-central-1.amazonaws.com:8883"),
        (" 127.0.0.1:1 ", "127.0.0.1:1"),
    ],
)
def test_endpoints_become_host_and_port(given_: str, understood: str) -> None:
    assert given_endpoint(OrderOptions("claim", endpoint=given_)) == understood


@pytest.mark.parametrize(
    "given_", [":8883", "host:", "host:0", "host:65536", "host:x", "https://host", "a b", "-a"]
)
def test_other_endpoints_are_refused_by_the_name_of_their_source(given_: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^--endpoint: "):
        given_endpoint(OrderOptions("claim", endpoint=given_))


class Endpoints:
    """A cloud that only knows its endpoint."""

    account = Account("1", "eu-west-1")

    def __init__(self, address: str) -> None:
        self.address = address

    def call(self, service: str, operation: str, **parameters: object) -> Response:
        assert (service, operation, parameters) == (
            "iot", "DescribeEndpoint", {"endpointType": "iot:Data-ATS"},
        )  # fmt: skip
        return {"endpointAddress": self.address}

    def pages(self, service: str, operation: str, **parameters: object) -> None:
        raise NotImplementedError


@pytest.mark.parametrize("address", ["a1-ats.iot.x.amazonaws.com", "a1-ats.iot.x.amazonaws.com:80"])
def test_awss_endpoint_is_used_on_the_mqtt_port(address: str) -> None:
    assert find_endpoint(Endpoints(address)) == "a1-ats.iot.x.amazonaws.com:8883"  # type: ignore[arg-type] # no pages
