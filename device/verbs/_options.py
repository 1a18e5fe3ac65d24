"""Options that several verbs have, and what they mean."""

import argparse
import os
from pathlib import Path

from device.api import Device
from device.errors import ConfigurationError


def state_of(options: argparse.Namespace) -> Path:
    """Return the device's folder.

    Raises:
        ConfigurationError: neither ``--state`` nor ``DEVICE_STATE`` is given.
    """
    named = options.state or os.environ.get("DEVICE_STATE")
    if not named:
        step = "Pass --state DIR or set DEVICE_STATE."
        raise ConfigurationError("--state", "", "no device folder given", step)
    return Path(named)


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add ``--config``."""
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="a settings file; overrides what the station sealed; default: $DEVICE_CONFIG",
    )


def config_if_any(options: argparse.Namespace) -> Path | None:
    """Return the settings file, if one is given."""
    named = options.config or os.environ.get("DEVICE_CONFIG")
    return Path(named) if named else None


def device_of(options: argparse.Namespace, *, logs: bool = True) -> Device:
    """Return the device that a verb is about, as its options and this process's environment say.

    Where the verb ``logs`` nothing, logging is not loaded.

    Raises:
        ConfigurationError: neither ``--state`` nor ``DEVICE_STATE`` is given.
    """
    config = config_if_any(options) if hasattr(options, "config") else None
    if logs or config is not None:
        from device.runtime import log  # noqa: PLC0415 - `device status --help` logs nothing

        log.set_up("warning")
    return Device(state_of(options), config=config, environment=os.environ)
