"""What the station puts into a CSR: the subject that the device's settings ask for."""

from pathlib import Path

import pytest

from device.errors import ConfigurationError
from factory.device_subject import device_subject
from factory.documents import CONFIG
from factory.manufacture import DeviceOrder


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
