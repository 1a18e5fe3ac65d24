"""A certificate of the station's own CA expires while its device is off: it comes back over TLS.

Its key is sealed, or in SoftHSM.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from device.errors.renewal import CERTIFICATE_EXPIRED
from localcloud.process.state_folder import StateFolder
from tests.scenarios.test_year_of_short_lives_over_tls import HOUR, LIFE_HOURS, Time
from tests.support.errors import raises
from tests.support.renewals import identity_of, renew
from tests.support.wire_world import WireWorld
from tests.support.worlds import REFUSED_AT_ONCE, boot
from tests.wire.conftest import LocalCloud, described, free_ports, local_aws_in

pytestmark = [pytest.mark.wire, pytest.mark.long, pytest.mark.usefixtures("softhsm")]

SERIAL = "SN-EXPIRED"


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[LocalCloud]:
    """A local AWS of its own, since its clock is moved."""
    folder = StateFolder(tmp_path / "cloud")
    with local_aws_in(folder, free_ports()) as started:
        yield described(started, folder)


@pytest.mark.parametrize("element", [(), ("--element", "softhsm")], ids=["sealed", "SoftHSM"])
def test_a_device_whose_certificate_expired_comes_back_over_tls(
    cloud: LocalCloud, element: tuple[str, ...], tmp_path: Path
) -> None:
    world = WireWorld(cloud, tmp_path / "station", "claim-own-ca")
    life = "--certificate-hours", str(LIFE_HOURS)
    world.factory("prepare", "--method", "claim-own-ca", "--recovery", "30", *life)
    world.clock = time = Time(cloud)
    state = world.make_device(tmp_path / "device", SERIAL, "--birth", *element)
    boot(world, state)
    old = identity_of(world, state)
    time.advance(2 * LIFE_HOURS * HOUR)

    with raises(CERTIFICATE_EXPIRED):
        renew(world, state, patience=REFUSED_AT_ONCE)
    recovery = msgspec.structs.replace(world.settings.recovery, allowed=True)
    world.settings = msgspec.structs.replace(world.settings, recovery=recovery)
    new = renew(world, state, patience=REFUSED_AT_ONCE)

    assert new.not_after > time.wall() > old.not_after
    assert new.key_uri.startswith("pkcs11:") == bool(element)
    assert world.registry(SERIAL).active_certificates == [new.certificate_id]
    assert world.status(old.certificate_id) == "INACTIVE"
