"""What can go wrong between the device and AWS IoT."""

from datetime import UTC, datetime

from device.errors import ExitCode, FirstbootError


class ProvisioningError(FirstbootError):
    """The device could not become, or prove to be, a registered thing."""


class UnexpectedEventError(ProvisioningError):
    """An event came that cannot happen in this state; the state is unchanged."""

    next_step = (
        "This is a bug in the device, or the server answered without a request. Report it with "
        "the log."
    )

    def __init__(self, event: str, state: str) -> None:
        """Name the ``event``'s type and the ``state`` that has no row for it."""
        super().__init__(f"{event} while {state}")
        self.event = event
        self.state = state


class NotReachableError(ProvisioningError):
    """The endpoint was not reached, or is not the one the device trusts."""

    exit_code = ExitCode.TRY_LATER

    def __init__(self, step: str, detail: str, next_step: str = "") -> None:
        """Say at which ``step`` and what was seen."""
        super().__init__(f"{step}: {detail}")
        self.step = step
        self.next_step = next_step or "Check the endpoint and the network."


class NotLetInError(ProvisioningError):
    """AWS IoT refused the connection. It gives no reason, so the likely causes are listed."""

    exit_code = ExitCode.DENIED

    def __init__(
        self, credential: str, detail: str, causes: tuple[str, ...], advice: str = ""
    ) -> None:
        """Name the ``credential`` used, what was seen, and ``causes`` in order of likelihood.

        ``advice`` says how to find out which of them it is, and what to do then.
        """
        super().__init__(f"AWS IoT refused the connection made with the {credential} ({detail})")
        self.credential = credential
        self.causes = causes
        listed = [f"({number}) {cause}" for number, cause in enumerate(causes, 1)]
        words = ["AWS gives no reason. In order of likelihood:", *listed, advice]
        self.next_step = " ".join(filter(None, words))


class CertificateInDoubtError(ProvisioningError):
    """The staged certificate was refused; that does not say whether it is registered."""

    exit_code = ExitCode.TRY_LATER

    def __init__(self, certificate_id: str, refusal: str) -> None:
        """Name the certificate, and how it, or its token, was refused."""
        super().__init__(
            f"{refusal}; the device keeps certificate {certificate_id} and tries it again"
        )
        self.certificate_id = certificate_id
        self.next_step = (
            "The device tries again by itself. It asks for another certificate when this one was "
            "refused for several minutes while the claim certificate was accepted. To see its "
            f"state in AWS IoT: aws iot describe-certificate --certificate-id {certificate_id}."
        )


class CertificateGivenUpError(ProvisioningError):
    """All evidence says that the cloud does not know the staged certificate."""

    exit_code = ExitCode.TRY_LATER

    def __init__(self, certificate_id: str, detail: str) -> None:
        """Name the certificate, and how its last connection ended."""
        super().__init__(
            f"the device gave up certificate {certificate_id}: for minutes AWS IoT refused its "
            f"connections ({detail}) and its token, but accepted the claim certificate"
        )
        self.certificate_id = certificate_id
        self.next_step = (
            "The device asks for another certificate by itself. If the cloud still has this one, "
            "turn it off: aws iot update-certificate --new-status INACTIVE --certificate-id "
            f"{certificate_id}. device status lists it under certificates_given_up."
        )


class ClockBehindError(ProvisioningError):
    """A certificate that was issued to this device is not yet valid by this device's clock."""

    exit_code = ExitCode.TRY_LATER
    next_step = (
        "Set the clock: start NTP (timedatectl set-ntp true), or add a battery-backed clock. The "
        "device keeps the certificate and tries again by itself."
    )

    def __init__(self, now: float, not_before: float) -> None:
        """Give both times, in seconds since the epoch."""
        says, since = (datetime.fromtimestamp(each, UTC).isoformat() for each in (now, not_before))
        super().__init__(
            f"this device's clock is behind: it says {says}, but its certificate is valid only "
            f"from {since}"
        )
        self.now = now
        self.not_before = not_before


class UnexpectedThingNameError(ProvisioningError):
    """RegisterThing returned a thing name that the settings do not expect; it was not used."""

    def __init__(self, expected: str, named: str) -> None:
        """Give the thing name of the settings, and the one of the reply."""
        super().__init__(
            f"RegisterThing returned the thing name {named}, but the settings expect {expected}"
        )
        self.expected = expected
        self.named = named
        self.next_step = (
            "Set thing_name in the settings to the name that the template builds, with {serial} "
            "and "
            '{device_id} where they belong, or to "{cloud}" if only the template can know it; or '
            "correct ThingName in the template. The device keeps the certificate. If the name was "
            f"a mistake, remove the thing: aws iot delete-thing --thing-name {named}."
        )


