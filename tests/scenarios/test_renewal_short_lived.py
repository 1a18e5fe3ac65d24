"""Certificates that live for a day, of the station's own CA: the device renews them by itself."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from cryptography import x509

from device.errors.renewal import CERTIFICATE_EXPIRED
from device.storage.device_storage import open_device_storage
from device.storage.secure_storage import Uid
from tests.scenarios.test_renewal_in_run import Until, operate
from tests.support.certificates import NOW, DeviceAuthority, PublicKey
from tests.support.effort import is_long
from tests.support.errors import raises
from tests.support.renewals import assert_one_identity, identity_of, renew
from tests.support.worlds import MemoryWorld, boot

SERIAL = "SN-1"
DAY = 86_400.0
OWN_CA = DeviceAuthority("the station's own CA")


@pytest.fixture
def world(memory: MemoryWorld) -> MemoryWorld:
    """A provider that signs for a day, dated back by a day, as lambdas/certificate_provider.py."""

    def sign(key: PublicKey, subject: x509.Name) -> str:
        now = datetime.fromtimestamp(memory.clock.wall(), UTC)
        day = timedelta(days=1)
        return OWN_CA.issue(key, subject, not_before=now - day, not_after=now + day).decode()

    memory.settings = msgspec.structs.replace(
        memory.settings,
        method="claim-own-ca",
        telemetry=msgspec.structs.replace(memory.settings.telemetry, interval=3600.0),
    )
    memory.cloud.provider = sign
    memory.clock.set_wall(NOW.timestamp())
    return memory


@pytest.fixture
def device(world: MemoryWorld, state: Path) -> Path:
    world.make_device(state, SERIAL)
    with open_device_storage(state, mount=world.mount) as storage:
        storage.ps.set(Uid.ISSUER_CA, OWN_CA.certificate_pem)
    boot(world, state)
    return state


def test_a_device_lives_on_with_certificates_of_a_day(
    world: MemoryWorld, device: Path, record_property: Callable[[str, object], None]
) -> None:
    """Twenty days of them; a year in the long suite."""
    days = 365 if is_long() else 20

    operate(world, device, Until(world.clock, days * DAY))

    renewals = len(world.cloud.renewal.registered)
    record_property("days, renewals", (days, renewals))
    assert days * 1.4 < renewals < days * 1.8  # at 0.6 to 0.667 of a day
    assert_one_identity(world, device, SERIAL)


def test_a_certificate_that_expired_while_the_device_was_off_says_what_is_needed(
    world: MemoryWorld, device: Path
) -> None:
    old = identity_of(world, device)
    world.clock.advance(3 * DAY)

    with raises(CERTIFICATE_EXPIRED) as caught:
        renew(world, device)

    assert SERIAL in caught.value.next_step
    assert "--again" in caught.value.next_step
    assert identity_of(world, device) == old
