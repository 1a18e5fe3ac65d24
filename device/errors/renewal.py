"""What can go wrong when a device renews its certificate. The current one stays in use."""

from datetime import UTC, datetime

from device.errors import ExitCode
from device.errors.provisioning import ProvisioningError


class NotProvisionedError(ProvisioningError):
    """There is no identity that could be renewed."""

    next_step = "Run device boot first."

    def __init__(self) -> None:
        """Say so."""
        super().__init__("the device has no identity yet, so there is nothing to renew")


class CertificateExpiredError(ProvisioningError):
    """The current certificate expired, so AWS IoT lets the device in for nothing any more."""

    exit_code = ExitCode.DENIED

    def __init__(self, detail: str, expired_at: float, method: str, serial: str) -> None:
        """Say when it expired, in seconds since the epoch, and what was seen."""
        until = datetime.fromtimestamp(expired_at, UTC).isoformat(timespec="seconds")
        super().__init__(
            f"the certificate expired at {until}, and AWS IoT refused the connection ({detail})"
        )
        self.expired_at = expired_at
        self.next_step = (
            "An expired certificate cannot be renewed. If the device's clock is right, the station "
            f"has to make the device again: factory make --method {method} --serial {serial} "
            "--again, into another folder. To prevent it, renew earlier: renewal.at_fraction."
        )


class RenewedCertificateRefusedError(ProvisioningError):
    """AWS IoT refused the connection made with the new certificate."""

    exit_code = ExitCode.DENIED

    def __init__(self, certificate_id: str, detail: str) -> None:
        """Name the new certificate, and what was seen."""
        super().__init__(
            f"AWS IoT refused the connection made with the new certificate {certificate_id} "
            f"({detail}); the current certificate stays in use"
        )
        self.certificate_id = certificate_id
        self.next_step = (
            "Look at the policy that the renewal template attaches, and whether it attaches the "
            "certificate as EXCLUSIVE_THING: factory prepare --renewal restores both. To see the "
            f"certificate: aws iot describe-certificate --certificate-id {certificate_id}."
        )


class RenewalRefusedError(ProvisioningError):
    """The cloud saw the new certificate, and does not agree to it."""

    exit_code = ExitCode.DENIED
    next_step = (
        "The log of the Lambda firstboot-renewal has more. factory prepare --renewal restores "
        "template, policy, rule and Lambda."
    )

    def __init__(self, certificate_id: str, reason: str) -> None:
        """Name the certificate, with the ``reason`` in the cloud's words."""
        super().__init__(
            f"the cloud does not accept the new certificate {certificate_id}: {reason}; "
            "the current certificate stays in use"
        )
        self.certificate_id = certificate_id
        self.reason = reason


class RenewalNotConfirmedError(ProvisioningError):
    """The cloud's confirmation names another certificate than the new one."""

    exit_code = ExitCode.TRY_LATER
    next_step = (
        "The device asks again by itself. If it happens again, another client publishes on this "
        "thing's renewal topics: look at the policies of this account."
    )

    def __init__(self, expected: str, seen: str) -> None:
        """Name the certificate that was ``expected``, and the one that was ``seen``."""
        super().__init__(
            f"the cloud confirmed certificate {seen}, and not the new one, {expected}; the "
            "current certificate stays in use"
        )
        self.expected = expected
        self.seen = seen


class RenewalRunningError(ProvisioningError):
    """A renewal was ordered while another one runs."""

    exit_code = ExitCode.TRY_LATER
    next_step = "Wait until the renewal that runs has ended."

    def __init__(self) -> None:
        """Say so."""
        super().__init__("a renewal is running already")