class TopicDeniedError(ProvisioningError):
    """The policy of the certificate in use does not allow a topic."""

    exit_code = ExitCode.DENIED

    def __init__(self, verb: str, topic_names: tuple[str, ...], policy_hint: str) -> None:
        """Name the ``verb`` (subscribe or publish) and the topics that were denied."""
        listed = ", ".join(topic_names)
        super().__init__(f"AWS IoT denied {verb} on {listed}")
        self.topics = topic_names
        self.next_step = f"Allow it in {policy_hint}: {listed}"


class CloudRejectedError(ProvisioningError):
    """The cloud rejected a request."""

    exit_code = ExitCode.DENIED

    def __init__(
        self, operation: str, status_code: int, error_code: str, error_message: str, next_step: str
    ) -> None:
        """Keep AWS's ``status_code``, ``error_code`` and ``error_message`` verbatim."""
        super().__init__(
            f"{operation} was rejected: {status_code} {error_code}: {error_message}".rstrip(": ")
        )
        self.operation = operation
        self.status_code = status_code
        self.error_code = error_code
        self.error_message = error_message
        self.next_step = next_step


class ThrottledError(CloudRejectedError):
    """The cloud is too busy, or the account's quota is used up."""

    exit_code = ExitCode.TRY_LATER


class ConnectionLostError(ProvisioningError):
    """An established connection ended before the step was done."""

    exit_code = ExitCode.TRY_LATER
    next_step = (
        "The device tries again by itself. If it always ends at this step, look for a second "
        "client with the same client id, and for a topic that the policy does not allow."
    )

    def __init__(self, step: str, detail: str, next_step: str = "") -> None:
        """Say during which ``step`` and what was seen."""
        super().__init__(f"connection lost while {step}: {detail}")
        self.step = step
        self.next_step = next_step or self.next_step


class TakenOverError(ConnectionLostError):
    """Another client connected under the same client id, so AWS IoT ended this connection."""

    next_step = (
        "Another client connected with this thing's name. Check whether the device runs twice, or "
        "whether two devices have the same serial number. To find it: subscribe to "
        "$aws/events/presence/connected/+ in the console (MQTT test client) and compare "
        "principalIdentifier, the certificate id, and ipAddress; or list what is attached: aws iot "
        "list-thing-principals --thing-name NAME. Set the certificate of the wrong one INACTIVE."
    )


class NotAcknowledgedError(ProvisioningError):
    """AWS IoT answered a SUBSCRIBE or PUBLISH with a reason code other than a denial."""

    exit_code = ExitCode.TRY_LATER

    def __init__(self, step: str, detail: str, next_step: str) -> None:
        """Say during which ``step`` and what was answered."""
        super().__init__(f"{step}: {detail}")
        self.step = step
        self.next_step = next_step


class NotAllowedByMqttError(NotAcknowledgedError):
    """AWS IoT does not accept such a packet, so sending it again will not help."""

    exit_code = ExitCode.FAILED


class NoReplyError(ProvisioningError):
    """The cloud did not answer in time."""

    exit_code = ExitCode.TRY_LATER
    next_step = (
        "The device tries again by itself. If it never gets an answer, check that the template is "
        "enabled, that the Region is right, and that the claim policy allows iot:Receive on the "
        "reply topics."
    )

    def __init__(self, step: str) -> None:
        """Say during which ``step``."""
        super().__init__(f"no answer while {step}")
        self.step = step


class MalformedReplyError(ProvisioningError):
    """The cloud's reply is not what AWS documents; nothing of it was used."""

    next_step = (
        "Check that the endpoint is AWS IoT Core, or a local AWS of the same version as this "
        "device."
    )

    def __init__(self, operation: str, problem: str, next_step: str = "") -> None:
        """Name the ``operation`` and what is wrong with the reply."""
        super().__init__(f"the reply to {operation} cannot be used: {problem}")
        self.operation = operation
        self.next_step = next_step or self.next_step


class CertificateUnacceptableError(ProvisioningError):
    """A certificate is not one this device may use; nothing of it was stored."""

    next_step = (
        "Do not trust this endpoint until you know the cause. A certificate for another key or "
        "subject comes from a misconfigured certificate provider, from a reply meant for another "
        "request, or from an impostor."
    )


