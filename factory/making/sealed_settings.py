"""What a device is told for good: its method and settings, sealed into its storage.

A device that holds them needs no file but its own folder. A settings file, a ``DEVICE_*`` variable
or a flag overrides them (`device.config.settings.load_with_sources`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from msgspec.structs import replace

from device.config.device_plan import plan_for
from device.config.settings import Loaded
from device.config.typed import Null, Section
from device.storage.device_storage import DeviceStorage
from device.storage.manufacturing_data import SealedSettings, seal
from device.storage.secure_storage import Uid

_NOT_SEALED: Final = frozenset(
    {
        "method",
        "endpoint",
        "root_ca",
        "issuer_ca",
        "claim.template_file",
        "just_in_time.template_file",
    }
)
"""Endpoint and CAs have entries of their own, and a template is checked by the station."""


def seal_settings(storage: DeviceStorage, loaded: Loaded) -> None:
    """Put the method and settings into the device, which then needs no file but its own folder.

    What the file names is sealed with it: a CA as an entry of its own. A template is checked now,
    so that a device which could not boot is never made. The file with an element's PIN stays where
    it is, because the PIN protects the element from whoever reads the device.

    Raises:
        ConfigurationError: a setting, or a file that it names, cannot be used on this device.
    """
    as_installed = replace(loaded.settings, endpoint=None, root_ca=None)
    plan = plan_for(storage, as_installed, loaded.sources)
    if plan.issuer_pem is not None:
        storage.ps.set(Uid.ISSUER_CA, plan.issuer_pem)
    seal(storage, SealedSettings(loaded.settings.method, _sections(loaded)))


def _sections(loaded: Loaded) -> Section:
    """Return what the file and the variables set; the rest has the default of the firmware."""
    kept = _kept(loaded.raw)
    if pin_file := loaded.settings.key.pin_file:
        kept["key"] = {**kept["key"], "pin_file": str(Path(pin_file).absolute())}
    return kept


def _kept(section: Mapping[str, Any], prefix: str = "") -> Section:
    kept: Section = {}
    for name, value in section.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict):
            kept[name] = _kept(value, f"{key}.")
        elif key not in _NOT_SEALED and not isinstance(value, Null):
            kept[name] = str(value)
    return kept
