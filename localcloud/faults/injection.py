"""Lets connections meet the faults that are switched on."""

import asyncio
from collections.abc import Callable
from typing import ClassVar, Final

from localcloud.broker import packets
from localcloud.broker.connection import Connection
from localcloud.broker.packets import MQTT_5
from localcloud.broker.provisioning import Asked, Reply, rejected
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
from localcloud.seam import Seam

_THROTTLED: Final = ("ThrottlingException", "Rate exceeded", 429)


class _CutError(Exception):
    """Ends a connection from within a packet's handling."""

    def __init__(self, connack_reason: int | None = None) -> None:
        super().__init__()
        self.connack_reason = connack_reason


class FaultyConnection(Connection):
    """Asks ``board`` and ``rude`` before it lets a client in, and before it answers."""

    board: ClassVar[FaultBoard]
    rude: ClassVar[Rude]
    _packets_served = 0

    async def handle_packet(self, kind: int, flags: int, body: bytes) -> bool:
        """Serve one packet; cut the connection after it if a fault says so."""
        try:
            go_on = await super().handle_packet(kind, flags, body)
        except _CutError as cut:
            if cut.connack_reason is not None and self.protocol_version == MQTT_5:
                await self.send_bytes(packets.connack(MQTT_5, cut.connack_reason, {}))
            return False
        self._packets_served += 1
        return go_on and not self.board.take(
            CutAfterPacket, self._client_id, lambda fault: fault.packets == self._packets_served
        )

    def _policy_allows(self, action: str, resource: str) -> bool:
        if action == "iot:Connect":
            self._meet_connect_faults()
        return super()._policy_allows(action, resource)

    def _meet_connect_faults(self) -> None:
        cut = self.board.take(CutAtConnect, self._client_id)
        refusal = self.board.take(RefuseConnect, self._client_id)
        if cut or refusal:
            # Never connected: no will, no event, and a stored session stays as it is.
            self._client_id, self._will_topic = "", None
            raise _CutError(refusal.reason_code if refusal else None)

    async def _reply_to(self, asked: Asked, payload: bytes) -> Reply:
        of_operation = _of(asked.operation)
        reject = self.board.take(Reject, self._client_id, of_operation)
        if reject:
            return rejected(reject.error_code, reject.error_message, reject.status_code)
        if self.board.take(Throttle, self._client_id, of_operation) or self.rude.throttles():
            return rejected(*_THROTTLED)
        return await super()._reply_to(asked, payload)

    async def _send_reply(self, asked: Asked, topic: str, document: dict[str, object]) -> None:
        of_operation = _of(asked.operation)
        if self.board.take(DropReply, self._client_id, of_operation):
            return
        if self.board.take(CutBeforeReply, self._client_id, of_operation):
            raise _CutError
        delay = self.board.take(DelayReply, self._client_id, of_operation)
        if delay:
            await asyncio.sleep(delay.seconds)
        await super()._send_reply(asked, topic, document)


def inject(iot: Seam, board: FaultBoard, rude: Rude) -> None:
    """Let the connections of ``iot`` meet the faults of ``board``, and what ``rude`` does."""
    bases = (FaultyConnection, iot["_WSSession"])
    iot["_WSSession"] = type("Connection", bases, {"board": board, "rude": rude})


def _of(operation: str) -> Callable[[RequestFault], bool]:
    return lambda fault: fault.operation in {ANY, operation}
