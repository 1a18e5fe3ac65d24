"""Renewals with the key in a secure element: two keys for a moment, then the new one alone."""

from contextlib import suppress
from pathlib import Path

import pytest

from device.agent import Agent
from device.config.device_plan import plan_for
from device.errors import FirstbootError
from device.errors.element import TOKEN_FULL, ElementError
from device.lifecycle.journal import Identity
from device.runtime.loop import Patience
from device.storage.device_storage import open_device_storage
from device.storage.element.cryptoki_codes import Attribute, Mechanism, ReturnValue
from device.storage.filesystem import Fs
from tests.support.effort import one_in
from tests.support.errors import raises
from tests.support.fake_element import URI, attach
from tests.support.fake_module import FakeModule
from tests.support.power import PowerCutError, PowerSupply
from tests.support.renewals import identity_of
from tests.support.worlds import PATIENCE, Diary, MemoryWorld

SERIAL = "SN-1"
STATION_URI = "pkcs11:token=dev;object=PIV%20key;id=%01?module-path=/fake/module.so"


class Device:
    """A device whose keys are in an element in memory."""

    def __init__(self, tmp_path: Path, uri: str = URI) -> None:
        self.world, self.module, self.uri = MemoryWorld(), FakeModule(), uri
        if uri == STATION_URI:
            self._make_station_key()
        self.state = self.world.make_device(tmp_path / "device", SERIAL)
        self.power_on(boots=True)

    def power_on(
        self,
        supply: PowerSupply | None = None,
        *,
        boots: bool = False,
        patience: Patience = PATIENCE,
    ) -> Identity:
        """Boot, or renew."""
        supply = supply or PowerSupply()
        self.module.reboot(supply)

        def mount(folder: Path) -> Fs:
            return supply.mount(self.world.mount(folder))

        with open_device_storage(self.state, mount=mount) as storage:
            attach(storage, self.module, uri=self.uri)
            agent = Agent(
                storage,
                self.world.settings,
                plan_for(storage, self.world.settings, "test"),
                open_session=lambda *what: supply.session(self.world.open_session(*what)),
                clock=self.world.clock,
                observer=Diary(),
            )
            (agent.boot if boots else agent.renew)(patience)
            agent.session.close()
        return identity_of(self.world, self.state)

    def renew_home(self) -> Identity:
        for _ in range(8):
            with suppress(FirstbootError):
                return self.power_on()
        return self.power_on()

    def assert_one_key(self) -> None:
        """One key in the element, which is the identity's, and one ACTIVE certificate."""
        self.module.supply = PowerSupply()
        identity = identity_of(self.world, self.state)
        with open_device_storage(self.state, mount=self.world.mount) as storage:
            keys = attach(storage, self.module, uri=self.uri)
            assert keys.keys() == [identity.key]
            assert len(self.module.labels()) == 1
        active = self.world.registry(SERIAL).active_certificates
        assert active == [identity.certificate_id]

    def _make_station_key(self) -> None:
        session = self.module.open_session(7)
        names = {Attribute.LABEL: b"PIV key", Attribute.ID: b"\1"}
        curve = bytes.fromhex("06082a8648ce3d030107")
        public = {**names, Attribute.EC_PARAMS: curve}
        self.module.generate_key_pair(session, Mechanism.EC_KEY_PAIR_GEN, public, names)


def test_the_new_key_is_in_the_element_and_the_old_one_is_gone(tmp_path: Path) -> None:
    device = Device(tmp_path)

    identity = device.power_on()

    assert device.module.labels() == ["device-key.2"]
    assert "object=device-key.2" in identity.key_uri
    device.assert_one_key()


def test_five_renewals_leave_one_key_in_the_element(tmp_path: Path) -> None:
    device = Device(tmp_path)

    for _ in range(5):
        device.power_on()

    device.assert_one_key()


def test_one_cut_at_every_moment(tmp_path: Path) -> None:
    supply = PowerSupply()
    Device(tmp_path / "count").power_on(supply)
    assert supply.moments > 150, "the flow has more steps than this: the supply does not see them"
    for moment in one_in(5, range(1, supply.moments + 1)):
        device = Device(tmp_path / f"{moment}")
        with pytest.raises(PowerCutError):
            device.power_on(PowerSupply(cut_at=moment))

        device.renew_home()

        device.assert_one_key()


def test_a_full_token_is_told_and_nothing_is_lost(tmp_path: Path) -> None:
    device = Device(tmp_path)
    old = identity_of(device.world, device.state)
    device.module.fail("C_GenerateKeyPair", ReturnValue.DEVICE_MEMORY)

    with raises(TOKEN_FULL):
        device.power_on()

    assert identity_of(device.world, device.state) == old
    assert device.world.cloud.issued() == [old.certificate_id]
    device.assert_one_key()


@pytest.mark.parametrize("function", ["C_GenerateKeyPair", "C_Sign", "C_DestroyObject"])
def test_an_element_that_is_gone_in_the_middle_loses_nothing(tmp_path: Path, function: str) -> None:
    device = Device(tmp_path)
    device.module.fail(function, *[ReturnValue.DEVICE_REMOVED] * 3)
    with suppress(ElementError):
        device.power_on()

    device.renew_home()

    device.assert_one_key()


def test_after_a_roll_back_the_old_key_is_alone_in_the_element(tmp_path: Path) -> None:
    device = Device(tmp_path)
    device.world.cloud.renewal.refusal = "no"

    with pytest.raises(FirstbootError):
        device.power_on()

    assert device.module.labels() == ["device-key.1"]
    device.assert_one_key()


def test_a_key_that_could_not_be_destroyed_does_not_stop_the_next_renewal(tmp_path: Path) -> None:
    device = Device(tmp_path)
    device.world.cloud.renewal.refusal = "no"
    device.module.fail("C_DestroyObject", ReturnValue.DEVICE_REMOVED, ReturnValue.DEVICE_REMOVED)
    with pytest.raises(FirstbootError):
        device.power_on()
    device.world.cloud.renewal.refusal = ""

    device.power_on()

    device.assert_one_key()


def test_the_key_after_one_that_the_station_made_is_a_new_one(tmp_path: Path) -> None:
    """The station's key stays in the element: the device neither destroys it nor uses it again."""
    device = Device(tmp_path, STATION_URI)

    first, second = device.power_on(), device.power_on()

    assert len({first.key_uri, second.key_uri}) == 2
    assert "id=%01" not in first.key_uri
    assert device.module.labels() == ["PIV key", "PIV key.3"]
