"""Where a device is to connect: given, or asked of AWS."""

import re
from typing import Final

from device.errors import ConfigurationError
from factory.cloud import Cloud, text

_MQTT_PORT: Final = 8883
"""MQTT with X.509, without ALPN (AWS IoT developer guide, "Device communication protocols")."""
_AWS_HOST: Final = re.compile(
    r"(?P<account>[a-z0-9]+?)(?P<ats>-ats)?\.(?P<service>([a-z0-9-]+\.)*)(iot|iot-fips)"
    r"\.(?P<region>[a-z]{2}(-[a-z]+)+-[0-9]+)\.amazonaws\.com(\.cn)?",
    re.IGNORECASE,
)
"""An endpoint of AWS IoT (AWS IoT API reference, DescribeEndpoint)."""
_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")


def parse_endpoint(source: str, value: str) -> str:
    """Return ``value`` as ``host:port``; without a port, AWS's MQTT port is meant.

    Raises:
        ConfigurationError: it is no host, or no host and port; or it is an endpoint of AWS IoT
            at which no device can connect.
    """
    host, colon, port = value.strip().partition(":")
    number = int(port) if re.fullmatch(r"[0-9]{1,5}", port) else 0
    if not _HOST.fullmatch(host) or (colon and not 0 < number < 65536):
        problem = f"{value!r} is not of the form host or host:port, for example localhost:8883"
        raise ConfigurationError(source, "", problem, f"Correct {source}.")
    _check_aws(source, host)
    return f"{host}:{number if colon else _MQTT_PORT}"


def aws_region(endpoint: str) -> str | None:
    """Return the Region that an endpoint of AWS names; None for any other."""
    found = _AWS_HOST.fullmatch(endpoint.partition(":")[0])
    return found["region"].lower() if found else None


def find_endpoint(cloud: Cloud) -> str:
    """Ask AWS for the account's endpoint (``iot:Data-ATS``).

    Raises:
        CloudError: AWS did not answer, or said no.
    """
    answer = cloud.call("iot", "DescribeEndpoint", endpointType="iot:Data-ATS")
    return f"{text(answer, 'endpointAddress').partition(':')[0]}:{_MQTT_PORT}"


def _check_aws(source: str, host: str) -> None:
    """Refuse the other endpoints of AWS IoT, which look alike."""
    found = _AWS_HOST.fullmatch(host)
    is_aws = re.search(
        r"(^|\.)iot(-fips)?\.[a-z0-9-]+\.amazonaws\.com(\.cn)?$", host, re.IGNORECASE
    )
    if not is_aws or (found and found["ats"] and not found["service"]):
        return
    if found is None or found["account"].lower() in {"data", "prod"}:
        what = "is no endpoint of an account"
    elif "credentials" in found["service"].lower():
        what = "hands out AWS credentials (iot:CredentialProvider), and speaks no MQTT"
    elif found["service"]:
        what = f"is the endpoint of another service ({found['service'].rstrip('.')})"
    else:
        what = "is the endpoint of before 2018 (iot:Data), whose CA no device trusts any more"
    step = "Ask AWS for the right one: aws iot describe-endpoint --endpoint-type iot:Data-ATS"
    raise ConfigurationError(source, "", f"{host} {what}", step)
