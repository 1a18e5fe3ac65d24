"""What ``factory`` prints with ``--json``, a type a line."""

from typing import Annotated, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from factory.account.changes import Outcome
from factory.diagnosis.audit import AuditFinding
from factory.diagnosis.reason import Reason
from scripts.schemas.device_lines import CertificateId, Explained

AccountId = Annotated[str, Meta(pattern="^[0-9]{12}$")]
Endpoint = Annotated[str, Meta(description="HOST:PORT, where the device connects.")]
State = Annotated[str, Meta(description="The device's folder.")]
DeviceId = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]


class Resource(Struct, frozen=True):
    """One resource of an account, and what became of it."""

    kind: str
    name: str
    outcome: Outcome
    note: str


class InAccount(Struct, frozen=True):
    """What was done to one account."""

    account_id: AccountId
    region: str
    changed: bool
    notes: list[str]
    resources: list[Resource]


class Prepared(Struct, frozen=True):
    """What was done to one account for a method."""

    method: Annotated[str | None, Meta(description="null: all methods.")]
    account_id: AccountId
    region: str
    changed: bool
    notes: list[str]
    resources: list[Resource]


class Made(Struct, frozen=True):
    """A finished device."""

    method: str
    serial: str
    device_id: DeviceId
    state: State
    endpoint: Endpoint
    lifecycle: Literal["SECURED"]
    registered: list[InAccount] | UnsetType = UNSET
    retired: list[str] | UnsetType = UNSET


class MadeSingle(Struct, frozen=True):
    """A finished device that the station registered."""

    method: Literal["single-thing"]
    serial: str
    state: State
    endpoint: Endpoint
    certificate_id: CertificateId
    by: Annotated[str, Meta(description="register-thing, or several calls by hand.")]
    exclusive: bool
    lifecycle: Literal["SECURED"]
    retired: list[str] | UnsetType = UNSET


class InBatch(Struct, frozen=True):
    """One device of a batch."""

    serial: str
    state: State
    lifecycle: Literal["SECURED", "PSA_ROT_PROVISIONING"]
    certificate_id: CertificateId | None
    problem: str | None


class Batch(Struct, frozen=True):
    """The batch, after its devices."""

    batch: str
    secured: int
    failed: int


class Claim(Struct, frozen=True):
    """A claim that was handed over."""

    template: str
    certificate_id: CertificateId
    expiration: str
    place: str


class Authority(Struct, frozen=True):
    """One CA of the station."""

    ca: str
    subject: str
    certificate_id: CertificateId
    not_before: str
    not_after: str
    path_length: str
    key: Annotated[str, Meta(description="Where its key is.")]
    certificate_pem: str


class Finding(Struct, frozen=True):
    """Something that is wrong in a document."""

    rule: str
    severity: Literal["error", "warning"]
    file: str
    path: str
    what: str
    why: str
    next_step: str


class Moved(Struct, frozen=True):
    """A device whose storage is under another root of trust."""

    state: State
    was: str
    root_of_trust: str


class RetiredIn(Struct, frozen=True):
    """What became of a device in one account."""

    account_id: AccountId
    region: str
    certificates: list[CertificateId]
    notes: list[str]
    thing: Outcome | UnsetType = UNSET


class Retired(Struct, frozen=True):
    """A device that is retired."""

    serial: str
    device_id: DeviceId
    thing: str
    result: Literal["retired"]
    accounts: list[RetiredIn]


class Manifest(Struct, frozen=True):
    """A manifest that was written."""

    batch: str
    devices: int
    manifest: str
    signer: str


class Verified(Struct, frozen=True):
    """A manifest of which every entry is as it was signed."""

    manifest: str
    valid: bool
    devices: int


class NotLookedAt(Struct, frozen=True):
    """What could not be judged."""

    not_looked_at: str
    right: Annotated[str, Meta(description="The action that IAM does not allow.")]


class Planned(Struct, frozen=True):
    """A device that would be made, or is there; nothing was done."""

    serial: str
    state: State
    plan: Literal["new", "resumed", "there", "replaces"]


class Passed(Struct, frozen=True):
    """A device of a batch that is finished."""

    method: str
    serial: str
    state: State
    seconds: float
    certificate_id: CertificateId | None
    result: Literal["PASS"]
    device_id: DeviceId
    endpoint: Endpoint
    lifecycle: Literal["SECURED"]
    retired: list[str] | UnsetType = UNSET


class FailedOnLine(Struct, frozen=True):
    """A device of a batch that could not be made."""

    method: str
    serial: str
    state: State
    seconds: float
    result: Literal["FAIL"]
    error: str
    code: str
    message: str
    next_step: str
    retired: list[str] | UnsetType = UNSET


class LineEnd(Struct, frozen=True):
    """The batch, after its devices."""

    batch: str
    passed: int
    failed: int
    seconds: float


class NamedClaim(Struct, frozen=True):
    """A claim with a name."""

    claim: str
    certificate_id: CertificateId | None
    account_id: AccountId
    region: str
    expires: str
    state: Literal["on", "off", "expired", "unfinished"]


class Times(Struct, frozen=True):
    """How long the making of one device took, in seconds."""

    median: float
    longest: float


class Cause(Struct, frozen=True):
    """Devices that failed by the same error."""

    error: str
    count: int
    serials: list[str]
    message: str


class Report(Struct, frozen=True, rename={"yield_": "yield"}):
    """What became of a batch."""

    batch: str
    devices: int
    passed: int
    failed: int
    yield_: float
    first_pass_yield: float
    begun: str
    ended: str
    seconds: float
    seconds_a_device: Times | None
    failures: list[Cause]


LINES: Final[dict[str, tuple[type, ...]]] = {
    "prepare": (Prepared,),
    "make": (Made, Passed, FailedOnLine, LineEnd, Planned),
    "single": (MadeSingle,),
    "bulk": (InBatch, Batch, Planned),
    "claim": (Claim, NamedClaim),
    "ca": (Authority,),
    "rewrap": (Moved,),
    "lint": (Finding,),
    "manifest": (Manifest,),
    "report": (Report,),
    "verify": (Verified,),
    "retire": (Retired,),
    "explain": (Reason, NotLookedAt, Explained),
    "audit": (AuditFinding, NotLookedAt),
    "teardown": (Prepared,),
}
