"""A trusted user hands the device a claim: over a local socket, or as a file only we can read.

The claim lives five minutes and is used once. It is kept in memory, never in the storage:
a device that loses power meanwhile waits for another one.
Source: AWS IoT Core Developer Guide, "Provisioning by trusted user".
"""

import json
import os
import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from device.errors import ConfigurationError
from device.errors.provisioning import ClaimExpiredError, ClaimUnusableError, StoppedError
from device.runtime.clock import Clock
from device.runtime.credentials import BorrowedClaim
from device.storage.keys import MemoryIdentity, TlsIdentity

MAX_DELIVERY_BYTES: Final = 65_536
_POLL_SECONDS: Final = 0.2
_SOCKET_PATH_BYTES: Final = 100  # sockaddr_un holds 108 on Linux, 104 on macOS


class _Delivery(msgspec.Struct, rename="camel"):
    certificate_pem: str
    private_key: str
    expiration: float


class DeliveredClaim:
    """A `ClaimSource` that waits for a trusted user the first time it is asked."""

    def __init__(self, place: Path, clock: Clock, tell: Callable[[str], None]) -> None:
        """Wait at ``place``: a socket to make there, or a ``.json`` file that will appear."""
        self._place: Final = place
        self._clock: Final = clock
        self._tell: Final = tell
        self._stop: Final = threading.Event()
        self._claim: BorrowedClaim | None = None

    def claim(self) -> TlsIdentity:
        """Return the claim, once one has come.

        Raises:
            ClaimExpiredError: it is older than five minutes.
            ClaimUnusableError: the file that came is no claim.
            StoppedError: somebody asked to stop.
        """
        if self._claim is None:
            as_file = self._place.suffix == ".json"
            self._claim = self._from_file() if as_file else self._from_socket()
        return self._claim.claim()

    def stop(self) -> None:
        """End the waiting; safe in a signal handler."""
        self._stop.set()

    def _from_file(self) -> BorrowedClaim:
        self._say_where()
        while not self._place.exists():
            self._check_stop()
            self._stop.wait(_POLL_SECONDS)
        mode = self._place.stat().st_mode
        if stat.S_IMODE(mode) & 0o077:
            readable = f"{self._place} can be read by others (mode {stat.S_IMODE(mode):04o})"
            raise ClaimUnusableError(f"{readable}: it must be 0600")
        content = self._place.read_bytes()
        self._place.unlink()
        return read_claim(content, self._clock)

    def _from_socket(self) -> BorrowedClaim:
        with _listening_at(self._place) as server:
            self._say_where()
            try:
                while True:
                    self._check_stop()
                    try:
                        connection, _ = server.accept()
                    except TimeoutError:
                        continue
                    with connection:
                        claim = _received(connection, self._clock)
                    if claim is not None:
                        return claim
            finally:
                self._place.unlink(missing_ok=True)

    def _say_where(self) -> None:
        self._tell(f"waiting for a claim at {self._place}")

    def _check_stop(self) -> None:
        if self._stop.is_set():
            raise StoppedError("stopped while waiting for a claim")


def read_claim(content: bytes, clock: Clock) -> BorrowedClaim:
    """Return the claim in ``content``, the JSON of AWS's CreateProvisioningClaim.

    Raises:
        ClaimUnusableError: it is none, or certificate and key do not belong together.
    """
    try:
        delivery = msgspec.json.decode(content, type=_Delivery)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ClaimUnusableError(f"what was handed over is no claim: {error}") from None
    identity = MemoryIdentity(delivery.certificate_pem.encode(), delivery.private_key.encode())
    _check_pair(identity)
    return BorrowedClaim(identity, delivery.expiration, clock)


def _check_pair(identity: MemoryIdentity) -> None:
    from cryptography import x509  # noqa: PLC0415 - loaded only where a claim is handed over
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        load_pem_private_key,
    )

    try:
        certificate = x509.load_pem_x509_certificate(identity.certificate_pem)
        key = load_pem_private_key(identity.private_key_pem, password=None)
    except (ValueError, TypeError):
        raise ClaimUnusableError("the claim's certificate or key is no PEM") from None
    if certificate.public_key() != key.public_key():
        raise ClaimUnusableError("the claim's key does not belong to its certificate")


def _listening_at(place: Path) -> socket.socket:
    if len(os.fsencode(place)) > _SOCKET_PATH_BYTES:
        problem = f"{place} is too long for a socket ({_SOCKET_PATH_BYTES} bytes)"
        raise ConfigurationError("--wait-for-claim", "", problem, "Name a shorter path.")
    unready = place.with_name(place.name + ".new")  # nobody finds it before it listens
    unready.unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        server.bind(os.fspath(unready))
        server.listen(1)
        unready.replace(place)
    except OSError as error:
        server.close()
        problem = f"no socket can be made at {place}: {error.strerror}"
        raise ConfigurationError("--wait-for-claim", "", problem) from None
    finally:
        os.umask(before)
    server.settimeout(_POLL_SECONDS)
    return server


def _received(connection: socket.socket, clock: Clock) -> BorrowedClaim | None:
    """Read one delivery and answer it; a bad one does not end the waiting."""
    connection.settimeout(5.0)
    try:
        claim = read_claim(_until_end(connection), clock)
        claim.claim()  # an old one is said to whoever brings it, who can bring another
    except (ClaimUnusableError, ClaimExpiredError, OSError) as error:
        _answer(connection, {"accepted": False, "problem": str(error)})
        return None
    _answer(connection, {"accepted": True})
    return claim


def _until_end(connection: socket.socket) -> bytes:
    content = bytearray()
    while chunk := connection.recv(4096):
        content += chunk
        if len(content) > MAX_DELIVERY_BYTES:
            raise ClaimUnusableError("what was handed over is too long to be a claim")
        if content.endswith(b"\n"):
            break
    return bytes(content)


def _answer(connection: socket.socket, document: dict[str, Any]) -> None:
    try:
        connection.sendall(json.dumps(document).encode() + b"\n")
    except OSError:
        return  # whoever brought it does not wait for the answer
