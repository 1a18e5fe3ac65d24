"""Devices that hold their certificate: just-in-time and preregistered, in memory."""

from pathlib import Path

import msgspec
import pytest

from device.config.methods import JUST_IN_TIME_METHODS, PRESENTED_METHODS
from device.errors.provisioning import (
    CLOCK_BEHIND,
    INSTALLED_CERTIFICATE,
    NOT_ACTIVATED_YET,
    NOT_LET_IN,
    TOPIC_DENIED,
)
from device.identity.certificates import certificate_id
from device.provisioning import actions as act
from device.runtime.loop import Patience
from device.storage import installed_certificate
from device.storage.device_storage import open_device_storage
from device.storage.keys import FIRST_DEVICE_KEY
from device.storage.secure_storage import Uid
from tests.support.effort import one_in
from tests.support.errors import raises
from tests.support.power import PowerCutError, PowerSupply
from tests.support.worlds import Diary, MemoryWorld, boot

SERIAL = "SN-1"


def use(memory: MemoryWorld, method: str) -> None:
    memory.settings = msgspec.structs.replace(memory.settings, method=method)


PREREGISTERED = tuple(each for each in PRESENTED_METHODS if each not in JUST_IN_TIME_METHODS)


@pytest.mark.parametrize("method", JUST_IN_TIME_METHODS)
def test_the_first_drop_is_the_expected_path(memory: MemoryWorld, state: Path, method: str) -> None:
    use(memory, method)
    memory.make_device_with_leaf(state, SERIAL)
    memory.cloud.activation_delay = 2.0
    diary = Diary()

    identity = boot(memory, state, diary=diary)

    assert diary.types()[:2] == ["CertificateInstalled", "NotLetIn"]
    assert diary.waits[0][0].row is NOT_ACTIVATED_YET
    assert "as it does while it registers" in str(diary.waits[0][0])
    assert memory.registry(SERIAL).active_certificates == [identity.certificate_id]
    assert identity.key_made_by == "device"


@pytest.mark.parametrize("method", JUST_IN_TIME_METHODS)
def test_never_activated_ends_with_the_likely_causes(
    memory: MemoryWorld, state: Path, method: str
) -> None:
    use(memory, method)
    leaf = certificate_id(memory.make_device_with_leaf(state, SERIAL).encode())
    diary = Diary()

    with raises(NOT_ACTIVATED_YET) as raised:
        boot(memory, state, diary=diary)

    assert sum(seconds for _, seconds in diary.waits) <= 90.0
    assert raised.value.fields["refusals"] == len(diary.waits) + 1
    assert "(1) The CA" in raised.value.next_step
    assert f"aws iot delete-certificate --certificate-id {leaf})" in raised.value.next_step
    memory.cloud.activation_delay = 0.0
    assert boot(memory, state).thing_name == SERIAL


@pytest.mark.parametrize("method", PREREGISTERED)
def test_registered_beforehand_is_let_in_at_once(
    memory: MemoryWorld, state: Path, method: str
) -> None:
    use(memory, method)
    leaf = memory.make_device_with_leaf(state, SERIAL)
    memory.cloud.register_leaf(leaf, SERIAL)
    diary = Diary()

    identity = boot(memory, state, diary=diary)

    assert diary.waits == []
    assert identity.method == method


@pytest.mark.parametrize("method", PREREGISTERED)
@pytest.mark.parametrize("status", ["INACTIVE", "REVOKED"])
def test_a_refusal_without_a_reason_is_an_error_with_causes(
    memory: MemoryWorld, state: Path, method: str, status: str
) -> None:
    use(memory, method)
    leaf = memory.make_device_with_leaf(state, SERIAL)
    memory.cloud.register_leaf(leaf, SERIAL, status)
    look = f"aws iot describe-certificate --certificate-id {certificate_id(leaf.encode())}."

    with raises(NOT_LET_IN) as raised:
        boot(memory, state)

    assert raised.value.row is not NOT_ACTIVATED_YET
    assert "ACTIVE" in raised.value.next_step
    assert raised.value.next_step.endswith(look), "and nothing is to be deleted"


