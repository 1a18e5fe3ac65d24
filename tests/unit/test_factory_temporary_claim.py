"""A claim reaches one waiting device, or the reason why not is said; it is shown to nobody."""

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from device.runtime.claim_delivery import DeliveredClaim
from device.runtime.clock import Clock
from device.storage.keys import MemoryIdentity, TlsIdentity
from factory.account.cloud import Account, Response, Value
from factory.account.temporary_claim import (
    TemporaryClaim,
    create_claim,
    is_file,
    waiting_device,
    write_claim,
)
from factory.errors import (
    CLAIM_REFUSED,
    NOBODY_WAITS,
    TEMPLATE_MISSING,
    NotInCloudError,
)
from tests.support import hang
from tests.support.certificates import NOW, DeviceAuthority, new_key, pem_of
from tests.support.clock import FakeClock
from tests.support.errors import raises

KEY = new_key()
CERTIFICATE = DeviceAuthority().issue(KEY.public_key(), {"common_name": "AWS IoT Certificate"})


def claim(
    key: bytes = pem_of(KEY), expiration: datetime = NOW + timedelta(minutes=5)
) -> TemporaryClaim:
    return TemporaryClaim("c0ffee", expiration, CERTIFICATE.decode(), key.decode())


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A socket's path must be short."""
    monkeypatch.chdir(tmp_path)
    return Path("claim")


@contextmanager
def a_device(place: Path, clock: Clock) -> Iterator[list[TlsIdentity]]:
    """The real waiting side, in a thread; it is stopped in the end."""
    taken: list[TlsIdentity] = []
    listening = threading.Event()
    delivered = DeliveredClaim(place, clock, lambda _: listening.set())

    def wait() -> None:
        try:
            taken.append(delivered.claim())
        except BaseException:  # noqa: BLE001 - stopped, or refused: the test looks at `taken`
            return

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    assert listening.wait(5)
    hang.until(place.exists, "the device listens")
    try:
        yield taken
    finally:
        delivered.stop()
        thread.join(5)


def test_waiting_device_takes_the_claim(place: Path) -> None:
    with a_device(place, FakeClock(NOW.timestamp())) as taken, waiting_device(place) as device:
        device.hand_over(claim())
    (identity,) = taken
    assert isinstance(identity, MemoryIdentity)
    assert identity.certificate_pem == CERTIFICATE
    assert identity.private_key_pem == pem_of(KEY)


def test_device_says_why_it_does_not_take_a_claim(place: Path) -> None:
    with (
        a_device(place, FakeClock(NOW.timestamp())),
        waiting_device(place) as device,
        raises(CLAIM_REFUSED, match="does not belong to its certificate"),
    ):
        device.hand_over(claim(key=pem_of(new_key())))


def test_device_tells_an_expired_claim_apart(place: Path) -> None:
    with (
        a_device(place, FakeClock(NOW.timestamp())),
        waiting_device(place) as device,
        raises(CLAIM_REFUSED, match="older than 5 minutes"),
    ):
        device.hand_over(claim(expiration=NOW - timedelta(seconds=1)))


def test_no_socket_means_that_no_device_waits(place: Path) -> None:
    with (
        raises(NOBODY_WAITS, match="there is no socket"),
        waiting_device(place),
    ):
        pass


def test_socket_that_was_left_over_is_told_apart(place: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as gone:
        gone.bind(os.fspath(place))
    with raises(NOBODY_WAITS, match="is gone"), waiting_device(place):
        pass


def test_what_is_no_socket_at_all_gets_words(tmp_path: Path) -> None:
    with raises(NOBODY_WAITS), waiting_device(tmp_path / ("a" * 200)):
        pass


@contextmanager
def a_stranger(place: Path, do: Callable[[socket.socket], None]) -> Iterator[None]:
    """Someone else behind the socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(os.fspath(place))
        server.listen(1)
        server.settimeout(hang.SECONDS)

        def serve() -> None:
            connection, _ = server.accept()
            connection.settimeout(hang.SECONDS)
            with connection:
                do(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield
        thread.join(5)


def answer(content: bytes) -> Callable[[socket.socket], None]:
    def reply(connection: socket.socket) -> None:
        while not connection.recv(65536).endswith(b"\n"):
            pass
        connection.sendall(content)

    return reply


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "closed the connection"),
        (b"HTTP/1.1 400 Bad Request\r\n", "is not a device"),
        (b"x" * 9000, "is no"),
    ],
)
def test_stranger_behind_the_socket_is_no_device(place: Path, content: bytes, problem: str) -> None:
    with (
        a_stranger(place, answer(content)),
        waiting_device(place) as device,
        raises(NOBODY_WAITS, match=problem),
    ):
        device.hand_over(claim())


@pytest.mark.parametrize("content", [b"[]\n", b"{}\n", b'{"accepted": "yes"}\n'])
def test_only_a_plain_yes_is_one(place: Path, content: bytes) -> None:
    with (
        a_stranger(place, answer(content)),
        waiting_device(place) as device,
        raises(CLAIM_REFUSED),
    ):
        device.hand_over(claim())


def test_device_that_never_answers_is_not_waited_for(place: Path) -> None:
    done = threading.Event()
    with (
        a_stranger(place, lambda _: assert_set(done)),
        waiting_device(place, patience=0.05) as device,
    ):
        with raises(NOBODY_WAITS, match="does not answer"):
            device.hand_over(claim())
        done.set()


def assert_set(done: threading.Event) -> None:
    assert done.wait(5)


def test_file_is_for_its_owner_alone_and_whole(tmp_path: Path) -> None:
    file = tmp_path / "claim.json"
    write_claim(claim(), file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["claim.json"]
    assert json.loads(file.read_bytes())["expiration"] == (NOW + timedelta(minutes=5)).timestamp()


def test_file_or_socket_is_told_by_the_name() -> None:
    assert is_file(Path("x/claim.json"))
    assert not is_file(Path("x/claim"))


def test_key_is_in_no_text_of_the_claim() -> None:
    assert "PRIVATE KEY" not in repr(claim())
    assert "PRIVATE KEY" not in str(claim())


class Templates:
    """A cloud that knows one template, or none."""

    account = Account("1", "eu-west-1")

    def __init__(self, *names: str) -> None:
        self.names = names

    def call(self, service: str, operation: str, **parameters: Value) -> Response:
        assert (service, operation) == ("iot", "CreateProvisioningClaim")
        if parameters["templateName"] not in self.names:
            raise NotInCloudError("iot:CreateProvisioningClaim", "ResourceNotFoundException", "no")
        return {
            "certificateId": "c0ffee", "certificatePem": CERTIFICATE.decode(),
            "keyPair": {"PublicKey": "", "PrivateKey": pem_of(KEY).decode()},
            "expiration": datetime(2026, 11, 23, 0, 5, tzinfo=UTC),
        }  # fmt: skip

    def pages(self, service: str, operation: str, **parameters: Value) -> Iterator[Response]:
        raise NotImplementedError


def test_claim_is_what_aws_answers() -> None:
    assert create_claim(Templates("a-template"), "a-template") == claim()


def test_missing_template_is_named() -> None:
    with raises(TEMPLATE_MISSING, match="no provisioning template a-template"):
        create_claim(Templates(), "a-template")
