"""The subject of a device's certificate, as the device's own settings ask for it."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cryptography import x509

from device import settings
from device.errors import ConfigurationError
from device.identity.csr import subject_name
from factory.manufacture import DeviceOrder

_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")


def device_subject(order: DeviceOrder) -> x509.Name:
    """Return the ``subject`` of the settings in ``order.config``, filled in for this device.

    Raises:
        ConfigurationError: the file cannot be used, or asks for a subject that cannot be.
    """
    fields = settings.load(order.config, {}, {}).subject
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
