"""The claim certificate in the cloud: issued for the station's key, attached, activated.

Each step is durable before the next, so that a run which was stopped anywhere is completed
by the next one: key and request time; certificate; policy attached; ACTIVE.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, Protocol

from cryptography import x509
from cryptography.x509.oid import NameOID

from factory.account.certificates import (
    attached_certificates,
    certificates_since,
    delete_certificate,
    describe_certificate,
    set_certificate_status,
)
from factory.account.changes import Change, Outcome
from factory.account.cloud import Account, Cloud, Response, items, text
from factory.errors import NotInCloudError
from factory.station.named_claim import NamedClaim, NamedRecord
from factory.station.station import CLAIM_COMMON_NAME, ClaimRecord, Station

KIND: Final = "claim certificate"
_CLAIM_POLICIES: Final = "firstboot-claim"
"""Begins the name of each method's claim policy; the methods share one certificate."""
_CLOCKS_APART: Final = timedelta(minutes=15)
"""How far AWS's clock and ours may differ; more, and it refuses our signatures."""

Clock = Callable[[], datetime]


class Claim(Protocol):
    """A claim on its way: the station's first one, or one with a name."""

    @property
    def record(self) -> ClaimRecord | NamedRecord | None:
        """How far it has come; None if it was not begun."""

    @property
    def certificate_id(self) -> str:
        """The id of its certificate; a StationNotPreparedError before one is issued."""

    def check_account(self, account: Account) -> None:
        """Refuse another account."""

    def begin_claim(self, account: Account, now: datetime, /) -> None:
        """Make a new key."""

    def claim_csr(self) -> str:
        """Return a CSR for the key."""

    def is_for_claim_key(self, certificate_pem: bytes) -> bool:
        """Tell whether a certificate is for the key."""

    def keep_certificate(self, certificate_id: str, certificate_pem: bytes) -> None:
        """Store what AWS issued."""

    def confirm_active(self) -> None:
        """Note that the certificate is ACTIVE."""


def ensure_claim_certificate(cloud: Cloud, station: Claim, policy: str, now: Clock) -> Change:
    """Leave the station with an ACTIVE claim certificate that ``policy`` is attached to.

    Raises:
        OtherAccountError: the station's claim belongs to another account.
        CloudError: AWS did not answer, or said no.
    """
    station.check_account(cloud.account)
    replaced = _unusable(cloud, station.record)
    if station.record is None or replaced:
        station.begin_claim(cloud.account, now())
    issued = _issue(cloud, station)
    certificate_id = station.certificate_id
    finished = _attach(cloud, policy, certificate_id) + _activate(cloud, certificate_id)
    station.confirm_active()
    if issued:
        return Change(KIND, certificate_id, Outcome.CREATED, replaced)
    outcome = Outcome.UPDATED if finished else Outcome.UNCHANGED
    return Change(KIND, certificate_id, outcome, ", ".join(finished))


def turn_off_claim(cloud: Cloud, claim: Claim) -> Change:
    """Set the claim's certificate INACTIVE: no device can provision with it any more.

    Raises:
        OtherAccountError: the claim belongs to another account.
        CloudError: AWS did not answer, or said no.
    """
    claim.check_account(cloud.account)
    outcome, certificate_id = Outcome.ABSENT, ""
    for certificate_id in _of_claim(cloud, claim):
        try:
            is_active = describe_certificate(cloud, certificate_id)["status"] == "ACTIVE"
        except NotInCloudError:
            continue
        if is_active:
            set_certificate_status(cloud, certificate_id, "INACTIVE")
        outcome = Outcome.UPDATED if is_active else Outcome.UNCHANGED
    return Change(KIND, certificate_id, outcome, "INACTIVE")


def older_claims_still_active(cloud: Cloud, policy: str, current: str) -> list[str]:
    """Return the ids of other ACTIVE certificates that ``policy`` lets provision."""
    return [
        certificate_id
        for certificate_id in attached_certificates(cloud, policy)
        if certificate_id != current
        and describe_certificate(cloud, certificate_id)["status"] == "ACTIVE"
    ]


def remove_claim_certificates(cloud: Cloud, policy: str, station: Station | None) -> list[Change]:
    """Turn off and delete every claim certificate that a station made in this account.

    A certificate of someone else which ``policy`` was attached to is only detached from it.

    Raises:
        OtherAccountError: the station's claim belongs to another account.
        CloudError: AWS did not answer, or said no.
    """
    found = attached_certificates(cloud, policy)
    if station is not None:
        station.check_account(cloud.account)
        found += [each for each in _of_station(cloud, station) if each not in found]
    changes = [_remove(cloud, policy, certificate_id) for certificate_id in found]
    if station is not None and not _is_kept_for_another_method(cloud, station):
        station.forget_claim()
        station.named_claims.forget()
    return changes


