"""What can be wrong with the root of trust beneath the storage."""

from typing import Final

from device.errors import ExitCode, Row
from device.errors.storage import StorageError, WrongDeviceError

OTHER_TPM: Final = Row(
    "FB-201",
    "OtherTpmError",
    "The root key was sealed to another TPM",
    means="This TPM cannot open the root key, because another TPM sealed it.",
    causes=(
        "The storage was moved to another machine.",
        "The TPM was cleared, for example in the firmware's set-up.",
    ),
    next_step="Put the storage back on the machine it belongs to; it cannot be moved. If the TPM "
    "was cleared, the key is lost: have the station make the device again.",
    sentence="the root key was sealed to another TPM, or to this one before it was cleared "
    "({response:#x})",
    exit_code=ExitCode.STORAGE_UNUSABLE,
    kind=WrongDeviceError,
    needs="two TPMs",
)
CREDENTIAL_MISSING: Final = Row(
    "FB-202",
    "CredentialMissingError",
    "systemd does not provide the root key",
    means="The credential with the root key is not there.",
    causes=(
        "The unit has no LoadCredentialEncrypted= of this name.",
        "The command was started by hand, without systemd-run.",
    ),
    next_step="In the unit: LoadCredentialEncrypted={credential}:/etc/credstore.encrypted/"
    "{credential}. By hand: systemd-run --pipe --wait -p LoadCredentialEncrypted=... with this "
    "command (docs/roots-of-trust.md).",
    sentence="the credential {credential} with the root key is missing: {problem}",
    exit_code=ExitCode.STORAGE_UNUSABLE,
    kind=StorageError,
    reproduce=(
        (
            "factory make --method claim --serial {code} --out {code} --root-of-trust "
            "systemd-credential  # {code}"
        ),
    ),
)
CREDENTIAL_EXPOSED: Final = Row(
    "FB-203",
    "CredentialExposedError",
    "Every user may read the root key",
    means="Every user of this machine may read the file with the root key.",
    causes=("The file was put there by hand, and not by systemd.",),
    next_step="Let systemd provide it, or run chmod 400. If others may have read it, make a new "
    "credential under another name: factory rewrap --to systemd-credential:NAME.",
    sentence="{path} may be read by every user",
    exit_code=ExitCode.STORAGE_UNUSABLE,
    kind=StorageError,
    reproduce=(
        (
            "mkdir {code}.d && head -c 32 /dev/urandom > {code}.d/firstboot-huk && "
            "chmod 644 {code}.d/*"
        ),
        (
            "CREDENTIALS_DIRECTORY=$PWD/{code}.d factory make --method claim --serial "
            "{code} --out {code} --root-of-trust systemd-credential:firstboot-huk  # "
            "{code}"
        ),
    ),
)
CREDENTIAL_SIZE: Final = Row(
    "FB-204",
    "CredentialSizeError",
    "The credential is not a root key",
    means="The credential does not have the size of a root key.",
    causes=("The key was encoded (hex, base64), or a line break was added.",),
    next_step="Make it of {wanted} random bytes: head -c {wanted} /dev/urandom | systemd-creds "
    "encrypt --name=NAME - FILE. For a device that is in use, restore the old one.",
    sentence="{path} holds {size} bytes, but a root key has {wanted}",
    exit_code=ExitCode.STORAGE_UNUSABLE,
    kind=StorageError,
    reproduce=(
        ("mkdir {code}.d && echo short > {code}.d/firstboot-huk && chmod 600 {code}.d/*"),
        (
            "CREDENTIALS_DIRECTORY=$PWD/{code}.d factory make --method claim --serial "
            "{code} --out {code} --root-of-trust systemd-credential:firstboot-huk  # "
            "{code}"
        ),
    ),
)
TPM: Final = Row(
    "FB-205",
    "TpmError",
    "The TPM refused a command",
    means="The TPM returned a code that the device does not expect.",
    causes=("The TPM is busy or was reset.", "The TPM lacks a command or an algorithm."),
    next_step="Look the code up: tpm2_rc_decode CODE. If the TPM is busy or was reset, try again. "
    "The storage is unchanged.",
    sentence="the TPM refused ({response:#x})",
    exit_code=ExitCode.STORAGE_UNUSABLE,
    needs="a TPM that refuses a command",
)


class TpmError(StorageError):
    """The TPM returned an unexpected code (TPM 2.0 Library, part 2, section 6.6)."""

    row = TPM

    def __init__(
        self, problem: object = "", *, response: int, row: Row | None = None, next_step: str = ""
    ) -> None:
        """Keep the ``response`` code."""
        super().__init__(problem, row=row, next_step=next_step, response=response)
        self.response = response


