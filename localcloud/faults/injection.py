"""Lets MiniStack's broker meet the faults that are switched on.

Four of its functions are wrapped: the packet handler, the policy check that lets a client in,
the one that answers a fleet provisioning request, and the one that finds the answer.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final
from weakref import WeakKeyDictionary

from localcloud.faults.board import FaultBoard
from localcloud.faults.kinds import (
    ANY,
    CutAfterPacket,
    CutAtConnect,
    CutBeforeReply,
    DelayReply,
    DropReply,
    RefuseConnect,
    Reject,
    RequestFault,
    Throttle,
)
from localcloud.faults.rude import Rude
from localcloud.gaps.ownership_tokens import Reply
from localcloud.seam import Seam

_MQTT_5: Final = 5
_THROTTLED: Final = ("ThrottlingException", "Rate exceeded", 429)

Session = Any
"""MiniStack's MQTT session, one a connection."""


class _CutError(Exception):
    """Ends a connection from within a packet's handling."""

    def __init__(self, connack_reason: int | None = None) -> None:
        super().__init__()
        self.connack_reason = connack_reason


class _ReplyTo:
    """A session as the answering code sees it, with another way to deliver."""

    def __init__(self, session: Session, deliver: Callable[..., Awaitable[None]]) -> None:
        self._session = session
        self.deliver_to_client = deliver

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


def inject(iot: Seam, board: FaultBoard, rude: Rude) -> None:
    """Wrap the broker of ``iot`` so that it asks ``board``, and ``rude``, before it acts."""
    session = Seam(iot["_WSSession"])
    session["_policy_allows"] = _policy_allows(session["_policy_allows"], board)
    session["handle_packet"] = _handle_packet(session["handle_packet"], board, iot)
    session["_answer_fleet_provisioning"] = _answer(session["_answer_fleet_provisioning"], board)
    iot["_fleet_provisioning_reply"] = _find_reply(
        iot["_fleet_provisioning_reply"], board, rude, iot
    )


def _policy_allows(allows: Callable[..., bool], board: FaultBoard) -> Callable[..., bool]:
    def policy_allows(session: Session, action: str, resource: str) -> bool:
        if action == "iot:Connect":
            _let_in(session, board)
        return allows(session, action, resource)

    return policy_allows


def _let_in(session: Session, board: FaultBoard) -> None:
    client_id = Seam(session)["_client_id"]
    cut = board.take(CutAtConnect, client_id)
    refusal = board.take(RefuseConnect, client_id)
    if cut or refusal:
        # Never connected: no will, no event, and a stored session stays as it is.
        Seam(session)["_client_id"] = ""
        Seam(session)["_will_topic"] = None
        raise _CutError(refusal.reason_code if refusal else None)


def _handle_packet(
    handle: Callable[..., Awaitable[bool]], board: FaultBoard, iot: Seam
) -> Callable[..., Awaitable[bool]]:
    served: WeakKeyDictionary[Session, int] = WeakKeyDictionary()

    async def handle_packet(session: Session, kind: int, flags: int, body: bytes) -> bool:
        try:
            go_on = await handle(session, kind, flags, body)
        except _CutError as cut:
            await _refuse(iot, session, cut)
            return False
        packets = served[session] = served.get(session, 0) + 1
        client_id = Seam(session)["_client_id"]
        return go_on and not board.take(
            CutAfterPacket, client_id, lambda fault: fault.packets == packets
        )

    return handle_packet


async def _refuse(iot: Seam, session: Session, cut: _CutError) -> None:
    if cut.connack_reason is None or session.protocol_version != _MQTT_5:
        return
    await session.send_bytes(
        iot["_make_connack"](return_code=cut.connack_reason, protocol_version=_MQTT_5)
    )


def _answer(
    answer: Callable[..., Awaitable[None]], board: FaultBoard
) -> Callable[..., Awaitable[None]]:
    async def answer_unless_faulty(
        session: Session, topic: str, operation: str, template: str | None, payload: bytes
    ) -> None:
        deliver = _delivery(board, session, operation)
        reply_to = _ReplyTo(session, deliver) if deliver else session
        await answer(reply_to, topic, operation, template, payload)

    return answer_unless_faulty


def _delivery(
    board: FaultBoard, session: Session, operation: str
) -> Callable[..., Awaitable[None]] | None:
    client_id = Seam(session)["_client_id"]
    if board.take(DropReply, client_id, _of(operation)):
        return _never
    if board.take(CutBeforeReply, client_id, _of(operation)):
        return _cut
    delay = board.take(DelayReply, client_id, _of(operation))
    if delay:
        return _late(session, delay.seconds)
    return None


async def _never(*_reply: object) -> None:
    """Deliver nothing."""


async def _cut(*_reply: object) -> None:
    raise _CutError


def _late(session: Session, seconds: float) -> Callable[..., Awaitable[None]]:
    async def deliver(*reply: object) -> None:
        await asyncio.sleep(seconds)
        await session.deliver_to_client(*reply)

    return deliver


def _find_reply(
    find: Callable[..., Awaitable[Reply]], board: FaultBoard, rude: Rude, iot: Seam
) -> Callable[..., Awaitable[Reply]]:
    async def find_reply(*request: Any) -> Reply:
        _account, _region, operation, _template, _payload, connection = request
        client_id = connection["clientId"]
        rejected: Callable[[str, str, int], Reply] = iot["_fleet_rejected"]
        reject = board.take(Reject, client_id, _of(operation))
        if reject:
            return rejected(reject.error_code, reject.error_message, reject.status_code)
        if board.take(Throttle, client_id, _of(operation)) or rude.throttles():
            return rejected(*_THROTTLED)
        return await find(*request)

    return find_reply


def _of(operation: str) -> Callable[[RequestFault], bool]:
    return lambda fault: fault.operation in {ANY, operation}
