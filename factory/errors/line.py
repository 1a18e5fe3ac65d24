"""The production line around the making: retiring devices, manifests, reports."""

from collections.abc import Iterable

from factory.errors.base import StationError


class SerialNumberUnknownError(StationError):
    """The station has never made a device with the serial number."""

    next_step = "Check the serial number, and that --station is the station that made the device."

    def __init__(self, serial_number: str) -> None:
        """Name the serial number."""
        super().__init__(f"no device with serial number {serial_number} is in the ledger")
        self.serial_number = serial_number


class RegisteredElsewhereError(StationError):
    """A device is registered in accounts that were not named, so it cannot be retired whole."""

    def __init__(self, serial_number: str, accounts: Iterable[str]) -> None:
        """Name the ``accounts``, as ``ACCOUNT:REGION``."""
        listed = ", ".join(sorted(accounts))
        super().__init__(
            f"{serial_number} is registered in {listed}, too; it is not retired as long as a "
            "certificate of it may be ACTIVE there"
        )
        self.serial_number = serial_number
        self.next_step = "Run the same command with --account for each account and Region."


class BatchUnknownError(StationError):
    """The ledger has no device of the batch."""

    next_step = "Check the name, and that --station is the station that made the batch."

    def __init__(self, batch: str) -> None:
        """Name the batch."""
        super().__init__(f"no device of a batch {batch} is in the ledger")
        self.batch = batch


class ManifestError(StationError):
    """A manifest that is not as the station signed it."""

    next_step = "Do not import it. Get the manifest again from the station: factory manifest BATCH."


class ManifestDeviceError(StationError):
    """A device of the batch cannot be put in the manifest."""

    def __init__(self, serial_number: str, folder: str, problem: str) -> None:
        """Name the device, its ``folder``, and what is wrong with it."""
        super().__init__(f"{serial_number} in {folder}: {problem}")
        self.serial_number = serial_number
        self.folder = folder
        self.next_step = (
            "A manifest is written before the devices leave the station. Bring the folder back, "
            "or retire the device: factory retire --serial " + serial_number
        )