TPM_MISSING: Final = Row(
    "FB-206",
    "TpmMissingError",
    "No TPM answers",
    means="The device's root of trust is a TPM, and none answers.",
    causes=(
        "The machine has no TPM, or it is off in the firmware's set-up.",
        "This user is not in the group tss.",
        "The address in root-of-trust.json is wrong.",
    ),
    next_step="Check that the TPM exists and that this user may use it (/dev/tpmrm0: group tss). "
    "Its address is in root-of-trust.json in the state folder.",
    sentence="no TPM answers at {tcti} ({response:#x})",
    exit_code=ExitCode.STORAGE_UNUSABLE,
    kind=StorageError,
    reproduce=(
        (
            "factory make --method claim --serial {code} --out {code} --root-of-trust "
            "tpm:swtpm:path=/none  # {code}"
        ),
    ),
)
TPM_SUPPORT_MISSING: Final = Row(
    "FB-207",
    "TpmSupportMissingError",
    "The libraries for TPMs are missing",
    means="The device's root of trust is a TPM, and tpm2-tss is not installed.",
    causes=("The system was reinstalled without it.",),
    next_step="apt-get install tpm2-tools, which brings them (tpm2-tss, 3.0 or later).",
    exit_code=ExitCode.STORAGE_UNUSABLE,
    kind=StorageError,
    needs="a machine without tpm2-tss",
)
TPM_FULL: Final = Row(
    "FB-208",
    "TpmFullError",
    "The TPM has no room for the anchor",
    means="The NV memory of the TPM is full.",
    causes=("Entries of devices that are gone are still in the TPM.",),
    next_step="List the entries with tpm2_getcap handles-nv-index; remove unused ones with "
    "tpm2_nvundefine.",
    sentence="the TPM's NV memory has no room for this device's anchor ({response:#x})",
    exit_code=ExitCode.STORAGE_UNUSABLE,
    kind=TpmError,
    needs="a TPM whose NV memory is full",
)
TPM_OCCUPIED: Final = Row(
    "FB-209",
    "TpmOccupiedError",
    "The TPM has no free slot",
    means="Objects or sessions occupy all slots of the TPM, which has few.",
    causes=("Processes that used the TPM without a resource manager were killed.",),
    next_step="The storage is intact. Use the TPM through a resource manager, which cleans up "
    "after killed processes (/dev/tpmrm0, tabrmd; set it in root-of-trust.json in the state "
    "folder). For now: tpm2_flushcontext -t, -l and -s, or restart the machine.",
    sentence="the TPM has no free slot for objects or sessions ({response:#x})",
    exit_code=ExitCode.STORAGE_UNUSABLE,
    kind=TpmError,
    needs="a TPM whose slots are all in use",
)
TPM_LOCKED: Final = Row(
    "FB-210",
    "TpmLockedError",
    "The TPM is locked",
    means="The TPM is locked against guessing passwords.",
    causes=("A program tried too many wrong passwords.",),
    next_step="Wait until it unlocks itself, or: tpm2_dictionarylockout --clear-lockout.",
    sentence="the TPM is locked against guessing passwords ({response:#x})",
    exit_code=ExitCode.STORAGE_UNUSABLE,
    kind=TpmError,
    needs="a TPM that is locked",
)
TPM_OWNER: Final = Row(
    "FB-211",
    "TpmOwnerError",
    "The TPM's owner hierarchy has a password",
    means="The device needs the TPM's owner hierarchy, which has a password.",
    causes=("Another program took ownership of the TPM.",),
    next_step="Remove the password: tpm2_changeauth -c owner -p PASSWORD",
    sentence="the TPM's owner hierarchy has a password ({response:#x})",
    exit_code=ExitCode.STORAGE_UNUSABLE,
    kind=TpmError,
    needs="a TPM whose owner hierarchy has a password",
)
HMAC_MISSING: Final = Row(
    "FB-212",
    "HmacMissingError",
    "The token cannot hold a root key",
    means="The token cannot compute the HMAC from which the device derives its root key.",
    causes=("The token is a TPM behind tpm2-pkcs11, or another one without CKM_SHA256_HMAC.",),
    next_step="Use another root of trust. SoftHSM supports it; tpm2-pkcs11 does not, so use kind "
    "tpm there.",
    sentence="token {token} has no HMAC-SHA256 (CKM_SHA256_HMAC) with a key inside",
    exit_code=ExitCode.STORAGE_UNUSABLE,
    kind=StorageError,
    needs="a token without CKM_SHA256_HMAC",
)
ROOT_KEY_MISSING: Final = Row(
    "FB-213",
    "RootKeyMissingError",
    "The token does not hold this device's root key",
    means="The storage is sealed under a key in a token, and the token does not have it.",
    causes=("Another token is connected.", "The token was erased."),
    next_step="Check that this is the device's own token. An erased key cannot be restored.",
    exit_code=ExitCode.STORAGE_UNUSABLE,
    kind=StorageError,
    needs="a token that lost the root key",
)
FIRMWARE_MAILBOX: Final = Row(
    "FB-214",
    "FirmwareMailboxError",
    "The Raspberry Pi's firmware does not answer",
    means="The firmware of the Raspberry Pi does not answer as documented.",
    causes=(
        "The firmware is older than 2025.",
        "This user is not in the group video.",
        "This machine is not a Raspberry Pi.",
    ),
    next_step="Check that this is a Raspberry Pi with firmware of 2025 or later (rpi-fw-crypto "
    "-h), and that this user may open /dev/vcio_crypto or /dev/vcio (group video).",
    exit_code=ExitCode.STORAGE_UNUSABLE,
    kind=StorageError,
    reproduce=(
        (
            "factory make --method claim --serial {code} --out {code} --root-of-trust "
            "raspberry-pi-otp  # {code}"
        ),
    ),
)
OTP_KEY: Final = Row(
    "FB-215",
    "OtpKeyError",
    "The OTP key cannot be used",
    means="The firmware of the Raspberry Pi does not use the OTP key for this device.",
    causes=("The key was never burned.", "The key is locked until the next start."),
    next_step="See rpi-fw-crypto get-key-status {key}. Locks last until the next start; a key that "
    "is not set can be burned only once: rpi-fw-crypto genkey.",
    sentence="OTP key {key} cannot be used: {problem}",
    exit_code=ExitCode.STORAGE_UNUSABLE,
    kind=StorageError,
    needs="a Raspberry Pi",
)
