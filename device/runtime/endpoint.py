"""Where AWS IoT Core is: a host name and a port."""

import re
from dataclasses import dataclass
from typing import Final

from device.errors import ConfigurationError

DEFAULT_PORT: Final = 8883
HTTPS_PORT: Final = 443
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")  # RFC 1123, or an IPv4 address


@dataclass(frozen=True)
class Endpoint:
    """The account's data endpoint, e.g. ``abc-ats.iot.eu-central-1.amazonaws.com``."""

    host: str
    port: int = DEFAULT_PORT
    proxy: "Endpoint | None" = None
    """An HTTP proxy that opens the way (CONNECT); TLS and SNI stay the endpoint's own."""

    @property
    def first_hop(self) -> "Endpoint":
        """What is dialled: the proxy, where there is one."""
        return self.proxy or self

    def __str__(self) -> str:
        """Return ``host:port``."""
        return f"{self.host}:{self.port}"

    @property
    def alpn(self) -> list[str]:
        """What to ask for in TLS: port 443 speaks MQTT only to those who ask for it.

        Source: AWS IoT Core Developer Guide, "Device communication protocols".
        """
        return ["x-amzn-mqtt-ca"] if self.port == HTTPS_PORT else []

    @classmethod
    def parse(cls, text: str, source: str, key: str = "endpoint") -> "Endpoint":
        """Return the endpoint that ``text`` (``host`` or ``host:port``) names.

        Raises:
            ConfigurationError: it is no host and port; ``source`` says who wrote it.
        """
        host, colon, port = text.strip().rpartition(":")
        if not colon:
            host, port = port, str(DEFAULT_PORT)
        if not _HOST.fullmatch(host) or not port.isdecimal() or not 0 < int(port) < 65536:
            problem = f"{text!r} is not host or host:port"
            next_step = (
                "Use what this prints: aws iot describe-endpoint --endpoint-type iot:Data-ATS"
            )
            raise ConfigurationError(source, key, problem, next_step)
        return cls(host, int(port))
