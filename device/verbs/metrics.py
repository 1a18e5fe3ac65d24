"""``device metrics``: what the device counted, and how old its certificate is (offline)."""

import argparse
import os
from typing import Final

from device.console import Console
from device.runtime import metrics
from device.runtime.clock import SystemClock
from device.storage.device_storage import open_device_storage
from device.verbs._options import add_config, config_if_any, state_of

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
    state = state_of(options)
    with open_device_storage(state, read_only=True) as storage:
        now = metrics.stored(storage, SystemClock())
    samples = metrics.read(state / _file(options)) | now
    console.show({"metrics": samples}, *metrics.exposition(samples).splitlines())


def _file(options: argparse.Namespace) -> str:
    """Return where ``device run`` writes, as the settings say."""
    named = os.environ.get("DEVICE_METRICS__FILE")
    if config := config_if_any(options):
        from device.config import settings  # noqa: PLC0415 - loads yaml

        named = settings.load(config, os.environ, {}).metrics.file
    return named or metrics.FILE
