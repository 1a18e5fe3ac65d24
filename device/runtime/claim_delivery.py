"""A trusted user hands the device a claim: over a local socket, or as a file only we can read.

The claim lives five minutes and is used once. It is kept in memory, never in the storage:
a device that loses power meanwhile waits for another one. Whatever else is handed over is
refused, with a line that says why, and the device waits on.
Source: AWS IoT Core Developer Guide, "Provisioning by trusted user".
"""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final, Protocol

import msgspec

from device.errors import StoppedError
from device.errors.provisioning import (
    CertificateUnacceptableError,
    ClaimUnusableError,
)
from device.runtime.claim_file import ClaimFile
from device.runtime.claim_socket import ClaimSocket
from device.runtime.clock import Clock
from device.runtime.credentials import BorrowedClaim
from device.storage.decoding import UNDECODABLE, reason
from device.storage.keys import MemoryIdentity, TlsIdentity

_POLL_SECONDS: Final = 0.2
_MOST_SAID: Final = 20
_LAST_SECOND: Final = 253_402_300_799  # of the year 9999


class _Delivery(msgspec.Struct, rename="camel"):
    certificate_pem: str
    private_key: str
    expiration: Annotated[float, msgspec.Meta(ge=0, le=_LAST_SECOND)]


_DELIVERY: Final = msgspec.json.Decoder(_Delivery)


class _Place(Protocol):
    """Where a claim may come."""

    def __enter__(self) -> "_Place": ...

    def __exit__(self, *_: object) -> None: ...

    def poll(self, seconds: float) -> BorrowedClaim | None:
        """Wait for that long at most; return a claim if a good one has come."""
        ...


class DeliveredClaim:
    """A `ClaimSource` that waits for a trusted user the first time it is asked."""

    def __init__(self, place: Path, clock: Clock, tell: Callable[[str], None]) -> None:
        """Wait at ``place``: a socket to make there, or a ``.json`` file that will appear."""
        self._path: Final = place
        self._clock: Final = clock
        self._tell: Final = tell
        self._stop: Final = threading.Event()
        self._said: Final[set[str]] = set()
        self._claim: BorrowedClaim | None = None

    def claim(self) -> TlsIdentity:
        """Return the claim, once a good one has come.

        Raises:
            ClaimExpiredError: it is older than five minutes.
            ConfigurationError: no socket can be made there.
            StoppedError: someone asked to stop.
        """
        if self._claim is None:
            with self._place() as place:
                self._tell(f"waiting for a claim at {self._path}")
                self._claim = self._wait_at(place)
        return self._claim.claim()

    def stop(self) -> None:
        """End the waiting; safe in a signal handler."""
        self._stop.set()

    def _place(self) -> _Place:
        if self._path.suffix == ".json":
            return ClaimFile(self._path, self._take, self._refuse, self._stop.wait)
        return ClaimSocket(self._path, self._clock, self._take, self._refuse)

    def _wait_at(self, place: _Place) -> BorrowedClaim:
        while not self._stop.is_set():
            claim = place.poll(_POLL_SECONDS)
            if claim is not None:
                return claim
        raise StoppedError("stopped while waiting for a claim")

    def _take(self, content: bytes) -> BorrowedClaim:
        claim = read_claim(content, self._clock)
        claim.claim()  # an old one is said to whoever brings it, who can bring another
        return claim

    def _refuse(self, problem: str) -> None:
        """Say what was wrong, once: a client that keeps trying must not fill the log."""
        if problem not in self._said and len(self._said) < _MOST_SAID:
            self._said.add(problem)
            self._tell(f"refused the claim ({problem}); still waiting")


def read_claim(content: bytes, clock: Clock) -> BorrowedClaim:
    """Return the claim in ``content``, the JSON of AWS's CreateProvisioningClaim.

    Raises:
        ClaimUnusableError: it is not a claim, or certificate and key do not match.
    """
    try:
        delivery = _DELIVERY.decode(content)
        pair = delivery.certificate_pem.encode(), delivery.private_key.encode()
    except UNDECODABLE as error:
        raise ClaimUnusableError(f"what was handed over is not a claim: {reason(error)}") from None
    try:
        identity = _checked(*pair)
    except CertificateUnacceptableError as error:
        raise ClaimUnusableError(f"what was handed over is not a claim: {error}") from None
    return BorrowedClaim(identity, delivery.expiration, clock)


def _checked(certificate_pem: bytes, private_key_pem: bytes) -> MemoryIdentity:
    """Return the pair as TLS takes it."""
    from device.identity import pem  # noqa: PLC0415 - loaded only where a claim is handed over
    from device.identity.suitability import check_suitable  # noqa: PLC0415

    leaf = pem.parse_chain(certificate_pem)[0]
    check_suitable(leaf)
    key = pem.canonical_private_key(private_key_pem, leaf)
    return MemoryIdentity(pem.canonical_chain(certificate_pem), key)
