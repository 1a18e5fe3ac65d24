"""What is known of the elements that this device meets, one by one.

A profile says which keys an element makes, and what its owner has to know. Signatures need
none: all of them sign a digest with ``CKM_ECDSA`` or a DigestInfo with ``CKM_RSA_PKCS``, which
is also what awscrt uses.
"""

from dataclasses import dataclass
from typing import Final

from device.storage.keys import KeyType


@dataclass(frozen=True)
class ElementProfile:
    """One kind of element, recognised by what its module says of its maker (``CK_INFO``)."""

    name: str
    manufacturer: str
    key_types: tuple[KeyType, ...]
    most_sessions: int
    """How many sessions a process may hold; this device needs two, its own and awscrt's."""
    tried_on: str
    """On what it was tried; empty where it is written from documentation alone."""
    note: str = ""


SOFTHSM: Final = ElementProfile(
    name="softhsm",
    manufacturer="SoftHSM",
    key_types=tuple(KeyType),
    most_sessions=4096,
    tried_on="SoftHSM 2.6.1",
    note="a test element: its keys are files, and it never syncs them",
)
TPM: Final = ElementProfile(
    name="tpm2-pkcs11",
    manufacturer="tpm2-software.github.io",
    key_types=tuple(KeyType),
    most_sessions=1024,
    tried_on="tpm2-pkcs11 1.9.0 on swtpm 0.7.1, through tpm2-abrmd",
    note="needs a resource manager: /dev/tpmrm0, or tpm2-abrmd",
)
CRYPTOAUTHLIB: Final = ElementProfile(
    name="cryptoauthlib",
    manufacturer="Microchip Technology Inc",
    key_types=(KeyType.EC_P256,),
    most_sessions=2,
    tried_on="",
    note="new keys go to the freeslots of its slot.conf; build it with at least two sessions",
)
YKCS11: Final = ElementProfile(
    name="ykcs11",
    manufacturer="Yubico (www.yubico.com)",
    key_types=tuple(KeyType),
    most_sessions=16,
    tried_on="",
    note="labels are fixed and a key is made with the management key: make it in slot 9a at the "
    "station, and name it by object= and id=; 9c asks for the PIN at each use, which awscrt cannot",
)
GENERIC: Final = ElementProfile(
    name="generic",
    manufacturer="",
    key_types=tuple(KeyType),
    most_sessions=2,
    tried_on="p11-kit 0.24.1, in front of SoftHSM",
    note="unknown; the device asks for its mechanisms",
)

PROFILES: Final = (SOFTHSM, TPM, CRYPTOAUTHLIB, YKCS11)


def profile_of(manufacturer: str) -> ElementProfile:
    """Return the profile of the module that names ``manufacturer`` as its maker."""
    known = (profile for profile in PROFILES if manufacturer.startswith(profile.manufacturer))
    return next(known, GENERIC)
