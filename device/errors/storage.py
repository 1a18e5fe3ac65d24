"""What can be wrong with the device's own storage; named after PSA's status codes."""

from typing import TYPE_CHECKING

from device.errors import ExitCode, FirstbootError

if TYPE_CHECKING:
    from pathlib import Path


class StorageError(FirstbootError):
    """The device's own storage cannot be used."""

    exit_code = ExitCode.STORAGE_UNUSABLE
    next_step = "Keep a copy of the state folder, then have the station make the device again."


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


class CapacityExceededError(InsufficientStorageError):
    """The data is larger than the store's capacity, however free the disk is."""

    exit_code = ExitCode.FAILED

    def __init__(self, needed: int, capacity: int) -> None:
        """Say how many bytes were ``needed``, of the ``capacity`` in bytes."""
        super().__init__(f"the storage can hold {capacity} bytes, but {needed} are needed")
        self.needed = needed
        self.capacity = capacity
        self.next_step = (
            "Nothing was stored or lost. Make the largest entry smaller: the template's "
            "DeviceConfiguration, the root CAs, or a certificate chain."
        )


class StorageFailureError(StorageError):
    """The disk failed or returned wrong data (PSA_ERROR_STORAGE_FAILURE)."""

    next_step = "Check the disk (dmesg, SMART, SD card); the last committed state is intact."


class DataCorruptError(StorageError):
    """No copy of the storage is authentic (PSA_ERROR_DATA_CORRUPT)."""


class NewerFormatError(DataCorruptError):
    """Newer firmware wrote the storage, in a format that this one does not know."""

    next_step = (
        "Install the firmware that this device ran last, or a later one; nothing was changed."
    )

    def __init__(self, written_in: int, known: int) -> None:
        """Say which format it was ``written_in``, and the latest that is ``known`` here."""
        super().__init__(
            f"newer firmware wrote this storage, in format {written_in}; this firmware reads "
            f"formats up to {known}"
        )


class RolledBackError(StorageError):
    """The storage is authentic but older than the anchor: someone put old data back."""

    next_step = (
        "Restore the newest copy of the storage, or have the station make the device again. "
        "The device refuses the old state, because its certificate may have been replaced."
    )


class WrongDeviceError(StorageError):
    """The storage was sealed under the fuses of another device."""

    next_step = (
        "Put back the storage that belongs to these fuses; storage cannot be moved between devices."
    )


class StorageMissingError(StorageError):
    """There is no device at this place."""

    next_step = (
        "Make a device: factory make --method M --serial SN --out DIR, then use --state DIR."
    )


class NotADeviceError(StorageError):
    """The storage is intact, but it does not hold a device: no serial number is stored."""

    next_step = "Pass a device's folder with --state. Only factory uses a station's folder."


class StorageBusyError(StorageError):
    """Another process has this device's storage open."""

    exit_code = ExitCode.FAILED
    next_step = "Stop the other process that uses this state folder, or wait for it."


class LifecycleError(StorageError):
    """The lifecycle does not allow this transition or this use."""

    next_step = "Have the station finish the device: factory make ends with lifecycle SECURED."


class DecommissionedError(LifecycleError):
    """The device was taken out of service; its root key is destroyed."""

    next_step = "Decommissioning is final: have the station make a new device in another folder."


class StorageExistsError(StorageError):
    """There is a finished device at this place already."""

    exit_code = ExitCode.FAILED
    next_step = (
        "Choose another folder, or remove this one yourself if you no longer need the device."
    )


class StorageAccessError(StorageFailureError):
    """This user may not read or write the storage."""

    next_step = "Run as the user that owns the state folder, on a file system mounted read-write."


class UnfitFileError(StorageError):
    """A file cannot be used: it is a FIFO, a link, too long, or readable by others."""

    next_step = "Replace it with a regular file that belongs to this user, with mode 0600."


class FileExposedError(StorageError):
    """Other users may read a file with a secret of this device."""

    def __init__(self, path: "Path", mode: int) -> None:
        """Name the ``path`` and its ``mode``, such as 0o644."""
        super().__init__(f"{path} may be read by other users (mode {mode:04o})")
        self.path = path
        self.next_step = (
            f"chmod 600 {path}. If others may have read it, move the storage to another "
            "root of trust (factory rewrap), or have the station make the device again."
        )


class KeyExistsError(StorageError):
    """Another key has this name."""

    next_step = "Choose another key name, or destroy the old key first."


class KeyNotUsableError(StorageError):
    """A key is missing, of an unsupported type, or may not be used in this way."""
