"""``device status``: what a device is now, read from its storage without network or lock."""

import argparse
from collections.abc import Mapping
from typing import Final

from msgspec import UNSET, to_builtins
from msgspec.structs import asdict

from device.lifecycle.status import Status
from device.verbs import Console
from device.verbs._options import add_config, device_of

SUMMARY: Final = "Show the device's state and identity, as its storage has them (offline)."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``device status``."""
    add_config(parser)


def run(options: argparse.Namespace, console: Console) -> None:
    """Show the status.

    Raises:
        ConfigurationError: a setting cannot be used.
        StorageError: the storage is missing, corrupt, rolled back or another device's.
    """
    status = device_of(options, logs=False).status()
    lines = lines_of(status)
    width = max(len(name) for name, _ in lines)
    console.show(to_builtins(status), *(f"{name:<{width}}  {value}" for name, value in lines))


def lines_of(status: Status) -> list[tuple[str, str]]:
    """Return what people read: a name and a value in words for each fact that applies."""
    return [
        (name.replace("_", " "), _in_words(name, value))
        for name, value in asdict(status).items()
        if value is not UNSET
    ]


def _in_words(name: str, value: object) -> str:
    if name == "device_configuration" and value is None:
        return "not known: the reply that held it was lost"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        value = [f"{key}={held}" for key, held in value.items()]
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    return _one_line(str(value)) if value not in {None, ""} else "none"


def _one_line(text: str) -> str:
    """Return ``text`` with whatever could move the cursor or hide words made visible."""
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1] for character in text
    )
