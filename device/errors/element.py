"""What can be wrong with a secure element, its module, its token and its keys."""

from typing import TYPE_CHECKING

from device.errors import ExitCode, FirstbootError

if TYPE_CHECKING:
    from pathlib import Path


class ElementError(FirstbootError):
    """The secure element, or the path to it, cannot be used."""

    exit_code = ExitCode.CONFIGURATION_INVALID


class CryptokiError(ElementError):
    """A PKCS #11 call returned an unexpected code."""

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
    """No token in any slot matches the one in the settings."""

    exit_code = ExitCode.TRY_LATER

    def __init__(self, wanted: str, present: tuple[str, ...]) -> None:
        """Say what was ``wanted``, and the labels of the tokens that are ``present``."""
        super().__init__(f"no token matches {wanted}; present: {', '.join(present) or 'none'}")
        self.next_step = (
            "Connect the element, or correct key.store. Modules find their tokens through "
            "environment variables: SOFTHSM2_CONF, TPM2_PKCS11_STORE, TPM2_PKCS11_TCTI, "
            "P11_KIT_SERVER_ADDRESS."
        )


class TokenExistsError(ElementError):
    """A token cannot be made under this label."""

    next_step = (
        "Choose another label, or erase the old token yourself if you no longer need its keys."
    )


class TokenAmbiguousError(ElementError):
    """Several tokens match the one in the settings."""

    next_step = "Add serial= or slot-id= to key.store, so that only one token matches."


class TokenFullError(ElementError):
    """The token has no room for another key."""

    exit_code = ExitCode.FAILED
    next_step = (
        "Destroy keys that are no longer used (pkcs11-tool --list-objects, --delete-object), "
        "or use a token of its own for this device."
    )


class TokenNotReadyError(ElementError):
    """The token was never initialised, or its user has no PIN yet."""

    next_step = (
        "Initialise it: pkcs11-tool --init-token, then --init-pin (docs/secure-elements.md). If "
        "the station was cut while it made a SoftHSM token, remove that token, with the device's "
        "SOFTHSM2_CONF set, and run it again: softhsm2-util --delete-token --token LABEL."
    )


class PinError(ElementError):
    """The PIN is not available, or may not be used."""


class PinUnavailableError(PinError):
    """The PIN is not where the settings say."""

    next_step = (
        "Set exactly one of key.pin_file, key.pin_credential (systemd's LoadCredential=), or "
        "pin-source in key.store. It must hold the PIN and nothing else."
    )


class PinExposedError(PinError):
    """Other users may read the PIN file."""

    def __init__(self, path: "Path") -> None:
        """Name the ``path``."""
        super().__init__(f"{path} may be read by other users")
        self.path = path
        self.next_step = f"Change the PIN if others may have read it, then run: chmod 600 {path}"


class WrongPinError(PinError):
    """The token refused the PIN. The device does not try it again, because tokens lock."""

    exit_code = ExitCode.DENIED

    def __init__(self, token: str) -> None:
        """Name the ``token``."""
        super().__init__(f"token {token} refused the PIN; the device does not try this PIN again")
        self.next_step = "Store the right PIN there. The device then tries the new one, once."


class PinLastTryError(PinError):
    """One more wrong PIN would lock the token, so the device does not try."""

    exit_code = ExitCode.DENIED

    def __init__(self, token: str) -> None:
        """Name the ``token``."""
        super().__init__(f"token {token} has one try left; the device does not use it")
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
            "itself after some time, or with tpm2_dictionarylockout --clear-lockout."
        )


class ElementLostError(ElementError):
    """The element was lost, and did not answer when it was opened again."""

    exit_code = ExitCode.TRY_LATER
    next_step = "Connect the element again. The device continues by itself, or at the next boot."


class ElementNotOpenError(ElementError):
    """The key is in a secure element, and no element is set."""

    next_step = "Name it in key.store (docs/secure-elements.md), as when the key was made."


class ElementKeyMissingError(ElementError):
    """The element does not hold the key that this device made in it."""

    exit_code = ExitCode.FAILED
    next_step = (
        "Check that this is the device's own element, and that it was not erased. A lost key "
        "cannot be restored: device reset --forget-identity, then provision the device again."
    )


class KeyMismatchError(ElementError):
    """Certificate, device and element hold different keys; TLS would fail without a reason."""

    exit_code = ExitCode.FAILED
    next_step = (
        "Check that this element belongs to this device and to this certificate. Connect the right "
        "one, or run: device reset --forget-identity, then provision the device again."
    )


class DuplicateKeyError(ElementError):
    """Two keys in the element have one label, so TLS cannot tell them apart."""

    next_step = (
        "Destroy the extra key (pkcs11-tool --list-objects shows the ids); devices that share a "
        "token need different object= in key.store."
    )


class KeyNotConfinedError(ElementError):
    """The element made a key that could be extracted; the device destroyed it."""

    exit_code = ExitCode.FAILED
    next_step = "Do not use this element: it does not protect keys."


class MechanismMissingError(ElementError):
    """The element cannot make, or use, a key of this type."""

    def __init__(self, key_type: str, token: str) -> None:
        """Name the ``key_type`` and the ``token``."""
        super().__init__(f"token {token} cannot make and use {key_type} keys")
        self.next_step = "Set key.type to a type that it supports; every element has ec-p256."
