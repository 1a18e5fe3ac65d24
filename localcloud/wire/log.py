"""What devices and the broker said to each other, lately: `GET /_localcloud/wire`.

TLS hides it from every tool outside, and a refusal of AWS IoT is a closed connection without a
word. Here the broker's end tells who connected with which certificate, each packet in both
directions, and who hung up. Contents are not kept: they hold keys and tokens. The setting
``wire_contents`` keeps them all the same, in memory, until the wire is forgotten.
"""

import hashlib
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from itertools import count
from typing import Any, Final

from localcloud.broker.connection import Connection
from localcloud.broker.link import EndError
from localcloud.seam import Seam
from localcloud.wire.mqtt_packets import PacketDescriber, PacketReader

_KEPT: Final = 2000
DEVICE: Final = "device"
CLOUD: Final = "cloud"
_noting: ContextVar[Callable[..., None] | None] = ContextVar("noting", default=None)


class WireLog:
    """The latest events, the oldest first."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        keeps_contents: Callable[[], bool] = lambda: False,
    ) -> None:
        """Tell times by ``clock``, in seconds; whole packets are kept while ``keeps_contents``."""
        self._clock = clock
        self.keeps_contents = keeps_contents
        self._numbers = count(1)
        self._event_numbers = count(1)
        self._events: deque[dict[str, object]] = deque(maxlen=_KEPT)
        self.times_forgotten = 0

    def next_number(self) -> int:
        """Return the number of what happens next."""
        return next(self._event_numbers)

    def listed(self, after: int = 0) -> list[dict[str, object]]:
        """Return what JSON can say of every event with a ``number`` above ``after``."""
        return [event for event in self._events if int(str(event["number"])) > after]

    def forget(self) -> None:
        """Begin again."""
        self._events.clear()
        self.times_forgotten += 1

    def connection(self) -> Callable[..., None]:
        """Return what notes an event of a connection that is open from now on."""
        number, opened = next(self._numbers), self._clock()

        def note(by: str, **facts: object) -> None:
            ms = round((self._clock() - opened) * 1000, 1)
            event = {"number": self.next_number(), "connection": number, "ms": ms}
            self._events.append({**event, "by": by, **facts})

        return note


class _Listener:
    """One connection: what is read from the device, and what is written to it."""

    def __init__(self, note: Callable[..., None], keeps_contents: Callable[[], bool]) -> None:
        self._note = note
        self._keeps_contents = keeps_contents
        self._describer = PacketDescriber()
        self._readers = {DEVICE: PacketReader(), CLOUD: PacketReader()}
        self._is_open = True

    def heard(self, by: str, data: bytes) -> None:
        for packet in self._readers[by].feed(data):
            whole = {"hex": packet.whole().hex()} if self._keeps_contents() else {}
            self._note(by, **self._describer.describe(packet), **whole)

    def closed(self, by: str) -> None:
        if self._is_open:
            self._note(by, event="closed")
        self._is_open = False


class _HeardReader:
    """The broker's reader of a connection, listened to."""

    def __init__(self, reader: Any, listener: _Listener) -> None:
        self._reader = reader
        self._listener = listener

    async def read(self, size: int) -> bytes:
        data: bytes = await self._reader.read(size)
        if data:
            self._listener.heard(DEVICE, data)
        else:
            self._listener.closed(DEVICE)
        return data


class _HeardWriter:
    """The broker's writer of a connection, listened to."""

    def __init__(self, writer: Any, listener: _Listener) -> None:
        self._writer = writer
        self._listener = listener

    def write(self, data: bytes) -> None:
        self._listener.heard(CLOUD, data)
        self._writer.write(data)

    def close(self) -> None:
        self._listener.closed(CLOUD)
        self._writer.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)


def listen(iot: Seam, log: WireLog) -> None:
    """Let ``log`` hear every connection that the broker of ``iot`` serves."""
    serve = iot["_mtls_serve_conn"]

    async def serve_conn(reader: Any, writer: Any) -> None:
        tls = writer.get_extra_info("ssl_object")
        der = tls.getpeercert(binary_form=True)
        note = log.connection()
        note(
            DEVICE,
            event="opened",
            tls=tls.version(),
            server_name=iot["_mtls_server_names"].get(tls),
            certificate_id=hashlib.sha256(der).hexdigest() if der else None,
        )
        listener = _Listener(note, log.keeps_contents)
        _noting.set(note)  # each connection is served by a task of its own
        await serve(_HeardReader(reader, listener), _HeardWriter(writer, listener))

    iot["_mtls_serve_conn"] = serve_conn
    _tell_refusals(iot)


class _TellingConnection(Connection):
    """Notes why a packet is refused: AWS IoT gives no reason, and finding it takes days."""

    def _policy_allows(self, action: str, resource: str) -> bool:
        allowed = super()._policy_allows(action, resource)
        if not allowed:
            _tell(f"no policy of the certificate allows {action} on {resource}")
        return allowed

    async def close(self, end: EndError) -> None:
        if end.cause == "DUPLICATE_CLIENTID":
            _tell(f"another client came with the client id {self._client_id}: the older one ends")
        await super().close(end)


def _tell_refusals(iot: Seam) -> None:
    refuse: Callable[..., Awaitable[None]] = iot["_mtls_refuse"]
    register: Callable[..., Awaitable[bool]] = iot["_mtls_auto_register"]

    async def refuse_connection(writer: Any, certificate_id: str, level: int | None) -> None:
        _tell(f"certificate {certificate_id} is not ACTIVE here, and no claim")
        await refuse(writer, certificate_id, level)

    async def auto_register(der: bytes, *others: Any) -> bool:
        is_registered = await register(der, *others)
        if is_registered:
            certificate_id = hashlib.sha256(der).hexdigest()
            _tell(f"certificate {certificate_id} is PENDING_ACTIVATION: its CA registered it")
        return is_registered

    iot["_WSSession"] = type("Connection", (_TellingConnection, iot["_WSSession"]), {})
    iot["_mtls_refuse"] = refuse_connection
    iot["_mtls_auto_register"] = auto_register


def _tell(reason: str) -> None:
    note = _noting.get()
    if note:
        note(CLOUD, event="refused", reason=reason)
