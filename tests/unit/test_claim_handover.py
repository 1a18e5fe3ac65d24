"""Does a bad delivery of a claim end, or hold up, a device that waits for a good one?"""

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from device.errors import ConfigurationError
from device.errors.provisioning import ClaimExpiredError, ClaimUnusableError
from device.runtime.claim_delivery import read_claim
from device.runtime.claim_file import MAX_DELIVERY_BYTES, ClaimFile
from device.runtime.claim_socket import (
    DELIVERY_SECONDS,
    MAX_CLIENTS,
    SILENCE_SECONDS,
    ClaimSocket,
)
from device.runtime.credentials import BorrowedClaim
from device.storage.keys import MemoryIdentity
from device.storage.ownership import trusted_users
from tests.support.certificates import DeviceAuthority, new_key, pem_of
from tests.support.clock import FakeClock

AUTHORITY = DeviceAuthority()
KEY = new_key()
PEM = AUTHORITY.issue(KEY.public_key(), {"common_name": "claim"}).decode()
KEY_PEM = pem_of(KEY).decode()
CLOCK = FakeClock()


def document(**changes: Any) -> bytes:
    fields = {
        "certificatePem": PEM,
        "privateKey": KEY_PEM,
        "expiration": CLOCK.wall() + 300.0,
    }
    return json.dumps(fields | changes).encode() + b"\n"


GOOD = document()


