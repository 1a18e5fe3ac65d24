"""Is an endpoint understood, or refused before anything is sent?"""

import pytest

from device.errors import ConfigurationError
from device.runtime.endpoint import Endpoint


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("localhost", Endpoint("localhost", 8883)),
        ("localhost:443", Endpoint("localhost", 443)),
        (" localhost:65535\n", Endpoint("localhost", 65535)),
        ("127.0.0.1:1", Endpoint("127.0.0.1", 1)),
        (
            "abc-ats.iot.eu-central-1.amazonaws.com",
            Endpoint("abc-ats.iot.eu-central-1.amazonaws.com", 8883),
        ),
    ],
)
def test_an_endpoint(text: str, endpoint: Endpoint) -> None:
    assert Endpoint.parse(text, "a test") == endpoint


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":8883",
        "localhost:",
        "localhost:mqtt",
        "localhost:0",
        "localhost:65536",
        "localhost:-1",
        "https://localhost",
        "localhost/mqtt",
        "two words:8883",
        "::1",
        "-localhost",
        "user@localhost",
    ],
)
def test_no_endpoint(text: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        Endpoint.parse(text, "DEVICE_ENDPOINT")

    assert raised.value.source == "DEVICE_ENDPOINT"
    assert raised.value.key == "endpoint"
    assert repr(text) in raised.value.problem
    assert "describe-endpoint" in raised.value.next_step


def test_an_endpoint_is_shown_as_it_is_written() -> None:
    assert str(Endpoint("localhost", 443)) == "localhost:443"


def test_the_first_hop_is_the_proxy_where_there_is_one() -> None:
    proxy = Endpoint("proxy.example", 3128)
    assert Endpoint("aws.example").first_hop == Endpoint("aws.example")
    assert Endpoint("aws.example", proxy=proxy).first_hop == proxy


def test_the_key_of_a_bad_proxy_is_named() -> None:
    with pytest.raises(ConfigurationError) as raised:
        Endpoint.parse("http://proxy", "file", "proxy")
    assert raised.value.key == "proxy"
