"""Every deliberate error, on one page.

An error names its cause in its text and what to do about it in ``next_step``; the
command line prints both and exits with ``exit_code``. Text never holds a secret.
"""

from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """The exit codes of ``device``, ``factory``; other people's scripts rely on them."""

    DONE = 0
    FAILED = 1
    MISUSE = 2
    CONFIGURATION_INVALID = 3
    DENIED = 4
    TRY_LATER = 5
    STORAGE_UNUSABLE = 6


class FirstbootError(Exception):
    """The base of every error that this project raises on purpose."""

    exit_code: ClassVar[ExitCode] = ExitCode.FAILED
    next_step: str = "Run the command again with --log-level debug and read the last lines."


# --- configuration -----------------------------------------------------------------


class ConfigurationError(FirstbootError):
    """A settings file, environment variable or flag is not usable."""

    exit_code = ExitCode.CONFIGURATION_INVALID

    def __init__(self, source: str, key: str, problem: str, next_step: str = "") -> None:
        """Name the ``source`` (file, variable or flag), the ``key`` in it and the problem."""
        super().__init__(f"{source}: {key}: {problem}" if key else f"{source}: {problem}")
        self.source = source
        self.key = key
        self.problem = problem
        self.next_step = next_step or f"Correct {key or 'the file'} in {source}."


# --- storage -----------------------------------------------------------------------


class StorageError(FirstbootError):
    """The device's own storage cannot be used as it is."""

    exit_code = ExitCode.STORAGE_UNUSABLE
    next_step = "Keep a copy of the state folder, then have the station make the device anew."


class DoesNotExistError(StorageError):
    """No entry has this uid (PSA_ERROR_DOES_NOT_EXIST)."""


class NotPermittedError(StorageError):
    """The entry is WRITE_ONCE, or the lifecycle forbids it (PSA_ERROR_NOT_PERMITTED)."""


class InvalidArgumentError(StorageError):
    """A uid, offset, size or flag is out of range (PSA_ERROR_INVALID_ARGUMENT)."""


class InsufficientStorageError(StorageError):
    """The disk, or the store's capacity, is full (PSA_ERROR_INSUFFICIENT_STORAGE)."""

    exit_code = ExitCode.TRY_LATER
    next_step = "Free space on the disk that holds the state folder; nothing was lost."


class StorageFailureError(StorageError):
    """The disk refused or lied (PSA_ERROR_STORAGE_FAILURE)."""

    next_step = "Check the disk (dmesg, SMART, SD card); the last committed state is intact."


class DataCorruptError(StorageError):
    """No copy of the storage is authentic (PSA_ERROR_DATA_CORRUPT)."""


class RolledBackError(StorageError):
    """The storage is authentic but older than the anchor: somebody put old data back."""

    next_step = (
        "Restore the newest copy of the storage, or have the station make the device anew. "
        "The old state is refused, since its certificate may have been replaced."
    )


class WrongDeviceError(StorageError):
    """The storage was sealed under the fuses of another device."""

    next_step = "Put back the storage that belongs to these fuses; a storage cannot be moved."


class StorageMissingError(StorageError):
    """There is no device at this place."""

    next_step = "Make one: factory make --method M --serial SN --out DIR, then use --state DIR."


class StorageBusyError(StorageError):
    """Another process has this device's storage open."""

    exit_code = ExitCode.FAILED
    next_step = "Stop the other device process on this state folder, or wait for it."


class LifecycleError(StorageError):
    """The lifecycle does not allow this transition or this use."""

    next_step = "Have the station finish the device: factory make ends with lifecycle SECURED."


class DecommissionedError(LifecycleError):
    """The device was taken out of service; its root key is destroyed."""

    next_step = "Decommissioning is final: have the station make a new device in another folder."


class StorageExistsError(StorageError):
    """There is a finished device at this place already."""

    exit_code = ExitCode.FAILED
    next_step = "Choose another folder, or remove this one yourself if the device may be lost."


class StorageAccessError(StorageFailureError):
    """This user may not read or write the storage."""

    next_step = "Run as the user that owns the state folder, on a file system mounted read-write."


class KeyExistsError(StorageError):
    """The name is taken by another key."""

    next_step = "Choose another key name, or destroy the old key first."


class KeyNotUsableError(StorageError):
    """A key is missing, of an unsupported type, or may not be used in this way."""


# --- provisioning ------------------------------------------------------------------


class ProvisioningError(FirstbootError):
    """The device could not become, or prove to be, a registered thing."""


class UnexpectedEventError(ProvisioningError):
    """An event came that cannot happen in this state; the state is unchanged."""

    next_step = "This is a bug, or a server that answers what nobody asked: report it with the log."

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
    """AWS IoT was reached and closed the door; it gives no reason, so likely ones are listed."""

    exit_code = ExitCode.DENIED

    def __init__(self, credential: str, detail: str, causes: tuple[str, ...]) -> None:
        """Name the ``credential`` used, what was seen, and ``causes`` in order of likelihood."""
        super().__init__(f"connection with the {credential} was not let in ({detail})")
        self.credential = credential
        self.causes = causes
        self.next_step = "AWS gives no reason. In order of likelihood: " + " ".join(
            f"({number}) {cause}" for number, cause in enumerate(causes, 1)
        )


