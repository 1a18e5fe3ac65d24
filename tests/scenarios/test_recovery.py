"""R6: a device whose certificate expired or was set INACTIVE comes back, inside a window alone."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from cryptography import x509

from device.errors import FirstbootError
from device.errors.provisioning import NOT_LET_IN
from device.errors.renewal import CERTIFICATE_EXPIRED, RECOVERY_REFUSED
from device.lifecycle import journal
from device.storage.device_storage import open_device_storage
from device.storage.keys import BIRTH_KEY
from device.storage.secure_storage import Uid
from tests.scenarios.test_renewal_in_run import Until, operate, readings, steps
from tests.support.certificates import NOW, DeviceAuthority, PublicKey
from tests.support.effort import one_in
from tests.support.errors import raises
from tests.support.power import PowerCutError, PowerSupply
from tests.support.renewals import assert_one_identity, identity_of, renew
from tests.support.worlds import Diary, MemoryWorld, boot

SERIAL = "SN-1"
DAY = 86_400.0
OWN_CA = DeviceAuthority("the station's own CA")


def new_world() -> MemoryWorld:
    """A world whose certificates live for a day, and whose devices may come back."""
    world = MemoryWorld()

    def sign(key: PublicKey, subject: x509.Name) -> str:
        now, day = datetime.fromtimestamp(world.clock.wall(), UTC), timedelta(days=1)
        return OWN_CA.issue(key, subject, not_before=now - day, not_after=now + day).decode()

    world.settings = msgspec.structs.replace(
        world.settings,
        telemetry=msgspec.structs.replace(world.settings.telemetry, interval=60.0),
        recovery=msgspec.structs.replace(world.settings.recovery, allowed=True),
    )
    world.cloud.provider = sign
    world.clock.set_wall(NOW.timestamp())
    return world


def made(world: MemoryWorld, state: Path, *, has_birth_certificate: bool = True) -> Path:
    world.make_device(state, SERIAL)
    with open_device_storage(state, mount=world.mount) as storage:
        if has_birth_certificate:
            pem, key_pem = world.cloud.recovery.give_birth_certificate(SERIAL)
            storage.ps.set(Uid.BIRTH_CERTIFICATE, pem.encode())
            storage.keys.import_key(BIRTH_KEY, key_pem.encode())
    boot(world, state)
    return state


def assert_came_back(world: MemoryWorld, state: Path) -> None:
    """One identity, and the birth certificate is still there for the next time."""
    with open_device_storage(state, mount=world.mount) as storage:
        assert Uid.BIRTH_CERTIFICATE in storage.ps.uids()
        if BIRTH_KEY in storage.keys.keys():  # noqa: SIM118 - a KeyStore is no dict
            storage.keys.destroy_key(BIRTH_KEY)  # the next line counts keys
    assert_one_identity(world, state, SERIAL)


def expired(world: MemoryWorld, _: Path, days: float) -> None:
    world.clock.advance((1 + days) * DAY)


def set_inactive(world: MemoryWorld, state: Path, days: float) -> None:
    world.cloud.deactivate(identity_of(world, state).certificate_id)
    world.clock.advance(days * DAY)


def revoked(world: MemoryWorld, state: Path, days: float) -> None:
    world.cloud.deactivate(identity_of(world, state).certificate_id, "REVOKED")
    world.clock.advance(days * DAY)


Die = Callable[[MemoryWorld, Path, float], None]
DEATHS = pytest.mark.parametrize("die", [expired, set_inactive])


@DEATHS
@pytest.mark.parametrize("days", [0.01, 1, 15, 29.9])
def test_inside_the_window_a_device_comes_back(tmp_path: Path, die: Die, days: float) -> None:
    world = new_world()
    state = made(world, tmp_path / "device")
    old = identity_of(world, state)
    die(world, state, days)

    new = renew(world, state)

    assert new.certificate_id != old.certificate_id
    assert world.cloud.recovery.audit == [(SERIAL, True)]
    assert_came_back(world, state)


@DEATHS
@pytest.mark.parametrize("days", [30.1, 90, 3000])
def test_outside_the_window_no_device_comes_back(tmp_path: Path, die: Die, days: float) -> None:
    world = new_world()
    state = made(world, tmp_path / "device")
    old = identity_of(world, state)
    die(world, state, days)

    with raises(RECOVERY_REFUSED) as refusal:
        renew(world, state)

    assert SERIAL in refusal.value.next_step
    assert world.cloud.recovery.audit == [(SERIAL, False)]
    assert identity_of(world, state) == old
    assert world.cloud.active_certificates(SERIAL) in ([], [old.certificate_id])


def test_a_revoked_device_does_not_come_back(tmp_path: Path) -> None:
    world = new_world()
    state = made(world, tmp_path / "device")
    revoked(world, state, 0.5)

    with raises(RECOVERY_REFUSED):
        renew(world, state)

    assert world.cloud.recovery.audit == [(SERIAL, False)]


def test_of_a_hundred_devices_all_come_back_inside_the_window_and_none_outside(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    came = {True: 0, False: 0}
    for number in range(100):
        world = new_world()
        state = made(world, tmp_path / f"{number}")
        is_inside = number % 2 == 0
        (expired if number % 4 < 2 else set_inactive)(world, state, 0.5 if is_inside else 31)
        with suppress(FirstbootError):
            renew(world, state)
            came[is_inside] += 1

    record_property("came back, inside and outside", (came[True], came[False]))
    assert came == {True: 50, False: 0}


@DEATHS
def test_it_is_off_by_default(tmp_path: Path, die: Die) -> None:
    world = new_world()
    state = made(world, tmp_path / "device")
    world.settings = msgspec.structs.replace(
        world.settings, recovery=msgspec.structs.replace(world.settings.recovery, allowed=False)
    )
    die(world, state, 1)

    with raises(CERTIFICATE_EXPIRED if die is expired else NOT_LET_IN):
        renew(world, state)

    assert world.cloud.recovery.audit == []


def test_a_device_without_a_birth_certificate_says_what_is_needed(tmp_path: Path) -> None:
    world = new_world()
    state = made(world, tmp_path / "device", has_birth_certificate=False)
    expired(world, state, 1)

    with raises(CERTIFICATE_EXPIRED) as refusal:
        renew(world, state)

    assert "--again" in refusal.value.next_step


@DEATHS
def test_a_device_that_runs_comes_back_by_itself_and_publishes_again(
    tmp_path: Path, die: Die
) -> None:
    world = new_world()
    state = made(world, tmp_path / "device")
    die(world, state, 1)
    diary = Diary()

    operate(world, state, Until(world.clock, 3600.0), diary=diary)

    assert steps(diary).count("recovery begun") == 1
    assert world.cloud.recovery.audit == [(SERIAL, True)]
    assert readings(world)
    assert_came_back(world, state)


def test_a_device_that_runs_asks_seldom_outside_the_window(tmp_path: Path) -> None:
    world = new_world()
    state = made(world, tmp_path / "device")
    expired(world, state, 31)

    operate(world, state, Until(world.clock, 6 * 3600.0))

    assert 3 <= len(world.cloud.recovery.audit) <= 24
    assert not any(allowed for _, allowed in world.cloud.recovery.audit)


def test_one_cut_at_every_moment_of_a_recovery(tmp_path: Path) -> None:
    def dead(name: str) -> tuple[MemoryWorld, Path]:
        world = new_world()
        state = made(world, tmp_path / name)
        expired(world, state, 1)
        return world, state

    supply, cuts = PowerSupply(), 0
    renew(*dead("count"), supply=supply)
    moments = list(one_in(4, range(1, supply.moments + 1)))
    for moment in moments:
        world, state = dead(f"{moment}")
        try:
            renew(world, state, supply=PowerSupply(cut_at=moment))
        except PowerCutError:
            cuts += 1

        for _ in range(6):
            with suppress(FirstbootError):
                renew(world, state)

        assert_came_back(world, state)
    # How many moments there are differs by a few, as keys and ids do.
    assert cuts >= len(moments) - 3


def test_refused_recoveries_push_nothing_out_that_is_still_to_be_retired(tmp_path: Path) -> None:
    """The cloud registered none of them; the ACTIVE one before them is still to be retired."""
    world = new_world()
    state = made(world, tmp_path / "device")
    with open_device_storage(state, mount=world.mount) as storage:
        journal.note_to_retire(storage.ps, "f" * 64)
    expired(world, state, 31)

    for _ in range(12):
        with raises(RECOVERY_REFUSED):
            renew(world, state)

    with open_device_storage(state, read_only=True, mount=world.mount) as storage:
        assert journal.load_to_retire(storage.ps) == ("f" * 64,)
