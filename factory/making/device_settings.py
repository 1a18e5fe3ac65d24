"""The device's own settings (config/*.yaml), as far as the station must agree with them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cryptography import x509

from device.config import settings
from device.config.methods import METHODS, KeyMaker
from device.config.settings import Key, Loaded, Settings
from device.config.sources import Sources
from device.errors import ConfigurationError
from device.identity.csr import subject_name
from factory.making.new_device import DeviceOrder

_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")


def load_device_settings(path: Path, environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings in ``path``, overridden by the ``DEVICE_*`` variables.

    Raises:
        ConfigurationError: the file is missing, or a key or variable does not hold what it should.
    """
    return settings.load(path, environment or {}, {})


def device_subject(order: DeviceOrder, known: Loaded | None = None) -> x509.Name:
    """Return the ``subject`` of the settings in ``order.config``, filled in for this device.

    ``known`` are those settings, if they were read before.

    Raises:
        ConfigurationError: the file cannot be used, or a value is one that its field cannot hold;
            the error names ``subject.FIELD`` and the serial number.
    """
    loaded = known or settings.load_with_sources(order.config, order.environment, {})
    fields = loaded.settings.subject
    filled = {
        name: _filled(order, loaded.sources, f"subject.{name}", text)
        for name, text in fields.items()
    }
    try:
        return subject_name(filled, loaded.sources.of)
    except ConfigurationError as error:
        problem = f"{error.problem} (for serial number {order.serial_number})"
        raise ConfigurationError(error.source, error.key, problem, error.next_step) from error


def check_method(config: Path, method: str) -> None:
    """Refuse settings that are for another method than the device is made for.

    Raises:
        ConfigurationError: they are: the device would not boot with them.
    """
    named = load_device_settings(config).method
    settings_file = METHODS[method].settings_file
    if METHODS[named].settings_file != settings_file:
        problem = f"is {named}, and the device is made for {method}"
        step = f"Give the settings of {method}: --config config/{settings_file}"
        raise ConfigurationError(str(config), "method", problem, step)


def check_key_type(loaded: Loaded, method: str) -> None:
    """Refuse a type of key where the key is AWS's, and of another type.

    Raises:
        ConfigurationError: ``key.type`` asks for another than AWS makes, and than the default.
    """
    wanted, sources = loaded.settings.key.type, loaded.sources
    if METHODS[method].key_made_by is KeyMaker.AWS and wanted not in {Key().type, "rsa-2048"}:
        problem = f"is {wanted}, and for {method} AWS makes the key: rsa-2048"
        step = f"Take key.type out of {sources.of('key.type')}, or use --method claim."
        raise sources.error("key.type", problem, step)


def thing_name(order: DeviceOrder) -> str:
    """Return the name of the device's thing, as its settings have it."""
    loaded = settings.load_with_sources(order.config, order.environment, {})
    return _filled(order, loaded.sources, "thing_name", loaded.settings.thing_name)


def _filled(order: DeviceOrder, sources: Sources, key: str, text: str) -> str:
    values = {"serial": order.serial_number, "device_id": order.device_id}
    for unknown in set(_PLACEHOLDER.findall(text)) - values.keys():
        known = ", ".join(f"{{{known}}}" for known in values)
        raise sources.error(key, f"unknown placeholder {{{unknown}}}", f"Known here: {known}.")
    return _PLACEHOLDER.sub(lambda found: values[found[1]], text)
