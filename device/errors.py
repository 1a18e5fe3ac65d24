"""Every deliberate error, on one page.

An error names its cause in its text and what to do about it in ``next_step``; the
command line prints both and exits with ``exit_code``. Text never holds a secret.
"""

from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from pathlib import Path


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


class CapacityExceededError(InsufficientStorageError):
    """What is to be stored is more than the store holds, however free the disk is."""

    exit_code = ExitCode.FAILED

    def __init__(self, needed: int, capacity: int) -> None:
        """Say how many bytes were ``needed``, of the ``capacity`` in bytes."""
        super().__init__(f"the storage holds {capacity} bytes, not {needed}")
        self.needed = needed
        self.capacity = capacity
        self.next_step = (
            "Nothing was stored or lost. Make the largest entry smaller: the template's "
            "DeviceConfiguration, the root CAs, or a certificate chain."
        )


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


class StorageMissingError(StorageError):
    """There is no device at this place."""

    next_step = "Make one: factory make --method M --serial SN --out DIR, then use --state DIR."


class NotADeviceError(StorageError):
    """The storage is whole, but no device's: it has no serial number."""

    next_step = "Name a device's folder with --state; a station's folder is for factory alone."


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


class KeyExistsError(StorageError):
    """The name is taken by another key."""

    next_step = "Choose another key name, or destroy the old key first."


class KeyNotUsableError(StorageError):
    """A key is missing, of an unsupported type, or may not be used in this way."""


# --- secure element ----------------------------------------------------------------


class ElementError(FirstbootError):
    """The secure element, or the way to it, cannot be used as it is."""

    exit_code = ExitCode.CONFIGURATION_INVALID


class CryptokiError(ElementError):
    """A PKCS #11 call ended with a code that nobody expected there."""

    exit_code = ExitCode.FAILED
    next_step = (
        "Look the code up in PKCS #11 v2.40, section 5.1.6, and in the module's manual; many "
        "modules write a log of their own."
    )

    def __init__(self, function: str, code: int, name: str) -> None:
        """Say which ``function`` ended with which ``code``, e.g. 0xE0 CKR_TOKEN_NOT_PRESENT."""
        super().__init__(f"{function}: {name}")
        self.function = function
        self.code = code


class NoModuleError(ElementError):
    """The module path does not lead to a PKCS #11 library."""

    def __init__(self, path: "Path", problem: str) -> None:
        """Name the ``path`` and what is wrong with it."""
        super().__init__(f"{path} {problem}")
        self.path = path
        self.next_step = (
            "Correct module-path in key.store. SoftHSM's is libsofthsm2.so (apt-get install "
            "softhsm2), a TPM's is libtpm2_pkcs11.so (libtpm2-pkcs11-1)."
        )


class ModuleArchitectureError(ElementError):
    """The module is built for another processor than this Python."""

    next_step = "Install the package of this machine's architecture: dpkg --print-architecture."

    def __init__(self, path: "Path") -> None:
        """Name the module's ``path``."""
        super().__init__(f"{path} is built for another processor, or another word size")
        self.path = path


class ModuleInterfaceError(ElementError):
    """The module does not speak PKCS #11 2.20 to 2.x, the only versions that awscrt takes."""

    next_step = "Use the vendor's 2.40 module; a 3.x module often has one beside it."

    def __init__(self, path: "Path", version: str) -> None:
        """Name the module's ``path`` and the ``version`` that it offers."""
        super().__init__(f"{path} offers PKCS #11 {version}; 2.20 to 2.x is needed")
        self.path = path


class Pkcs11UriError(ElementError):
    """A ``pkcs11:`` URI is not one that this device can follow; values are never shown."""

    next_step = (
        "Write it as pkcs11:token=LABEL;object=device-key?module-path=/path/to/module.so; the "
        "attributes are those of RFC 7512 (docs/secure-elements.md)."
    )


class TokenMissingError(ElementError):
    """No token in any slot is the one that was named."""

    exit_code = ExitCode.TRY_LATER

    def __init__(self, wanted: str, present: tuple[str, ...]) -> None:
        """Say what was ``wanted``, and the labels of the tokens that are ``present``."""
        super().__init__(f"no token is {wanted}; present: {', '.join(present) or 'none'}")
        self.next_step = (
            "Put the element in, or correct key.store. Modules find their tokens by their "
            "environment: SOFTHSM2_CONF, TPM2_PKCS11_STORE, TPM2_PKCS11_TCTI, "
            "P11_KIT_SERVER_ADDRESS."
        )


class TokenExistsError(ElementError):
    """A token cannot be made under this label."""

    next_step = "Choose another label, or erase the old token yourself if its keys may be lost."


class TokenAmbiguousError(ElementError):
    """Several tokens are what was named."""

    next_step = "Add serial= or slot-id= to key.store, so that one token is left."


class TokenFullError(ElementError):
    """The token has no room for another key."""

    exit_code = ExitCode.FAILED
    next_step = (
        "Destroy keys that nobody uses any more (pkcs11-tool --list-objects, --delete-object), "
        "or use a token of its own for this device."
    )


class TokenNotReadyError(ElementError):
    """The token was never initialised, or its user has no PIN yet."""

    next_step = (
        "Initialise it: pkcs11-tool --init-token, then --init-pin (docs/secure-elements.md)."
    )


