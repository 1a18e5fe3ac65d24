"""``device renew``: another key and another certificate for the same thing."""

import argparse
from typing import Final

from device.verbs import Console
from device.verbs._online import (
    add_online_options,
    online_device,
    show_identity,
    stopped_by_signals,
    tell,
)

SUMMARY: Final = "Renew the certificate with a new key; AWS IoT then turns off the old certificate."


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``device renew``."""
    add_online_options(parser, claims=False)


def run(options: argparse.Namespace, console: Console) -> None:
    """Renew the certificate, or finish a renewal that was cut; show the identity.

    Raises:
        NotProvisionedError: the device has no identity yet.
        FirstbootError: the renewal failed; the current certificate stays in use.
    """
    device = online_device(options, console)
    with stopped_by_signals(device):
        identity = device.renew()
    tell("renewed: the old certificate is retired, and its key destroyed", options, console)
    show_identity(identity, options, console)
