"""The device's own settings (config/*.yaml), as far as the station must agree with them."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from device import settings
from device.errors import ConfigurationError
from device.identity.csr import SUBJECT_FIELDS, build_csr, subject_name
from device.settings import Settings
from factory.manufacture import DeviceOrder

_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")


def load_device_settings(path: Path, environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings in ``path``, overridden by the ``DEVICE_*`` variables.

    Raises:
        ConfigurationError: the file is missing, or a key or variable does not hold what it should.
    """
    return settings.load(path, environment or {}, {})


def device_subject(order: DeviceOrder, known: Settings | None = None) -> x509.Name:
    """Return the ``subject`` of the settings in ``order.config``, filled in for this device.

    ``known`` are those settings, if they were read before.

    Raises:
        ConfigurationError: the file cannot be used, or a value is one that its field cannot hold;
            the error names ``subject.FIELD`` and the serial number.
    """
    fields = (known or load_device_settings(order.config, order.environment)).subject
    filled = {name: _filled(order, f"subject.{name}", text) for name, text in fields.items()}
    try:
        subject = subject_name(filled, str(order.config))
    except ConfigurationError as error:
        problem = f"{error.problem} (for serial number {order.serial_number})"
        raise ConfigurationError(error.source, error.key, problem, error.next_step) from error
    _check_readable(subject, filled, order)
    return subject


def thing_name(order: DeviceOrder) -> str:
    """Return the name of the device's thing, as its settings have it."""
    name = load_device_settings(order.config, order.environment).thing_name
    return _filled(order, "thing_name", name)


def _check_readable(subject: x509.Name, filled: Mapping[str, str], order: DeviceOrder) -> None:
    """Refuse what can be written and not be read again: a PrintableString has few characters."""
    for attribute in subject:
        name = next(each for each, oid in SUBJECT_FIELDS.items() if oid == attribute.oid)
        try:
            csr = build_csr(_any_key(), x509.Name([attribute]))
            x509.load_pem_x509_csr(csr.encode()).subject  # noqa: B018 - parsed only when asked for
        except ValueError as error:
            problem = f"{filled[name]!r} cannot be in this field: {error}"
            problem += f" (for serial number {order.serial_number})"
            raise ConfigurationError(str(order.config), f"subject.{name}", problem) from error


@cache
def _any_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _filled(order: DeviceOrder, key: str, text: str) -> str:
    values = {"serial": order.serial_number, "device_id": order.device_id}
    for unknown in set(_PLACEHOLDER.findall(text)) - values.keys():
        known = ", ".join(f"{{{known}}}" for known in values)
        problem = f"unknown placeholder {{{unknown}}}"
        raise ConfigurationError(str(order.config), key, problem, f"Known here: {known}.")
    return _PLACEHOLDER.sub(lambda found: values[found[1]], text)
