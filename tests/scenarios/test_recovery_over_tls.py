"""A device comes back over TLS, by the template and the Lambda that the station prepared."""

from pathlib import Path

import msgspec
import pytest

from device.errors.renewal import RECOVERY_REFUSED
from device.identity.certificates import certificate_id
from device.storage.device_storage import open_device_storage
from device.storage.secure_storage import Uid
from tests.support.errors import raises
from tests.support.renewals import identity_of, renew
from tests.support.wire_world import WireWorld
from tests.support.worlds import REFUSED_AT_ONCE, boot

pytestmark = pytest.mark.wire


@pytest.fixture(scope="module")
def recovering_world(wire_world: WireWorld) -> WireWorld:
    wire_world.clear_faults()
    wire_world.factory("prepare", "--method", "claim", "--recovery", "30")
    return wire_world


@pytest.fixture
def born(recovering_world: WireWorld, state: Path, serial: str) -> Path:
    """A provisioned device with a birth certificate, which may come back."""
    recovering_world.make_device(state, serial, "--birth")
    boot(recovering_world, state)
    return state


@pytest.fixture
def may_recover(recovering_world: WireWorld) -> WireWorld:
    recovering_world.settings = msgspec.structs.replace(
        recovering_world.settings,
        recovery=msgspec.structs.replace(recovering_world.settings.recovery, allowed=True),
    )
    return recovering_world


def test_a_device_that_was_set_inactive_comes_back_over_tls(
    may_recover: WireWorld, born: Path, serial: str
) -> None:
    old = identity_of(may_recover, born)
    may_recover.set_status(old.certificate_id, "INACTIVE")

    new = renew(may_recover, born, patience=REFUSED_AT_ONCE)

    assert may_recover.registry(serial).active_certificates == [new.certificate_id]
    with open_device_storage(born, read_only=True) as storage:
        assert Uid.BIRTH_CERTIFICATE in storage.ps.uids()


def test_a_revoked_device_stays_out(may_recover: WireWorld, born: Path) -> None:
    old = identity_of(may_recover, born)
    may_recover.set_status(old.certificate_id, "REVOKED")

    with raises(RECOVERY_REFUSED):
        renew(may_recover, born, patience=REFUSED_AT_ONCE)

    assert identity_of(may_recover, born) == old


def test_a_retired_device_leaves_no_birth_certificate_that_is_active(
    may_recover: WireWorld, born: Path, serial: str
) -> None:
    with open_device_storage(born, read_only=True) as storage:
        birth = storage.ps.get(Uid.BIRTH_CERTIFICATE)

    may_recover.factory("retire", "--serial", serial)

    assert may_recover.status(certificate_id(birth)) == "INACTIVE"