def _unusable(cloud: Cloud, record: ClaimRecord | NamedRecord | None) -> str:
    """Return why the certificate that the station has cannot be used; "" if there is no reason."""
    if record is None or record.certificate_id is None:
        return ""
    known_as = f"the claim {record.certificate_id[:12]}... "
    try:
        status = text(describe_certificate(cloud, record.certificate_id), "status")
    except NotInCloudError:
        return known_as + "is no longer in the account"
    # INACTIVE before it was ever active is a run that was stopped; after, it is a decision.
    if status == "REVOKED" or (record.is_active and status != "ACTIVE"):
        return known_as + f"was turned off ({status}), and stays so"
    return ""


def _issue(cloud: Cloud, station: Claim) -> bool:
    """Have the certificate issued, unless the station has it already."""
    if station.record is None or station.record.certificate_id is not None:
        return False
    issued = _issued_before(cloud, station, station.record) or cloud.call(
        "iot", "CreateCertificateFromCsr",
        certificateSigningRequest=station.claim_csr(), setAsActive=False,
    )  # fmt: skip
    pem = text(issued, "certificatePem").encode()
    station.keep_certificate(text(issued, "certificateId"), pem)
    return True


def _issued_before(
    cloud: Cloud, station: Claim, record: ClaimRecord | NamedRecord
) -> Response | None:
    """Find the certificate that AWS issued for a run which never saw the answer."""
    for certificate_id in certificates_since(cloud, record.requested_at - _CLOCKS_APART):
        certificate = describe_certificate(cloud, certificate_id)
        if station.is_for_claim_key(text(certificate, "certificatePem").encode()):
            return certificate
    return None


def _attach(cloud: Cloud, policy: str, certificate_id: str) -> list[str]:
    if certificate_id in attached_certificates(cloud, policy):
        return []
    arn = text(describe_certificate(cloud, certificate_id), "certificateArn")
    cloud.call("iot", "AttachPolicy", policyName=policy, target=arn)
    return ["policy attached"]


def _activate(cloud: Cloud, certificate_id: str) -> list[str]:
    if describe_certificate(cloud, certificate_id)["status"] == "ACTIVE":
        return []
    set_certificate_status(cloud, certificate_id, "ACTIVE")
    return ["activated"]


def _of_station(cloud: Cloud, station: Station) -> list[str]:
    """Return the certificates of the station, though a policy may not be attached yet."""
    claims: list[Claim] = [station]
    named = station.named_claims
    claims += [NamedClaim(named, each.name) for each in named if not each.is_off]
    return [each for claim in claims for each in _of_claim(cloud, claim)]


def _of_claim(cloud: Cloud, claim: Claim) -> list[str]:
    record = claim.record
    if record is None:
        return []
    if record.certificate_id is not None:
        return [record.certificate_id]
    issued = _issued_before(cloud, claim, record)
    return [text(issued, "certificateId")] if issued else []


def _remove(cloud: Cloud, policy: str, certificate_id: str) -> Change:
    try:
        certificate = describe_certificate(cloud, certificate_id)
    except NotInCloudError:
        return Change(KIND, certificate_id, Outcome.ABSENT)
    others = _claim_policies(cloud, certificate) - {policy}
    if _is_claim(certificate) and not others:
        delete_certificate(cloud, certificate_id)
        return Change(KIND, certificate_id, Outcome.REMOVED)
    arn = text(certificate, "certificateArn")
    cloud.call("iot", "DetachPolicy", policyName=policy, target=arn)
    needed = f"still needed under {', '.join(sorted(others))}"
    why = needed if others else "the station did not create it"
    return Change(KIND, certificate_id, Outcome.KEPT, f"{why}; only {policy} was detached")


def _claim_policies(cloud: Cloud, certificate: Response) -> set[str]:
    """Return the policies of claims, of whichever method, that a certificate is under."""
    pages = cloud.pages("iot", "ListAttachedPolicies", target=certificate["certificateArn"])
    attached = {text(each, "policyName") for page in pages for each in items(page, "policies")}
    return {name for name in attached if name.startswith(_CLAIM_POLICIES)}


def _is_kept_for_another_method(cloud: Cloud, station: Station) -> bool:
    record = station.record
    if record is None or record.certificate_id is None:
        return False
    try:
        certificate = describe_certificate(cloud, record.certificate_id)
    except NotInCloudError:
        return False
    return bool(_claim_policies(cloud, certificate))


def _is_claim(certificate: Response) -> bool:
    parsed = x509.load_pem_x509_certificate(text(certificate, "certificatePem").encode())
    names = parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return [name.value for name in names] == [CLAIM_COMMON_NAME]
