"""The secure elements that the tests use: SoftHSM2, and a TPM 2.0 in software."""

import os
import shutil
import sys
from pathlib import Path
from typing import Final

from scripts import _debian

PACKAGES: Final = (
    "softhsm2",
    "swtpm",
    "swtpm-tools",
    "tpm2-tools",
    "tpm2-abrmd",
    "libtpm2-pkcs11-1",
    "libtpm2-pkcs11-tools",
    "libtss2-tcti-swtpm0",
    "libtss2-tcti-tabrmd0",
    "dbus",
    "p11-kit",
    "p11-kit-modules",
)
_MODULES: Final = ("softhsm/libsofthsm2.so", "pkcs11/libtpm2_pkcs11.so", "pkcs11/p11-kit-client.so")
_PROGRAMS: Final = ("softhsm2-util", "swtpm", "swtpm_setup", "tpm2-abrmd", "dbus-daemon", "p11-kit")
PATH: Final = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
"""tpm2-abrmd lies where a user's PATH often does not lead."""


def are_installed() -> bool:
    """Whether all that the hardware tests need is on this machine."""
    libraries = Path("/usr/lib")
    modules = all(any(libraries.glob(f"*/{name}")) for name in _MODULES)
    return modules and all(shutil.which(name, path=PATH) for name in _PROGRAMS)


def provide() -> bool:
    """Install what is missing where that may be done; else say what to install.

    Returns whether the elements are there; the hardware tests are skipped without them.
    """
    if are_installed():
        return True
    _debian.install(PACKAGES, "hardware")
    return are_installed()


if __name__ == "__main__":
    sys.exit(0 if provide() else 1)
