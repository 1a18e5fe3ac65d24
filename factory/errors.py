"""Every error that the station raises on purpose, on one page.

They derive from the device's base, so that one ``except`` serves both: each names its
cause, says what to do next, and carries the exit code. Text never holds a secret.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from device.errors import ExitCode, FirstbootError


class StationError(FirstbootError):
    """The station cannot do what it was asked to."""


class SerialNumberError(StationError):
    """A serial number that cannot become a thing name and a certificate's common name."""

    exit_code = ExitCode.MISUSE
    next_step = "Use 1 to 64 of the characters a-z A-Z 0-9 : _ -, for example SN-0001."


class DeviceIdError(StationError):
    """A device id that is not 16 bytes in hex."""

    exit_code = ExitCode.MISUSE
    next_step = "Give 32 hexadecimal digits, or leave --device-id out: one is drawn at random."


class SerialNumberUsedError(StationError):
    """Another device has the serial number."""

    def __init__(
        self, serial_number: str, device_id: str, folder: str, since: str, *, is_made: bool
    ) -> None:
        """Say which device has it, in which ``folder``, and ``since`` when."""
        state = "was made" if is_made else "was begun, and is not finished,"
        super().__init__(
            f"serial number {serial_number} is taken: device {device_id} {state} {since} in "
            f"{folder}. Two devices of one serial number disconnect each other"
        )
        self.serial_number = serial_number
        self.device_id = device_id
        self.folder = folder
        finish = f"Finish that device: run the same command with --out {folder}. "
        self.next_step = (
            f"{'' if is_made else finish}Use another serial number. Or, if that device is gone, "
            "replace it on purpose, which turns its certificate off: the same command with --again."
        )


class ReplacedMeanwhileError(StationError):
    """While a device was made, another process replaced it on purpose (--again)."""

    next_step = "Use the other device. This folder is of no use any more: remove it."

    def __init__(self, serial_number: str, folder: str) -> None:
        """Name the serial number, and the ``folder`` of the device that came too late."""
        super().__init__(
            f"serial number {serial_number} was given to another device while {folder} was made"
        )


class LedgerError(StationError):
    """The station's ledger is not what the station wrote."""

    exit_code = ExitCode.STORAGE_UNUSABLE
    next_step = (
        "Put the file back from a copy. Without it the station cannot tell which serial numbers "
        "are taken. No device was made. If it is lost for good, remove ledger.jsonl and "
        "ledger.lock: a new ledger begins, and serial numbers may be used twice."
    )


class OptionNotUsedError(StationError):
    """An option was given that this method, or this verb, has no use for."""

    exit_code = ExitCode.MISUSE

    def __init__(self, option: str, problem: str, next_step: str) -> None:
        """Name the ``option``, why it is of no use, and what to do instead."""
        super().__init__(f"{option}: {problem}")
        self.option = option
        self.next_step = next_step


class OtherTypeError(StationError):
    """A provisioning template has the name that the station uses, and another type."""

    exit_code = ExitCode.CONFIGURATION_INVALID

    def __init__(self, template: str, found: str, wanted: str) -> None:
        """Name the ``template``, its type and the one that the method needs."""
        super().__init__(
            f"the provisioning template {template} is of type {found}, and the method needs "
            f"{wanted}: AWS IoT would provision no device with it"
        )
        self.template = template
        self.next_step = (
            "AWS cannot change the type of a template. Delete it, then prepare again: "
            f"aws iot delete-provisioning-template --template-name {template}"
        )


class ExtraMissingError(StationError):
    """A library is not installed that only the station needs."""

    exit_code = ExitCode.CONFIGURATION_INVALID

    def __init__(self, library: str) -> None:
        """Name the ``library``."""
        super().__init__(f"{library} is not installed: it comes with the extra 'factory'")
        self.library = library
        self.next_step = "Install it: pip install 'firstboot[factory]'"


class ElementChoiceError(StationError):
    """A secure element that the devices ordered could not use."""

    exit_code = ExitCode.MISUSE

    def __init__(self, problem: str, next_step: str) -> None:
        """Say what the ``problem`` is, and what to do instead."""
        super().__init__(problem)
        self.next_step = next_step


class StationNotPreparedError(StationError):
    """The station holds nothing that it could install for this method."""

    next_step = (
        "Prepare the cloud side with this station first: factory prepare, with the --method that "
        "the device is for. Is it the right --station?"
    )


class NotAStationError(StationError):
    """The folder holds a device; a station written into it would cost the device its claim."""

    exit_code = ExitCode.CONFIGURATION_INVALID
    next_step = "Name the station's folder: --station DIR. Nothing was changed in this one."


class OtherAccountError(StationError):
    """The station was prepared for another account or Region."""

    exit_code = ExitCode.CONFIGURATION_INVALID
    next_step = "Use one station folder per account and Region: --station OTHER-DIR"


class NotMadeByStationError(StationError):
    """A resource has the name that the station would use, and somebody else made it."""

    next_step = (
        "The station leaves it alone. Rename or delete it, or, if it is the station's after "
        "all, put the tag made-by=firstboot-station on it."
    )


