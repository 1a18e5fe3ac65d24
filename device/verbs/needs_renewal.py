"""``device needs-renewal``: whether it is time to renew, for a timer: offline, by exit code."""

import argparse
from typing import Final

from msgspec import to_builtins

from device.errors import ExitCode
from device.verbs import Console
from device.verbs._options import add_config, device_of

SUMMARY: Final = "Tell whether the certificate is due for renewal: exit code 0 if it is, 10 if not."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``device needs-renewal``."""
    add_config(parser)


def run(options: argparse.Namespace, console: Console) -> ExitCode:
    """Show whether a renewal is due, and return ``NOT_DUE`` if it is not.

    Raises:
        NotProvisionedError: the device has no identity yet.
        ConfigurationError: a setting cannot be used.
        StorageError: the storage is missing, corrupt, rolled back or another device's.
    """
    found = device_of(options).renewal_status()
    when = "due now" if found.due else f"due at {found.due_at}"
    console.show(to_builtins(found), f"{when}: {found.reason}; it expires at {found.expires}")
    return ExitCode.DONE if found.due else ExitCode.NOT_DUE
