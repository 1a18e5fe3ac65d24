"""Where a device is to connect: given, or asked of AWS."""

import re
from typing import Final

from device.config.data_endpoint import WHAT_TO_USE, problem_with, region_of
from device.errors import ConfigurationError
from factory.account.cloud import Cloud, text

_MQTT_PORT: Final = 8883
"""MQTT with X.509, without ALPN (AWS IoT developer guide, "Device communication protocols")."""
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
    if (unfit := problem_with(host.lower())) is not None:
        raise ConfigurationError(source, "", f"{host} {unfit}", WHAT_TO_USE)
    return f"{host}:{number if colon else _MQTT_PORT}"


def aws_region(endpoint: str) -> str | None:
    """Return the Region that an endpoint of AWS names; None for any other."""
    host = endpoint.partition(":")[0].lower()
    return region_of(host) if host.endswith((".amazonaws.com", ".amazonaws.com.cn")) else None


def find_endpoint(cloud: Cloud) -> str:
    """Ask AWS for the account's endpoint (``iot:Data-ATS``).

    Raises:
        CloudError: AWS did not answer, or said no.
    """
    answer = cloud.call("iot", "DescribeEndpoint", endpointType="iot:Data-ATS")
    return f"{text(answer, 'endpointAddress').partition(':')[0]}:{_MQTT_PORT}"