def of_key(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    pem = AUTHORITY.issue(key.public_key(), {"common_name": "claim"}).decode()
    return document(certificatePem=pem, privateKey=pem_of(key).decode())


def with_unknown_curve() -> bytes:
    """A key on a curve that no library knows: the last byte of secp256r1's identifier is bent."""
    oid = bytes.fromhex("06082a8648ce3d030107")
    der = ec.generate_private_key(ec.SECP256R1())
    import base64  # noqa: PLC0415

    body = base64.b64decode("".join(pem_of(der).decode().splitlines()[1:-1]))
    bent = base64.b64encode(body.replace(oid, oid[:-1] + b"\x63")).decode()
    return document(privateKey=f"-----BEGIN PRIVATE KEY-----\n{bent}\n-----END PRIVATE KEY-----\n")


BAD: dict[str, bytes] = {
    "empty": b"\n",
    "nested": b"[" * 60_000,
    "nested in a field": b'{"certificatePem":' + b'{"a":' * 10_000,
    "not UTF-8": b'{"certificatePem": "\xff"}\n',
    "a huge number": b'{"expiration": ' + b"9" * 5000 + b"}\n",
    "never expires": document(expiration=1e300),
    "expires at infinity": document().replace(b'"expiration": ', b'"expiration": 1e999, "x": '),
    "a surrogate": b'{"certificatePem": "\\ud800", "privateKey": "", "expiration": 1}\n',
    "Ed25519": of_key(ed25519.Ed25519PrivateKey.generate()),
    "secp256k1": of_key(ec.generate_private_key(ec.SECP256K1())),
    "an unknown curve": with_unknown_curve(),
    "another key": document(privateKey=pem_of(new_key()).decode()),
    "a key as certificate": document(certificatePem=KEY_PEM),
    "a certificate as key": document(privateKey=PEM),
    "a key beside the certificate": document(certificatePem=PEM + KEY_PEM),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_claim_is_said_in_one_error(kind: str) -> None:
    with pytest.raises(ClaimUnusableError) as raised:
        read_claim(BAD[kind], CLOCK)

    said = str(raised.value)
    assert said.isprintable()
    assert len(said) < 400
    assert "PRIVATE KEY" not in said


def test_a_claim_is_held_as_tls_wants_it() -> None:
    odd = document(certificatePem="text\n" + PEM.replace("\n", "\r\n"))

    assert read_claim(odd, CLOCK).claim() == MemoryIdentity(PEM.encode(), KEY_PEM.encode())


def take(content: bytes) -> BorrowedClaim:
    claim = read_claim(content, CLOCK)
    claim.claim()
    return claim


# As a file.


class File:
    """A place where a file may appear, and what is said about it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.said: list[str] = []
        self._place = ClaimFile(path, take, self.said.append, lambda _: None)

    def look(self, times: int = 3) -> BorrowedClaim | None:
        for _ in range(times):
            if (claim := self._place.poll(1.0)) is not None:
                return claim
        return None

    def put(self, content: bytes, mode: int = 0o600) -> None:
        new = self.path.with_name("new")
        new.touch(mode=0o600)
        new.write_bytes(content)
        new.chmod(mode)
        new.replace(self.path)


@pytest.fixture
def file(tmp_path: Path) -> File:
    return File(tmp_path / "claim.json")


def a_link_to_a_large_file(path: Path) -> None:
    target = path.with_name("large")
    target.touch(mode=0o600)
    os.truncate(target, 2 << 30)  # sparse
    path.symlink_to(target)


def a_large_file(path: Path) -> None:
    path.touch(mode=0o600)
    os.truncate(path, 2 << 30)


UNFIT: dict[str, tuple[Callable[[Path], object], str]] = {
    "a FIFO": (lambda path: os.mkfifo(path, 0o600), "not a regular file"),
    "a folder": (lambda path: path.mkdir(0o700), "not a regular file"),
    "a link": (a_link_to_a_large_file, "is a link"),
    "a device node": (lambda path: path.symlink_to("/dev/zero"), "is a link"),
    "a link to nothing": (lambda path: path.symlink_to("nowhere"), "is a link"),
    "a large file": (a_large_file, f"longer than {MAX_DELIVERY_BYTES}"),
}


@pytest.mark.parametrize("kind", UNFIT)
def test_what_is_no_file_of_ours_is_refused_and_the_waiting_goes_on(file: File, kind: str) -> None:
    make, said = UNFIT[kind]
    make(file.path)

    assert file.look() is None
    assert said in file.said[0]
    if file.path.is_dir() and not file.path.is_symlink():
        file.path.rmdir()
    file.put(GOOD)

    assert file.look() is not None
    assert not file.path.exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666])
def test_a_file_that_others_can_read_is_refused(file: File, mode: int) -> None:
    file.put(GOOD, mode)

    assert file.look() is None
    assert f"{mode:04o}" in file.said[0]
    file.path.chmod(0o600)
    assert file.look() is not None


@pytest.mark.parametrize("kind", BAD)
def test_a_file_that_is_no_claim_stays_and_is_said_once(file: File, kind: str) -> None:
    file.put(BAD[kind])

    assert file.look(times=5) is None
    assert len(file.said) == 1
    assert file.path.read_bytes() == BAD[kind]
    file.put(GOOD)
    assert file.look() is not None


def test_a_file_that_is_still_being_written_is_waited_for(file: File) -> None:
    file.path.touch(mode=0o600)
    for end in range(0, len(GOOD), 200):
        file.path.write_bytes(GOOD[:end])
        assert file.look(times=1) is None
    file.path.write_bytes(GOOD)

    assert file.look(times=1) is not None
    assert file.said == []


def test_an_old_claim_in_a_file_ends_the_waiting(file: File) -> None:
    file.put(document(expiration=CLOCK.wall() - 1.0))

    with pytest.raises(ClaimExpiredError, match="5 minutes"):
        file.look()
    assert not file.path.exists()


def test_whose_files_are_believed(tmp_path: Path) -> None:
    owner = tmp_path.stat().st_uid

    assert trusted_users(tmp_path, 4711) == {0, 4711}
    assert trusted_users(tmp_path, 0) == {0, owner}


# Over a socket.


class Socket:
    """A device that waits at a socket, polled by the test."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = FakeClock()
        self.said: list[str] = []
        self.place = ClaimSocket(path, self.clock, take, self.said.append)

    def connect(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(self.path))
        client.settimeout(5)
        return client

    def poll(self, times: int = 8) -> BorrowedClaim | None:
        for _ in range(times):
            if (claim := self.place.poll(0.0)) is not None:
                return claim
        return None


def answer_to(client: socket.socket) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(client.makefile().readline())
    return answer


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[Socket]:
    device = Socket(tmp_path / "claim")
    with device.place:
        yield device
    assert not device.path.exists()


def assert_still_waits(waiting: Socket) -> None:
    with closing(waiting.connect()) as client:
        client.sendall(GOOD)
        assert waiting.poll() is not None
        assert answer_to(client) == {"accepted": True}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_delivery_is_refused_and_the_client_told_why(waiting: Socket, kind: str) -> None:
    with closing(waiting.connect()) as client:
        client.sendall(BAD[kind])
        client.shutdown(socket.SHUT_WR)
        assert waiting.poll() is None
        refused = answer_to(client)

    assert refused["accepted"] is False
    assert waiting.said == [refused["problem"]]
    assert_still_waits(waiting)


def test_a_client_that_sends_a_byte_a_second_ends_at_its_deadline(waiting: Socket) -> None:
    with closing(waiting.connect()) as slow:
        for byte in GOOD[: int(DELIVERY_SECONDS)]:
            slow.sendall(bytes([byte]))
            waiting.poll()
            waiting.clock.advance(1.0)
        assert waiting.said == []
        waiting.poll()

        assert "in time" in answer_to(slow)["problem"]
    assert_still_waits(waiting)


def test_slow_and_silent_clients_keep_nobody_waiting(waiting: Socket) -> None:
    with closing(waiting.connect()) as silent, closing(waiting.connect()) as slow:
        slow.sendall(b"{")
        waiting.poll()

        assert_still_waits(waiting)
        waiting.clock.advance(SILENCE_SECONDS)
        waiting.poll()
        assert answer_to(silent)["accepted"] is False


def test_clients_that_look_and_go_are_no_news(waiting: Socket) -> None:
    for _ in range(3):
        waiting.connect().close()
        waiting.poll()

    assert waiting.said == []
    assert_still_waits(waiting)


def test_many_clients_push_out_the_oldest(waiting: Socket) -> None:
    clients = []
    for _ in range(MAX_CLIENTS + 3):
        clients.append(waiting.connect())
        waiting.poll(times=2)

    assert answer_to(clients[0])["problem"] == "too many clients at once"
    assert_still_waits(waiting)
    for client in clients:
        client.close()


def test_a_client_that_sends_without_end_is_told(waiting: Socket) -> None:
    with closing(waiting.connect()) as client:
        client.setblocking(False)
        for _ in range(2 * MAX_DELIVERY_BYTES // 1000):
            try:
                client.send(b"x" * 1000)
            except BlockingIOError:
                waiting.poll(times=1)
            except OSError:
                break
        waiting.poll()

    assert waiting.said == ["what was handed over is too long to be a claim"]
    assert_still_waits(waiting)


def test_a_client_that_goes_before_the_answer(waiting: Socket) -> None:
    with closing(waiting.connect()) as client:
        client.sendall(GOOD)

    assert waiting.poll() is not None


def test_a_file_that_is_in_the_way_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "claim").write_text("someone's")

    with pytest.raises(ConfigurationError, match="something other than a socket is there"):
        Socket(tmp_path / "claim").place.__enter__()

    assert (tmp_path / "claim").read_text() == "someone's"


def test_a_socket_that_a_killed_device_left_is_replaced(tmp_path: Path) -> None:
    with closing(socket.socket(socket.AF_UNIX)) as left:
        left.bind(str(tmp_path / "claim"))

    device = Socket(tmp_path / "claim")
    with device.place:
        assert_still_waits(device)