class CertificateProviderTakenError(StationError):
    """The account has a certificate provider, and an account has one at most."""

    next_step = (
        "The station leaves it alone. Use another account or Region, or have its owner delete it: "
        "it signs for every device there that asks over MQTT."
    )


class AuthorityMissingError(StationError):
    """The station has no certificate authority of its own yet."""

    next_step = "Make the station's CAs: factory ca init"


class CsrUnacceptableError(StationError):
    """A certificate signing request that no certificate may be issued for."""

    next_step = "Have the device make a new key and CSR; this one was damaged or tampered with."


class LeafSubjectError(StationError):
    """A device's certificate would lack what a template takes from its subject."""

    exit_code = ExitCode.CONFIGURATION_INVALID

    def __init__(self, serial_number: str, config: str, fields: Mapping[str, str]) -> None:
        """Name the ``fields``: AWS's names, and how ``config`` calls them under ``subject``."""
        super().__init__(
            f"the certificate of {serial_number} would lack {', '.join(fields)} in its subject, "
            "which the template wants: AWS IoT would never let the device in, and not say why"
        )
        self.fields = tuple(fields)
        self.next_step = f"Set {', '.join(fields.values())} under subject in {config}."


class OtherMethodError(StationError):
    """A finished device was made for another provisioning method."""

    next_step = "Make a device for this method in another folder: --out DIR"


class RegisteredOtherwiseError(StationError):
    """A CA is registered in a way that AWS cannot change afterwards."""

    def __init__(self, certificate_id: str, found: str, wanted: str, method: str) -> None:
        """Say how the CA is registered, and how it should be."""
        super().__init__(f"the CA {certificate_id[:12]}... is registered {found}, not {wanted}")
        self.next_step = (
            f"Register it anew: factory teardown --method {method}, then factory prepare. Devices "
            "that AWS IoT knows already go on to work."
        )


class ThingTakenError(StationError):
    """A thing has the device's name, and another device's certificate is attached to it."""

    def __init__(self, thing_name: str, certificate_ids: Sequence[str]) -> None:
        """Name the thing and what is attached to it."""
        listed = ", ".join(f"{each[:12]}..." for each in certificate_ids)
        super().__init__(
            f"thing {thing_name} exists, with certificates of another device: {listed}"
        )
        self.thing_name = thing_name
        self.certificate_ids = tuple(certificate_ids)
        self.next_step = (
            "Is the serial number used twice? If the other device is gone, turn its certificate "
            "off and detach it: aws iot update-certificate --new-status INACTIVE, aws iot "
            f"detach-thing-principal --thing-name {thing_name}. Then run the same command again."
        )


class SerialNumberTakenError(StationError):
    """The allow-list has given the device's serial number to another device."""

    def __init__(self, serial_number: str, certificate_id: str, table: str) -> None:
        """Name the serial number, and the certificate that took it."""
        super().__init__(
            f"serial number {serial_number} is taken by certificate {certificate_id[:12]}...: the "
            "Lambda would refuse this device"
        )
        self.serial_number = serial_number
        self.certificate_id = certificate_id
        self.next_step = (
            "Is the serial number used twice? If the other device is gone, delete its entry, then "
            f"run the same command again: aws dynamodb delete-item --table-name {table} --key "
            f'\'{{"SerialNumber": {{"S": "{serial_number}"}}}}\''
        )


class NotRegisteredError(StationError):
    """AWS would not register a device."""

    def __init__(self, serial_number: str, reason: str, next_step: str) -> None:
        """Keep AWS's own words as the ``reason``."""
        super().__init__(f"{serial_number} was not registered: {reason}")
        self.serial_number = serial_number
        self.reason = reason
        self.next_step = next_step


class SerialNumbersError(StationError):
    """A list of serial numbers that no batch can be made of."""

    exit_code = ExitCode.MISUSE
    next_step = (
        "Write one serial number a line, each once, of 1 to 64 of the characters a-z A-Z 0-9 : _ -."
    )


class BatchError(StationError):
    """A batch cannot be run as it was asked for."""

    exit_code = ExitCode.MISUSE
    next_step = "To go on with a batch: factory bulk --batch NAME. A new one needs another name."


class BatchJournalError(StationError):
    """The journal of a batch is not what the station wrote."""

    exit_code = ExitCode.STORAGE_UNUSABLE
    next_step = (
        "Put the file back from a copy. Without it, AWS knows the devices that were registered "
        "and the station cannot tell which: look for them by the attribute ProvisionedBy."
    )


class BucketMissingError(StationError):
    """There is no bucket that AWS IoT could read a batch's file from."""

    exit_code = ExitCode.CONFIGURATION_INVALID
    next_step = (
        "Have the station make it: factory prepare --method bulk. Then run the same command "
        "again: the devices that were begun are gone on with."
    )

    def __init__(self, bucket: str) -> None:
        """Name the bucket."""
        super().__init__(f"there is no bucket {bucket}")
        self.bucket = bucket


