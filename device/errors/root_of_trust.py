"""What can be wrong with the root of trust beneath the storage."""

from typing import TYPE_CHECKING, ClassVar

from device.errors.storage import StorageError, WrongDeviceError

if TYPE_CHECKING:
    from pathlib import Path


class OtherTpmError(WrongDeviceError):
    """The root key was sealed to another TPM."""

    next_step = (
        "Put the storage back on the machine it belongs to; it cannot be moved. If the TPM "
        "was cleared, the key is lost: have the station make the device again."
    )

    def __init__(self, code: int) -> None:
        """Keep the TPM's response ``code``."""
        words = "the root key was sealed to another TPM, or to this one before it was cleared"
        super().__init__(f"{words} ({code:#x})")
        self.code = code


class RootOfTrustError(StorageError):
    """The root of trust cannot be used."""


class CredentialMissingError(RootOfTrustError):
    """systemd does not provide the credential with the root key."""

    def __init__(self, name: str, problem: str) -> None:
        """Name the credential and the ``problem``."""
        super().__init__(f"the credential {name} with the root key is missing: {problem}")
        self.next_step = (
            f"In the unit: LoadCredentialEncrypted={name}:/etc/credstore.encrypted/{name}. By "
            "hand: systemd-run --pipe --wait -p LoadCredentialEncrypted=... with this command "
            "(docs/roots-of-trust.md)."
        )


class CredentialExposedError(RootOfTrustError):
    """Every user of this machine may read the root key."""

    def __init__(self, path: "Path") -> None:
        """Name the ``path``."""
        super().__init__(f"{path} may be read by every user")
        self.next_step = (
            "Let systemd provide it, or run chmod 400. If others may have read it, make a "
            "new credential under another name: factory rewrap --to systemd-credential:NAME."
        )


class CredentialSizeError(RootOfTrustError):
    """The credential is not a root key."""

    def __init__(self, path: "Path", size: int, wanted: int) -> None:
        """Name the ``path``, its ``size`` and the one that is ``wanted``, in bytes."""
        super().__init__(f"{path} holds {size} bytes, but a root key has {wanted}")
        self.next_step = (
            f"Make it of {wanted} random bytes: head -c {wanted} /dev/urandom | systemd-creds "
            "encrypt --name=NAME - FILE. For a device that is in use, restore the old one."
        )


class TpmError(RootOfTrustError):
    """The TPM returned an unexpected code."""

    words: ClassVar[str] = "the TPM refused"
    next_step = (
        "Look the code up: tpm2_rc_decode CODE. If the TPM is busy or was reset, try again. The "
        "storage is unchanged."
    )

    def __init__(self, code: int) -> None:
        """Keep the response ``code`` (TPM 2.0 Library, part 2, section 6.6)."""
        super().__init__(f"{self.words} ({code:#x})")
        self.code = code


class TpmMissingError(RootOfTrustError):
    """No TPM answers."""

    def __init__(self, tcti: str, code: int) -> None:
        """Name the way to it (``tcti``) and the response ``code``."""
        super().__init__(f"no TPM answers at {tcti} ({code:#x})")
        self.next_step = (
            "Check that the TPM exists and that this user may use it (/dev/tpmrm0: group tss). Its "
            "address is in root-of-trust.json in the state folder."
        )


class TpmSupportMissingError(RootOfTrustError):
    """The libraries for TPMs are not installed."""

    next_step = "apt-get install tpm2-tools, which brings them (tpm2-tss, 3.0 or later)."


class TpmFullError(TpmError):
    """The TPM has no room for the anchor."""

    words = "the TPM's NV memory has no room for this device's anchor"
    next_step = (
        "List the entries with tpm2_getcap handles-nv-index; remove unused ones with "
        "tpm2_nvundefine."
    )


class TpmOccupiedError(TpmError):
    """Killed processes left objects or sessions in the TPM, which has few slots."""

    words = "the TPM has no free slot for objects or sessions"
    next_step = (
        "The storage is intact. Use the TPM through a resource manager, which cleans up after "
        "killed processes (/dev/tpmrm0, tabrmd; set it in root-of-trust.json in the state folder). "
        "For now: tpm2_flushcontext -t, -l and -s, or restart the machine."
    )


class TpmLockedError(TpmError):
    """The TPM is locked after too many wrong passwords."""

    words = "the TPM is locked against guessing passwords"
    next_step = "Wait until it unlocks itself, or: tpm2_dictionarylockout --clear-lockout."


class TpmOwnerError(TpmError):
    """The TPM's owner hierarchy has a password, and this device has none."""

    words = "the TPM's owner hierarchy has a password"
    next_step = "Remove the password: tpm2_changeauth -c owner -p PASSWORD"


class HmacMissingError(RootOfTrustError):
    """The token cannot compute the HMAC that the root key is made of."""

    def __init__(self, token: str) -> None:
        """Name the ``token``."""
        super().__init__(f"token {token} has no HMAC-SHA256 (CKM_SHA256_HMAC) with a key inside")
        self.next_step = (
            "Use another root of trust. SoftHSM supports it; tpm2-pkcs11 does not, so use kind tpm "
            "there."
        )


class RootKeyMissingError(RootOfTrustError):
    """The token does not hold this device's root key."""

    next_step = "Check that this is the device's own token. An erased key cannot be restored."


class FirmwareMailboxError(RootOfTrustError):
    """The firmware of the Raspberry Pi does not answer as documented."""

    next_step = (
        "Check that this is a Raspberry Pi with firmware of 2025 or later (rpi-fw-crypto -h), and "
        "that this user may open /dev/vcio_crypto or /dev/vcio (group video)."
    )


class OtpKeyError(RootOfTrustError):
    """The firmware does not use the OTP key for this device."""

    def __init__(self, key: int, trouble: str) -> None:
        """Name the ``key`` by its number, and what the firmware said."""
        super().__init__(f"OTP key {key} cannot be used: {trouble}")
        self.next_step = (
            f"See rpi-fw-crypto get-key-status {key}. Locks last until the next start; a key that "
            "is not set can be burned only once: rpi-fw-crypto genkey."
        )
