"""Do settings and the station's note name one element, and one place for its PIN?"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from device.config.element_plan import element_plan
from device.config.settings import Key
from device.errors import ConfigurationError
from device.errors.element import Pkcs11UriError
from device.storage.device_storage import DeviceStorage, open_device_storage
from device.storage.element.installation import (
    InstalledElement,
    attach_element,
    element_at,
    install_element,
    installed_element,
    plan_of,
)
from tests.support.elements import variables
from tests.support.sealed_device import make_device

STORE = "pkcs11:token=dev?module-path=/usr/lib/x.so"
SOURCE = "device.yaml"


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[DeviceStorage]:
    with open_device_storage(make_device(tmp_path / "device")) as storage:
        yield storage


@pytest.fixture
def pin(tmp_path: Path) -> Path:
    path = tmp_path / "pin"
    path.touch(mode=0o600)
    path.write_text("1234-pin")
    return path


def pin_of(storage: DeviceStorage, key: Key) -> str | None:
    plan = element_plan(storage, key, SOURCE)
    assert plan is not None
    return None if plan.pin is None else plan.pin()


def test_keys_are_software_unless_said_otherwise(storage: DeviceStorage) -> None:
    assert element_plan(storage, Key(), SOURCE) is None
    assert element_plan(storage, Key(store="sealed:"), SOURCE) is None


def test_the_settings_name_an_element(storage: DeviceStorage) -> None:
    plan = element_plan(storage, Key(store=STORE, tls13=True), SOURCE)
    assert plan is not None
    assert (plan.uri.token, plan.tls13, plan.pin) == ("dev", True, None)


def test_the_station_names_an_element_and_its_environment(
    storage: DeviceStorage, pin: Path
) -> None:
    element = InstalledElement(f"{STORE}&pin-source={pin}", {"SOFTHSM2_CONF": "/somewhere"})
    install_element(storage, element)
    assert installed_element(storage) == element
    plan = element_plan(storage, Key(), SOURCE)
    assert plan is not None
    assert plan.environment == {"SOFTHSM2_CONF": "/somewhere"}
    assert plan.pin is not None
    assert plan.pin() == "1234-pin"


def test_the_settings_overrule_the_station(storage: DeviceStorage) -> None:
    install_element(storage, InstalledElement("pkcs11:token=other?module-path=/usr/lib/x.so"))
    assert element_plan(storage, Key(store="sealed:"), SOURCE) is None
    plan = element_plan(storage, Key(store=STORE), SOURCE)
    assert plan is not None
    assert plan.uri.token == "dev"


def test_a_pin_comes_from_a_file(storage: DeviceStorage, pin: Path) -> None:
    assert pin_of(storage, Key(store=STORE, pin_file=str(pin))) == "1234-pin"
    assert pin_of(storage, Key(store=f"{STORE}&pin-source={pin}")) == "1234-pin"


def test_a_pin_comes_from_systemd(storage: DeviceStorage, pin: Path) -> None:
    with variables({"CREDENTIALS_DIRECTORY": str(pin.parent)}):
        assert pin_of(storage, Key(store=STORE, pin_credential="pin")) == "1234-pin"


def test_the_settings_may_move_the_station_s_pin(storage: DeviceStorage, pin: Path) -> None:
    install_element(storage, InstalledElement(f"{STORE}&pin-source=/gone"))
    assert pin_of(storage, Key(pin_file=str(pin))) == "1234-pin"


def test_the_plan_shows_no_pin(storage: DeviceStorage, pin: Path) -> None:
    plan = element_plan(storage, Key(store=STORE, pin_file=str(pin)), SOURCE)
    assert "1234-pin" not in repr(plan)


@pytest.mark.parametrize(
    ("key", "named", "problem"),
    [
        ({"store": "pkcs11:tokn=dev"}, "key.store", "tokn: unknown attribute"),
        ({"store": f"{STORE}&pin-value=1"}, "key.store", "pin-value: a URI must not contain a PIN"),
        ({"store": STORE, "pin_file": "/a", "pin_credential": "b"}, "key", "set more than once"),
        ({"store": f"{STORE}&pin-source=/a", "pin_file": "/a"}, "key", "set more than once"),
        ({"store": STORE, "type": "rsa-2048", "tls13": True}, "key.tls13", "PSS"),
        ({"pin_file": "/a"}, "key.pin_file", "this device's key is in software"),
        ({"pin_credential": "a"}, "key.pin_credential", "this device's key is in software"),
        ({"tls13": True}, "key.tls13", "this device's key is in software"),
    ],
)
def test_what_contradicts_itself_is_refused(
    storage: DeviceStorage, key: dict[str, Any], named: str, problem: str
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        element_plan(storage, Key(**key), SOURCE)
    assert (raised.value.source, raised.value.key) == (SOURCE, named)
    assert problem in raised.value.problem


def test_an_element_without_a_module_cannot_be_attached(storage: DeviceStorage) -> None:
    with pytest.raises(Pkcs11UriError, match="module-path is missing"):
        attach_element(storage, plan_of(InstalledElement("pkcs11:token=dev")))
    with pytest.raises(Pkcs11UriError, match="module-path is missing"):
        element_at("pkcs11:token=dev")


def test_an_element_is_noted_with_the_environment_of_its_module() -> None:
    with variables({"SOFTHSM2_CONF": "/somewhere"}):
        element = element_at(STORE)
    assert element.environment["SOFTHSM2_CONF"] == "/somewhere"
