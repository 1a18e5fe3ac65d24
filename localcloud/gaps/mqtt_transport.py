"""The MQTT port selects ALPN, and refuses what is not MQTT at once.

With ALPN ``x-amzn-mqtt-ca`` a device speaks MQTT under its certificate, on port 443 it must name
it (developer guide, "Device communication protocols"). AWS IoT selects it; MiniStack selects
none, and waits for a client of another protocol (HTTPS, WebSocket) until that gives up. A client
that names only other protocols is served without ALPN, as OpenSSL does it: its first bytes tell.
"""

import ssl
from collections.abc import Awaitable, Callable
from typing import Any, Final

from localcloud.broker.packets import Kind
from localcloud.seam import Seam

ALPN: Final = "x-amzn-mqtt-ca"


def is_open(iot: Seam) -> bool:
    """Whether MiniStack still selects no protocol."""
    return "set_alpn_protocols" not in iot["_mtls_build_ssl_context"].__code__.co_names


def close(iot: Seam) -> None:
    """Select AWS's protocol; look at the first byte of a client that is not known."""
    build: Callable[[], ssl.SSLContext] = iot["_mtls_build_ssl_context"]
    first_packet: Callable[[Any], Awaitable[bytes | None]] = iot["_mtls_first_packet"]

    def build_with_alpn() -> ssl.SSLContext:
        context = build()
        context.set_alpn_protocols([ALPN])
        return context

    async def first_mqtt_packet(reader: Any) -> bytes | None:
        return await first_packet(_MqttOnly(reader))

    iot["_mtls_build_ssl_context"] = build_with_alpn
    iot["_mtls_first_packet"] = first_mqtt_packet


class _MqttOnly:
    """A reader that ends at once if what is read first is not a CONNECT."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        self._is_first = True

    async def read(self, size: int) -> bytes:
        data: bytes = await self._reader.read(size)
        is_other = self._is_first and data[:1] != bytes([Kind.CONNECT << 4])
        self._is_first = False
        return b"" if is_other else data
