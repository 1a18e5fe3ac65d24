"""What the station puts into a CSR: the subject that the device's settings ask for."""

from pathlib import Path

import msgspec
import pytest

from device import settings
from device.errors import ConfigurationError
from factory.device_settings import device_subject, load_device_settings
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


def test_settings_are_those_that_the_device_reads() -> None:
    ours = load_device_settings(CONFIG / "trusted-user.yaml")
    theirs = settings.load(CONFIG / "trusted-user.yaml", {}, {})
    assert (ours.method, ours.thing_name, ours.subject) == (
        theirs.method, theirs.thing_name, theirs.subject,
    )  # fmt: skip
    assert msgspec.to_builtins(ours.claim).items() <= msgspec.to_builtins(theirs.claim).items()


def test_defaults_are_those_of_the_device(tmp_path: Path) -> None:
    config = tmp_path / "device.yaml"
    config.write_text("method: claim\n")
    ours = msgspec.to_builtins(load_device_settings(config))
    theirs = msgspec.to_builtins(settings.load(config, {}, {}))
    assert ours.pop("claim").items() <= theirs.pop("claim").items()
    assert ours.items() <= theirs.items()


@pytest.mark.parametrize("content", [None, "subject: [a]\nmethod: x", "{", "subject: {}"])
def test_unusable_file_is_named(tmp_path: Path, content: str | None) -> None:
    config = tmp_path / "device.yaml"
    if content is not None:
        config.write_text(content)
    with pytest.raises(ConfigurationError, match=r"device.yaml: cannot be used"):
        load_device_settings(config)
