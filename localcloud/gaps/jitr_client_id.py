"""``clientid()`` in a rule on a JITR event is the client id of the device that connects.

AWS's example of just-in-time registration is a rule ``SELECT *, clientid() as clientid FROM
'$aws/events/certificates/registered/#'`` (developer guide, "Automatic registration";
docs/aws-iot-facts.md, 1.2: registration happens on the CONNECT packet, "consistent with
clientid() being usable in the rule"). MiniStack publishes the event without a client id, so the
function returns ``n/a``.
"""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, Final

from localcloud.broker.packets import connect_in
from localcloud.seam import Seam

_EVENTS: Final = "$aws/events/certificates/registered/"
_connecting: ContextVar[str | None] = ContextVar("connecting_client_id", default=None)


def is_open(iot: Seam) -> bool:
    """Whether MiniStack still publishes events without naming a client."""
    code = iot["_publish_event"].__code__
    keywords = (name for const in code.co_consts if isinstance(const, tuple) for name in const)
    return "client_id" not in {*code.co_varnames, *keywords}


def close(iot: Seam) -> None:
    """Remember who connects, and name it in the event that follows."""
    first_packet: Callable[[Any], Awaitable[bytes | None]] = iot["_mtls_first_packet"]
    publish: Callable[..., Awaitable[None]] = iot["broker_publish"]

    async def remembered_packet(reader: Any) -> bytes | None:
        packet = await first_packet(reader)
        _connecting.set(_client_id(packet or b""))
        return packet

    async def broker_publish(
        account: str, region: str, topic: str, payload: bytes, *rest: Any, **named: Any
    ) -> None:
        if topic.startswith(_EVENTS):
            named["client_id"] = _connecting.get()
        await publish(account, region, topic, payload, *rest, **named)

    iot["_mtls_first_packet"] = remembered_packet
    iot["broker_publish"] = broker_publish


def _client_id(packet: bytes) -> str | None:
    """Return the client id in a CONNECT packet, if it has one."""
    asked = connect_in(packet)
    return asked.client_id or None if asked else None
