"""What can be wrong with a secure element, its module, its token and its keys."""

from typing import Final

from device.errors import BOOT, MAKE, ExitCode, FirstbootError, Row

IN_SOFTHSM: Final = f"{MAKE} --element softhsm"


class ElementError(FirstbootError):
    """The secure element, or the path to it, cannot be used."""


CRYPTOKI: Final = Row(
    "FB-301",
    "CryptokiError",
    "A PKCS #11 call failed",
    means="The module of the secure element returned a code that the device does not expect.",
    causes=("The module or the token has a fault.", "The module needs a setting of its own."),
    next_step="Look the code up in PKCS #11 v2.40, section 5.1.6, and in the module's manual; many "
    "modules write a log of their own.",
    sentence="{function}: {problem}",
    needs="a module that returns a code which nobody expects",
)


class CryptokiError(ElementError):
    """A PKCS #11 call returned an unexpected code."""

    row = CRYPTOKI

    def __init__(self, function: str, return_value: int, name: str) -> None:
        """Say which ``function`` returned what, e.g. 0xE0 CKR_TOKEN_NOT_PRESENT."""
        super().__init__(name, function=function, return_value=return_value)
        self.function = function
        self.return_value = return_value


NO_MODULE: Final = Row(
    "FB-302",
    "NoModuleError",
    "The PKCS #11 module cannot be loaded",
    means="The module path does not lead to a PKCS #11 library.",
    causes=("The module's package is not installed.", "module-path in key.store is misspelt."),
    next_step="Correct module-path in key.store. SoftHSM's is libsofthsm2.so (apt-get install "
    "softhsm2), a TPM's is libtpm2_pkcs11.so (libtpm2-pkcs11-1).",
    sentence="{path} {problem}",
    exit_code=ExitCode.CONFIGURATION_INVALID,
    kind=ElementError,
    reproduce=(
        (
            "factory make --method claim --serial {code} --out {code} --element "
            "'pkcs11:token=a?module-path=/none.so'  # {code}"
        ),
    ),
)
MODULE_ARCHITECTURE: Final = Row(
    "FB-303",
    "ModuleArchitectureError",
    "The module is for another processor",
    means="The module is built for another processor than this Python.",
    causes=("A 32-bit module is installed on a 64-bit system, or the other way round.",),
    next_step="Install the package of this machine's architecture: dpkg --print-architecture.",
    sentence="{path} is built for another processor, or another word size",
    exit_code=ExitCode.CONFIGURATION_INVALID,
    kind=ElementError,
    reproduce=(
        "{ head -c 18 /bin/sh; printf '\\363\\000'; tail -c +21 /bin/sh; } > {code}.so",
        (
            "factory make --method claim --serial {code} --out {code} --element "
            '"pkcs11:token=a?module-path=$PWD/{code}.so"  # {code}'
        ),
    ),
)
MODULE_INTERFACE: Final = Row(
    "FB-304",
    "ModuleInterfaceError",
    "The module has another version of PKCS #11",
    means="The module does not offer PKCS #11 2.20 to 2.x, the only versions that awscrt takes.",
    causes=("The module is the vendor's 3.x module.",),
    next_step="Use the vendor's 2.40 module; a 3.x module often has one beside it.",
    sentence="{path} offers PKCS #11 {version}; 2.20 to 2.x is needed",
    exit_code=ExitCode.CONFIGURATION_INVALID,
    kind=ElementError,
    needs="a module that offers PKCS #11 3.x only",
)
PKCS11_URI: Final = Row(
    "FB-305",
    "Pkcs11UriError",
    "The pkcs11: URI is not valid",
    means="A pkcs11: URI is not one that this device can follow. Its values are never shown.",
    causes=("An attribute is missing, misspelt or given twice.",),
    next_step="Write it as pkcs11:token=LABEL;object=device-key?module-path=/path/to/module.so; "
    "the attributes are those of RFC 7512 (docs/secure-elements.md).",
    exit_code=ExitCode.CONFIGURATION_INVALID,
    reproduce=(
        (
            "factory make --method claim --serial {code} --out {code} --element "
            "pkcs11:nonsense  # {code}"
        ),
    ),
)


class Pkcs11UriError(ElementError):
    """A ``pkcs11:`` URI is not one that this device can follow; values are never shown."""

    row = PKCS11_URI


