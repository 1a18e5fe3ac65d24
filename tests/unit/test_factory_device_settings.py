"""What the station puts into a CSR: the subject that the device's settings ask for."""

from dataclasses import replace
from pathlib import Path

import pytest

from device.errors import ConfigurationError
from factory.account.documents import CONFIG
from factory.making.device_settings import device_subject, load_device_settings
from factory.making.new_device import DeviceOrder


def order(config: Path) -> DeviceOrder:
    return DeviceOrder("SN-1", "0" * 32, "localhost:8883", b"", config)


def written(folder: Path, subject: str) -> Path:
    config = folder / "device.yaml"
    config.write_text(f"method: bulk\nsubject: {subject}\n")
    return config


@pytest.mark.parametrize("method", ["bulk", "single-thing"])
def test_subject_is_that_of_the_settings_filled_in(method: str) -> None:
    subject = device_subject(order(CONFIG / f"{method}.yaml"))
    assert subject.rfc4514_string() == (
        "CN=SN-1,2.5.4.5=SN-1,OU=Devices,O=Firstboot,ST=Berlin,C=DE"
    )


def test_device_id_can_be_in_it(tmp_path: Path) -> None:
    config = written(tmp_path, '{common_name: "{serial}.{device_id}"}')
    assert device_subject(order(config)).rfc4514_string() == f"CN=SN-1.{'0' * 32}"


def test_unknown_placeholder_is_named_with_its_file_and_key(tmp_path: Path) -> None:
    config = written(tmp_path, '{common_name: "{thing_name}"}')
    with pytest.raises(ConfigurationError, match=r"device.yaml: subject.common_name") as raised:
        device_subject(order(config))
    assert "{serial}, {device_id}" in raised.value.next_step


def test_unknown_field_is_named_with_its_file(tmp_path: Path) -> None:
    config = written(tmp_path, "{nickname: Joe}")
    with pytest.raises(ConfigurationError, match=r"device.yaml: subject.nickname"):
        device_subject(order(config))


def test_variables_override_the_file(tmp_path: Path) -> None:
    config = written(tmp_path, '{common_name: "{serial}"}')
    asked = replace(order(config), environment={"DEVICE_SUBJECT__COMMON_NAME": "Plant-{serial}"})
    assert device_subject(asked).rfc4514_string() == "CN=Plant-SN-1"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("serial_number", "sn_1"), ("serial_number", "a*b"), ("serial_number", "a@b"),
        ("serial_number", "a&b"), ("dn_qualifier", "lot_7"), ("country", "D_"), ("country", "DEU"),
        ("country", "D"), ("common_name", "x" * 65), ("common_name", "''"),
    ],
)  # fmt: skip
def test_value_that_its_field_cannot_hold_is_named_with_field_and_serial_number(
    field: str, value: str, tmp_path: Path
) -> None:
    config = written(tmp_path, f"{{{field}: {value!r}}}" if value != "''" else f"{{{field}: ''}}")
    with pytest.raises(ConfigurationError) as raised:
        device_subject(order(config))
    assert raised.value.key == f"subject.{field}"
    assert "SN-1" in str(raised.value)


@pytest.mark.parametrize("content", [None, "subject: [a]\nmethod: x", "{", "subject: {}"])
def test_unusable_file_is_named(tmp_path: Path, content: str | None) -> None:
    config = tmp_path / "device.yaml"
    if content is not None:
        config.write_text(content)
    with pytest.raises(ConfigurationError, match=r"device.yaml: "):
        load_device_settings(config)
