"""What can go wrong when a device renews its certificate. The current one stays in use."""

from datetime import UTC, datetime
from typing import Final

from device.errors import BOOT, MAKE, ExitCode, FirstbootError, Row

NOT_PROVISIONED: Final = Row(
    "FB-441",
    "NotProvisionedError",
    "The device has no certificate to renew",
    means="The device has no identity yet, so it has no certificate to renew.",
    causes=("The device has not booted yet.", "The device was reset."),
    next_step="Run device boot first.",
    sentence="the device has no identity yet, so there is nothing to renew",
    reproduce=(
        MAKE,
        "device renew --state {code}  # {code}",
    ),
)
CERTIFICATE_EXPIRED: Final = Row(
    "FB-442",
    "CertificateExpiredError",
    "The device's certificate expired",
    means="The current certificate expired, so AWS IoT refuses the device.",
    causes=(
        "The device was off, or offline, from the time of its renewal until the expiry.",
        "Each renewal failed: the log has the errors.",
        "The device's clock is ahead.",
    ),
    next_step="An expired certificate cannot be renewed. If the device's clock is right, the "
    "station has to make the device again: factory make --method {method} --serial {serial} "
    "--again, into another folder. To prevent it, renew earlier: renewal.at_fraction.",
    sentence="the certificate expired at {until}, and AWS IoT refused the connection ({problem})",
    exit_code=ExitCode.DENIED,
    needs="a device whose certificate has expired",
)


def certificate_expired(detail: str, expired_at: float, method: str, serial: str) -> FirstbootError:
    """Return `CERTIFICATE_EXPIRED`, with the expiry in seconds since the epoch, in UTC."""
    until = datetime.fromtimestamp(expired_at, UTC).isoformat(timespec="seconds")
    return CERTIFICATE_EXPIRED.error(detail, until=until, method=method, serial=serial)


RENEWED_CERTIFICATE_REFUSED: Final = Row(
    "FB-443",
    "RenewedCertificateRefusedError",
    "The new certificate was refused",
    means="AWS IoT refused the connection made with the new certificate. The current certificate "
    "stays in use.",
    causes=(
        "The policy that the renewal template attaches does not allow the connection.",
        "The renewal template does not attach the certificate as EXCLUSIVE_THING.",
        "Someone set the new certificate INACTIVE, or deleted it.",
    ),
    next_step="Look at the policy that the renewal template attaches, and whether it attaches the "
    "certificate as EXCLUSIVE_THING: factory prepare --renewal restores both. To see the "
    "certificate: aws iot describe-certificate --certificate-id {certificate_id}.",
    sentence="AWS IoT refused the connection made with the new certificate {certificate_id} "
    "({problem}); the current certificate stays in use",
    exit_code=ExitCode.DENIED,
    reproduce=(
        "factory prepare --method claim --renewal",
        MAKE,
        BOOT,
        "localcloud fault cut-at-connect client_id=renew-* count=9",
        "device renew --state {code}  # {code}",
    ),
)
RENEWAL_REFUSED: Final = Row(
    "FB-444",
    "RenewalRefusedError",
    "The cloud does not accept the new certificate",
    means="The cloud saw the new certificate and refused it. The current certificate stays in use.",
    causes=(
        "The Lambda found the certificate attached to another thing, or to none.",
        "Template, rule or Lambda of the renewal were changed.",
    ),
    next_step="The log of the Lambda firstboot-renewal has more. factory prepare --renewal "
    "restores template, policy, rule and Lambda.",
    sentence="the cloud does not accept the new certificate {certificate_id}: {problem}; the "
    "current certificate stays in use",
    exit_code=ExitCode.DENIED,
    needs="a function of renewal that refuses the certificate",
)
RENEWAL_NOT_CONFIRMED: Final = Row(
    "FB-445",
    "RenewalNotConfirmedError",
    "The cloud confirmed another certificate",
    means="The cloud's confirmation names another certificate than the new one. The current "
    "certificate stays in use.",
    causes=(
        "Another client publishes on this thing's renewal topics.",
        "The answer to an earlier renewal came late.",
    ),
    next_step="The device asks again by itself. If it happens again, another client publishes on "
    "this thing's renewal topics: look at the policies of this account.",
    sentence="the cloud confirmed certificate {seen}, and not the new one, {expected}; the "
    "current certificate stays in use",
    exit_code=ExitCode.TRY_LATER,
    needs="a function of renewal that confirms another certificate",
)
RENEWAL_RUNNING: Final = Row(
    "FB-446",
    "RenewalRunningError",
    "A renewal is running already",
    means="A renewal was ordered while another one runs.",
    causes=(
        "A job or a program ordered a renewal while the device renewed by itself.",
        "A renewal was ordered twice.",
    ),
    next_step="Wait until the running renewal has ended.",
    sentence="a renewal is running already",
    exit_code=ExitCode.TRY_LATER,
    needs="a job that orders a renewal while another one runs",
)
TRUST_ANCHORS_NOT_PROVEN: Final = Row(
    "FB-448",
    "TrustAnchorsNotProvenError",
    "The new trust anchors were not proven",
    means="A connection that trusts the new trust anchors alone did not work. They are removed, "
    "and the device goes on with those that it has.",
    causes=(
        "The CA that signed the endpoint's certificate is not among the new trust anchors.",
        "The connection has the client id renew-THING, and the account does not allow it.",
        "The network failed in that moment.",
    ),
    next_step="If the server was not trusted: send a bundle with the root CA of the endpoint. If "
    "the device was refused: factory prepare --renewal, then the job rotate-certificate, once. "
    "Otherwise send the job again.",
    sentence="a connection with the new trust anchors alone did not work ({problem}); the "
    "device keeps those that it has",
    exit_code=ExitCode.TRY_LATER,
    needs="a job with trust anchors that do not vouch for the endpoint",
)
TRUST_ANCHORS_FIXED: Final = Row(
    "FB-449",
    "TrustAnchorsFixedError",
    "The trust anchors cannot be replaced",
    means="The device did not try the new trust anchors. It goes on with those that it has.",
    causes=(
        "The setting root_ca names a file, which the device trusts instead of what it stores.",
        "The bundle has no certificate, a malformed one, or too many.",
        "The storage has no room for them.",
    ),
    next_step="Where root_ca is set, replace that file. Otherwise correct the bundle: PEM, up to "
    "24 KiB of CA certificates.",
    sentence="the new trust anchors cannot be used: {problem}",
    needs="a job with trust anchors for a device whose settings fix them",
)
RECOVERY_REFUSED: Final = Row(
    "FB-447",
    "RecoveryRefusedError",
    "The device may not come back by itself",
    means="The device's certificate is expired or INACTIVE, and the cloud refuses a new one.",
    causes=(
        "The window is over: factory prepare --recovery says how many days it has.",
        "The certificate was set REVOKED. A revoked device may not come back.",
        "The certificate is still good. Then the device must renew it instead.",
        "A certificate that the device gave up is ACTIVE. The audit names it: set it INACTIVE.",
    ),
    next_step="The audit message on firstboot/recovery/+/audit, and the log of the Lambda "
    "firstboot-recovery-hook, say why. Set the certificate ACTIVE again, if it has not expired; or "
    "have the station make the device again: factory make --method {method} --serial {serial} "
    "--again, into another folder.",
    sentence="the cloud does not let the device come back with its birth certificate ({problem})",
    exit_code=ExitCode.DENIED,
    needs="a device that is away for longer than the recovery allows",
)
