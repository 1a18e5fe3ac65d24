"""Does a trusted user's claim reach the device, and is everything else turned away?"""

import json
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from device.errors import ConfigurationError, StoppedError
from device.errors.provisioning import ClaimExpiredError, ClaimUnusableError
from device.runtime.claim_delivery import DeliveredClaim, read_claim
from device.storage.keys import MemoryIdentity
from tests.support.clock import FakeClock
from tests.support.simulated_cloud import SimulatedCloud

FIVE_MINUTES = 300.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def claim(clock: FakeClock) -> dict[str, object]:
    cloud = SimulatedCloud(clock)
    return {
        "certificateId": "id",
        "certificatePem": cloud.claim_pem,
        "privateKey": cloud.claim_key_pem,
        "expiration": clock.wall() + FIVE_MINUTES,
    }


class Waiting:
    """A device that waits at a socket, on a thread of its own."""

    def __init__(self, place: Path, clock: FakeClock) -> None:
        self.place = place
        self.told = threading.Event()
        self.source = DeliveredClaim(place, clock, lambda _: self.told.set())
        self.outcome: object = None
        self._thread = threading.Thread(target=self._wait, daemon=True)
        self._thread.start()
        assert self.told.wait(5)

    def _wait(self) -> None:
        try:
            self.outcome = self.source.claim()
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.outcome = error

    def hand_over(self, content: bytes) -> dict[str, object]:
        with socket.socket(socket.AF_UNIX) as app:
            app.settimeout(5)
            app.connect(str(self.place))
            app.sendall(content)
            app.shutdown(socket.SHUT_WR)
            answer: dict[str, object] = json.loads(app.makefile().readline())
            return answer

    def end(self) -> object:
        self.source.stop()
        self._thread.join(5)
        assert not self._thread.is_alive()
        return self.outcome


@pytest.fixture
def waiting(tmp_path: Path, clock: FakeClock) -> Iterator[Waiting]:
    device = Waiting(tmp_path / "claim", clock)
    yield device
    device.end()


def test_a_claim_is_taken_from_the_socket(waiting: Waiting, claim: dict[str, object]) -> None:
    assert waiting.hand_over(json.dumps(claim).encode() + b"\n") == {"accepted": True}

    identity = waiting.end()
    assert isinstance(identity, MemoryIdentity)
    assert identity.certificate_pem.decode() == claim["certificatePem"]
    assert not waiting.place.exists()


def test_the_socket_is_for_its_owner_alone(waiting: Waiting, claim: dict[str, object]) -> None:
    waiting.hand_over(b"{}\n")  # so that it is there for sure
    assert stat.S_IMODE(waiting.place.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "content",
    [
        b"\n",
        b"{}\n",
        b"null\n",
        b"\xff\n",
        b'{"certificatePem": 1}\n',
        b"x" * 70_000,
        b'{"certificatePem": "x", "privateKey": "y", "expiration": 1}\n',
    ],
    ids=repr,
)
def test_what_is_no_claim_is_refused_and_the_waiting_goes_on(
    waiting: Waiting, claim: dict[str, object], content: bytes
) -> None:
    refused = waiting.hand_over(content)
    assert refused["accepted"] is False
    assert refused["problem"]

    assert waiting.hand_over(json.dumps(claim).encode() + b"\n") == {"accepted": True}


def test_a_key_of_another_claim_is_refused(clock: FakeClock, claim: dict[str, object]) -> None:
    other = SimulatedCloud(clock)
    mixed = json.dumps(claim | {"privateKey": other.claim_key_pem}).encode()
    with pytest.raises(ClaimUnusableError, match="does not belong"):
        read_claim(mixed, clock)


def test_an_expired_claim_is_told_apart(clock: FakeClock, claim: dict[str, object]) -> None:
    borrowed = read_claim(json.dumps(claim).encode(), clock)
    borrowed.claim()
    clock.advance(FIVE_MINUTES)
    with pytest.raises(ClaimExpiredError, match="5 minutes"):
        borrowed.claim()


def test_a_clock_that_was_never_set_cannot_tell(clock: FakeClock, claim: dict[str, object]) -> None:
    borrowed = read_claim(json.dumps(claim | {"expiration": 10.0}).encode(), clock)
    clock.set_wall(100.0)
    assert isinstance(borrowed.claim(), MemoryIdentity)


def test_the_key_is_in_no_repr(clock: FakeClock, claim: dict[str, object]) -> None:
    borrowed = read_claim(json.dumps(claim).encode(), clock)
    assert "PRIVATE KEY" not in repr(borrowed)


def test_a_file_is_taken_and_removed(
    tmp_path: Path, clock: FakeClock, claim: dict[str, object]
) -> None:
    place = tmp_path / "claim.json"
    place.touch(mode=0o600)
    place.write_text(json.dumps(claim))
    source = DeliveredClaim(place, clock, lambda _: None)

    assert source.claim() == source.claim()
    assert not place.exists()


def test_whoever_brings_an_old_claim_is_told(
    waiting: Waiting, claim: dict[str, object], clock: FakeClock
) -> None:
    old = json.dumps(claim | {"expiration": clock.wall() - 1.0}).encode() + b"\n"
    refused = waiting.hand_over(old)
    assert refused["accepted"] is False
    assert "5 minutes" in str(refused["problem"])
    assert waiting.hand_over(json.dumps(claim).encode() + b"\n") == {"accepted": True}


@pytest.mark.parametrize("name", ["claim", "claim.json"])
def test_waiting_ends_when_asked(tmp_path: Path, clock: FakeClock, name: str) -> None:
    assert isinstance(Waiting(tmp_path / name, clock).end(), StoppedError)


def test_a_place_with_too_long_a_name(tmp_path: Path, clock: FakeClock) -> None:
    with pytest.raises(ConfigurationError, match="too long"):
        DeliveredClaim(tmp_path / ("x" * 120), clock, lambda _: None).claim()


def test_a_place_where_no_socket_can_be(tmp_path: Path, clock: FakeClock) -> None:
    with pytest.raises(ConfigurationError, match="no socket"):
        DeliveredClaim(tmp_path / "missing" / "claim", clock, lambda _: None).claim()


def test_a_broken_key_is_no_pem(clock: FakeClock, claim: dict[str, object]) -> None:
    with pytest.raises(ClaimUnusableError, match="not an unencrypted PEM"):
        read_claim(json.dumps(claim | {"privateKey": "-----BEGIN"}).encode(), clock)
