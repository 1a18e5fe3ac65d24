"""The life of a device of each method, with its key sealed and in SoftHSM, over TLS.

It is rotated, cut in the middle of a rotation, comes back after its certificate was set INACTIVE,
and is retired. docs/renewal.md has the table.
"""

from pathlib import Path

import msgspec
import pytest

from device import Device
from device.config.methods import METHODS, KeyMaker
from device.identity.certificates import certificate_id
from device.lifecycle.journal import Identity
from device.lifecycle.status import read_status
from device.storage.device_storage import open_device_storage
from device.storage.keys import BIRTH_KEY
from device.storage.secure_storage import Uid
from tests.support.power import PowerCutError, PowerSupply
from tests.support.renewals import identity_of, renew, renew_home
from tests.support.wire_world import WireWorld
from tests.support.worlds import REFUSED_AT_ONCE, boot
from tests.wire.conftest import LocalCloud

pytestmark = [pytest.mark.wire, pytest.mark.long, pytest.mark.usefixtures("softhsm")]

SEALED, SOFTHSM = "sealed", "SoftHSM"
LIVES = [
    (name, store)
    for name, method in METHODS.items()
    for store in (SEALED, SOFTHSM)
    if store == SEALED or method.key_made_by is KeyMaker.DEVICE
]
"""AWS's keys come from outside, and an element takes none that was not made in it."""


@pytest.fixture
def world(
    request: pytest.FixtureRequest,
    local_cloud: LocalCloud,
    tmp_path_factory: pytest.TempPathFactory,
) -> WireWorld:
    """One method, prepared with renewal and recovery; a claim-own-ca has an account of its own."""
    station = tmp_path_factory.mktemp("station")
    account = "639876543210" if request.param == "claim-own-ca" else None
    world = WireWorld(local_cloud, station, request.param, account)
    world.clear_faults()
    world.set(jitp_seconds=0.2, registration_line_seconds=0)
    world.factory("prepare", "--method", request.param, "--renewal", "--recovery", "30")
    return world


@pytest.mark.parametrize(("world", "store"), LIVES, indirect=["world"])
def test_the_life_of_a_device(world: WireWorld, store: str, label: str, tmp_path: Path) -> None:
    serial, element = label.replace("dev-", "SN-"), ("--element", "softhsm")
    state = world.make_device(
        tmp_path / "device", serial, "--birth", *(element if store == SOFTHSM else ())
    )
    lives = [boot(world, state)]

    rotated(world, state, serial, lives)
    cut(world, state, serial, lives)
    back(world, state, serial, lives)
    retired(world, state, serial, lives)

    assert len({each.certificate_id for each in lives}) == len(lives)
    places = {each.key_uri.startswith("pkcs11:") for each in lives}
    assert places == {store == SOFTHSM}


def assert_one(world: WireWorld, state: Path, serial: str) -> None:
    """One ACTIVE certificate and its key, beside those of birth."""
    identity = identity_of(world, state)
    assert world.registry(serial).active_certificates == [identity.certificate_id]
    with open_device_storage(state, read_only=True) as storage:
        assert set(storage.keys.keys()) == {identity.key, BIRTH_KEY}


def rotated(world: WireWorld, state: Path, serial: str, lives: list[Identity]) -> None:
    lives.append(renew_home(world, state))
    assert_one(world, state, serial)


def cut(world: WireWorld, state: Path, serial: str, lives: list[Identity]) -> None:
    with pytest.raises(PowerCutError):
        renew(world, state, supply=PowerSupply(cut_at=90))
    renew_home(world, state)
    lives.append(identity_of(world, state))
    assert_one(world, state, serial)


def back(world: WireWorld, state: Path, serial: str, lives: list[Identity]) -> None:
    world.set_status(lives[-1].certificate_id, "INACTIVE")
    recovery = msgspec.structs.replace(world.settings.recovery, allowed=True)
    world.settings = msgspec.structs.replace(world.settings, recovery=recovery)
    lives.append(renew_home(world, state, REFUSED_AT_ONCE))
    assert_one(world, state, serial)


def retired(world: WireWorld, state: Path, serial: str, lives: list[Identity]) -> None:
    with open_device_storage(state, read_only=True) as storage:
        birth = certificate_id(storage.ps.get(Uid.BIRTH_CERTIFICATE))
    world.factory("retire", "--serial", serial)
    Device(state).decommission()

    statuses = {world.status(each) for each in (birth, *(life.certificate_id for life in lives))}
    assert statuses == {"INACTIVE"}
    assert read_status(state).lifecycle == "DECOMMISSIONED"
