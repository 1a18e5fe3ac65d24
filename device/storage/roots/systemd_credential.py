"""A root key that systemd decrypts at each start of the unit, and hands over as a credential.

How to make it, and the unit: docs/roots-of-trust.md. Facts: systemd.exec(5), "Credentials",
and systemd-creds(1).
"""

import hmac
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final

from device.errors.root_of_trust import (
    CREDENTIAL_EXPOSED,
    CREDENTIAL_MISSING,
    CREDENTIAL_SIZE,
)
from device.errors.storage import UnfitFileError
from device.storage.filesystem import Fs
from device.storage.private_file import read_private_file
from device.storage.roots.fuse_files import KEY_BYTES, KeyedFuses
from device.storage.roots.root_of_trust import SEALED, Strength, Threat

_MAX_BYTES: Final = 1024 * 1024
"""What systemd lets a credential have (systemd.exec(5)); it is said then how long it is."""


class SystemdCredential(KeyedFuses):
    """A root key in ``$CREDENTIALS_DIRECTORY``: 32 bytes, read once."""

    kind: ClassVar[str] = "systemd-credential"
    strength: ClassVar[Strength] = Strength(
        (*SEALED, Threat.STOLEN_STATE),
        "also against a cloned disk if a TPM seals the credential",
    )

    def __init__(self, fs: Fs, name: str, environment: Mapping[str, str] = os.environ) -> None:
        """Take the credential ``name`` when it is first needed."""
        super().__init__(fs)
        self._name = name
        self._environment = environment

    def _hmac(self, message: bytes) -> bytes:
        return hmac.digest(self._key(), message, "sha256")

    def _key(self) -> bytes:
        """Return the credential.

        Raises:
            CredentialMissingError: systemd hands over no credential of this name.
            CredentialExposedError: everybody may read it.
            CredentialSizeError: it is not 32 bytes.
        """
        folder = self._environment.get("CREDENTIALS_DIRECTORY")
        if not folder:
            raise CREDENTIAL_MISSING.error(
                "CREDENTIALS_DIRECTORY is not set", credential=self._name
            )
        path = Path(folder) / self._name
        try:
            found = read_private_file(path, at_most=_MAX_BYTES)
        except UnfitFileError as error:
            raise CREDENTIAL_MISSING.error(str(error), credential=self._name) from None
        except OSError as error:
            raise CREDENTIAL_MISSING.error(
                f"{path}: {error.strerror}", credential=self._name
            ) from None
        if found.mode & stat.S_IRWXO:  # not the group's bits: an ACL for the unit's user is there
            raise CREDENTIAL_EXPOSED.error(path=path)
        if len(found.content) != KEY_BYTES:
            raise CREDENTIAL_SIZE.error(path=path, size=len(found.content), wanted=KEY_BYTES)
        return found.content
