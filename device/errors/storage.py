"""What can be wrong with the device's own storage; named after PSA's status codes."""

from typing import Final

from device.errors import BOOT, MAKE, ExitCode, FirstbootError, Row

_MAKE_AGAIN: Final = "Keep a copy of the state folder, then have the station make the device again."


class StorageError(FirstbootError):
    """The device's own storage, or the root of trust beneath it, cannot be used."""


DOES_NOT_EXIST: Final = Row(
    "FB-101",
    "DoesNotExistError",
    "An entry is not stored",
    means="No entry of the storage has this uid (PSA_ERROR_DOES_NOT_EXIST).",
    causes=("The station was interrupted while it made the device.", "Other firmware wrote it."),
    next_step=_MAKE_AGAIN,
    exit_code=ExitCode.STORAGE_UNUSABLE,
    needs="a program that reads an entry which nobody stored",
)


class DoesNotExistError(StorageError):
    """No entry has this uid (PSA_ERROR_DOES_NOT_EXIST)."""

    row = DOES_NOT_EXIST


NOT_PERMITTED: Final = Row(
    "FB-102",
    "NotPermittedError",
    "The storage does not permit this",
    means="The entry is WRITE_ONCE, the storage is open for reading only or closed, or the "
    "lifecycle forbids it (PSA_ERROR_NOT_PERMITTED).",
    causes=("A program uses the storage against its rules; this is a bug in that program.",),
    next_step=_MAKE_AGAIN,
    exit_code=ExitCode.STORAGE_UNUSABLE,
    kind=StorageError,
    needs="a program that changes a WRITE_ONCE entry",
)
INVALID_ARGUMENT: Final = Row(
    "FB-103",
    "InvalidArgumentError",
    "A uid, offset, size or flag is out of range",
    means="A program passed a value that the storage does not accept (PSA_ERROR_INVALID_ARGUMENT).",
    causes=("A program uses the storage against its rules; this is a bug in that program.",),
    next_step=_MAKE_AGAIN,
    exit_code=ExitCode.STORAGE_UNUSABLE,
    kind=StorageError,
    needs="a program that passes a uid or an offset out of range",
)
INSUFFICIENT_STORAGE: Final = Row(
    "FB-104",
    "InsufficientStorageError",
    "The disk is full",
    means="The disk has no room for the new state (PSA_ERROR_INSUFFICIENT_STORAGE).",
    causes=("Logs or other files fill the disk.", "A quota of this user is used up."),
    next_step="Free space on the disk that holds the state folder; nothing was lost.",
    exit_code=ExitCode.TRY_LATER,
    kind=StorageError,
    needs="a disk without room",
)
CAPACITY_EXCEEDED: Final = Row(
    "FB-105",
    "CapacityExceededError",
    "The data is larger than the storage's capacity",
    means="All entries together are larger than the storage may be, even if the disk has room.",
    causes=(
        "The template's DeviceConfiguration is large.",
        "Many root CAs or a long certificate chain are stored.",
    ),
    next_step="Nothing was stored or lost. Make the largest entry smaller: the template's "
    "DeviceConfiguration, the root CAs, or a certificate chain.",
    sentence="the storage can hold {capacity} bytes, but {needed} are needed",
    kind=StorageError,
    needs="a program that stores more than the storage may hold",
)
STORAGE_FAILURE: Final = Row(
    "FB-106",
    "StorageFailureError",
    "The disk failed",
    means="The disk failed, or returned other data than was written (PSA_ERROR_STORAGE_FAILURE).",
    causes=("The SD card or disk is worn out.", "The disk was removed while it was in use."),
    next_step="Try again: a fault of a disk may pass, and the last committed state is intact. If "
    "it stays, check the disk (dmesg, SMART, SD card).",
    exit_code=ExitCode.TRY_LATER,
    kind=StorageError,
    needs="a disk that fails",
)
STORAGE_ACCESS: Final = Row(
    "FB-107",
    "StorageAccessError",
    "This user may not use the storage",
    means="This user may not read or write the state folder.",
    causes=(
        "The command runs as another user than the one that owns the folder.",
        "The file system is mounted read-only.",
    ),
    next_step="Run as the user that owns the state folder, on a file system mounted read-write.",
    exit_code=ExitCode.STORAGE_UNUSABLE,
    kind=StorageError,
    needs="a folder of another user, or a disk that is mounted read-only",
)
DATA_CORRUPT: Final = Row(
    "FB-108",
    "DataCorruptError",
    "The storage is corrupt",
    means="No copy of the storage is authentic (PSA_ERROR_DATA_CORRUPT).",
    causes=(
        "A file in the state folder was changed, cut short or mixed with another device's.",
        "The disk returns wrong data.",
    ),
    next_step=_MAKE_AGAIN,
    exit_code=ExitCode.STORAGE_UNUSABLE,
    reproduce=(
        MAKE,
        "truncate -s 100 {code}/storage/image-a {code}/storage/image-b",
        "device status --state {code}  # {code}",
    ),
)


