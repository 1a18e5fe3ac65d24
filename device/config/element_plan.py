"""Which secure element the device key is to live in, from the settings and the station's note."""

import os
from functools import partial
from pathlib import Path
from typing import Final

from msgspec import structs

from device.config.settings import Key
from device.config.sources import Sources
from device.errors.element import Pkcs11UriError
from device.storage.device_storage import DeviceStorage
from device.storage.element.installation import (
    ElementPlan,
    InstalledElement,
    installed_element,
    plan_of,
)
from device.storage.element.pin import PinSource, pin_from_credential, pin_from_file

SEALED: Final = "sealed:"


def element_plan(storage: DeviceStorage, key: Key, source: Sources | str) -> ElementPlan | None:
    """Return how to use the element; None where keys are software keys.

    Raises:
        ConfigurationError: the settings, from ``source``, contradict themselves or the element.
    """
    sources = Sources.named(source)
    installed = installed_element(storage)
    store = key.store or (installed.uri if installed else SEALED)
    if store == SEALED:
        _check_sealed(key, sources)
        return None
    if key.tls13 and key.type == "rsa-2048":
        problem = "TLS 1.3 signs RSA keys with PSS padding, which awscrt cannot do through PKCS #11"
        raise sources.error("key.tls13", problem, "Use an EC key, or leave it off.")
    environment = installed.environment if installed else {}
    try:
        plan = plan_of(InstalledElement(store, environment))
    except Pkcs11UriError as error:
        raise sources.error("key.store", str(error), error.next_step) from None
    return structs.replace(plan, pin=_pin(plan, key, sources), tls13=key.tls13)


def _check_sealed(key: Key, sources: Sources) -> None:
    for name in ("pin_file", "pin_credential", "tls13"):
        if getattr(key, name):
            problem = (
                "is for a key in a secure element, but this device's key is in software, sealed"
            )
            step = f"Remove it, or name the element in key.store: pkcs11:... ({sources.file})."
            raise sources.error(f"key.{name}", problem, step)


def _pin(plan: ElementPlan, key: Key, sources: Sources) -> PinSource | None:
    named = key.pin_file or key.pin_credential
    pin = None if key.store is None and named else plan.pin  # the station's gives way to settings
    places = [place for place in (key.pin_file, key.pin_credential, pin) if place]
    if len(places) > 1:
        problem = "the PIN is set more than once: pin_file, pin_credential, pin-source"
        raise sources.error("key", problem, "Set only one of them.")
    if key.pin_file:
        return partial(pin_from_file, Path(key.pin_file))
    if key.pin_credential:
        return partial(pin_from_credential, key.pin_credential, os.environ)
    return pin
