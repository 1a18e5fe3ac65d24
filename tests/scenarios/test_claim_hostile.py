"""What only a fake can do: hostile replies, wrong clocks, bad disks, and a look at every packet."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from device.errors import ConfigurationError
from device.errors.provisioning import (
    CERTIFICATE_UNACCEPTABLE,
    MALFORMED_REPLY,
    NO_REPLY,
    NOT_LET_IN,
    NOT_REACHABLE,
    TAKEN_OVER,
    TOPIC_DENIED,
    UNEXPECTED_THING_NAME,
    CertificateUnacceptableError,
    ProvisioningError,
)
from device.errors.storage import INSUFFICIENT_STORAGE, STORAGE_FAILURE
from device.provisioning import actions as act
from device.provisioning.events import Credential
from device.runtime.loop import Patience
from device.storage.device_storage import open_device_storage
from device.storage.filesystem import Fs
from device.storage.secure_storage import Uid
from tests.support.errors import raises
from tests.support.power import PowerSupply
from tests.support.worlds import Diary, MemoryWorld, boot

SERIAL = "SN-1"
ONCE = Patience(unreachable=0.0, refused=0.0)


@pytest.fixture
def device(memory: MemoryWorld, state: Path) -> Path:
    return memory.make_device(state, SERIAL)


def orders(memory: MemoryWorld) -> list[act.Action]:
    return [order for session in memory.sessions for order in session.orders]


GARBAGE = [
    b"",
    b"{",
    b"null",
    b"[]",
    b"\xff\xfe",
    b'{"certificateId": 1}',
    b'{"certificateId": "x", "certificatePem": null, "certificateOwnershipToken": "t"}',
    b'{"thingName": ["x"], "deviceConfiguration": {}}',
    b'{"thingName": "", "deviceConfiguration": {}}',
    b'{"thingName": "x", "deviceConfiguration": {"a": {"nested": "b"}}}',
    b'"' + b"x" * 200_000 + b'"',
]


@pytest.mark.parametrize("operation", ["create-from-csr", "provision"])
@pytest.mark.parametrize("payload", GARBAGE, ids=lambda payload: repr(payload[:24]))
def test_garbage_is_named_and_nothing_is_promoted(
    memory: MemoryWorld, device: Path, operation: str, payload: bytes
) -> None:
    memory.fault("garbage", operation=operation, payload=payload)

    with raises(MALFORMED_REPLY):
        boot(memory, device, patience=ONCE)

    identity = boot(memory, device)
    assert memory.registry(SERIAL).active_certificates == [identity.certificate_id]


def test_a_reply_sent_twice_changes_nothing(memory: MemoryWorld, device: Path) -> None:
    memory.fault("duplicate-reply", count=None)

    identity = boot(memory, device)

    assert memory.registry(SERIAL).active_certificates == [identity.certificate_id]


def test_a_certificate_for_another_key_is_refused(memory: MemoryWorld, device: Path) -> None:
    other = MemoryWorld()
    reply = {
        "certificateId": "0" * 64,
        "certificatePem": other.cloud.claim_pem,
        "certificateOwnershipToken": "token",
    }
    memory.fault("garbage", operation="create-from-csr", payload=json.dumps(reply).encode())

    with pytest.raises(CertificateUnacceptableError, match="another key"):
        boot(memory, device)

    with open_device_storage(device, read_only=True, mount=memory.mount) as storage:
        assert Uid.STAGED_CERTIFICATE not in storage.ps.uids()


STRAY = {"thingName": "SN-666", "deviceConfiguration": {"stolen": "yes"}}


@pytest.mark.parametrize(
    ("operation", "topic"),
    [
        ("provision", "$aws/provisioning-templates/another/provision/json/accepted"),
        ("provision", "$aws/provisioning-templates/another/provision/json/rejected"),
        ("provision", "$aws/certificates/create-from-csr/json/accepted"),
        ("create-from-csr", "$aws/provisioning-templates/firstboot-claim/provision/json/accepted"),
        ("create-from-csr", "$aws/certificates/create/json/accepted"),
    ],
)
@pytest.mark.parametrize("payload", [json.dumps(STRAY).encode(), b"{"], ids=["reply", "garbage"])
def test_a_reply_to_another_request_is_not_taken(
    memory: MemoryWorld, device: Path, operation: str, topic: str, payload: bytes
) -> None:
    memory.fault("stray", operation=operation, topic=topic, payload=payload)
    diary = Diary()

    identity = boot(memory, device, diary=diary)

    assert identity.thing_name == SERIAL
    assert diary.waits == []


def test_another_thing_name_is_an_error_and_the_certificate_is_kept(
    memory: MemoryWorld, device: Path
) -> None:
    reply = json.dumps(STRAY).encode()
    memory.fault("garbage", operation="provision", payload=reply)

    with raises(UNEXPECTED_THING_NAME, match=f"SN-666.*{SERIAL}"):
        boot(memory, device)

    identity = boot(memory, device)
    assert identity.thing_name == SERIAL
    assert memory.cloud.issued() == [identity.certificate_id]


@pytest.mark.parametrize("thing_name", ["acme-{serial}", "{cloud}"])
def test_a_template_that_names_things_otherwise_is_said_in_the_settings(
    memory: MemoryWorld, device: Path, thing_name: str
) -> None:
    memory.cloud.thing_name_prefix = "acme-"
    memory.settings = msgspec.structs.replace(memory.settings, thing_name=thing_name)

    assert boot(memory, device).thing_name == f"acme-{SERIAL}"


def test_a_second_client_of_the_name_is_told_with_what_to_look_for(
    memory: MemoryWorld, device: Path
) -> None:
    memory.fault("taken-over", count=2)
    diary = Diary()

    boot(memory, device, diary=diary)

    assert [cause.row for cause, _ in diary.waits] == [TAKEN_OVER] * 2
    assert "principalIdentifier" in diary.waits[0][0].next_step


KEY_BLOCK = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
DRESSES: dict[str, Callable[[str], str]] = {
    "padded by 50 KB": lambda pem: " " * 50_000 + pem,
    "followed by 50 KB": lambda pem: pem + "\n" * 50_000,
    "a key behind": lambda pem: pem + KEY_BLOCK,
    "a key before": lambda pem: KEY_BLOCK + pem,
    "X509 label": lambda pem: pem.replace("CERT", "X509 CERT"),
    "X509 label behind": lambda pem: pem + pem.replace("CERT", "X509 CERT"),
    "TRUSTED label behind": lambda pem: pem + pem.replace("CERT", "TRUSTED CERT"),
    "twice": lambda pem: pem + pem,
}


@pytest.mark.parametrize("dress", DRESSES)
def test_a_certificate_that_tls_would_refuse_is_refused_and_bricks_nothing(
    memory: MemoryWorld, device: Path, dress: str
) -> None:
    memory.cloud.dress = DRESSES[dress]
    with pytest.raises(ProvisioningError) as raised:
        boot(memory, device, patience=ONCE)
    assert raised.value.row in (CERTIFICATE_UNACCEPTABLE, MALFORMED_REPLY)
    with open_device_storage(device, read_only=True, mount=memory.mount) as storage:
        assert Uid.STAGED_CERTIFICATE not in storage.ps.uids()

    memory.cloud.dress = str
    identity = boot(memory, device)

    assert memory.registry(SERIAL).active_certificates == [identity.certificate_id]


def test_a_certificate_in_other_lines_is_stored_as_tls_wants_it(
    memory: MemoryWorld, device: Path
) -> None:
    memory.cloud.dress = lambda pem: "text\r\n" + pem.replace("\n", "\r\n")

    identity = boot(memory, device)

    with open_device_storage(device, read_only=True, mount=memory.mount) as storage:
        stored = storage.ps.get(Uid.DEVICE_CERTIFICATE).decode()
    assert stored == memory.cloud.certificates[identity.certificate_id].pem


CONFIGURATIONS = {
    "31 KB in one value": {"text": "x" * 31_000},
    "31 KB in many values": {f"key-{n}": "x" * 1000 for n in range(31)},
    "5,000 keys": {f"k{n}": "" for n in range(5000)},
    "a long key": {"k" * 257: "x"},
    "six bytes a character": {f"k{n}": "\x01" * 1000 for n in range(10)},
}


@pytest.mark.parametrize("size", CONFIGURATIONS)
def test_a_configuration_that_is_too_long_is_refused_and_bricks_nothing(
    memory: MemoryWorld, device: Path, size: str
) -> None:
    memory.cloud.device_configuration = CONFIGURATIONS[size]
    with raises(MALFORMED_REPLY, match=r"deviceConfiguration|length <="):
        boot(memory, device, patience=ONCE)

    memory.cloud.device_configuration = {"greeting": "hello"}
    identity = boot(memory, device)

    assert memory.registry(SERIAL).active_certificates == [identity.certificate_id]


def test_replies_are_subscribed_before_the_first_request(memory: MemoryWorld, device: Path) -> None:
    memory.fault("reject", operation="create-from-csr", count=1, status_code=503)

    boot(memory, device)

    connected, subscribed = False, False
    for order in orders(memory):
        match order:
            case act.Connect(credential):
                connected, subscribed = credential is Credential.CLAIM, False
            case act.Subscribe():
                subscribed = True
            case act.Request():
                assert connected
                assert subscribed


def test_the_claim_connection_is_closed_before_the_device_connects(
    memory: MemoryWorld, device: Path
) -> None:
    boot(memory, device)

    assert memory.cloud.peak_sessions == 1


def test_no_client_id_connects_twice_within_a_second(memory: MemoryWorld, device: Path) -> None:
    memory.fault("cut-before-reply", count=3)
    memory.fault("cut-at-connect", count=3)
    memory.fault("cut-on-publish", count=2)

    boot(memory, device)

    last: dict[str, float] = {}
    assert len(memory.cloud.connects) > 8
    for moment, client_id in memory.cloud.connects:
        assert moment - last.get(client_id, -1.0) >= 1.0
        last[client_id] = moment


def test_the_claim_has_a_client_id_of_its_own(memory: MemoryWorld, device: Path) -> None:
    boot(memory, device)

    assert [client_id for _, client_id in memory.cloud.connects] == [f"claim-{SERIAL}", SERIAL]


def test_two_devices_do_not_wait_in_step(tmp_path: Path) -> None:
    waits = []
    for name in ("one", "other"):
        world, diary = MemoryWorld(), Diary()
        world.fault("unreachable", count=5)
        boot(world, world.make_device(tmp_path / name, SERIAL), diary=diary)
        waits.append([seconds for _, seconds in diary.waits])
    assert len(waits[0]) == 5
    assert waits[0] != waits[1]


def test_the_first_connect_of_a_batch_is_spread(memory: MemoryWorld, device: Path) -> None:
    connection = msgspec.structs.replace(memory.settings.connection, first_connect_spread=600.0)
    memory.settings = msgspec.structs.replace(memory.settings, connection=connection)

    boot(memory, device)

    assert 0.0 < memory.cloud.connects[0][0] < 600.0


def test_a_clock_that_was_never_set_gives_no_verdict(memory: MemoryWorld, device: Path) -> None:
    memory.clock.set_wall(0.0)

    identity = boot(memory, device)

    assert memory.registry(SERIAL).active_certificates == [identity.certificate_id]


def test_a_token_of_unknown_age_is_tried_and_then_replaced(
    memory: MemoryWorld, device: Path
) -> None:
    memory.fault("reject", operation="provision", status_code=400, error_code="ProvisioningFailed")
    with pytest.raises(Exception, match="ProvisioningFailed"):
        boot(memory, device)
    memory.cloud.age_tokens(86_400.0)
    memory.clock.set_wall(0.0)

    identity = boot(memory, device)

    assert memory.registry(SERIAL).active_certificates == [identity.certificate_id]


def test_a_policy_that_lets_the_thing_not_publish(memory: MemoryWorld, device: Path) -> None:
    memory.fault("deny-publish")

    with raises(TOPIC_DENIED) as raised:
        boot(memory, device)

    assert f"dt/{SERIAL}/telemetry" in str(raised.value)
    assert "policy that the template attaches" in raised.value.next_step


def test_a_template_that_attaches_no_policy(memory: MemoryWorld, device: Path) -> None:
    memory.cloud.attaches_policy = False

    with raises(NOT_LET_IN) as raised:
        boot(memory, device, patience=Patience(unreachable=60.0, refused=5.0))

    assert raised.value.fields["credential"] is Credential.STAGED
    memory.cloud.attaches_policy = True
    identity = boot(memory, device)
    assert memory.registry(SERIAL).active_certificates == [identity.certificate_id]


def test_an_unacknowledged_proof_proves_nothing(memory: MemoryWorld, device: Path) -> None:
    memory.fault("no-puback")

    with raises(NO_REPLY):
        boot(memory, device, patience=ONCE)

    with open_device_storage(device, read_only=True, mount=memory.mount) as storage:
        assert Uid.IDENTITY not in storage.ps.uids()
        assert Uid.CLAIM_CERTIFICATE in storage.ps.uids()


def test_nobody_home(memory: MemoryWorld, device: Path) -> None:
    memory.fault("unreachable", count=None)
    diary = Diary()

    with raises(NOT_REACHABLE):
        boot(memory, device, diary=diary, patience=Patience(unreachable=300.0, refused=30.0))

    assert sum(seconds for _, seconds in diary.waits) <= 300.0


def test_a_server_that_never_answers_connect(memory: MemoryWorld, device: Path) -> None:
    memory.fault("silent-connect")

    assert boot(memory, device).thing_name == SERIAL


class _FailingSupply(PowerSupply):
    """Power that is steady, on a disk whose write number ``at`` fails."""

    def __init__(self, at: int, error: Exception) -> None:
        super().__init__()
        self._left = at
        self._error = error

    @property
    def failed(self) -> bool:
        return self._left <= 0

    def mount(self, disk: Fs) -> Fs:
        return cast(Fs, _FailingFs(disk, self))

    def write(self) -> None:
        self._left -= 1
        if self._left == 0:
            raise self._error


class _FailingFs:
    def __init__(self, disk: Fs, supply: _FailingSupply) -> None:
        self._disk = disk
        self._supply = supply

    def __getattr__(self, name: str) -> Any:
        return getattr(self._disk, name)

    def create(self, name: str, data: bytes, mode: int = 0o600) -> None:
        self._supply.write()
        self._disk.create(name, data, mode)

    def overwrite(self, name: str, data: bytes) -> None:
        self._supply.write()
        self._disk.overwrite(name, data)


DISK_ERRORS: list[Exception] = [INSUFFICIENT_STORAGE.error("full"), STORAGE_FAILURE.error("EIO")]


@pytest.mark.parametrize("error", DISK_ERRORS, ids=str)
@pytest.mark.parametrize("write", range(1, 13))
def test_a_disk_that_fails_at_any_write(
    memory: MemoryWorld, device: Path, write: int, error: Exception
) -> None:
    supply = _FailingSupply(write, error)
    with suppress(type(error)):  # a failed mirror is made up for later: the commit stands
        boot(memory, device, supply=supply)
    assert supply.failed

    identity = boot(memory, device)

    assert memory.registry(SERIAL).active_certificates == [identity.certificate_id]


def test_without_a_claim_the_device_says_so(memory: MemoryWorld, device: Path) -> None:
    with open_device_storage(device, mount=memory.mount) as storage:
        storage.ps.remove(Uid.CLAIM_CERTIFICATE)

    with pytest.raises(Exception, match="neither a claim credential"):
        boot(memory, device)


def test_the_boot_is_finished_with_the_key_it_was_begun_with(
    memory: MemoryWorld, device: Path
) -> None:
    memory.fault("unreachable", count=None)
    with raises(NOT_REACHABLE):
        boot(memory, device, patience=ONCE)
    memory.cloud.faults.clear()
    memory.settings = msgspec.structs.replace(memory.settings, method="claim-aws-keys")

    assert boot(memory, device).key_made_by == "device"


@pytest.mark.parametrize(
    "bad", [{"endpoint": "http://x"}, {"thing_name": "{colour}"}, {"subject": {"color": "red"}}]
)
def test_bad_settings_stop_before_the_first_packet(
    memory: MemoryWorld, device: Path, bad: dict[str, Any]
) -> None:
    memory.settings = msgspec.structs.replace(memory.settings, **bad)

    with pytest.raises(ConfigurationError):
        boot(memory, device)

    assert orders(memory) == []