class CredentialUnusableError(ProvisioningError):
    """TLS cannot start: the certificate, the key or the root CA is wrong."""

    exit_code = ExitCode.CONFIGURATION_INVALID
    next_step = (
        "Have the station install a certificate together with the key it was issued for, and "
        "the right root CA: factory make. If root_ca is set, name a file of PEM certificates."
    )

    def __init__(self, credential: str, detail: str) -> None:
        """Name the ``credential`` and what the TLS library said."""
        super().__init__(f"TLS cannot use the {credential} with its key and root CA: {detail}")
        self.credential = credential


NO_CREDENTIAL = (
    "this device has no credential: neither a claim credential nor a certificate; the station must "
    "install one, or a trusted user must hand over a claim (--wait-for-claim)"
)
"""Said by `device status` too."""


class NoCredentialError(ProvisioningError):
    """The device holds nothing that it could provision itself with."""

    exit_code = ExitCode.CONFIGURATION_INVALID
    next_step = (
        "Have the station install a credential: factory make. A claim is destroyed once the "
        "identity is proven; a device that lost its identity must go back to the station."
    )

    def __init__(self) -> None:
        """Say it in the same words everywhere."""
        super().__init__(NO_CREDENTIAL)


class ClaimMissingError(NoCredentialError):
    """The device holds no claim credential to provision itself with."""


class StoppedError(FirstbootError):
    """Someone asked the device to stop before it was done."""

    exit_code = ExitCode.TRY_LATER
    next_step = "Boot again. The device continues where it stopped."


class NotActivatedYetError(NotLetInError):
    """AWS IoT refuses a just-in-time device; it does so at first, while it registers the device."""

    def __init__(self, detail: str, causes: tuple[str, ...], advice: str, refusals: int) -> None:
        """Say what is known after so many ``refusals``."""
        super().__init__("installed certificate", detail, causes, advice)
        self.refusals = refusals
        first = (
            f"AWS IoT closed the first connection ({detail}), as it does while it registers a "
            "certificate that it sees for the first time"
        )
        later = (
            f"still refused after {refusals} attempts ({detail}); AWS IoT usually needs 1 to "
            "3 s for a template, and as long as the Lambda takes for a rule"
        )
        self.args = (first if refusals == 1 else later,)


class IdentityRefusedError(NotLetInError):
    """AWS IoT keeps refusing a device that it accepted before."""

    def __init__(
        self, detail: str, causes: tuple[str, ...], advice: str, refusals: int, seconds: float
    ) -> None:
        """Say how often it was refused in a row, over how many ``seconds``, and how."""
        super().__init__("device certificate", detail, causes, advice)
        self.refusals = refusals
        words = (
            f"AWS IoT refused this device's identity {refusals} times in a row, over "
            f"{seconds:.0f} s, each time after TLS was complete ({detail})"
        )
        self.args = (words,)


class InstalledCertificateError(CertificateUnacceptableError):
    """The certificate that the station installed does not belong to this device."""

    next_step = "Have the station install a certificate for this device's key and subject."


class ClaimExpiredError(ProvisioningError):
    """The claim that a trusted user handed over is older than five minutes."""

    exit_code = ExitCode.DENIED
    next_step = (
        "Boot again with --wait-for-claim and hand over a new one: factory claim --trusted-user. "
        "The device keeps its progress. If it calls a new claim too old, set this device's clock."
    )


class ClaimUnusableError(ProvisioningError):
    """What was handed over is not a claim; it was not used."""

    exit_code = ExitCode.CONFIGURATION_INVALID
    next_step = "Hand over the output of factory claim --trusted-user, unchanged."


class SubjectFieldMissingError(ProvisioningError):
    """The installed certificate lacks what a just-in-time template takes from its subject."""

    exit_code = ExitCode.CONFIGURATION_INVALID

    def __init__(self, template: str, fields: tuple[str, ...]) -> None:
        """Name the ``template`` and the subject ``fields``, e.g. ``CommonName``."""
        listed = ", ".join(fields)
        super().__init__(f"the certificate's subject lacks {listed}, which {template} needs")
        self.fields = fields
        self.next_step = (
            f"Have the station issue a certificate whose subject has {listed}, or give the "
            "template's parameter a Default. AWS IoT would leave this certificate "
            "PENDING_ACTIVATION forever, without an error."
        )
