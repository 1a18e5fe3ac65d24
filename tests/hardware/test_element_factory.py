"""Does the station make devices whose keys are in elements, by every method, whatever is cut?"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from device.config.methods import METHODS, KeyMaker, MachineKind
from device.errors.element import PIN_UNAVAILABLE, WRONG_PIN
from device.errors.storage import StorageExistsError
from device.lifecycle.status import read_status
from device.storage.device_storage import DeviceStorage, open_device_storage
from device.storage.element.installation import InstalledElement, installed_element, plan_of
from device.storage.keys import FIRST_DEVICE_KEY, KeyLocation, KeyType
from factory.account.documents import CONFIG
from factory.making.new_device import DeviceOrder, make_device, new_device_id
from factory.making.unfinished_device import unfinished_device
from tests.support.elements import ElementBench, module_of
from tests.support.errors import raises
from tests.support.library_faults import Function, in_front_of
from tests.support.wire_world import WireWorld
from tests.support.worlds import boot
from tests.wire.conftest import LocalCloud

MADE_AT_THE_STATION = {
    name for name, method in METHODS.items() if method.machine is MachineKind.PRESENTED
}
WITH_ELEMENT = [name for name, method in METHODS.items() if method.key_made_by is KeyMaker.DEVICE]


class PowerCutError(BaseException):
    """The station's plug was pulled."""


@pytest.fixture
def serial(label: str) -> str:
    return label.replace("dev-", "SN-")


@pytest.fixture
def wire(
    request: pytest.FixtureRequest,
    local_cloud: LocalCloud,
    tmp_path_factory: pytest.TempPathFactory,
) -> WireWorld:
    """One method, prepared by a station that serves all of them but one.

    An account has one certificate provider, and it signs for all, so that method is on its own.
    """
    base = tmp_path_factory.getbasetemp()
    if request.param == "claim-own-ca":
        station = base / "element-factory-of-own-ca"
        world = WireWorld(local_cloud, station, request.param, "629876543210")
    else:
        world = WireWorld(local_cloud, base / "element-factory", request.param)
    world.clear_faults()
    world.set(jitp_seconds=0.2, registration_line_seconds=0)
    return world


@pytest.mark.usefixtures("softhsm")
@pytest.mark.parametrize("wire", WITH_ELEMENT, indirect=True)
def test_each_method_makes_a_device_with_a_token_of_its_own(
    wire: WireWorld, serial: str, tmp_path: Path
) -> None:
    state = wire.make_device(tmp_path / "device", serial, "--element", "softhsm")
    with open_device_storage(state, read_only=True) as storage:
        made = storage.keys.keys()
        if wire.method in MADE_AT_THE_STATION:
            attributes = storage.keys.get_key_attributes(FIRST_DEVICE_KEY)
            assert attributes.location is KeyLocation.PRIMARY_SECURE_ELEMENT
        else:
            assert FIRST_DEVICE_KEY not in made

    identity = boot(wire, state)

    assert identity.key_uri.startswith(f"pkcs11:token={serial};object=device-key.1;type=private?")
    assert wire.registry(serial).active_certificates == [identity.certificate_id]
    status = read_status(state)
    assert status.key_proofs == ["local", "never-extractable", "always-sensitive"]
    pin = state / "element" / "pin"
    assert pin.stat().st_mode & 0o777 == 0o600


def order_of(bench: ElementBench, label: str) -> DeviceOrder:
    """Order a device whose token is there, and is named after its serial number."""
    serial_number = label.removeprefix("dev-")
    token, _, rest = bench.new_token(label).uri.partition("?")
    return DeviceOrder(
        serial_number=serial_number,
        device_id=new_device_id(),
        endpoint="localhost:8883",
        root_ca=b"roots",
        config=CONFIG / "bulk.yaml",
        element=f"{token.replace(serial_number, '{serial}')}?{rest}",
    )


@pytest.fixture
def order(bench: ElementBench, label: str) -> DeviceOrder:
    return order_of(bench, label)


def make_key(storage: DeviceStorage) -> None:
    storage.keys.generate_key(FIRST_DEVICE_KEY, KeyType.EC_P256)


def make_key_and_fail(storage: DeviceStorage) -> None:
    make_key(storage)
    raise PowerCutError


def test_a_key_of_a_device_that_was_not_finished_does_not_stop_the_next(
    order: DeviceOrder, tmp_path: Path
) -> None:
    """Else the element would hold two keys of one name."""
    for _ in range(2):
        with pytest.raises(PowerCutError):
            make_device(order, tmp_path, make_key_and_fail)

    make_device(order, tmp_path, make_key)

    with open_device_storage(tmp_path) as storage:
        element = installed_element(storage)
        assert element is not None
        assert f"token=dev-{order.serial_number}" in element.uri
        assert storage.keys.keys() == [FIRST_DEVICE_KEY]
    with pytest.raises(StorageExistsError):
        make_device(order, tmp_path, make_key)


def test_a_device_that_waits_for_its_certificate_goes_on_with_the_key_in_its_element(
    order: DeviceOrder, tmp_path: Path
) -> None:
    with unfinished_device(order, tmp_path) as device:
        key = device.public_key
    with unfinished_device(order, tmp_path) as device:
        assert device.public_key == key
        assert "BEGIN CERTIFICATE REQUEST" in device.csr()


def test_the_station_holds_no_session_of_a_device_that_is_done(
    order: DeviceOrder, tmp_path: Path
) -> None:
    """An ATECC608 has two, and a batch opens each device several times."""
    plan = plan_of(InstalledElement(order.element.format(serial=order.serial_number)))
    path, calls = module_of(plan).path, list[str]()
    with (
        in_front_of(path, "C_OpenSession", counting(calls, "C_OpenSession")),
        in_front_of(path, "C_CloseSession", counting(calls, "C_CloseSession")),
    ):
        for _ in range(2):
            with unfinished_device(order, tmp_path) as device:
                device.csr()
    assert calls == ["C_OpenSession", "C_CloseSession"] * 2


def counting(calls: list[str], name: str) -> Callable[[Function], Function]:
    def replacement(answer: Function) -> Function:
        def counted(*arguments: object) -> int:
            calls.append(name)
            return answer(*arguments)

        return counted

    return replacement


def test_a_wrong_pin_at_the_station_is_tried_once(
    softhsm: ElementBench, label: str, tmp_path: Path
) -> None:
    """Not on the TPM, which all tests share and which locks after three in all."""
    order, asked = order_of(softhsm, label), list[str]()
    plan = plan_of(InstalledElement(order.element.format(serial=order.serial_number)))
    wrong = tmp_path / "wrong"
    wrong.touch(mode=0o600)
    wrong.write_text("not-the-pin\n")
    bent = str(structs.replace(plan.uri, pin_source=wrong))
    with in_front_of(module_of(plan).path, "C_Login", counting(asked, "C_Login")):
        for _ in range(3):
            with raises(WRONG_PIN):
                make_device(replace(order, element=bent), tmp_path / "device", make_key)
        assert len(asked) == 1
    make_device(order, tmp_path / "device", make_key)


def test_an_element_that_could_never_be_opened_gives_way_to_another(
    order: DeviceOrder, tmp_path: Path
) -> None:
    missing = order.element.replace("pin-source=/", "pin-source=/no/such/")
    with raises(PIN_UNAVAILABLE):
        make_device(replace(order, element=missing), tmp_path / "device", make_key)
    make_device(order, tmp_path / "device", make_key)
