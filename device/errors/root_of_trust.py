"""What can be wrong with the root of trust beneath the storage."""

from typing import TYPE_CHECKING, ClassVar

from device.errors.storage import StorageError, WrongDeviceError

if TYPE_CHECKING:
    from pathlib import Path


class OtherTpmError(WrongDeviceError):
    """The root key was sealed to another TPM."""

    next_step = (
        "Put the storage back to the machine that it belongs to; it cannot be moved. If the TPM "
        "was cleared, the key is lost: have the station make the device anew."
    )

    def __init__(self, code: int) -> None:
        """Keep the TPM's response ``code``."""
        words = "the root key was sealed to another TPM, or to this one before it was cleared"
        super().__init__(f"{words} ({code:#x})")
        self.code = code


class RootOfTrustError(StorageError):
    """What the storage stands on cannot be used as it is."""


class CredentialMissingError(RootOfTrustError):
    """systemd hands over no credential with the root key."""

    def __init__(self, name: str, problem: str) -> None:
        """Name the credential and the ``problem``."""
        super().__init__(f"the credential {name} with the root key is not there: {problem}")
        self.next_step = (
            f"In the unit: LoadCredentialEncrypted={name}:/etc/credstore.encrypted/{name}. By "
            "hand: systemd-run --pipe --wait -p LoadCredentialEncrypted=... with this command "
            "(docs/roots-of-trust.md)."
        )


class CredentialExposedError(RootOfTrustError):
    """Everybody on this machine may read the root key."""

    def __init__(self, path: "Path") -> None:
        """Name the ``path``."""
        super().__init__(f"{path} may be read by every user")
        self.next_step = (
            "Let systemd hand it over, or: chmod 400. If others had the time to read it, make a "
            "new credential under another name: factory rewrap --to systemd-credential:NAME."
        )


class CredentialSizeError(RootOfTrustError):
    """The credential is not a root key."""

    def __init__(self, path: "Path", size: int, wanted: int) -> None:
        """Name the ``path``, its ``size`` and the one that is ``wanted``, in bytes."""
        super().__init__(f"{path} holds {size} bytes, and a root key has {wanted}")
        self.next_step = (
            f"Make it of {wanted} random bytes: head -c {wanted} /dev/urandom | systemd-creds "
            "encrypt --name=NAME - FILE. For a device that is in use, restore the old one."
        )


class TpmError(RootOfTrustError):
    """The TPM answered what nobody expected there."""

    words: ClassVar[str] = "the TPM refused"
    next_step = (
        "Look the code up: tpm2_rc_decode CODE. A TPM that is busy or was reset may do it at the "
        "next try; the storage is as it was."
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
            "Is it there, and may this user use it (/dev/tpmrm0: group tss)? The way to it is in "
            "root-of-trust.json in the state folder."
        )


class TpmSupportMissingError(RootOfTrustError):
    """The libraries for TPMs are not installed."""

    next_step = "apt-get install tpm2-tools, which brings them (tpm2-tss, 3.0 or later)."


class TpmFullError(TpmError):
    """The TPM has no room for the anchor."""

    words = "the TPM's NV memory has no room for this device's anchor"
    next_step = "See what is there: tpm2_getcap handles-nv-index; tpm2_nvundefine what is unused."


class TpmOccupiedError(TpmError):
    """Processes that were killed left objects or sessions in the TPM, and it has few places."""

    words = "the TPM has no place left for objects or sessions"
    next_step = (
        "The storage is whole. Reach the TPM through a resource manager, which clears up after a "
        "process that was killed (/dev/tpmrm0, tabrmd; the way is in root-of-trust.json in the "
        "state folder). For now: tpm2_flushcontext -t, -l and -s, or start the machine again."
    )


class TpmLockedError(TpmError):
    """The TPM is locked, since somebody tried too many wrong passwords."""

    words = "the TPM is locked against guessing passwords"
    next_step = "Wait until it unlocks itself, or: tpm2_dictionarylockout --clear-lockout."


class TpmOwnerError(TpmError):
    """The TPM's owner hierarchy has a password, and this device has none."""

    words = "the TPM's owner hierarchy has a password"
    next_step = "Take the password away: tpm2_changeauth -c owner -p PASSWORD"


class HmacMissingError(RootOfTrustError):
    """The token cannot compute the HMAC that the root key is made of."""

    def __init__(self, token: str) -> None:
        """Name the ``token``."""
        super().__init__(f"token {token} has no HMAC-SHA256 (CKM_SHA256_HMAC) with a key inside")
        self.next_step = (
            "Use another root of trust. SoftHSM has it; tpm2-pkcs11 has not: use kind tpm there."
        )


class RootKeyMissingError(RootOfTrustError):
    """The token does not hold the key that this device stands on."""

    next_step = "Is it the token of this device? A key that was erased cannot be brought back."


class FirmwareMailboxError(RootOfTrustError):
    """The firmware of the Raspberry Pi does not answer as documented."""

    next_step = (
        "Is this a Raspberry Pi with a firmware of 2025 or later (rpi-fw-crypto -h), and may this "
        "user open /dev/vcio_crypto or /dev/vcio (group video)?"
    )


class OtpKeyError(RootOfTrustError):
    """The firmware does not use the OTP key for this device."""

    def __init__(self, key: int, trouble: str) -> None:
        """Name the ``key`` by its number, and what the firmware said."""
        super().__init__(f"OTP key {key} cannot be used: {trouble}")
        self.next_step = (
            f"See rpi-fw-crypto get-key-status {key}. Locks last until the next start; a key that "
            "is not set is burned once and for ever: rpi-fw-crypto genkey."
        )
