"""What an account has that no account should have: read only, one certificate at a time.

It looks at what the station made and at everything else. Sources: AWS IoT Device Defender audit
checks, and docs/aws-iot-facts.md, 6.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Final

from cryptography import x509
from msgspec import Struct

from device.errors import Row
from device.errors.catalogue import in_general
from device.errors.text import printable
from factory.account.certificates import certificate_id_of, describe_certificate, policies_of
from factory.account.cloud import Cloud, Response, listed, names, structure, text
from factory.diagnosis.provisioning import hears_of_ca
from factory.diagnosis.subject import parsed_document
from factory.errors import CLOUD_DENIED, CloudError
from factory.errors.audit import (
    ATTACHMENT_NOT_EXCLUSIVE,
    CA_DECIDES_NOTHING,
    CA_ENDS,
    CERTIFICATE_ENDS,
    CERTIFICATE_LEFT_OVER,
    CERTIFICATE_NEVER_ACTIVATED,
    CERTIFICATE_OLD,
    CERTIFICATE_SHARED,
    CERTIFICATE_WITHOUT_POLICY,
    CERTIFICATE_WITHOUT_THING,
    CLAIM_WITHOUT_END,
    NO_ACTIVE_CERTIFICATE,
    POLICY_TOO_WIDE,
    POLICY_WITHOUT_CONNECT,
    TWO_ACTIVE_CERTIFICATES,
)
from factory.lint.context import Context
from factory.lint.document import Document, Kind
from factory.lint.finding import Severity
from factory.lint.linter import lint
from factory.lint.reach import is_claim
from factory.lint.statement import statements_of

_WARNINGS: Final = {ATTACHMENT_NOT_EXCLUSIVE.code, CERTIFICATE_OLD.code}
_ABOUT_WIDTH: Final = frozenset({
    "wildcard-action", "wildcard-resource", "wildcard-topic", "open-end", "client-id-alone",
    "not-element", "claim-client",
})  # fmt: skip
"""The rules of the linter that say how far a policy reaches."""


@dataclass(frozen=True)
class Ages:
    """From which age on something is worth a finding."""

    soon: timedelta = timedelta(days=30)
    """Before the end of a certificate or a CA."""
    old: timedelta = timedelta(days=1095)
    """Of a device's certificate."""
    claim: timedelta = timedelta(days=90)
    """Of a claim certificate."""
    pending: timedelta = timedelta(days=1)
    """Of a certificate that waits for its activation."""


class AuditFinding(Struct, frozen=True):
    """One thing to put right."""

    severity: str
    """``error``, or ``warning`` for what may wait."""
    code: str
    about: str
    """The thing, certificate, policy or CA."""
    finding: str
    evidence: str
    next_step: str