class DataCorruptError(StorageError):
    """No copy of the storage is authentic (PSA_ERROR_DATA_CORRUPT)."""

    row = DATA_CORRUPT


NEWER_FORMAT: Final = Row(
    "FB-109",
    "NewerFormatError",
    "Newer firmware wrote the storage",
    means="The storage has a format that this firmware does not know.",
    causes=("The firmware was downgraded after the device had run a newer one.",),
    next_step="Install the firmware that this device ran last, or a later one; nothing was "
    "changed.",
    sentence="newer firmware wrote this storage, in format {written_in}; this firmware reads "
    "formats up to {known}",
    exit_code=ExitCode.STORAGE_UNUSABLE,
    kind=DataCorruptError,
    needs="a storage that newer firmware wrote",
)
ROLLED_BACK: Final = Row(
    "FB-110",
    "RolledBackError",
    "The storage was rolled back",
    means="The storage is authentic but older than the anchor: someone put old data back.",
    causes=("A backup or an older image of the disk was restored.", "Someone attacks the device."),
    next_step="Restore the newest copy of the storage, or have the station make the device again. "
    "The device refuses the old state, because its certificate may have been replaced.",
    exit_code=ExitCode.STORAGE_UNUSABLE,
    kind=StorageError,
    reproduce=(
        MAKE,
        "cp -r {code}/storage {code}.old",
        BOOT,
        "rm -r {code}/storage && mv {code}.old {code}/storage",
        "device status --state {code}  # {code}",
    ),
)
WRONG_DEVICE: Final = Row(
    "FB-111",
    "WrongDeviceError",
    "The storage belongs to another device",
    means="The storage was sealed under the fuses of another device.",
    causes=(
        "A state folder was copied from another device.",
        "An SD card was moved to another board.",
    ),
    next_step="Put back the storage that belongs to these fuses; storage cannot be moved between "
    "devices.",
    exit_code=ExitCode.STORAGE_UNUSABLE,
    reproduce=(
        MAKE,
        "factory make --method claim --serial {code}-other --out {code}.other",
        "cp {code}.other/storage/image-a {code}.other/storage/image-b {code}/storage",
        "device status --state {code}  # {code}",
    ),
)


class WrongDeviceError(StorageError):
    """The storage was sealed under the fuses of another device."""

    row = WRONG_DEVICE


STORAGE_MISSING: Final = Row(
    "FB-112",
    "StorageMissingError",
    "There is no device here",
    means="The folder does not hold a device's storage.",
    causes=("--state or DEVICE_STATE names another folder.", "The device was not made yet."),
    next_step="Make a device: factory make --method M --serial SN --out DIR, then use --state DIR.",
    exit_code=ExitCode.STORAGE_UNUSABLE,
    reproduce=("device boot --state {code}  # {code}",),
)


class StorageMissingError(StorageError):
    """There is no device at this place."""

    row = STORAGE_MISSING


NOT_A_DEVICE: Final = Row(
    "FB-113",
    "NotADeviceError",
    "The folder does not hold a device",
    means="The storage is intact, but no serial number is stored in it.",
    causes=("--state names the station's folder.",),
    next_step="Pass a device's folder with --state. Only factory uses a station's folder.",
    exit_code=ExitCode.STORAGE_UNUSABLE,
    kind=StorageError,
    reproduce=("device status --state .firstboot/station  # {code}",),
)
STORAGE_BUSY: Final = Row(
    "FB-114",
    "StorageBusyError",
    "Another process uses the storage",
    means="Another process has this device's storage open for writing.",
    causes=("The device runs already, often as a systemd unit.",),
    next_step="Stop the other process that uses this state folder, or wait for it.",
    kind=StorageError,
    reproduce=(
        MAKE,
        "flock {code}/storage/lock device boot --state {code}  # {code}",
    ),
)
LIFECYCLE: Final = Row(
    "FB-115",
    "LifecycleError",
    "The lifecycle does not allow this",
    means="The device's lifecycle does not allow this transition or this use.",
    causes=("The station was interrupted before the device was finished.",),
    next_step="Have the station finish the device: factory make ends with lifecycle SECURED.",
    exit_code=ExitCode.STORAGE_UNUSABLE,
    reproduce=(
        MAKE,
        ("chmod u+w {code}/fuses/lifecycle && echo PSA_ROT_PROVISIONING > {code}/fuses/lifecycle"),
        "device boot --state {code}  # {code}",
    ),
)


