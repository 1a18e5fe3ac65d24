"""Does the device end right, whatever is lost, delayed or denied? In memory and over TLS."""

from pathlib import Path
from typing import Any

import pytest

from device.errors.provisioning import (
    CERTIFICATE_IN_DOUBT,
    CLOUD_REJECTED,
    CONNECTION_LOST,
    NO_REPLY,
    NOT_LET_IN,
    THROTTLED,
)
from device.runtime.loop import Patience
from tests.support.errors import raises
from tests.support.worlds import Diary, World, boot

REQUESTS = ("create-from-csr", "provision")


def assert_one(world: World, serial: str, certificate_id: str) -> None:
    registry = world.registry(serial)
    assert registry.things == [serial]
    assert registry.active_certificates == [certificate_id]


def test_first_boot(world: World, state: Path, serial: str) -> None:
    identity = boot(world, world.make_device(state, serial))

    assert identity.thing_name == serial
    assert_one(world, serial, identity.certificate_id)


def test_second_boot_has_nothing_to_do(world: World, state: Path, serial: str) -> None:
    first, diary = boot(world, world.make_device(state, serial)), Diary()

    assert boot(world, state, diary=diary) == first
    assert diary.events == []


@pytest.mark.parametrize("kind", ["drop-reply", "cut-before-reply"])
@pytest.mark.parametrize("operation", REQUESTS)
def test_a_lost_reply(world: World, state: Path, serial: str, kind: str, operation: str) -> None:
    world.make_device(state, serial)
    world.fault(kind, operation=operation)
    diary = Diary()

    identity = boot(world, state, diary=diary)

    assert len(diary.waits) == 1
    assert diary.waits[0][0].row in (NO_REPLY, CONNECTION_LOST)
    assert_one(world, serial, identity.certificate_id)


@pytest.mark.parametrize("operation", REQUESTS)
def test_throttled_until_the_cloud_has_time(
    world: World, state: Path, serial: str, operation: str
) -> None:
    world.make_device(state, serial)
    world.fault(
        "reject",
        operation=operation,
        count=2,
        status_code=429,
        error_code="ThrottlingException",
        error_message="Rate exceeded",
    )
    diary = Diary()

    identity = boot(world, state, diary=diary)

    assert [cause.row for cause, _ in diary.waits] == [THROTTLED] * 2
    assert all(seconds >= 1.0 for _, seconds in diary.waits)
    assert_one(world, serial, identity.certificate_id)


REJECTIONS: list[dict[str, Any]] = [
    {"status_code": 403, "error_code": "AccessDenied", "error_message": "Access Denied"},
    {"status_code": 400, "error_code": "InvalidTemplate", "error_message": "No such template"},
    {
        "status_code": 400,
        "error_code": "InvalidParameters",
        "error_message": "Cannot resolve reference value: BatchNumber",
    },
    {"status_code": 400, "error_code": "ProvisioningFailed", "error_message": "Thing type"},
    {"status_code": 418, "error_code": "NeverHeardOfIt", "error_message": ""},
]


@pytest.mark.parametrize("rejection", REJECTIONS, ids=lambda one: str(one["error_code"]))
def test_a_rejection_stops_the_device_and_loses_nothing(
    world: World, state: Path, serial: str, rejection: dict[str, Any]
) -> None:
    world.make_device(state, serial)
    world.fault("reject", operation="provision", **rejection)

    with raises(CLOUD_REJECTED) as raised:
        boot(world, state)

    assert raised.value.fields["error_code"] == rejection["error_code"]
    assert rejection["error_message"] in str(raised.value)
    identity = boot(world, state)
    assert_one(world, serial, identity.certificate_id)


def test_a_missing_parameter_is_named(world: World, state: Path, serial: str) -> None:
    world.make_device(state, serial)
    world.fault("reject", operation="provision", **REJECTIONS[2])

    with raises(CLOUD_REJECTED) as raised:
        boot(world, state)

    assert "BatchNumber" in raised.value.next_step


def test_two_hours_after_a_lost_reply_a_hang_up_makes_no_second_certificate(
    world: World, state: Path, serial: str
) -> None:
    """RegisterThing was applied; then the power was cut, and the token expired."""
    world.make_device(state, serial)
    world.fault("cut-before-reply", operation="provision")
    with raises(CONNECTION_LOST):
        boot(world, state, patience=Patience(unreachable=0.0, refused=0.0))
    world.expire_tokens()
    world.fault("cut-at-connect", client_id=serial)
    diary = Diary()

    identity = boot(world, state, diary=diary)

    assert [cause.row for cause, _ in diary.waits] == [CERTIFICATE_IN_DOUBT]
    assert "CertificateIssued" not in diary.types()
    assert_one(world, serial, identity.certificate_id)


def test_a_closed_door_opens_again(world: World, state: Path, serial: str) -> None:
    world.make_device(state, serial)
    world.fault("cut-at-connect", count=2)
    diary = Diary()

    identity = boot(world, state, diary=diary)

    assert [cause.row for cause, _ in diary.waits] == [NOT_LET_IN] * 2
    assert_one(world, serial, identity.certificate_id)


def test_a_door_that_stays_closed(world: World, state: Path, serial: str) -> None:
    world.make_device(state, serial)
    world.fault("cut-at-connect", count=None)

    with raises(NOT_LET_IN) as raised:
        boot(world, state, patience=Patience(unreachable=5.0, refused=3.0))

    assert "(1) The claim certificate is not ACTIVE" in raised.value.next_step
