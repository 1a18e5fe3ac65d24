"""R6 with the key in a real element: a device whose certificate is INACTIVE comes back over TLS."""

from pathlib import Path

import msgspec
import pytest

from device.storage.device_storage import open_device_storage
from device.storage.element.installation import install_element
from device.storage.keys import BIRTH_KEY
from tests.support.elements import ElementBench
from tests.support.renewals import identity_of, renew
from tests.support.wire_world import WireWorld
from tests.support.worlds import REFUSED_AT_ONCE, boot
from tests.wire.conftest import LocalCloud


@pytest.fixture(scope="module")
def world(local_cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> WireWorld:
    world = WireWorld(local_cloud, tmp_path_factory.mktemp("station"))
    world.clear_faults()
    world.factory("prepare", "--method", "claim", "--recovery", "30")
    recovery = msgspec.structs.replace(world.settings.recovery, allowed=True)
    world.settings = msgspec.structs.replace(world.settings, recovery=recovery)
    return world


def test_a_device_comes_back_with_a_new_key_in_its_element(
    world: WireWorld, bench: ElementBench, label: str, tmp_path: Path
) -> None:
    serial = label.replace("dev-", "SN-")
    state = world.make_device(tmp_path / "device", serial, "--birth")
    with open_device_storage(state) as storage:
        install_element(storage, bench.new_token(label))
    boot(world, state)
    old = identity_of(world, state)
    world.set_status(old.certificate_id, "INACTIVE")

    new = renew(world, state, patience=REFUSED_AT_ONCE)

    assert new.key_uri.startswith("pkcs11:")
    assert new.key_uri != old.key_uri
    assert world.registry(serial).active_certificates == [new.certificate_id]
    with open_device_storage(state, read_only=True) as storage:
        assert set(storage.keys.keys()) == {new.key, BIRTH_KEY}
