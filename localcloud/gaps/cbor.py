"""Fleet provisioning with CBOR payloads, ``$aws/.../cbor``.

The last part of the topic selects how request and reply are encoded; the keys are the same, as
text strings in one map (developer guide, "Device provisioning MQTT API";
docs/aws-iot-facts.md, 2.1 and 2.2). MiniStack knows the JSON topics only.

cbor2 encodes and decodes: it is small, kept, and refuses what is malformed. awscrt has CBOR too,
but is the device's library: so the two ends are two implementations, and test each other.
"""

import json
from collections.abc import Awaitable, Callable
from io import BytesIO
from typing import Any, Final

import cbor2

from localcloud.seam import Seam

_CBOR: Final = "/cbor"
_JSON: Final = "/json"
_TOPIC: Final = "$aws/certificates/create/cbor"
_NO_MESSAGE: Final = b""  # as JSON it cannot be parsed either, and is answered so

Session = Any
"""MiniStack's MQTT session, one a connection."""


class _CborReplies:
    """A session that delivers JSON documents as CBOR."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    async def deliver_to_client(self, topic: str, payload: bytes, qos: int) -> None:
        await self._session.deliver_to_client(topic, cbor2.dumps(json.loads(payload)), qos)


def is_open(iot: Seam) -> bool:
    """Whether MiniStack still does not know the topics."""
    return iot["_parse_fleet_provisioning_topic"](_TOPIC) is None


def close(iot: Seam) -> None:
    """Answer on the CBOR topics what is answered on the JSON ones."""
    parse: Callable[[str], tuple[str, str | None] | None] = iot["_parse_fleet_provisioning_topic"]
    session_class = Seam(iot["_WSSession"])
    answer: Callable[..., Awaitable[None]] = session_class["_answer_fleet_provisioning"]

    def parse_topic(topic: str) -> tuple[str, str | None] | None:
        return parse(topic.removesuffix(_CBOR) + _JSON if topic.endswith(_CBOR) else topic)

    async def answer_in_kind(
        session: Session, topic: str, operation: str, template: str | None, payload: bytes
    ) -> None:
        if topic.endswith(_CBOR):
            session, payload = _CborReplies(session), _as_json(payload)
        await answer(session, topic, operation, template, payload)

    iot["_parse_fleet_provisioning_topic"] = parse_topic
    session_class["_answer_fleet_provisioning"] = answer_in_kind


def _as_json(payload: bytes) -> bytes:
    stream = BytesIO(payload)
    try:
        document = cbor2.load(stream)
        return _NO_MESSAGE if stream.read() else json.dumps(document).encode()
    except (cbor2.CBORDecodeError, TypeError, ValueError):
        return _NO_MESSAGE