@pytest.mark.parametrize("method", PRESENTED_METHODS)
def test_one_cut_at_every_moment(tmp_path: Path, method: str) -> None:
    def new_device(folder: Path) -> MemoryWorld:
        world = MemoryWorld()
        use(world, method)
        leaf = world.make_device_with_leaf(folder, SERIAL)
        world.cloud.activation_delay = 1.0
        if method in PREREGISTERED:
            world.cloud.register_leaf(leaf, SERIAL)
        return world

    supply = PowerSupply()
    boot(new_device(tmp_path / "count"), tmp_path / "count", supply=supply)
    assert supply.moments > 20
    for moment in one_in(2, range(1, supply.moments + 1)):
        state = tmp_path / f"{moment}"
        world = new_device(state)
        with pytest.raises(PowerCutError):
            boot(world, state, supply=PowerSupply(cut_at=moment))

        identity = boot(world, state)

        assert world.registry(SERIAL).active_certificates == [identity.certificate_id], moment
        with open_device_storage(state, read_only=True, mount=world.mount) as storage:
            assert Uid.INSTALLED_CERTIFICATE not in storage.ps.uids()


def test_a_policy_that_lets_the_thing_not_publish_stops(memory: MemoryWorld, state: Path) -> None:
    use(memory, "bulk")
    memory.cloud.register_leaf(memory.make_device_with_leaf(state, SERIAL), SERIAL)
    memory.fault("deny-publish")

    with raises(TOPIC_DENIED):
        boot(memory, state)


@pytest.mark.parametrize("fault", ["unreachable", "silent-connect", "no-puback", "cut-on-publish"])
def test_a_passing_fault_is_survived(memory: MemoryWorld, state: Path, fault: str) -> None:
    use(memory, "single-thing")
    memory.cloud.register_leaf(memory.make_device_with_leaf(state, SERIAL), SERIAL)
    memory.fault(fault)
    diary = Diary()

    assert boot(memory, state, diary=diary).thing_name == SERIAL
    assert len(diary.waits) == 1


def test_a_leaf_for_another_key_is_named_before_the_first_packet(
    memory: MemoryWorld, state: Path, tmp_path: Path
) -> None:
    use(memory, "jitp")
    memory.make_device_with_leaf(state, SERIAL)
    other = memory.make_device_with_leaf(tmp_path / "other", "SN-2")
    with open_device_storage(state, mount=memory.mount) as storage:
        installed_certificate.save(storage.ps, FIRST_DEVICE_KEY, other.encode())

    with raises(INSTALLED_CERTIFICATE, match="another key"):
        boot(memory, state)

    assert [order for session in memory.sessions for order in session.orders] == []


@pytest.mark.parametrize("method", PRESENTED_METHODS)
@pytest.mark.parametrize("wall", [2_600_000_000.0, 1_789_000_000.0], ids=["future", "behind"])
def test_a_leaf_is_presented_whatever_our_clock_says(
    memory: MemoryWorld, state: Path, method: str, wall: float
) -> None:
    use(memory, method)
    memory.cloud.register_leaf(memory.make_device_with_leaf(state, SERIAL), SERIAL)
    memory.cloud.clock_ahead = memory.clock.wall() - wall
    memory.clock.set_wall(wall)

    assert boot(memory, state).thing_name == SERIAL


@pytest.mark.parametrize("method", PRESENTED_METHODS)
def test_a_leaf_that_is_not_valid_yet_and_is_refused_says_that_the_clock_is_behind(
    memory: MemoryWorld, state: Path, method: str
) -> None:
    use(memory, method)
    leaf = memory.make_device_with_leaf(state, SERIAL)
    memory.clock.set_wall(1_789_900_000.0)

    with raises(CLOCK_BEHIND) as raised:
        boot(memory, state, patience=Patience(unreachable=30.0, refused=30.0, activation=30.0))

    assert "2026-09-20T" in str(raised.value)
    assert "2026-09-21T" in str(raised.value)
    memory.clock.set_wall(1_790_000_100.0)
    memory.cloud.register_leaf(leaf, SERIAL)
    assert boot(memory, state).thing_name == SERIAL


def test_the_client_id_is_the_thing_name_from_the_first_packet(
    memory: MemoryWorld, state: Path
) -> None:
    use(memory, "jitp")
    memory.make_device_with_leaf(state, SERIAL)
    memory.cloud.activation_delay = 0.0

    boot(memory, state)

    connects = [
        order.client_id
        for session in memory.sessions
        for order in session.orders
        if isinstance(order, act.Connect)
    ]
    assert set(connects) == {SERIAL}
