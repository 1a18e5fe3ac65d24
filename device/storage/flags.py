"""The flags of an entry; their own page, for the root of trust speaks of them too."""

from enum import IntFlag


class StorageFlag(IntFlag):
    """PSA Secure Storage API, ``psa_storage_create_flags_t``."""

    NONE = 0
    WRITE_ONCE = 1
    NO_CONFIDENTIALITY = 2
    NO_REPLAY_PROTECTION = 4
