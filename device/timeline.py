"""The story of a boot as named steps with times: for people, for ``--json``, for the demo."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from device.errors import FirstbootError
from device.provisioning import events as ev
from device.provisioning.events import Credential
from device.runtime.telemetry import Reading

STEPS: Final[Mapping[type[ev.Event], str]] = {
    ev.KeyGenerated: "key made",
    ev.CertificateIssued: "certificate issued",
    ev.CertificateStaged: "certificate staged",
    ev.ThingRegistered: "thing registered",
    ev.PublishAcknowledged: "identity proven",
}
CONNECTED: Final[Mapping[Credential, str]] = {
    Credential.CLAIM: "claim connected",
    Credential.STAGED: "device connected",
    Credential.DEVICE: "device connected",
}

WAITS_BEFORE_ADVICE: Final = 2
"""One refusal, or one lost connection, is how things go; at the second somebody may be needed."""


@dataclass(frozen=True)
class Step:
    """One thing that happened."""

    name: str
    ms: float
    """Milliseconds since the program started."""
    detail: str = ""


@dataclass
class Timeline:
    """Collects steps and tells each to ``tell`` as it happens."""

    tell: Callable[[Step], None]
    started: float = field(default_factory=time.monotonic)
    steps: list[Step] = field(default_factory=list)
    _waits: Counter[str] = field(default_factory=Counter)
    """How often the device waited since it last got on, by what there is to do about it."""

    def add(self, name: str, detail: str = "") -> None:
        """Note that ``name`` happened now."""
        step = Step(name, round((time.monotonic() - self.started) * 1000, 1), detail)
        self.steps.append(step)
        self.tell(step)

    def received(self, event: ev.Event, state: Enum) -> None:  # noqa: ARG002 - the protocol's
        """Note the events that are steps."""
        match event:
            case ev.Connected(credential):
                self.add(CONNECTED[credential])
            case ev.NotLetIn(detail):
                self.add("not let in", detail)
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
        self.add("waiting", f"{seconds:.1f} s, because: {cause}")
        self._waits[cause.next_step] += 1
        if self._waits[cause.next_step] == WAITS_BEFORE_ADVICE:
            self.add("next", cause.next_step)

    def connected(self) -> None:
        """Note that the device is at work."""
        self._waits.clear()
        self.add("operating")

    def published(self, reading: Reading) -> None:
        """Note that telemetry arrived."""
        self.add("telemetry acknowledged", f"message {reading.sequence}")
