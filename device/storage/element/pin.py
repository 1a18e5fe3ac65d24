"""The PIN of a secure element: where it comes from, and that a wrong one is never tried twice.

Elements lock after a few wrong PINs, and a device that boots in a loop has tried that many
within a minute. So a refused PIN is remembered in the device's own storage, as a MAC under a
key of the root of trust: who can undo that can read the PIN itself. A PIN that was put right
is another PIN, and is tried. The memory is emptied by the first login that succeeds.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from device.errors.element import PIN_EXPOSED, PIN_UNAVAILABLE, WRONG_PIN
from device.errors.storage import DoesNotExistError, StorageError, UnfitFileError
from device.storage.private_file import PrivateFile, read_private_file
from device.storage.roots.root_of_trust import RootOfTrust
from device.storage.secure_storage import SecureStorage, Uid

PinSource = Callable[[], str]
"""Returns the PIN each time it is needed; it is not kept."""

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
        raise PIN_EXPOSED.error(path=path)
    return _pin_in(found.content, path)


def pin_from_credential(name: str, environment: Mapping[str, str]) -> str:
    """Return the PIN that systemd hands over as the credential ``name``.

    systemd itself keeps others out (systemd.exec(5), LoadCredential=).

    Raises:
        PinUnavailableError: the unit has no such credential, or it does not hold a PIN.
    """
    folder = environment.get("CREDENTIALS_DIRECTORY")
    if not folder:
        raise PIN_UNAVAILABLE.error(
            f"systemd passed no credentials: CREDENTIALS_DIRECTORY is not set, but {name} is needed"
        )
    path = Path(folder) / name
    return _pin_in(_read(path).content, path)


def _read(path: Path) -> PrivateFile:
    try:
        return read_private_file(path, at_most=_MAX_FILE_BYTES)
    except UnfitFileError as error:
        raise PIN_UNAVAILABLE.error(f"the PIN file {error}") from None
    except OSError as error:
        raise PIN_UNAVAILABLE.error(f"the PIN file {path}: {error.strerror}") from None


def _pin_in(content: bytes, path: Path) -> str:
    try:
        pin = content.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise PIN_UNAVAILABLE.error(f"the PIN file {path} does not hold text") from None
    if not 0 < len(pin.encode()) <= _MAX_PIN_BYTES or not pin.isprintable():
        raise PIN_UNAVAILABLE.error(f"the PIN file {path} does not hold one line with a PIN")
    return pin


class PinMemory(ABC):
    """Remembers which PINs a token refused, as records that do not tell the PINs."""

    def __init__(self, record_bytes: int, at_most: int) -> None:
        """Keep the last ``at_most`` records, each of ``record_bytes``."""
        self._bytes = record_bytes
        self._at_most = at_most
        self._here: list[bytes] = []
        """Those of this process, should the memory refuse to be written."""

    def check(self, token: str, pin: str) -> None:
        """Raise if ``token`` has refused this PIN before.

        Raises:
            WrongPinError: it did, in this process or an earlier one.
        """
        from hmac import compare_digest  # noqa: PLC0415 - loads OpenSSL; only elements need it

        for known in [*self._here, *self._stored()]:
            if compare_digest(known, self._record(token, pin, known)):
                raise WRONG_PIN.error(token=token)

    def remember(self, token: str, pin: str) -> None:
        """Remember that ``token`` refused the PIN; where nothing can be stored, in this process."""
        new = self._record(token, pin, None)
        self._here.append(new)
        with suppress(StorageError):  # a disk that refuses is less of a matter than the PIN
            self._write(b"".join([new, *self._stored()][: self._at_most]))

    def forget(self) -> None:
        """Start again: a PIN was right."""
        self._here.clear()
        with suppress(StorageError):  # what stays are other PINs
            if self._read() is not None:
                self._erase()

    def _stored(self) -> list[bytes]:
        content = self._read() or b""
        return [content[at : at + self._bytes] for at in range(0, len(content), self._bytes)]

    @abstractmethod
    def _record(self, token: str, pin: str, like: bytes | None) -> bytes:
        """Return the record of a PIN; ``like``: with the salt of that one, if it has one."""

    @abstractmethod
    def _read(self) -> bytes | None: ...

    @abstractmethod
    def _write(self, records: bytes) -> None: ...

    @abstractmethod
    def _erase(self) -> None: ...


class RefusedPins(PinMemory):
    """In the device's own storage, each PIN as a MAC under a key of the root of trust."""

    def __init__(self, its: SecureStorage, root: RootOfTrust) -> None:
        super().__init__(record_bytes=32, at_most=16)
        self._its = its
        self._root = root

    def _record(self, token: str, pin: str, _: bytes | None) -> bytes:
        from hmac import digest  # noqa: PLC0415 - see above

        key = self._root.derive(b"firstboot refused PINs v1")
        return digest(key, f"{token}\0{pin}".encode(), "sha256")

    def _read(self) -> bytes | None:
        try:
            return self._its.get(Uid.REFUSED_PINS)
        except DoesNotExistError:
            return None

    def _write(self, records: bytes) -> None:
        self._its.set(Uid.REFUSED_PINS, records)

    def _erase(self) -> None:
        self._its.remove(Uid.REFUSED_PINS)