TOKEN_MISSING: Final = Row(
    "FB-306",
    "TokenMissingError",
    "The token is not there",
    means="No token in any slot matches the one in the settings.",
    causes=(
        "The element is not connected, or its driver does not run.",
        "The label in key.store is misspelt.",
        "An environment variable of the module is not set.",
    ),
    next_step="Connect the element, or correct key.store. Modules find their tokens through "
    "environment variables: SOFTHSM2_CONF, TPM2_PKCS11_STORE, TPM2_PKCS11_TCTI, "
    "P11_KIT_SERVER_ADDRESS.",
    sentence="no token matches {wanted}; present: {present}",
    exit_code=ExitCode.TRY_LATER,
    kind=ElementError,
    reproduce=(
        IN_SOFTHSM,
        "rm -r {code}/element/tokens/*",
        "device boot --state {code}  # {code}",
    ),
)
TOKEN_EXISTS: Final = Row(
    "FB-307",
    "TokenExistsError",
    "A token cannot be made under this label",
    means="A token of this label exists, or the label cannot be used.",
    causes=("A device of this serial number was made before.",),
    next_step="Choose another label, or erase the old token yourself if you no longer need its "
    "keys.",
    exit_code=ExitCode.CONFIGURATION_INVALID,
    kind=ElementError,
    reproduce=(
        (
            "factory make --method claim --serial {code}-is-longer-than-a-label-may-be "
            "--out {code} --element softhsm  # {code}"
        ),
    ),
)
TOKEN_AMBIGUOUS: Final = Row(
    "FB-308",
    "TokenAmbiguousError",
    "Several tokens match",
    means="More than one token matches the settings.",
    causes=("Two tokens have the same label.",),
    next_step="Add serial= or slot-id= to key.store, so that only one token matches.",
    exit_code=ExitCode.CONFIGURATION_INVALID,
    kind=ElementError,
    reproduce=(
        IN_SOFTHSM,
        (
            "SOFTHSM2_CONF=$PWD/{code}/element/softhsm2.conf softhsm2-util "
            "--init-token --free --label {code} --pin 1234 --so-pin 1234"
        ),
        "device boot --state {code}  # {code}",
    ),
)
TOKEN_FULL: Final = Row(
    "FB-309",
    "TokenFullError",
    "The token is full",
    means="The token has no room for another key.",
    causes=("Keys that are no longer used are still in the token.",),
    next_step="Destroy keys that are no longer used (pkcs11-tool --list-objects, --delete-object), "
    "or use a separate token for this device.",
    kind=ElementError,
    needs="a token without room",
)
TOKEN_NOT_READY: Final = Row(
    "FB-310",
    "TokenNotReadyError",
    "The token is not initialised",
    means="The token was never initialised, or its user has no PIN yet.",
    causes=("The token is new.", "The station was interrupted while it made a SoftHSM token."),
    next_step="Initialise it: pkcs11-tool --init-token, then --init-pin (docs/secure-elements.md). "
    "If the station was interrupted while it made a SoftHSM token, set the device's SOFTHSM2_CONF, "
    "remove the token (softhsm2-util --delete-token --token LABEL) and run the station again.",
    exit_code=ExitCode.CONFIGURATION_INVALID,
    kind=ElementError,
    needs="a token whose user has no PIN yet",
)
PIN_UNAVAILABLE: Final = Row(
    "FB-311",
    "PinUnavailableError",
    "The PIN is not available",
    means="The PIN is not where the settings say.",
    causes=(
        "The file is missing, empty, or holds more than the PIN.",
        "The unit has no LoadCredential= of this name.",
        "The settings name two places for the PIN, or none.",
    ),
    next_step="Set exactly one of key.pin_file, key.pin_credential (systemd's LoadCredential=), or "
    "pin-source in key.store. It must hold the PIN and nothing else.",
    exit_code=ExitCode.CONFIGURATION_INVALID,
    kind=ElementError,
    reproduce=(
        IN_SOFTHSM,
        "DEVICE_KEY__PIN_FILE=nothing device boot --state {code}  # {code}",
    ),
)
PIN_EXPOSED: Final = Row(
    "FB-312",
    "PinExposedError",
    "Other users may read the PIN",
    means="Other users of this machine may read the PIN file.",
    causes=("The file was made with the usual mode 0644.",),
    next_step="Change the PIN if others may have read it, then run: chmod 600 {path}",
    sentence="{path} may be read by other users",
    exit_code=ExitCode.CONFIGURATION_INVALID,
    kind=ElementError,
    reproduce=(
        IN_SOFTHSM,
        "echo 1234 > {code}.pin && chmod 644 {code}.pin",
        "DEVICE_KEY__PIN_FILE=$PWD/{code}.pin device boot --state {code}  # {code}",
    ),
)
WRONG_PIN: Final = Row(
    "FB-313",
    "WrongPinError",
    "The token refused the PIN",
    means="The PIN is wrong. The device does not try it again, because tokens lock.",
    causes=("The PIN was changed in the token, but not where the device reads it.",),
    next_step="Store the right PIN where the device reads it. The device then tries the new PIN "
    "once.",
    sentence="token {token} refused the PIN; the device does not try this PIN again",
    exit_code=ExitCode.DENIED,
    kind=ElementError,
    reproduce=(
        IN_SOFTHSM,
        "echo 1111 > {code}.pin && chmod 600 {code}.pin",
        "DEVICE_KEY__PIN_FILE=$PWD/{code}.pin device boot --state {code}  # {code}",
    ),
)
PIN_LAST_TRY: Final = Row(
    "FB-314",
    "PinLastTryError",
    "The token has one try left",
    means="One more wrong PIN would lock the token, so the device does not try.",
    causes=("Another program, or a person, tried wrong PINs.",),
    next_step="Log in once by hand with the right PIN: pkcs11-tool --login --list-objects",
    sentence="token {token} has one try left; the device does not use it",
    exit_code=ExitCode.DENIED,
    kind=ElementError,
    needs="a token that counts wrong PINs",
)
PIN_LOCKED: Final = Row(
    "FB-315",
    "PinLockedError",
    "The token is locked",
    means="The token is locked after too many wrong PINs.",
    causes=("Another program, or a person, tried wrong PINs.",),
    next_step="Have the station unlock it with the security officer's PIN: C_InitPIN. A TPM "
    "unlocks itself after some time, or with tpm2_dictionarylockout --clear-lockout.",
    sentence="token {token} is locked after too many wrong PINs",
    exit_code=ExitCode.DENIED,
    kind=ElementError,
    needs="a token that counts wrong PINs",
)
ELEMENT_LOST: Final = Row(
    "FB-316",
    "ElementLostError",
    "The element was lost",
    means="The element went away, and did not answer when it was opened again.",
    causes=("The element was unplugged, or its bus failed.", "A daemon behind it was restarted."),
    next_step="Connect the element again. The device continues by itself, or at the next boot.",
    exit_code=ExitCode.TRY_LATER,
    kind=ElementError,
    needs="a token that is pulled out while it is in use",
)
ELEMENT_NOT_OPEN: Final = Row(
    "FB-317",
    "ElementNotOpenError",
    "No element is set",
    means="The device's key is in a secure element, and the settings name none.",
    causes=("key.store was removed from the settings after the key was made.",),
    next_step="Name it in key.store (docs/secure-elements.md), as when the key was made.",
    exit_code=ExitCode.CONFIGURATION_INVALID,
    kind=ElementError,
    reproduce=(
        IN_SOFTHSM,
        BOOT,
        "DEVICE_KEY__STORE=sealed: device renew --state {code}  # {code}",
    ),
)
ELEMENT_KEY_MISSING: Final = Row(
    "FB-318",
    "ElementKeyMissingError",
    "The element does not hold the device's key",
    means="The element does not hold the key that this device made in it.",
    causes=("Another element is connected.", "The element was erased."),
    next_step="Check that this is the device's own element, and that it was not erased. A lost key "
    "cannot be restored: device reset --forget-identity, then provision the device again.",
    kind=ElementError,
    reproduce=(
        IN_SOFTHSM,
        BOOT,
        "find {code} -name '*.object' ! -name token.object -delete",
        "timeout 5 device run --state {code}  # {code}",
    ),
)
KEY_MISMATCH: Final = Row(
    "FB-319",
    "KeyMismatchError",
    "Certificate, device and element hold different keys",
    means="The key in the element is not the certificate's; TLS would fail without a reason.",
    causes=(
        "The element, or the state folder, belongs to another device.",
        "Another program replaced the key in the element.",
    ),
    next_step="Check that this element belongs to this device and to this certificate. Connect the "
    "right one, or run: device reset --forget-identity, then provision the device again.",
    kind=ElementError,
    needs="a token whose key was replaced",
)
DUPLICATE_KEY: Final = Row(
    "FB-320",
    "DuplicateKeyError",
    "Two keys have one label",
    means="Two keys in the element have one label, so TLS cannot tell them apart.",
    causes=("Two devices share a token.", "Another program made a key of this label."),
    next_step="Destroy the extra key (pkcs11-tool --list-objects shows the ids); devices that "
    "share a token need different object= in key.store.",
    exit_code=ExitCode.CONFIGURATION_INVALID,
    kind=ElementError,
    needs="a token with two keys of one label",
)
KEY_NOT_CONFINED: Final = Row(
    "FB-321",
    "KeyNotConfinedError",
    "The element made a key that can be extracted",
    means="The element made a key that could be extracted; the device destroyed it.",
    causes=("The element ignores CKA_EXTRACTABLE=false.",),
    next_step="Do not use this element: it does not protect keys.",
    needs="a token that makes keys which can be extracted",
)


class KeyNotConfinedError(ElementError):
    """The element made a key that could be extracted; the device destroyed it."""

    row = KEY_NOT_CONFINED


MECHANISM_MISSING: Final = Row(
    "FB-322",
    "MechanismMissingError",
    "The element does not support this key type",
    means="The element cannot make or use a key of this type.",
    causes=("key.type asks for RSA or P-384, and the element has only P-256.",),
    next_step="Set key.type to a type that it supports; every element has ec-p256.",
    sentence="token {token} cannot make and use {key_type} keys",
    exit_code=ExitCode.CONFIGURATION_INVALID,
    kind=ElementError,
    needs="a token without the key type",
)