class AnotherTaskRunsError(StationError):
    """AWS runs one bulk registration in an account at a time, and there is one."""

    exit_code = ExitCode.TRY_LATER

    def __init__(self, task_id: str) -> None:
        """Name the task."""
        super().__init__(f"registration task {task_id} is running in this account")
        self.task_id = task_id
        self.next_step = (
            "Run the same command later, or without --no-wait. To end the other one: "
            f"aws iot stop-thing-registration-task --task-id {task_id}"
        )


class BatchUnfinishedError(StationError):
    """Some devices of a batch were not registered; each is named above with its reason."""

    def __init__(self, name: str, failed: int, total: int) -> None:
        """Say how many of the batch ``name`` failed."""
        super().__init__(f"batch {name}: {failed} of {total} device(s) were not registered")
        self.next_step = (
            "Mend what is named above, then have those tried again, and no other: "
            f"factory bulk --batch {name} --retry"
        )


class TemplateMissingError(StationError):
    """AWS has no provisioning template of this name."""

    exit_code = ExitCode.CONFIGURATION_INVALID

    def __init__(self, template: str) -> None:
        """Name the ``template``."""
        super().__init__(f"there is no provisioning template {template} in this account and Region")
        self.template = template
        self.next_step = (
            "Have the station make its own: factory prepare --method trusted-user. Is it the "
            "right account, and the right Region?"
        )


class NobodyWaitsError(StationError):
    """No device waits for a claim at this socket."""

    exit_code = ExitCode.TRY_LATER

    def __init__(self, place: Path, problem: str) -> None:
        """Name the ``place``, and what was seen there."""
        super().__init__(f"no device waits for a claim at {place}: {problem}")
        self.place = place
        self.next_step = (
            "Start the device first, and leave it waiting: device boot --wait-for-claim --config "
            "config/trusted-user.yaml --state DIR. Then run this command again."
        )


class ClaimRefusedError(StationError):
    """The device looked at the claim, and did not take it; it goes on waiting."""

    next_step = (
        "Run the same command again: it gets a new claim. If the device calls a new one too old, "
        "compare the clocks of device and station."
    )

    def __init__(self, problem: str) -> None:
        """Keep the device's own words."""
        super().__init__(f"the device did not take the claim: {problem}")
        self.problem = problem


class NothingToLintError(StationError):
    """Neither files nor a method were named."""

    exit_code = ExitCode.MISUSE
    next_step = "Name files, or a method whose documents are to be looked at: --method claim."


class LintFailedError(StationError):
    """The linter found errors in policies or templates; each is named above."""

    next_step = "Mend what is named above; docs/lint.md lists the rules."

    def __init__(self, errors: int) -> None:
        """Say how many."""
        super().__init__(f"{errors} error(s) in policies or templates")
        self.errors = errors


class CloudError(StationError):
    """A call to AWS did not end well."""


class CloudConfigurationError(CloudError):
    """Credentials, Region or endpoint are missing or not usable."""

    exit_code = ExitCode.CONFIGURATION_INVALID
    next_step = (
        'For the local AWS: eval "$(localcloud env)". For a real account: set AWS_PROFILE, or '
        "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_DEFAULT_REGION."
    )


class CloudNotReachableError(CloudError):
    """Nobody answered at the endpoint, or not in time."""

    exit_code = ExitCode.TRY_LATER
    next_step = (
        "Check the network, and AWS_ENDPOINT_URL if it is set (a local AWS is started by: "
        "localcloud up --detach). Nothing is half-done: run the same command again."
    )


class CloudThrottledError(CloudError):
    """AWS asks for patience: too many requests, or trouble on its side."""

    exit_code = ExitCode.TRY_LATER
    next_step = "Wait a few minutes and run the same command again; it goes on where it stopped."


class CloudDeniedError(CloudError):
    """The credentials are good, and may not do this."""

    exit_code = ExitCode.DENIED

    def __init__(self, action: str, message: str) -> None:
        """Name the IAM ``action`` that is missing, and AWS's own words."""
        super().__init__(f"not allowed to call {action}: {message}")
        self.action = action
        self.next_step = (
            f"Allow {action} for these credentials in IAM. docs/station.md lists all the "
            "actions that the station needs."
        )


class CloudLimitError(CloudError):
    """A quota of the account is used up."""

    exit_code = ExitCode.DENIED
    next_step = "Delete what is not needed, or ask for more under AWS Service Quotas, IoT Core."


class CloudRejectedError(CloudError):
    """AWS answered, and the answer was no."""

    next_step = "Read AWS's words above; a second run of the same command is safe."

    def __init__(self, action: str, error_code: str, message: str) -> None:
        """Keep the IAM ``action``, AWS's ``error_code`` and its own words."""
        super().__init__(f"{action} was rejected: {error_code}: {message}")
        self.action = action
        self.error_code = error_code


class NotInCloudError(CloudRejectedError):
    """The named resource does not exist in this account and Region."""


class StillInUseError(CloudRejectedError):
    """A resource cannot be deleted yet (AWS: DeleteConflict)."""

    exit_code = ExitCode.TRY_LATER
    next_step = (
        "AWS may need five minutes until a detached policy can be deleted. Run the same command "
        "again then; what is left stays as it is."
    )
