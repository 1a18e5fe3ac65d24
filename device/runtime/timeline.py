"""The story of a boot as named steps with times: for people, for ``--json``, for the demo."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from msgspec import Struct

from device.errors import FirstbootError
from device.errors.provisioning import NOT_ACTIVATED_YET
from device.errors.text import foreign
from device.provisioning import events as ev
from device.provisioning.events import Credential
from device.provisioning.presented import State as Presented

STEPS: Final[Mapping[type[ev.Event], str]] = {
    ev.KeyGenerated: "key made",
    ev.CertificateIssued: "certificate issued",
    ev.CertificateStaged: "certificate staged",
    ev.ThingRegistered: "thing registered",
    ev.PublishAcknowledged: "identity proven",
}
CONNECTED: Final[Mapping[Credential, str]] = {
    Credential.CLAIM: "claim connected",
    Credential.INSTALLED: "device connected",
    Credential.STAGED: "device connected",
    Credential.DEVICE: "device connected",
    Credential.BIRTH: "birth certificate connected",
    Credential.TRIAL: "device connected",
}

WAITS_BEFORE_ADVICE: Final = 2
"""One refusal, or one lost connection, is how things go; at the second someone may be needed."""
_LONGEST_DETAIL: Final = 2_000
ADVICE_SECONDS: Final = 3600.0
"""Advice is repeated no sooner, and waits further apart have nothing to do with each other."""


class Step(Struct, frozen=True):
    """One thing that happened."""

    name: str
    ms: float
    """Milliseconds since the program started."""
    detail: str = ""


@dataclass
class Timeline:
    """Tells each step to ``tell`` as it happens; it keeps none, since a device works for years."""

    tell: Callable[[Step], None]
    started: float = field(default_factory=time.monotonic)
    now: Callable[[], float] = time.monotonic
    _waits: dict[str, list[float]] = field(default_factory=dict)
    """When the device waited within the hour, by what there is to do about it."""
    _advised: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, detail: str = "") -> None:
        """Note that ``name`` happened now."""
        ms = round((time.monotonic() - self.started) * 1000, 1)
        self.tell(Step(name, ms, foreign(detail, _LONGEST_DETAIL)))

    def received(self, event: ev.Event, state: Enum) -> None:
        """Note the events that are steps."""
        match event:
            case ev.Connected(credential=credential):
                self.add(CONNECTED[credential])
            case ev.NotLetIn() if state is Presented.AWAITING_ACTIVATION:
                pass  # it is expected, and `waiting` tells it
            case ev.NotLetIn(detail):
                self.add("refused by AWS IoT", detail)
            case ev.ThingRegistered(thing_name):
                self.add(STEPS[type(event)], thing_name)
            case ev.CertificateIssued(certificate_id):
                self.add(STEPS[type(event)], certificate_id)
            case ev.IdentityPromoted(claim_destroyed):
                self.add("claim destroyed" if claim_destroyed else "certificate promoted")
            case _ if type(event) in STEPS:
                self.add(STEPS[type(event)])

    def waiting(self, cause: FirstbootError, seconds: float) -> None:
        """Note that the device tries again, and why; when once did not help, what to do."""
        if cause.row is NOT_ACTIVATED_YET:
            self.add("refused by AWS IoT", f"{cause}; trying again in {seconds:.1f} s")
            return
        self.add("waiting", f"{seconds:.1f} s, because of {cause.code}: {cause}")
        self._advise(cause.next_step)

    def slow(self, what: str, seconds: float) -> None:
        """Note that something takes over a second."""
        self.add("waiting", f"{what}, for up to {seconds:.0f} s" if seconds else what)

    def _advise(self, next_step: str) -> None:
        now = self.now()
        recent = [at for at in self._waits.get(next_step, []) if now - at < ADVICE_SECONDS]
        self._waits[next_step] = [*recent, now][-WAITS_BEFORE_ADVICE:]
        is_due = now - self._advised.get(next_step, -ADVICE_SECONDS) >= ADVICE_SECONDS
        if is_due and len(self._waits[next_step]) >= WAITS_BEFORE_ADVICE:
            self._advised[next_step] = now
            self.add("next", next_step)
