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


class KeyNotUsableError(StorageError):
    """A key is missing, of an unsupported type, or may not be used in this way."""