@dataclass(frozen=True)
class _Certificate:
    described: Response
    things: dict[str, str]
    """Name and type of attachment."""
    policies: list[str]

    @property
    def identifier(self) -> str:
        return text(self.described, "certificateId")

    @property
    def status(self) -> str:
        return text(self.described, "status")

    @property
    def is_active(self) -> bool:
        return self.status == "ACTIVE"

    @property
    def created(self) -> datetime:
        value = self.described.get("creationDate")
        return value if isinstance(value, datetime) else datetime.now(UTC)

    @cached_property
    def parsed(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(text(self.described, "certificatePem").encode())

    @property
    def is_issued_here(self) -> bool:
        """Whether AWS IoT, or the account's certificate provider, signed it for a CSR."""
        mode = self.described.get("certificateMode")
        return not self.described.get("caCertificateId") and mode == "DEFAULT"

    def is_ending(self, now: datetime, soon: timedelta) -> bool:
        """Tell whether the device has to hurry.

        A certificate provider chooses a short life, such as a week, and the device renews at two
        thirds of it; so such a certificate counts in its last quarter only.
        """
        begin, end = self.parsed.not_valid_before_utc, self.parsed.not_valid_after_utc
        return end - now < (min(soon, (end - begin) / 4) if self.is_issued_here else soon)


@dataclass
class Audit:
    """One account, read as the checks need it."""

    cloud: Cloud
    ages: Ages = Ages()
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    not_looked_at: dict[str, str] = field(default_factory=dict)
    """What could not be judged, with the right that is lacking."""

    def findings(self) -> Iterator[AuditFinding]:
        """Yield what is found; a right that is lacking ends one kind of check.

        Raises:
            CloudError: AWS cannot be called at all.
        """
        for name, check in CHECKS:
            try:
                yield from check(self)
            except CloudError as error:
                if error.row is not CLOUD_DENIED:
                    raise
                self.not_looked_at[name] = str(error.fields.get("action", error))

    def listed(self, operation: str, key: str, **parameters: str) -> list[Response]:
        """Return every structure of a listing."""
        return listed(self.cloud, "iot", operation, key, **parameters)

    @cached_property
    def certificates(self) -> list[_Certificate]:
        """Every certificate, with what it is attached to."""
        listed = self.listed("ListCertificates", "certificates")
        return [self._certificate(text(each, "certificateId")) for each in listed]

    def _certificate(self, identifier: str) -> _Certificate:
        described = describe_certificate(self.cloud, identifier)
        arn = text(described, "certificateArn")
        attached = self.listed("ListPrincipalThingsV2", "principalThingObjects", principal=arn)
        things = {
            text(each, "thingName"): str(each.get("thingPrincipalType", "")) for each in attached
        }
        return _Certificate(described, things, policies_of(self.cloud, arn))

    @cached_property
    def policies(self) -> dict[str, Document]:
        """Every policy by its name."""
        found = {}
        for each in self.listed("ListPolicies", "policies"):
            name = text(each, "policyName")
            policy = self.cloud.call("iot", "GetPolicy", policyName=name)
            content = dict(parsed_document(policy.get("policyDocument")))
            found[name] = Document(name, content, Kind.IOT_POLICY)  # type: ignore[arg-type] # JSON
        return found

    def is_claim(self, certificate: _Certificate) -> bool:
        """Whether a policy of the certificate lets it provision devices."""
        held = (self.policies.get(name) for name in certificate.policies)
        return any(is_claim(each) for each in held if each is not None)

    def has_connect(self, certificate: _Certificate) -> bool:
        """Whether a policy of the certificate allows to connect at all."""
        held = (self.policies.get(name) for name in certificate.policies)
        found = [each for document in held if document for each in statements_of(document)]
        return any(each.allows and each.has("iot:Connect") for each in found)


def _finding(row: Row, about: str, evidence: str) -> AuditFinding:
    severity = Severity.WARNING if row.code in _WARNINGS else Severity.ERROR
    step = in_general(row.next_step)
    return AuditFinding(severity, row.code, about, row.title, printable(evidence), step)


def things(audit: Audit) -> Iterator[AuditFinding]:
    """Each thing has exactly one ACTIVE certificate."""
    active = {each.identifier for each in audit.certificates if each.is_active}
    for each in audit.listed("ListThings", "things"):
        name = text(each, "thingName")
        answer = audit.cloud.call("iot", "ListThingPrincipals", thingName=name)
        held = [certificate_id_of(arn) for arn in names(answer, "principals")]
        live = [identifier for identifier in held if identifier in active]
        if not live:
            yield _finding(NO_ACTIVE_CERTIFICATE, name, f"{len(held)} certificate(s), none ACTIVE")
        elif len(live) > 1:
            yield _finding(TWO_ACTIVE_CERTIFICATES, name, ", ".join(live))


def attachments(audit: Audit) -> Iterator[AuditFinding]:
    """Each certificate is one thing's own, and has a policy that lets it connect."""
    for each in audit.certificates:
        if not each.is_active:
            if each.things and each.status in {"INACTIVE", "REVOKED"}:
                words = f"{each.status}, attached to {', '.join(each.things)}"
                yield _finding(CERTIFICATE_LEFT_OVER, each.identifier, words)
            continue
        if not each.things and not audit.is_claim(each):
            yield _finding(
                CERTIFICATE_WITHOUT_THING, each.identifier, "ACTIVE, attached to nothing"
            )
        if len(each.things) > 1:
            yield _finding(CERTIFICATE_SHARED, each.identifier, ", ".join(sorted(each.things)))
        for name, kind in each.things.items():
            if kind != "EXCLUSIVE_THING" and len(each.things) == 1:
                yield _finding(ATTACHMENT_NOT_EXCLUSIVE, each.identifier, f"{name}: {kind}")
        if not each.policies:
            yield _finding(CERTIFICATE_WITHOUT_POLICY, each.identifier, "ACTIVE, no policy")
        elif not audit.has_connect(each):
            words = f"policies: {', '.join(each.policies)}"
            yield _finding(POLICY_WITHOUT_CONNECT, each.identifier, words)


def ages(audit: Audit) -> Iterator[AuditFinding]:
    """No certificate is about to end, too old, or waiting for ever."""
    for each in audit.certificates:
        age = audit.now - each.created
        if each.status == "PENDING_ACTIVATION" and age > audit.ages.pending:
            words = f"since {each.created.isoformat()}"
            yield _finding(CERTIFICATE_NEVER_ACTIVATED, each.identifier, words)
        if not each.is_active:
            continue
        end = each.parsed.not_valid_after_utc
        if each.is_ending(audit.now, audit.ages.soon):
            yield _finding(CERTIFICATE_ENDS, each.identifier, f"it ends at {end.isoformat()}")
        is_claim_used = audit.is_claim(each)
        if is_claim_used and age > audit.ages.claim and end - audit.now > audit.ages.claim:
            words = f"registered {age.days} days ago, ends at {end.isoformat()}"
            yield _finding(CLAIM_WITHOUT_END, each.identifier, words)
        elif not is_claim_used and age > audit.ages.old:
            yield _finding(CERTIFICATE_OLD, each.identifier, f"registered {age.days} days ago")


def policies(audit: Audit) -> Iterator[AuditFinding]:
    """No policy that is attached to a certificate is wider than one device."""
    attached = {name for each in audit.certificates for name in each.policies}
    for name in sorted(attached & audit.policies.keys()):
        for each in lint(audit.policies[name], Context()):
            if each.rule.id in _ABOUT_WIDTH:
                yield _finding(POLICY_TOO_WIDE, name, f"{each.path}: {each.what} ({each.rule.id})")


def authorities(audit: Audit) -> Iterator[AuditFinding]:
    """Each CA lives on, and something decides about the devices that it registers."""
    rules = audit.listed("ListTopicRules", "rules")
    patterns = [str(each.get("topicPattern", "")) for each in rules if not each.get("ruleDisabled")]
    for each in audit.listed("ListCACertificates", "certificates"):
        identifier = text(each, "certificateId")
        found = audit.cloud.call("iot", "DescribeCACertificate", certificateId=identifier)
        ca = structure(found, "certificateDescription")
        if ca["status"] != "ACTIVE":
            continue
        parsed = x509.load_pem_x509_certificate(text(ca, "certificatePem").encode())
        if parsed.not_valid_after_utc - audit.now < audit.ages.soon:
            words = f"it ends at {parsed.not_valid_after_utc.isoformat()}"
            yield _finding(CA_ENDS, identifier, words)
        registers = ca.get("autoRegistrationStatus") == "ENABLE"
        has_template = bool(structure(found, "registrationConfig"))
        is_heard = any(hears_of_ca(each, identifier) for each in patterns)
        if registers and not has_template and not is_heard:
            yield _finding(CA_DECIDES_NOTHING, identifier, "no template, and no enabled rule")


CHECKS: Final[tuple[tuple[str, Callable[[Audit], Iterator[AuditFinding]]], ...]] = (
    ("things", things),
    ("attachments", attachments),
    ("ages", ages),
    ("policies", policies),
    ("CAs", authorities),
)
