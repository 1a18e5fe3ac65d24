"""The PIN of a secure element: where it comes from, and that a wrong one is never tried twice.

Elements lock after a few wrong PINs, and a device that boots in a loop has tried that many
within a minute. So a refused PIN is remembered in the device's own storage, as a MAC under a
key of the root of trust: who can undo that can read the PIN itself. A PIN that was put right
is another PIN, and is tried. The memory is emptied by the first login that succeeds.
"""

import hmac
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Protocol

from device.errors.element import PinExposedError, PinUnavailableError, WrongPinError
from device.errors.storage import DoesNotExistError, UnfitFileError
from device.storage.private_file import PrivateFile, read_private_file
from device.storage.roots.root_of_trust import RootOfTrust
from device.storage.secure_storage import SecureStorage, Uid

PinSource = Callable[[], str]
"""Returns the PIN each time it is needed; it is not kept."""

_MAC_BYTES: Final = 32
_REMEMBERED: Final = 16
_MAX_PIN_BYTES: Final = 255
_MAX_FILE_BYTES: Final = 4096


def pin_from_file(path: Path) -> str:
    """Return the PIN in ``path``, which its owner alone may read.

    Raises:
        PinExposedError: others may read it.
        PinUnavailableError: there is no such file, or it does not hold a PIN.
    """
    found = _read(path)
    if found.is_open_to_others:
        raise PinExposedError(path)
    return _pin_in(found.content, path)


def pin_from_credential(name: str, environment: Mapping[str, str]) -> str:
    """Return the PIN that systemd hands over as the credential ``name``.

    systemd itself keeps others out (systemd.exec(5), LoadCredential=).

    Raises:
        PinUnavailableError: the unit has no such credential, or it does not hold a PIN.
    """
    folder = environment.get("CREDENTIALS_DIRECTORY")
    if not folder:
        raise PinUnavailableError(
            f"systemd passed no credentials: CREDENTIALS_DIRECTORY is not set, but {name} is needed"
        )
    path = Path(folder) / name
    return _pin_in(_read(path).content, path)


def _read(path: Path) -> PrivateFile:
    try:
        return read_private_file(path, at_most=_MAX_FILE_BYTES)
    except UnfitFileError as error:
        raise PinUnavailableError(f"the PIN file {error}") from None
    except OSError as error:
        raise PinUnavailableError(f"the PIN file {path}: {error.strerror}") from None


def _pin_in(content: bytes, path: Path) -> str:
    try:
        pin = content.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise PinUnavailableError(f"the PIN file {path} does not hold text") from None
    if not 0 < len(pin.encode()) <= _MAX_PIN_BYTES or not pin.isprintable():
        raise PinUnavailableError(f"the PIN file {path} does not hold one line with a PIN")
    return pin


class PinMemory(Protocol):
    """Remembers which PINs a token refused."""

    def check(self, token: str, pin: str) -> None:
        """Let a PIN pass that ``token`` never refused.

        Raises:
            WrongPinError: it did.
        """
        ...

    def remember(self, token: str, pin: str) -> None:
        """Remember that ``token`` refused the PIN."""
        ...

    def forget(self) -> None:
        """Start anew: a PIN was right."""
        ...


class RefusedPins:
    """The PINs that a token refused, remembered across restarts without being readable."""

    def __init__(self, its: SecureStorage, root: RootOfTrust) -> None:
        self._its = its
        self._root = root
        self._here: set[bytes] = set()

    def check(self, token: str, pin: str) -> None:
        """Let a PIN pass that ``token`` never refused.

        Raises:
            WrongPinError: it did, in this process or an earlier one.
        """
        mac = self._mac(token, pin)
        if mac in self._here or mac in self._stored():
            raise WrongPinError(token)

    def remember(self, token: str, pin: str) -> None:
        """Remember that ``token`` refused the PIN."""
        mac = self._mac(token, pin)
        self._here.add(mac)
        kept = [mac, *self._stored()][:_REMEMBERED]
        self._its.set(Uid.REFUSED_PINS, b"".join(kept))

    def forget(self) -> None:
        """Start anew: a PIN was right."""
        self._here.clear()
        if self._stored():
            self._its.remove(Uid.REFUSED_PINS)

    def _mac(self, token: str, pin: str) -> bytes:
        key = self._root.derive(b"firstboot refused PINs v1")
        return hmac.digest(key, f"{token}\0{pin}".encode(), "sha256")

    def _stored(self) -> list[bytes]:
        try:
            macs = self._its.get(Uid.REFUSED_PINS)
        except DoesNotExistError:
            return []
        return [macs[at : at + _MAC_BYTES] for at in range(0, len(macs), _MAC_BYTES)]
