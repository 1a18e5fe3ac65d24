"""Making a device."""

from collections.abc import Mapping

from device.errors import ExitCode
from factory.errors.base import StationError


class SerialNumberError(StationError):
    """A serial number that cannot become a thing name and a certificate's common name."""

    exit_code = ExitCode.MISUSE
    next_step = "Use 1 to 64 of the characters a-z A-Z 0-9 : _ -, for example SN-0001."


class DeviceIdError(StationError):
    """A device id that is not 16 bytes in hex."""

    exit_code = ExitCode.MISUSE
    next_step = "Give 32 hexadecimal digits, or leave out --device-id to get a random one."


class SerialNumberUsedError(StationError):
    """Another device has the serial number."""

    def __init__(
        self, serial_number: str, device_id: str, folder: str, since: str, *, is_made: bool
    ) -> None:
        """Say which device has it, in which ``folder``, and ``since`` when."""
        state = "was made" if is_made else "was started, but not finished,"
        super().__init__(
            f"serial number {serial_number} is taken: device {device_id} {state} {since} in "
            f"{folder}. Two devices with the same serial number disconnect each other"
        )
        self.serial_number = serial_number
        self.device_id = device_id
        self.folder = folder
        finish = f"Finish that device: run the same command with --out {folder}. "
        self.next_step = (
            f"{'' if is_made else finish}Use another serial number. If that device is gone, "
            "replace it: run the same command with --again, which also turns its certificate off."
        )


class ReplacedMeanwhileError(StationError):
    """While a device was made, another process replaced it on purpose (--again)."""

    next_step = "Use the other device, and remove this folder."

    def __init__(self, serial_number: str, folder: str) -> None:
        """Name the serial number, and the ``folder`` of the device that lost it."""
        super().__init__(
            f"serial number {serial_number} was given to another device while {folder} was made"
        )


class OtherMethodError(StationError):
    """A finished device was made for another provisioning method."""

    next_step = "Make a device for this method in another folder: --out DIR"


class ElementChoiceError(StationError):
    """The ordered devices cannot use the secure element."""

    exit_code = ExitCode.MISUSE

    def __init__(self, problem: str, next_step: str) -> None:
        """Say what the ``problem`` is, and what to do instead."""
        super().__init__(problem)
        self.next_step = next_step


class CsrUnacceptableError(StationError):
    """A certificate signing request that the station must not sign."""

    next_step = "Have the device make a new key and CSR. This one was damaged or tampered with."


class LeafSubjectError(StationError):
    """A device's certificate would lack a subject field that a template needs."""

    exit_code = ExitCode.CONFIGURATION_INVALID

    def __init__(self, serial_number: str, config: str, fields: Mapping[str, str]) -> None:
        """Name the ``fields``: AWS's names, and how ``config`` calls them under ``subject``."""
        super().__init__(
            f"the certificate of {serial_number} would lack {', '.join(fields)} in its subject, "
            "which the template needs: AWS IoT would refuse the device forever, without a reason"
        )
        self.fields = tuple(fields)
        self.next_step = f"Set {', '.join(fields.values())} under subject in {config}."
