"""Is an endpoint understood, or refused before anything is sent?"""

import pytest

from device.config.data_endpoint import account_prefix_of, region_of
from device.config.endpoint import Endpoint, Login
from device.errors import ConfigurationError

DATA = "abc-ats.iot.eu-central-1.amazonaws.com"
CHINA = "abc.ats.iot.cn-north-1.amazonaws.com.cn"
GOVERNMENT = "abc-ats.iot.us-gov-west-1.amazonaws.com"
PRIVATE_LINK = "vpce-1.data.iot.us-east-1.vpce.amazonaws.com"


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("localhost", Endpoint("localhost", 8883)),
        ("localhost:443", Endpoint("localhost", 443)),
        (" localhost:65535\n", Endpoint("localhost", 65535)),
        ("127.0.0.1:1", Endpoint("127.0.0.1", 1)),
        ("Broker.Example.:8883", Endpoint("broker.example", 8883)),
        ("ABC-ATS.IOT.EU-CENTRAL-1.AMAZONAWS.COM.:443", Endpoint(DATA, 443)),
        ("abc.ats.iot.cn-north-1.amazonaws.com.cn", Endpoint(CHINA, 8883)),
        ("abc-ats.iot.us-gov-west-1.amazonaws.com", Endpoint(GOVERNMENT, 8883)),
        ("abc-ats.iot.eu-central-1.localhost", Endpoint("abc-ats.iot.eu-central-1.localhost")),
        ("vpce-1.data.iot.us-east-1.vpce.amazonaws.com:1", Endpoint(PRIVATE_LINK, 1)),
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
        "[::1]:8883",
        "-localhost",
        "local..host",
        "localhost:\u0664",
        "localhost?x",
        f"mqtts://{DATA}",
    ],
)
def test_no_endpoint(text: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        Endpoint.parse(text, "DEVICE_ENDPOINT")

    assert raised.value.source == "DEVICE_ENDPOINT"
    assert raised.value.key == "endpoint"
    assert repr(text) in raised.value.problem
    assert "describe-endpoint" in raised.value.next_step


@pytest.mark.parametrize(
    ("host", "problem"),
    [
        ("abc.iot.eu-central-1.amazonaws.com", "old endpoint (no -ats)"),
        ("ABC.IOT.EU-CENTRAL-1.AMAZONAWS.COM.", "old endpoint (no -ats)"),
        ("abc.iot.cn-north-1.amazonaws.com.cn", "old endpoint (no -ats)"),
        ("abc.credentials.iot.eu-central-1.amazonaws.com", "iot:CredentialProvider"),
        ("abc.jobs.iot.eu-central-1.amazonaws.com", "iot:Jobs"),
        ("iot.eu-central-1.amazonaws.com", "own API"),
        ("data-ats.iot.eu-central-1.amazonaws.com", "own API"),
        ("data.iot-fips.us-east-1.amazonaws.com", "own API"),
        ("api.tunneling.iot.eu-central-1.amazonaws.com", "another service (tunneling)"),
        ("greengrass-ats.iot.eu-central-1.amazonaws.com", "own API"),
    ],
)
@pytest.mark.parametrize("port", ["", ":8883", ":443"])
def test_an_aws_endpoint_of_another_kind(host: str, problem: str, port: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        Endpoint.parse(host + port, "claim.yaml")

    assert problem in raised.value.problem
    assert "--endpoint-type iot:Data-ATS" in raised.value.next_step


def test_what_may_be_a_password_is_not_repeated() -> None:
    with pytest.raises(ConfigurationError) as raised:
        Endpoint.parse("user:secret@localhost:8883", "claim.yaml")

    assert "no user name and no password" in raised.value.problem
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("host", "region", "prefix"),
    [
        (DATA, "eu-central-1", "abc"),
        (CHINA, "cn-north-1", "abc"),
        ("abc-ats.iot.eu-central-1.localhost", "eu-central-1", "abc"),
        ("localhost", None, None),
        ("iot.example.com", None, None),
    ],
)
def test_a_name_tells_the_region_and_what_stands_for_the_account(
    host: str, region: str | None, prefix: str | None
) -> None:
    assert (region_of(host), account_prefix_of(host)) == (region, prefix)


def test_an_endpoint_is_shown_as_it_is_written() -> None:
    assert str(Endpoint("localhost", 443)) == "localhost:443"
    assert str(Endpoint("::1", 443)) == "[::1]:443"


def test_the_first_hop_is_the_proxy_where_there_is_one() -> None:
    proxy = Endpoint("proxy.example", 3128)
    assert Endpoint("aws.example").first_hop == Endpoint("aws.example")
    assert Endpoint("aws.example", proxy=proxy).first_hop == proxy


# --- a proxy ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "proxy"),
    [
        ("proxy:3128", Endpoint("proxy", 3128)),
        ("HTTP://Proxy:3128/", Endpoint("proxy", 3128)),
        ("http://[::1]:3128", Endpoint("::1", 3128)),
        ("http://user:p%40ss@proxy:80", Endpoint("proxy", 80, login=Login("user", "p@ss"))),
        ("user:p@[::1]:80", Endpoint("::1", 80, login=Login("user", "p"))),
        ("http://u%20s:a%3Ab:c%2F@h:1", Endpoint("h", 1, login=Login("u s", "a:b:c/"))),
        ("http://user:@h:1", Endpoint("h", 1, login=Login("user", ""))),
        ("http://user@h:1", Endpoint("h", 1, login=Login("user", ""))),
    ],
)
def test_a_proxy(text: str, proxy: Endpoint) -> None:
    assert Endpoint.parse_proxy(text, "a test") == proxy


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("http://user:secret@proxy", "names no port"),
        ("http://[::1]", "names no port"),
        ("http://", "names no host"),
        ("https://user:secret@proxy:3128", "not an http:// proxy"),
        ("socks5://proxy:1080", "not an http:// proxy"),
        ("http://user:secret@proxy:3128/path", "has a path"),
        ("http://proxy:3128?secret", "has a path"),
        ("http://user:secret@proxy:0", "a port is 1 to 65535"),
        ("http://user:secret@proxy:65536", "a port is 1 to 65535"),
        ("http://user:secret@proxy:x", "the port is not a number"),
        ("http://user:secret@two words:1", "is not http://host:port"),
        ("http://user:secret%4@proxy:1", "is not written as %XX"),
        ("http://user:sec@ret@proxy:1", "is not written as %XX"),
        ("http://user:sec/ret@proxy:1", "is not written as %XX"),
        ("http://user:secret%FF@proxy:1", "not UTF-8"),
        ("http://user:secret%0D%0A@proxy:1", "control character"),
        ("http://us%3Aer:secret@proxy:1", "colon"),
        ("http://:secret@proxy:1", "no user name"),
    ],
)
def test_no_proxy(text: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        Endpoint.parse_proxy(text, "DEVICE_PROXY")

    assert (raised.value.source, raised.value.key) == ("DEVICE_PROXY", "proxy")
    assert problem in raised.value.problem
    assert "%40" in raised.value.next_step
    assert "sec" not in str(raised.value)


def test_a_login_is_not_shown() -> None:
    endpoint = Endpoint("aws", proxy=Endpoint("proxy", 1, login=Login("user", "secret")))

    assert "secret" not in f"{endpoint!r} {endpoint.proxy} {endpoint.proxy!r}"
    assert endpoint.proxy is not None
    assert endpoint.proxy.login is not None
    assert endpoint.proxy.login.basic == "Basic dXNlcjpzZWNyZXQ="