class LifecycleError(StorageError):
    """The lifecycle does not allow this transition or this use."""

    row = LIFECYCLE


DECOMMISSIONED: Final = Row(
    "FB-116",
    "DecommissionedError",
    "The device is decommissioned",
    means="The device was taken out of service; its root key is destroyed.",
    causes=("Someone decommissioned the device on purpose.",),
    next_step="Decommissioning is final: have the station make a new device in another folder.",
    exit_code=ExitCode.STORAGE_UNUSABLE,
    kind=LifecycleError,
    reproduce=(
        MAKE,
        "device decommission --state {code}",
        "device boot --state {code}  # {code}",
    ),
)
STORAGE_EXISTS: Final = Row(
    "FB-117",
    "StorageExistsError",
    "There is a device here already",
    means="A finished device is in this folder.",
    causes=("--out names the folder of a device that was made before.",),
    next_step="Choose another folder, or remove this one yourself if you no longer need the "
    "device.",
    reproduce=(
        "factory make --method trusted-user --serial {code} --out {code}",
        ("factory make --method trusted-user --serial {code}-other --out {code}  # {code}"),
    ),
)


class StorageExistsError(StorageError):
    """There is a finished device at this place already."""

    row = STORAGE_EXISTS


UNFIT_FILE: Final = Row(
    "FB-118",
    "UnfitFileError",
    "A file cannot be used",
    means="A file is a FIFO or a link, is too long, or belongs to another user.",
    causes=("A file in the state folder was replaced by hand.",),
    next_step="Replace it with a regular file that belongs to this user, with mode 0600.",
    exit_code=ExitCode.STORAGE_UNUSABLE,
    reproduce=(
        MAKE,
        "mkfifo {code}/root-of-trust.json",
        "device status --state {code}  # {code}",
    ),
)


class UnfitFileError(StorageError):
    """A file cannot be used: it is a FIFO, a link, too long, or readable by others."""

    row = UNFIT_FILE


FILE_EXPOSED: Final = Row(
    "FB-119",
    "FileExposedError",
    "Other users may read a secret",
    means="A file with a secret of this device may be read by other users.",
    causes=("The folder was copied without its modes (cp without -p, a zip, a FAT disk).",),
    next_step="chmod 600 {path}. If others may have read it, move the storage to another root of "
    "trust (factory rewrap), or have the station make the device again.",
    sentence="{path} may be read by other users (mode {mode:04o})",
    exit_code=ExitCode.STORAGE_UNUSABLE,
    kind=StorageError,
    reproduce=(
        MAKE,
        "chmod 644 {code}/fuses/huk",
        "device status --state {code}  # {code}",
    ),
)
KEY_EXISTS: Final = Row(
    "FB-120",
    "KeyExistsError",
    "A key of this name exists",
    means="Another key has this name, in the storage or in the secure element.",
    causes=("A program makes a key twice.", "Two devices share a token and a label."),
    next_step="Choose another key name, or destroy the old key first.",
    exit_code=ExitCode.STORAGE_UNUSABLE,
    kind=StorageError,
    needs="a program that makes a key of the same name twice",
)
KEY_NOT_USABLE: Final = Row(
    "FB-121",
    "KeyNotUsableError",
    "A key cannot be used",
    means="A key is missing, of an unsupported type, or may not be used in this way.",
    causes=("The key was destroyed.", "Other firmware made the key with another type."),
    next_step=_MAKE_AGAIN,
    exit_code=ExitCode.STORAGE_UNUSABLE,
    needs="a program that installs what is no private key",
)


class KeyNotUsableError(StorageError):
    """A key is missing, of an unsupported type, or may not be used in this way."""

    row = KEY_NOT_USABLE