class TopicDeniedError(ProvisioningError):
    """The policy of the certificate in use does not allow a topic."""

    exit_code = ExitCode.DENIED

    def __init__(self, verb: str, topic_names: tuple[str, ...], policy_hint: str) -> None:
        """Name the ``verb`` (subscribe or publish) and the topics that were denied."""
        listed = ", ".join(topic_names)
        super().__init__(f"{verb} was denied on {listed}")
        self.topics = topic_names
        self.next_step = f"Allow it in {policy_hint}: {listed}"


class CloudRejectedError(ProvisioningError):
    """The cloud answered a request, and the answer was no."""

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

    def __init__(self, step: str, detail: str) -> None:
        """Say during which ``step`` and what was seen."""
        super().__init__(f"connection lost while {step}: {detail}")
        self.step = step


class NoReplyError(ProvisioningError):
    """The cloud did not answer in time."""

    exit_code = ExitCode.TRY_LATER
    next_step = (
        "The device tries again by itself. If it never gets an answer: is the template enabled "
        "and the region right, and does the claim policy allow iot:Receive on the reply topics?"
    )

    def __init__(self, step: str) -> None:
        """Say during which ``step``."""
        super().__init__(f"no answer while {step}")
        self.step = step


class MalformedReplyError(ProvisioningError):
    """The cloud's reply is not what AWS documents; nothing of it was used."""

    next_step = "Is the endpoint really AWS IoT Core or the local AWS, and of a version that fits?"

    def __init__(self, operation: str, problem: str) -> None:
        """Name the ``operation`` and what is wrong with the reply."""
        super().__init__(f"the reply to {operation} cannot be used: {problem}")
        self.operation = operation


class CertificateUnacceptableError(ProvisioningError):
    """A certificate is not one this device may use; nothing of it was stored."""

    next_step = (
        "Do not trust this endpoint until it is explained: a certificate for another key or "
        "subject means a wrong certificate provider, a mixed-up reply or an impostor."
    )


class ClaimMissingError(ProvisioningError):
    """The device holds no claim credential to provision itself with."""

    exit_code = ExitCode.CONFIGURATION_INVALID
    next_step = (
        "Have the station install one: factory make --method claim. A claim is destroyed once "
        "the identity is proven; a device that lost its identity has to go back to the station."
    )

    def __init__(self) -> None:
        """Say it in the same words everywhere."""
        super().__init__("there is no claim credential in this device")


class StoppedError(FirstbootError):
    """Somebody asked the device to stop before it was done."""

    exit_code = ExitCode.TRY_LATER
    next_step = "Boot again: the device goes on where it stopped."


class ResetRefusedError(FirstbootError):
    """A reset would throw away a working identity, and nobody said that it may."""

    def __init__(self, thing_name: str) -> None:
        """Name the thing that the device is."""
        super().__init__(f"this device is {thing_name}, and its claim is destroyed")
        self.thing_name = thing_name
        self.next_step = (
            "To throw the identity away: device reset --forget-identity. The device then needs "
            "the station again, and the cloud keeps the thing and its certificate until deleted."
        )


class NotActivatedYetError(NotLetInError):
    """A just-in-time method is refused, as it is at first while AWS IoT registers the device."""

    def __init__(self, detail: str, causes: tuple[str, ...], refusals: int) -> None:
        """Say what is known after so many ``refusals``."""
        super().__init__("installed certificate", detail, causes)
        self.refusals = refusals
        first = (
            f"AWS IoT closed the first connection ({detail}), as it does while it registers a "
            "certificate that it has not seen before"
        )
        later = (
            f"not let in yet, after {refusals} attempts ({detail}); AWS IoT usually needs 1 to "
            "3 s for a template, and as long as the Lambda takes for a rule"
        )
        self.args = (first if refusals == 1 else later,)


class InstalledCertificateError(CertificateUnacceptableError):
    """The certificate that the station installed cannot be this device's."""

    next_step = "Have the station install a certificate for this device's key and subject."


class ClaimExpiredError(ProvisioningError):
    """The claim that a trusted user handed over is past its five minutes."""

    exit_code = ExitCode.DENIED
    next_step = (
        "Boot again with --wait-for-claim and hand over a new one: factory claim --trusted-user. "
        "What was reached so far is kept."
    )


class ClaimUnusableError(ProvisioningError):
    """What was handed over as a claim is none; it was not used."""

    exit_code = ExitCode.CONFIGURATION_INVALID
    next_step = "Hand over what factory claim --trusted-user makes, unchanged."


class SubjectFieldMissingError(ProvisioningError):
    """The installed certificate lacks what a just-in-time template takes from its subject."""

    exit_code = ExitCode.CONFIGURATION_INVALID

    def __init__(self, template: str, fields: tuple[str, ...]) -> None:
        """Name the ``template`` and the subject ``fields``, e.g. ``CommonName``."""
        listed = ", ".join(fields)
        super().__init__(f"the certificate's subject lacks {listed}, which {template} wants")
        self.fields = fields
        self.next_step = (
            f"Have the station issue a certificate whose subject has {listed}, or give the "
            "template's parameter a Default. AWS IoT would leave this certificate "
            "PENDING_ACTIVATION for good, and tell nobody."
        )
