"""``device metrics``: what the device counted, and how old its certificate is (offline)."""

import argparse
from typing import Final

from device.runtime.metrics import exposition
from device.verbs import Console
from device.verbs._options import add_config, device_of

SUMMARY: Final = "Show what the device counts and measures, as OpenMetrics (offline)."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``device metrics``."""
    add_config(parser)


def run(options: argparse.Namespace, console: Console) -> None:
    """Show the metrics of the last ``device run``, and of the storage as it is now.

    Raises:
        ConfigurationError: a setting cannot be used.
        StorageError: the storage is missing, corrupt, rolled back or another device's.
    """
    samples = device_of(options).metrics()
    console.show({"metrics": samples}, *exposition(samples).splitlines())
