"""Faults that can be switched on: what they are, whom they hit, and how often.

This is the book-keeping alone; ``fault_injection`` lets the broker look into it.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import count
from typing import Annotated, Final, Literal, TypeVar

import msgspec

from localcloud.errors import FaultError

ANY: Final = "*"
Operation = Literal["*", "create", "create-from-csr", "provision"]
"""A fleet provisioning request: keys made by AWS, a CSR, RegisterThing, or any of them."""
Times = Annotated[int, msgspec.Meta(ge=1)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=3600)]


class Fault(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"
):
    """What every fault has."""

    client_id: str = ANY
    """Which clients: a pattern with ``*`` and ``?``."""
    count: Times | None = 1
    """How many times it strikes; None for always."""


class RequestFault(Fault, frozen=True, kw_only=True):
    """A fault of one kind of request."""

    operation: Operation = ANY


class Reject(RequestFault, frozen=True, kw_only=True, tag="reject"):
    """Answer on ``.../rejected`` and do nothing."""

    status_code: int = 500
    error_code: str = "InternalFailure"
    error_message: str = "A fault was switched on."


class Throttle(RequestFault, frozen=True, kw_only=True, tag="throttle"):
    """Reject with 429 what exceeds so many requests a second."""

    count: Times | None = None
    per_second: Annotated[int, msgspec.Meta(ge=0)] = 0


class DropReply(RequestFault, frozen=True, kw_only=True, tag="drop-reply"):
    """Do what is asked and never answer."""


class DelayReply(RequestFault, frozen=True, kw_only=True, tag="delay-reply"):
    """Do what is asked at once and answer late; the connection stands still meanwhile."""

    seconds: Seconds


class CutBeforeReply(RequestFault, frozen=True, kw_only=True, tag="cut-before-reply"):
    """Do what is asked and close the connection in place of the answer."""


class CutAtConnect(Fault, frozen=True, kw_only=True, tag="cut-at-connect"):
    """Close the connection on CONNECT, without CONNACK."""


class CutAfterPacket(Fault, frozen=True, kw_only=True, tag="cut-after-packet"):
    """Close the connection when so many packets have come and were served; CONNECT is the first."""

    packets: Times


class RefuseConnect(Fault, frozen=True, kw_only=True, tag="refuse-connect"):
    """Refuse CONNECT: CONNACK with this reason on MQTT 5, a close on 3.1.1."""

    reason_code: Annotated[int, msgspec.Meta(ge=0x80, le=0xFF)] = 0x87


class ExpireTokens(Fault, frozen=True, kw_only=True, tag="expire-tokens"):
    """Make every ownership token so much older, at once; an hour ends them all."""

    seconds: Seconds = 3600.0


AnyFault = (
    Reject
    | Throttle
    | DropReply
    | DelayReply
    | CutBeforeReply
    | CutAtConnect
    | CutAfterPacket
    | RefuseConnect
    | ExpireTokens
)
FaultT = TypeVar("FaultT", bound=AnyFault)
_DECODER: Final = msgspec.json.Decoder(AnyFault)


def parse_fault(body: bytes) -> AnyFault:
    """Read a fault from JSON such as ``{"kind": "drop-reply", "operation": "provision"}``.

    Raises:
        FaultError: it is not JSON, or a field is unknown or out of range; the text names it.
    """
    try:
        fault: AnyFault = _DECODER.decode(body)
    except msgspec.DecodeError as error:
        raise FaultError(str(error)) from error
    return fault


@dataclass
class _Active:
    """A fault that is switched on, and how far it is used up."""

    id: int
    fault: AnyFault
    remaining: int | None
    seen: list[float] = field(default_factory=list)


class FaultBoard:
    """The faults that are switched on, in the order in which they were."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Use ``clock`` (seconds) to tell a rate."""
        self._clock = clock
        self._ids = count(1)
        self._active: list[_Active] = []

    def switch_on(self, fault: AnyFault) -> int:
        """Add ``fault``; return the number by which it can be switched off."""
        active = _Active(next(self._ids), fault, fault.count)
        self._active.append(active)
        return active.id

    def switch_off(self, fault_id: int | None = None) -> None:
        """Remove one fault, or all.

        Raises:
            FaultError: no fault has this number.
        """
        kept = [a for a in self._active if fault_id is not None and a.id != fault_id]
        if fault_id is not None and len(kept) == len(self._active):
            raise FaultError(f"no fault has the number {fault_id}")
        self._active = kept

    def listed(self) -> list[dict[str, object]]:
        """Return what is switched on, as JSON can say it."""
        return [
            {"id": a.id, "remaining": a.remaining, **msgspec.to_builtins(a.fault)}
            for a in self._active
        ]

    def take(
        self,
        kind: type[FaultT],
        client_id: str,
        where: Callable[[FaultT], bool] = lambda _fault: True,
    ) -> FaultT | None:
        """Return the first fault of ``kind`` that strikes this client now, and count it."""
        for active in self._active:
            fault = active.fault
            if (
                isinstance(fault, kind)
                and fnmatchcase(client_id, fault.client_id)
                and where(fault)
                and self._over_rate(active)
            ):
                self._use(active)
                return fault
        return None

    def _over_rate(self, active: _Active) -> bool:
        if not isinstance(active.fault, Throttle):
            return True
        now = self._clock()
        active.seen = [*(moment for moment in active.seen if now - moment < 1.0), now]
        return len(active.seen) > active.fault.per_second

    def _use(self, active: _Active) -> None:
        if active.remaining is not None:
            active.remaining -= 1
            if active.remaining == 0:
                self._active.remove(active)
