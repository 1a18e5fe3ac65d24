"""What is stored: two services, the uids of their entries, and what an entry is."""

from collections.abc import Mapping
from enum import IntEnum, IntFlag

from msgspec import Struct


class Service(IntEnum):
    """The two name spaces of the PSA Secure Storage API."""

    ITS = 1
    PS = 2


class Uid(IntEnum):
    """What is stored where. Keys take ITS uids from 0x1000 up."""

    # ITS
    DEVICE_ID = 0x01
    SERIAL_NUMBER = 0x02
    PROOF_KEY = 0x03
    MADE_AT = 0x04
    REFUSED_PINS = 0x08
    # PS
    ROOT_CA = 0x10
    ENDPOINT = 0x11
    CLAIM_CERTIFICATE = 0x12
    STAGED_CERTIFICATE = 0x13
    """Issued over the air, waiting for its proof; the journal names its key."""
    DEVICE_CERTIFICATE = 0x14
    """Proven; the identity names its key."""
    INSTALLED_CERTIFICATE = 0x15
    """Put in by the station, waiting for its proof, with the name of its key."""
    ISSUER_CA = 0x16
    """The CA whose certificates alone the device accepts, where the station installed one."""
    SETTINGS = 0x17
    """The method and the settings that the station made the device with."""
    BIRTH_CERTIFICATE = 0x18
    """With it alone a device whose certificate is dead may ask for another (docs/renewal.md)."""
    STAGED_ROOT_CA = 0x19
    """Trust anchors that a connection is to prove; until then nothing else trusts them."""
    PROVISIONING_JOURNAL = 0x20
    DEVICE_CONFIGURATION = 0x21
    IDENTITY = 0x22
    GIVEN_UP = 0x23
    TO_RETIRE = 0x24
    """Ids of certificates of this thing that the cloud has not retired yet, after a renewal."""
    ELEMENT = 0x30
    ELEMENT_KEYS = 0x31
    CHANGED_SETTINGS = 0x40
    """Settings that a job or the shadow changed."""
    JOB = 0x41
    """The job at hand."""
    COMMAND = 0x42
    """The command that restarts the device."""


class StorageFlag(IntFlag):
    """PSA Secure Storage API, ``psa_storage_create_flags_t``."""

    NONE = 0
    WRITE_ONCE = 1
    NO_CONFIDENTIALITY = 2
    NO_REPLAY_PROTECTION = 4


class Entry(Struct, frozen=True):
    """What a uid holds."""

    data: bytes
    flags: StorageFlag

    def __repr__(self) -> str:
        """Leave the content out."""
        return f"Entry({self.flags!r})"


Entries = Mapping[tuple[Service, int], Entry]
