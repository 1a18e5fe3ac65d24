"""The device's own settings (config/*.yaml), as far as the station must agree with them.

The device checks the whole file; here only what the station puts into a certificate, or
compares with a template, is read.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509

from device.errors import ConfigurationError
from device.identity.csr import subject_name
from factory.manufacture import DeviceOrder

_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")


class ClaimSettings(msgspec.Struct, frozen=True):
    """What a device does with its claim."""

    template: str = "firstboot-claim"
    client_id: str = "claim-{serial}"
    parameters: dict[str, str] = msgspec.field(default_factory=lambda: {"SerialNumber": "{serial}"})


class DeviceSettings(msgspec.Struct, frozen=True):
    """What a device is told, with the device's own defaults."""

    method: str
    thing_name: str = "{serial}"
    subject: dict[str, str] = msgspec.field(default_factory=lambda: {"common_name": "{serial}"})
    claim: ClaimSettings = ClaimSettings()


def load_device_settings(path: Path) -> DeviceSettings:
    """Return the settings in ``path``.

    Raises:
        ConfigurationError: the file is missing, or its keys do not hold what they should.
    """
    try:
        return msgspec.yaml.decode(path.read_bytes(), type=DeviceSettings)
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigurationError(str(path), "", f"cannot be used: {error}") from error


def device_subject(order: DeviceOrder) -> x509.Name:
    """Return the ``subject`` of the settings in ``order.config``, filled in for this device.

    Raises:
        ConfigurationError: the file cannot be used, or asks for a subject that cannot be.
    """
    fields = load_device_settings(order.config).subject
    values = {"serial": order.serial_number, "device_id": order.device_id}
    return subject_name(
        {name: _filled(order.config, name, text, values) for name, text in fields.items()},
        str(order.config),
    )


def _filled(config: Path, name: str, text: str, values: Mapping[str, str]) -> str:
    for unknown in set(_PLACEHOLDER.findall(text)) - values.keys():
        known = ", ".join(f"{{{known}}}" for known in values)
        problem = f"unknown placeholder {{{unknown}}}"
        raise ConfigurationError(str(config), f"subject.{name}", problem, f"Known here: {known}.")
    return _PLACEHOLDER.sub(lambda found: values[found[1]], text)
