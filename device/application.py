"""For a program of your own beside ``device run``: publish and hear messages as this device.

    from device.application import Application

    with Application("/var/lib/firstboot/application.sock") as device:
        device.publish("app/SN-0001/door", b"open")
        for message in device.messages():
            print(message.topic, message.payload)

The program never sees the device's key. Which topics it may use is in the device's settings
(``application.publish``, ``application.subscribe``). Needs the standard library alone.
"""

import json
import socket
from base64 import b64decode, b64encode
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any, Final, Self

from device.config.socket_path import socket_path
from device.errors.operation import ApplicationRefusedError, DeviceGoneError

__all__ = ["Application", "ApplicationRefusedError", "DeviceGoneError", "Message"]

_TOGETHER: Final = 32
"""So many lines the device reads before it has answered any."""


@dataclass(frozen=True)
class Message:
    """What came for the program."""

    topic: str
    payload: bytes


class Application:
    """A connection to the device on this machine; for one thread."""

    def __init__(self, path: str | Path, timeout: float = 30.0) -> None:
        """Connect to the socket at ``path``; wait ``timeout`` seconds for each answer.

        Raises:
            DeviceGoneError: nobody listens there.
        """
        self._timeout: Final = timeout
        self._socket: Final = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        self._rest = b""
        self._waiting: Final[deque[dict[str, Any]]] = deque()
        self._last = 0
        try:
            with socket_path(Path(path)) as place:
                self._socket.connect(place)
        except OSError as error:
            self._socket.close()
            raise DeviceGoneError(f"{path}: {error.strerror or error}") from None

    def publish(self, topic: str, payload: bytes) -> None:
        """Publish ``payload``; on return the device has it on disk, and will deliver it.

        It may arrive twice, as MQTT's "at least once" allows.

        Raises:
            ApplicationRefusedError: the topic is not allowed, or the outbox is full.
            DeviceGoneError: the device stopped, or did not answer in time: then it is not known
                whether it took the message.
        """
        self.publish_all([(topic, payload)])

    def publish_all(self, messages: Iterable[tuple[str, bytes]]) -> None:
        """Publish many, each a topic and a payload; the device commits them to disk in groups.

        On return it has all of them. They are published in order.

        Raises:
            ApplicationRefusedError: as `publish`; the messages before the one that was refused are
                accepted, and up to 31 after it may be.
            DeviceGoneError: as `publish`; it is not known which messages the device took.
        """
        rest = iter(messages)
        while group := list(islice(rest, _TOGETHER)):
            first = self._last + 1
            self._last += len(group)
            self._say(*map(_publication, count(first), group))
            reasons = [self._refusal(number) for number in range(first, self._last + 1)]
            for reason in filter(None, reasons):
                raise ApplicationRefusedError(reason)

    def messages(self) -> Iterator[Message]:
        """Yield each message for the program, the oldest first, and wait for more without end.

        A message is done with when the next one is asked for: a program that dies before gets it
        again. The program that listens last has the messages.

        Raises:
            DeviceGoneError: the device stopped.
        """
        self._say({"listen": True})
        while True:
            found = self._waiting.popleft() if self._waiting else self._hear(None)
            if "message" in found:
                yield Message(found["topic"], b64decode(found["payload"]))
                self._say({"received": found["message"]})

    def close(self) -> None:
        """Leave; closing twice does no harm."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _refusal(self, number: int) -> str:
        """Return why the device refused what was said as ``number``; empty if it accepted it."""
        while True:
            found = self._hear(self._timeout)
            if found.get("accepted") == number:
                return ""
            if found.get("refused") == number:
                return str(found["reason"])
            self._waiting.append(found)

    def _say(self, *documents: dict[str, Any]) -> None:
        lines = "".join(f"{json.dumps(document)}\n" for document in documents)
        try:
            self._socket.sendall(lines.encode())
        except OSError as error:
            raise DeviceGoneError(str(error)) from None

    def _hear(self, timeout: float | None) -> dict[str, Any]:
        self._socket.settimeout(timeout)
        try:
            while b"\n" not in self._rest:
                chunk = self._socket.recv(65_536)
                if not chunk:
                    raise DeviceGoneError("the device stopped")
                self._rest += chunk
        except OSError as error:
            raise DeviceGoneError(str(error)) from None
        line, _, self._rest = self._rest.partition(b"\n")
        return dict(json.loads(line))


def _publication(number: int, message: tuple[str, bytes]) -> dict[str, Any]:
    topic, payload = message
    return {"publish": topic, "payload": b64encode(payload).decode(), "id": number}
