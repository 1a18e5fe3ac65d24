"""What one device has been through: steps with their times, calls, waits, and how it ended."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from device.errors import FirstbootError
from device.provisioning import events as ev
from device.runtime.timeline import STEPS, Step, Timeline

if TYPE_CHECKING:
    from device.lifecycle.journal import Identity

_ISSUED: Final = STEPS[ev.CertificateIssued]
_RENEWAL_WAITS: Final = frozenset({"renewal waits", "renewal failed"})
_NOT_STEPS: Final = frozenset({"waiting", "next", "refused by AWS IoT"}) | _RENEWAL_WAITS
"""What a timeline tells besides steps; `Record.waited` has it."""
OF_RENEWAL: Final = "renewal: "


CALLS: Final = (
    "Connect", "Subscribe", "CreateCertificateFromCsr", "CreateKeysAndCertificate",
    "RegisterThing", "Publish",
)  # fmt: skip
"""What is counted; all are there from the beginning, since others read while the device counts."""


RENEWAL_BEGUN: Final = "renewal begun"
RENEWED: Final = "renewed"
OPERATING: Final = "operating"


class Passed(NamedTuple):
    """A step that a device passed."""

    name: str
    ms: float
    """Milliseconds since the step before."""
    at: float
    """Seconds on the monotonic clock."""


@dataclass
class Record:
    """What became of the device ``serial``; its own thread writes, others only read."""

    serial: str
    power_ons: int = 0
    power_cuts: int = 0
    steps: list[Passed] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(CALLS, 0)))
    """Packets sent that AWS IoT has to answer, by kind."""
    waits: Counter[str] = field(default_factory=Counter)
    """How often it waited before it tried again, by the code of the cause."""
    waited: float = 0.0
    """Seconds of these waits."""
    issued: set[str] = field(default_factory=set)
    """The ids of all certificates that it was given."""
    thing_name: str = ""
    certificate_id: str = ""
    proven_after: float | None = None
    """Seconds from the first power-on until the identity was proven."""
    failure: str = ""
    """Why it gave up, if it did."""
    operating: int = 0
    """How often it went to work on a new connection."""
    renewals: int = 0
    is_renewing: bool = False
    """Whether a renewal was begun: until it is complete the thing may have two certificates."""
    retired: set[str] = field(default_factory=set)
    """The ids of the certificates that it had before."""

    @property
    def is_proven(self) -> bool:
        """Whether it has an identity."""
        return bool(self.certificate_id)

    def prove(self, identity: "Identity", seconds: float) -> None:
        """Note who the device is, ``seconds`` after it was first switched on."""
        self.thing_name = identity.thing_name
        if self.proven_after is None:
            self.proven_after = seconds
        if self.certificate_id not in {"", identity.certificate_id}:
            self.retired.add(self.certificate_id)
        self.certificate_id = identity.certificate_id

    def new_timeline(self, tell: Callable[[Step], None]) -> Timeline:
        """Return what listens to one power-on of the device."""
        return _Listener(tell, self)


class _Listener(Timeline):
    """Notes in a record what a timeline is told; it keeps no list of its own."""

    def __init__(self, tell: Callable[[Step], None], record: Record) -> None:
        super().__init__(tell)
        self._record: Final = record
        self._last = self.started

    def add(self, name: str, detail: str = "") -> None:
        """Note a step, and tell it."""
        now = time.monotonic()
        if name not in _NOT_STEPS:
            step = f"{OF_RENEWAL}{name}" if self._record.is_renewing else name
            self._record.steps.append(Passed(step, (now - self._last) * 1000, now))
            self._last = now
        self._note_renewal(name, detail)
        if name == _ISSUED:
            self._record.issued.add(detail)
        if name == OPERATING:
            self._record.operating += 1
        self.tell(Step(name, round((now - self.started) * 1000, 1), detail))

    def _note_renewal(self, name: str, detail: str) -> None:
        if name in _RENEWAL_WAITS:
            self._record.waits[f"{name}: {detail.partition('; ')[0]}"] += 1
        elif name == RENEWAL_BEGUN:
            self._record.is_renewing = True
        elif name == RENEWED:
            self._record.renewals += 1
            self._record.is_renewing = False

    def waiting(self, cause: FirstbootError, seconds: float) -> None:
        """Note a wait by its cause."""
        self._record.waits[f"{cause.row.code} {cause.row.title}"] += 1
        self._record.waited += seconds
        super().waiting(cause, seconds)