class PinError(ElementError):
    """The PIN cannot be had, or may not be used."""


class PinUnavailableError(PinError):
    """There is no PIN where the settings say it is."""

    next_step = (
        "Name its place once: key.pin_file, key.pin_credential (systemd's LoadCredential=), or "
        "pin-source in key.store; the place holds the PIN and nothing else."
    )


class PinExposedError(PinError):
    """Others than the device may read the PIN file."""

    def __init__(self, path: "Path") -> None:
        """Name the ``path``."""
        super().__init__(f"{path} may be read by other users")
        self.path = path
        self.next_step = f"Change the PIN if others had the time to read it, then: chmod 600 {path}"


class WrongPinError(PinError):
    """The token refused the PIN; it is not tried again, since tokens lock."""

    exit_code = ExitCode.DENIED

    def __init__(self, token: str) -> None:
        """Name the ``token``."""
        super().__init__(f"token {token} refused the PIN; it is not tried again")
        self.next_step = "Put the right PIN in its place; the device then tries that one, once."


class PinLastTryError(PinError):
    """One more wrong PIN would lock the token, so the device leaves the try to a person."""

    exit_code = ExitCode.DENIED

    def __init__(self, token: str) -> None:
        """Name the ``token``."""
        super().__init__(f"token {token} has one try left, and the device does not take it")
        self.next_step = (
            "Log in once by hand with the right PIN: pkcs11-tool --login --list-objects"
        )


class PinLockedError(PinError):
    """The token is locked after too many wrong PINs."""

    exit_code = ExitCode.DENIED

    def __init__(self, token: str) -> None:
        """Name the ``token``."""
        super().__init__(f"token {token} is locked after too many wrong PINs")
        self.next_step = (
            "Have the station unlock it with the security officer's PIN: C_InitPIN. A TPM unlocks "
            "itself in time, or by tpm2_dictionarylockout --clear-lockout."
        )


class ElementLostError(ElementError):
    """The element went away, and did not answer when it was asked anew."""

    exit_code = ExitCode.TRY_LATER
    next_step = "Put the element back; the device goes on by itself, or at the next boot."


class ElementNotOpenError(ElementError):
    """A key is inside the element, and the settings name no element."""

    next_step = "Name it in key.store (docs/secure-elements.md), as when the key was made."


class ElementKeyMissingError(ElementError):
    """The element does not hold the key that this device made in it."""

    exit_code = ExitCode.FAILED
    next_step = (
        "Is it the element of this device, and was it erased? A key cannot be brought back: "
        "device reset --forget-identity, then provision the device anew."
    )


class KeyMismatchError(ElementError):
    """Certificate, device and element do not mean the same key; TLS would only say it failed."""

    exit_code = ExitCode.FAILED
    next_step = (
        "Is this the element that belongs to this device, and to this certificate? Put the right "
        "one in, or: device reset --forget-identity, then provision the device anew."
    )


class DuplicateKeyError(ElementError):
    """Two keys in the element have one label, so that TLS could not tell them apart."""

    next_step = (
        "Destroy the key that does not belong there (pkcs11-tool --list-objects shows the ids); "
        "devices that share a token need different object= in key.store."
    )


class KeyNotConfinedError(ElementError):
    """The element made a key that it might give away; the key was destroyed again."""

    exit_code = ExitCode.FAILED
    next_step = "This element does not protect keys as it should: do not use it."


class MechanismMissingError(ElementError):
    """The element cannot make, or use, a key of this type."""

    def __init__(self, key_type: str, token: str) -> None:
        """Name the ``key_type`` and the ``token``."""
        super().__init__(f"token {token} cannot make and use {key_type} keys")
        self.next_step = "Set key.type to one that it can; every element has ec-p256."


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

    def __init__(
        self, credential: str, detail: str, causes: tuple[str, ...], advice: str = ""
    ) -> None:
        """Name the ``credential`` used, what was seen, and ``causes`` in order of likelihood.

        ``advice`` says how to find out which of them it is, and what to do then.
        """
        super().__init__(f"connection with the {credential} was not let in ({detail})")
        self.credential = credential
        self.causes = causes
        listed = [f"({number}) {cause}" for number, cause in enumerate(causes, 1)]
        words = ["AWS gives no reason. In order of likelihood:", *listed, advice]
        self.next_step = " ".join(filter(None, words))


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


class CredentialUnusableError(ProvisioningError):
    """TLS cannot begin: certificate, key and root CA are not what they should be."""

    exit_code = ExitCode.CONFIGURATION_INVALID
    next_step = (
        "Have the station install a certificate together with the key it was issued for, and "
        "the right root CA: factory make. If root_ca is set, name a file of PEM certificates."
    )

    def __init__(self, credential: str, detail: str) -> None:
        """Name the ``credential`` and what the TLS library said."""
        super().__init__(f"TLS cannot use the {credential} with its key and root CA: {detail}")
        self.credential = credential


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

    def __init__(self, detail: str, causes: tuple[str, ...], advice: str, refusals: int) -> None:
        """Say what is known after so many ``refusals``."""
        super().__init__("installed certificate", detail, causes, advice)
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
